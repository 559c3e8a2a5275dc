//go:build race

package emitter_test

const raceEnabled = true
