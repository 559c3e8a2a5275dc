package threat

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"thymus/pdp"
)

// Bounds of talking with Redis.
const (
	redisCall  = 500 * time.Millisecond // one call
	redisLook  = 250 * time.Millisecond // how often is looked for what others changed, and whether Redis is back
	followAt   = 1000                   // changes read at once
	saveTries  = 50                     // against others who are first
	outboxRead = 256                    // events moved at once
)

// RedisOptions are what a Redis registry needs. All but Trouble and Now are required.
type RedisOptions struct {
	URL      string    // redis://[user:password@]host[:port][/database], or rediss:// for TLS
	Instance string    // names this sidecar; no two that share a Redis may have the same
	Store    pdp.Store // of this sidecar: where owed events go until they are journaled
	Now      func() time.Time
	// Trouble is told that Redis is away, and with nil that it is back. May be nil.
	Trouble func(error)

	limit int           // tests only
	call  time.Duration // tests only; 0 is redisCall
}

// Redis is the registry that the sidecars of a fleet share. Every change compares the version that it was made from, in
// a script that also puts the change's events into this sidecar's outbox; from there they go into its own store, each
// once, and so into its journal. Reads are answered from a copy that follows the changes: while Redis is away, it is the
// last known state, and changes fail with ErrAway at once. Whether a change that fails in the middle of a call took
// effect is unknown until Redis is back.
//
// Its methods may be called from many goroutines at once.
type Redis struct {
	o    RedisOptions
	c    *redis.Client
	keys []string // of saveScript

	mu     sync.RWMutex // guards the copy
	shelf  *shelf
	epoch  string
	number string // of the last change that the copy has
	known  bool   // the copy was whole once

	following sync.Mutex // one follows at a time
	shipping  sync.Mutex // one empties the outbox at a time

	state  sync.Mutex
	away   error
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// OpenRedis makes the registry and begins to follow. Redis need not be there yet.
func OpenRedis(o RedisOptions) (*Redis, error) {
	opt, err := redis.ParseURL(o.URL)
	if err != nil {
		return nil, errors.New("no URL of a Redis") // the cause may hold the password
	}
	if o.call == 0 {
		o.call = redisCall
	}
	opt.DialTimeout, opt.ReadTimeout, opt.WriteTimeout = o.call, o.call, o.call
	opt.MaxRetries, opt.ContextTimeoutEnabled, opt.DisableIdentity = -1, true, true // a save that came twice would be refused
	opt.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.limit == 0 {
		o.limit = MaxThreats
	}
	r := &Redis{o: o, c: redis.NewClient(opt), shelf: newShelf(), number: "0"}
	for _, k := range [...]string{"epoch", "seq", "body", "order", "gone", "floor", "incident", "final", "open", "sent", "outbox:" + o.Instance} {
		r.keys = append(r.keys, redisPrefix+k)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	_ = r.look(ctx) // a start does not wait for Redis longer than one call
	r.done.Go(func() {
		t := time.NewTicker(redisLook)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
				_ = r.look(ctx) // it is said, and tried again
			}
		}
	})
	return r, nil
}

// Close ends following. What lies in the outbox is taken up by the next start.
func (r *Redis) Close() error {
	r.cancel()
	r.done.Wait()
	return r.c.Close()
}

// Away is why Redis cannot be asked; nil while it can.
func (r *Redis) Away() error {
	r.state.Lock()
	defer r.state.Unlock()
	return r.away
}

// look brings the copy up to date and empties the outbox.
func (r *Redis) look(ctx context.Context) error {
	err := r.follow(ctx)
	if err == nil {
		err = r.ship(ctx)
		if errors.Is(err, pdp.ErrNoRoom) {
			return err // not Redis's fault
		}
	}
	return r.noted(ctx, err)
}

// noted keeps whether Redis answers, and turns its failure into ErrAway.
func (r *Redis) noted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err() // the caller left; nothing is known of Redis
	}
	r.state.Lock()
	defer r.state.Unlock()
	changed := (err == nil) != (r.away == nil)
	r.away = err
	if changed && r.o.Trouble != nil {
		r.o.Trouble(err)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAway, err)
	}
	return nil
}

// Create implements Registry.
func (r *Redis) Create(ctx context.Context, rep Report) (Threat, error) {
	t, events, err := newThreat(rep, r.o.Now())
	if err != nil {
		return Threat{}, err
	}
	for range saveTries { // not stored means that the data set is another one by now
		if stored, err := r.save(ctx, &change{entry: entry{Threat: t}, events: events}); stored || err != nil {
			return t, err
		}
	}
	return Threat{}, ErrStale
}

