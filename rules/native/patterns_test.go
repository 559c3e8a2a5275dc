package native

import (
	"fmt"
	"testing"
)

// TestPatternsOfRequestsAreKeptWhileTheyAreSmallAndFew tries more patterns than are kept, large ones, and those of a
// program, which have room all the same.
func TestPatternsOfRequestsAreKeptWhileTheyAreSmallAndFew(t *testing.T) {
	m := &machine{}
	kept := func(pattern string, mark bool) bool {
		p, s := strVal(pattern), strVal("x")
		p.mark = mark
		_, byRegex := regexMatchAny(m, []val{p, s})
		_, byGlob := globMatchAny(m, []val{p, {kind: null}, s})
		if byRegex != byGlob {
			t.Errorf("%s: as a regex %v, as a glob %v", pattern, byRegex, byGlob)
		}
		return byRegex
	}
	if kept("x{1,900}", false) || kept(fmt.Sprintf("%0200d", 1), false) {
		t.Error("a large one of a request is kept")
	}
	for i := range keepLent / 2 {
		if !kept(fmt.Sprintf("a%d", i), false) {
			t.Fatalf("no room for number %d", i)
		}
	}
	if kept("another", false) || !kept("a1", false) {
		t.Error("one more is kept, or an early one is not")
	}
	for i := range keepPatterns {
		if !kept(fmt.Sprintf("b%d", i), true) && i < keepPatterns-keepLent {
			t.Fatalf("no room for number %d of the program", i)
		}
	}
	if n := len(m.patterns.regexes); n != keepPatterns || kept("b", true) {
		t.Errorf("%d are kept", n)
	}
}
