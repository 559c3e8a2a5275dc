package rules_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"thymus/rules"
)

func TestListsThatChangeInLittleAreSortedLikeAnyOther(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	word := func() string { return string([]byte{'a' + byte(rng.IntN(6)), 'a' + byte(rng.IntN(6))}) } // many are equal
	var s rules.Sorter
	var list []string
	for n := range 2000 {
		list = slices.Clone(list)
		for range rng.IntN(4) {
			switch at := rng.IntN(len(list) + 1); {
			case rng.IntN(50) == 0:
				rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
			case at < len(list) && rng.IntN(3) == 0:
				list = slices.Delete(list, at, at+1)
			case at < len(list) && rng.IntN(2) == 0:
				list[at] = word()
			default:
				list = slices.Insert(list, at, word())
			}
		}
		if got, want := s.Sort(list), slices.Sorted(slices.Values(list)); !slices.Equal(got, want) {
			t.Fatalf("change %d: %q, want %q", n, got, want)
		}
	}
}
