package threat

// SetLimit bounds how many threats are kept.
func (r *Embedded) SetLimit(n int) { r.limit = n }

// SetLimit bounds how many threats are kept; 0 is the default.
func (o *RedisOptions) SetLimit(n int) { o.limit = n }
