package rules

// CompiledInOne says whether everything of a set is compiled in one, and CompilesInOne whether that has begun.
func CompiledInOne(set *Set) bool {
	select {
	case <-set.Snapshot.Eval.(*dual).all.done:
		return true
	default:
		return false
	}
}

// CompilesInOne is true once somebody wanted it.
func CompilesInOne(set *Set) (begun bool) {
	begun = true
	set.Snapshot.Eval.(*dual).all.once.Do(func() { begun = false }) // and it never will
	return begun
}
