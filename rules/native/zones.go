package native

import (
	"maps"
	"strings"
	"sync/atomic"
	"time"
)

// zones are the time zones that evaluations asked for, in a map that is copied to grow: requests never wait for each
// other. Names that are no zones are not kept, so that there are never more than the system knows.
type zones struct {
	known atomic.Pointer[map[string]*time.Location]
}

// find is nil where there is no such zone.
func (z *zones) find(name string) *time.Location {
	switch name {
	case "", "UTC":
		return time.UTC
	case "Local":
		return time.Local
	}
	var known *map[string]*time.Location
	if z != nil {
		known = z.known.Load()
	}
	if known != nil {
		if loc := (*known)[name]; loc != nil {
			return loc
		}
	}
	loc, err := time.LoadLocation(strings.Clone(name)) // it keeps the name, and ours is lent
	if err != nil {
		return nil
	}
	if z == nil {
		return loc
	}
	next := map[string]*time.Location{loc.String(): loc}
	if known != nil {
		maps.Copy(next, *known)
	}
	z.known.CompareAndSwap(known, &next) // who comes too late loads it again
	return loc
}
