//go:build thymus_mutant

package emitter

import (
	"os"
	"time"
)

// mutation says whether the step of the commit that bears the name is to be left out or done too early, so that a test
// of crashes can show that it would notice. It takes its time, far more than the rest of a batch, so that a kill under
// load falls into it more often than not.
func mutation(name string) bool {
	if os.Getenv("MUTANT") != name {
		return false
	}
	time.Sleep(20 * time.Millisecond)
	return true
}
