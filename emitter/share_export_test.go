package emitter

// SharedForTest is how many rows of two snapshots are one.
func (r *Revisions) SharedForTest(a, b uint32) (n int) {
	of := map[*row]bool{}
	for _, x := range r.rows(a).rules {
		of[x] = true
	}
	for _, x := range r.rows(b).rules {
		if of[x] {
			n++
		}
	}
	return n
}
