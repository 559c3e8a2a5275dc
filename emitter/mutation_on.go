//go:build thymus_mutant

package emitter

import (
	"os"
	"time"
)

// mutation says whether the step of the commit that bears the name is to be left out or done too early, so that a test
// of crashes can show that it would notice. It takes its time, to give the kill a place to fall.
func mutation(name string) bool {
	if os.Getenv("MUTANT") != name {
		return false
	}
	time.Sleep(time.Millisecond)
	return true
}
