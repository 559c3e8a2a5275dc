package cli_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// A log line is JSON: a field that has the name of one of zerolog's own would be there twice, and hide the level or the
// message from who reads it.
func TestNoLogFieldHasTheNameOfAnother(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 10 {
		t.Fatalf("the package's sources are not here: %v %v", files, err)
	}
	taken := regexp.MustCompile(`\.(Str|Strs|Int|Int64|Uint64|Uint|Bool|Float64|Dur|Time|Any|Interface|AnErr|Stringer)\("(level|message|time|error)",`)
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range taken.FindAllString(string(text), -1) {
			t.Errorf("%s: %s", f, m)
		}
	}
}
