package threat

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"thymus/pdp"
)

// follow brings the copy up to date.
func (r *Redis) follow(ctx context.Context) error {
	r.following.Lock()
	defer r.following.Unlock()
	return r.followLocked(ctx)
}

func (r *Redis) followLocked(ctx context.Context) error {
	k := r.keys
	keys := []string{k[0], k[1], k[2], k[3], k[5]}
	r.mu.RLock()
	epoch, number, next := r.epoch, r.number, r.shelf
	r.mu.RUnlock()
	anew := false
	for {
		call, cancel := context.WithTimeout(ctx, r.o.call)
		out, err := followScript.Run(call, r.c, keys, epoch, random(), number, followAt).StringSlice()
		cancel()
		if err != nil {
			return err
		}
		if len(out) < 2 || len(out)%3 != 2 {
			return fmt.Errorf("%d values from Redis make no changes", len(out))
		}
		if out[0] != epoch || out[1] != number { // another data set, or too far behind: a whole new copy
			epoch, number, next, anew = out[0], "0", newShelf(), true
		}
		if err := r.take(next, out[2:], !anew); err != nil {
			return err
		}
		if len(out) > 2 {
			number = out[len(out)-3]
		}
		if len(out) < 2+3*followAt {
			break
		}
	}
	r.mu.Lock()
	r.epoch, r.number, r.shelf, r.known = epoch, number, next, true
	r.mu.Unlock()
	return nil
}

// take puts changes onto a shelf, which others may be reading.
func (r *Redis) take(s *shelf, changes []string, shared bool) error {
	if shared && len(changes) > 0 {
		r.mu.Lock()
		defer r.mu.Unlock()
	}
	var gone []string
	for i := 0; i < len(changes); i += 3 {
		id, body := changes[i+1], changes[i+2]
		if body == "" {
			gone = append(gone, id)
			continue
		}
		var t Threat
		if err := json.Unmarshal([]byte(body), &t); err != nil || t.ID != id {
			return fmt.Errorf("the threat %q in Redis is none: %w", id, err)
		}
		s.put(&t)
	}
	s.remove(gone...)
	return nil
}

// catchUp follows for a reader. Those who waited while Redis turned out to be away do not try again, one by one.
func (r *Redis) catchUp(ctx context.Context) error {
	r.following.Lock()
	defer r.following.Unlock()
	if err := r.Away(); err != nil {
		return fmt.Errorf("%w: %w", ErrAway, err)
	}
	return r.noted(ctx, r.followLocked(ctx))
}

// copy brings the copy up to date if Redis can be asked, and says whether there is one.
func (r *Redis) copy(ctx context.Context) error {
	var err error
	if r.Away() == nil {
		err = r.catchUp(ctx)
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if !r.known {
		if err == nil {
			err = ErrAway
		}
		return err
	}
	return nil
}

// Get implements Registry.
func (r *Redis) Get(ctx context.Context, id string) (Threat, error) {
	if err := r.copy(ctx); err != nil {
		return Threat{}, err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	t, ok := r.shelf.all[id]
	if !ok {
		return Threat{}, ErrNotFound
	}
	return t, nil
}

// List implements Registry.
func (r *Redis) List(ctx context.Context, f Filter, after string, limit int) ([]Threat, string, error) {
	if err := r.copy(ctx); err != nil {
		return nil, "", err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	items, next := r.shelf.page(f, after, limit)
	return items, next, nil
}

// Stats implements Registry.
func (r *Redis) Stats(ctx context.Context) (Stats, error) {
	if err := r.copy(ctx); err != nil {
		return Stats{}, err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.shelf.stats(), nil
}

// The store's bucket of the last event taken from the outbox: under its epoch, its number in decimal.
const outboxBucket = "threat_outbox"

// ship moves events from the outbox to the store. The store keeps the number of the last one in the same transaction,
// so that a kill between taking and removing makes none of them come twice.
func (r *Redis) ship(ctx context.Context) error {
	r.shipping.Lock()
	defer r.shipping.Unlock()
	outbox := r.keys[10]
	r.mu.RLock()
	epoch := r.epoch
	r.mu.RUnlock()
	for {
		call, cancel := context.WithTimeout(ctx, r.o.call)
		entries, err := r.c.LRange(call, outbox, 0, outboxRead-1).Result()
		cancel()
		if err != nil || len(entries) == 0 {
			return err
		}
		if err := r.o.Store.Update(func(tx pdp.Tx) error { return owe(tx, epoch, entries) }); err != nil {
			return err
		}
		call, cancel = context.WithTimeout(ctx, r.o.call)
		err = r.c.LTrim(call, outbox, int64(len(entries)), -1).Err()
		cancel()
		if err != nil {
			return err
		}
	}
}

func owe(tx pdp.Tx, epoch string, entries []string) error {
	last, _ := strconv.ParseUint(string(tx.Get(outboxBucket, epoch)), 10, 64)
	for _, e := range entries {
		number, rec, ok := bytes.Cut([]byte(e), []byte(":"))
		n, err := strconv.ParseUint(string(number), 10, 64)
		var ev pdp.Event
		if !ok || err != nil || len(rec) < 2 || pdp.ParseEvent(rec[1:], &ev) != nil {
			continue // nobody can read it: a version that is not ours, or not our doing
		}
		if n <= last {
			continue
		}
		if err := tx.Owe(pdp.Class(rec[0]), &ev); err != nil {
			return err
		}
		last = n
	}
	return tx.Put(outboxBucket, epoch, strconv.AppendUint(nil, last, 10))
}
