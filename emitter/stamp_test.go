package emitter_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"thymus/emitter"
)

func TestAMomentReadsTheSameWhateverCameBefore(t *testing.T) {
	moments := []int64{0, 1, 999, 1000, 999_999, 1_000_000, 999_999_999, 1_000_000_000, 9_999_999_999, 10_000_000_000,
		1_763_859_600_123_456_789, 1_763_859_600_123_457_000, 1_763_859_600_000_000_000, 1<<63 - 1}
	for range 2000 {
		moments = append(moments, rand.Int64(), 1_763_859_600_000_000_000+rand.Int64N(3e9))
	}
	for i, ns := range moments {
		before := moments[(i+len(moments)-1)%len(moments)]
		seconds, millis := emitter.StampForTest(before, ns)
		if want := fmt.Sprintf("%d.%06d", ns/1e9, ns%1e9/1e3); seconds != want {
			t.Errorf("%d after %d: %s seconds, want %s", ns, before, seconds, want)
		}
		if want := fmt.Sprint(ns / 1e6); millis != want {
			t.Errorf("%d after %d: %s milliseconds, want %s", ns, before, millis, want)
		}
	}
}
