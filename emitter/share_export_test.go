package emitter

// SharedForTest is how many rows of two snapshots are one.
func (r *Revisions) SharedForTest(a, b uint32) (n int) {
	of := map[*row]bool{}
	for _, run := range r.rows(a).runs {
		for _, x := range run.rows {
			of[x] = true
		}
	}
	for _, run := range r.rows(b).runs {
		for _, x := range run.rows {
			if of[x] {
				n++
			}
		}
	}
	return n
}

// RowForTest is what an event says of a row; empty where there is no such row.
func (r *Revisions) RowForTest(seq uint32, i int) string {
	x := r.rows(seq).at(int32(i))
	if x == nil {
		return ""
	}
	return string(x.policy) + string(x.rule) + string(x.sentence) + x.reason
}

// BaseForTest is the set that the rows of another are based on, 0 where they lie there whole.
func (r *Revisions) BaseForTest(seq uint32) uint32 { return r.rows(seq).base }
