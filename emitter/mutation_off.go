//go:build !thymus_mutant

package emitter

// mutation is for binaries that tests build to be wrong on purpose; here it is nothing.
func mutation(string) bool { return false }
