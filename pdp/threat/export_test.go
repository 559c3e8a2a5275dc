package threat

// SetLimit bounds how many threats are kept.
func (r *Embedded) SetLimit(n int) { r.limit = n }