// Change implements Registry.
func (r *Redis) Change(ctx context.Context, id string, c Change) (Threat, error) {
	for range saveTries {
		e, err := r.fresh(ctx, id)
		if err != nil {
			return Threat{}, err
		}
		before := e.Version
		events, err := c.Apply(&e.Threat, r.o.Now().UnixNano())
		if err != nil || e.Version == before {
			return e.Threat, err
		}
		if stored, err := r.save(ctx, &change{entry: e, from: before, events: events}); stored || err != nil {
			return e.Threat, err
		}
	}
	return Threat{}, ErrStale
}

// Raise implements Raiser.
func (r *Redis) Raise(ctx context.Context, s Sighting) (Threat, bool, error) {
	if err := s.check(); err != nil {
		return Threat{}, false, err
	}
	for range saveTries {
		cur, err := r.incident(ctx, s.Incident)
		if err != nil {
			return Threat{}, false, err
		}
		c := change{incident: s.Incident}
		if cur != nil {
			c.last = cur.ID
		}
		if s.Common != "" && (cur == nil || cur.over(&s)) {
			c.common = commonPrefix + s.Common
			other, err := r.incident(ctx, c.common)
			if err != nil {
				return Threat{}, false, err
			}
			if other != nil {
				c.lastCommon = other.ID
			}
			if other.takes(&s) {
				cur = other
			}
		}
		var made bool
		if c.entry, made, c.events, err = cur.sight(&s, r.o.Now()); err != nil {
			return c.Threat, false, err
		}
		if !made {
			if c.from = cur.Version; c.Version == c.from {
				return c.Threat, false, nil
			}
		}
		if stored, err := r.save(ctx, &c); stored || err != nil {
			return c.Threat, made, err
		}
	}
	return Threat{}, false, ErrStale
}

// fresh is a threat as Redis has it.
func (r *Redis) fresh(ctx context.Context, id string) (t entry, err error) {
	if err := r.Away(); err != nil {
		return t, fmt.Errorf("%w: %w", ErrAway, err)
	}
	b, err := r.c.HGet(ctx, redisPrefix+"body", id).Bytes()
	if errors.Is(err, redis.Nil) {
		return t, errors.Join(ErrNotFound, r.noted(ctx, nil))
	}
	if err := r.noted(ctx, err); err != nil {
		return t, err
	}
	if err := json.Unmarshal(b, &t); err != nil {
		return t, fmt.Errorf("threat %s: %w", id, err)
	}
	return t, nil
}

// incident is the newest threat of an incident, or of a common name, as Redis has it; nil where there is none.
func (r *Redis) incident(ctx context.Context, name string) (*entry, error) {
	if err := r.Away(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAway, err)
	}
	id, err := r.c.HGet(ctx, redisPrefix+"incident", name).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err := r.noted(ctx, err); err != nil {
		return nil, err
	}
	t, err := r.fresh(ctx, id)
	if err != nil {
		return nil, err
	}
	return &t, nil
}

// change is what save stores: a threat as it is to be, and what it was made from.
type change struct {
	entry
	from             uint64 // version, 0: there was none
	incident, common string // names that are the threat's from then on; empty: none
	last, lastCommon string // whose they were
	events           []pdp.Event
}

// save runs the script; false means that somebody else was first.
func (r *Redis) save(ctx context.Context, c *change) (bool, error) {
	if err := r.Away(); err != nil {
		return false, fmt.Errorf("%w: %w", ErrAway, err)
	}
	// A change whose events would find no room is refused before it is one: the store says so before it asks.
	if err := r.o.Store.Update(func(pdp.Tx) error { return errLook }); !errors.Is(err, errLook) {
		return false, err
	}
	v, err := json.Marshal(&c.entry)
	if err != nil {
		return false, err
	}
	final := "0"
	if c.Status.Final() {
		final = "1"
	}
	r.mu.RLock()
	epoch := r.epoch
	r.mu.RUnlock()
	args := []any{epoch, c.ID, c.from, v, final, c.incident, c.last, r.o.limit, r.o.Instance, c.common, c.lastCommon}
	for i := range c.events {
		args = append(args, pdp.AppendEvent([]byte{byte(pdp.ClassThreat)}, &c.events[i]))
	}
	n, err := saveScript.Run(ctx, r.c, r.keys, args...).Int()
	if err := r.noted(ctx, err); err != nil {
		return false, err
	}
	// The copy has it at once, and so do readers here; where that fails, or the events find no room now, look does it.
	if err := r.follow(ctx); err == nil {
		_ = r.ship(ctx)
	}
	return n == 1, nil
}

// errLook ends a transaction that only looked.
var errLook = errors.New("nothing to store")

func random() string {
	var b [8]byte
	rand.Read(b[:]) // never fails: crypto/rand
	return hex.EncodeToString(b[:])
}
