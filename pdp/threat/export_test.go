package threat

import "time"

// SetLimit bounds how many threats are kept.
func (r *Embedded) SetLimit(n int) { r.limit = n }

// SetLimit bounds how many threats are kept; 0 is the default.
func (o *RedisOptions) SetLimit(n int) { o.limit = n }

// SetCall bounds how long one call of Redis may take.
func (o *RedisOptions) SetCall(d time.Duration) { o.call = d }
