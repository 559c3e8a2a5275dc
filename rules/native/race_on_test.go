//go:build race

package native_test

// underRace says that the race detector is on: its pools forget on purpose, so that nothing can be said of allocations.
const underRace = true
