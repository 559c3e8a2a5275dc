package threat

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"thymus/pdp"
)

// Registry is where threats are kept. Its methods may be called from many goroutines at once.
type Registry interface {
	Create(ctx context.Context, r Report) (Threat, error)
	Get(ctx context.Context, id string) (Threat, error)
	// Change applies c and stores the outcome with its events, whole or not at all.
	Change(ctx context.Context, id string, c Change) (Threat, error)
	// List gives up to limit threats, newest first, from behind the id after ("" begins), and the id to go on from.
	List(ctx context.Context, f Filter, after string, limit int) (items []Threat, next string, err error)
	Stats(ctx context.Context) (Stats, error)
}

const bucket = "threats"

// Embedded is the registry of one sidecar, in its own store. Reads are answered from memory.
type Embedded struct {
	store pdp.Store
	now   func() time.Time
	limit int // of threats

	mu    sync.RWMutex // the request path never comes here
	shelf *shelf
}

// OpenEmbedded reads the registry. now is the clock.
func OpenEmbedded(store pdp.Store, now func() time.Time) (*Embedded, error) {
	r := &Embedded{store: store, now: now, limit: MaxThreats, shelf: newShelf()}
	err := store.View(func(tx pdp.Tx) error {
		return tx.Each(bucket, "", func(id string, v []byte) error {
			var t Threat
			if err := json.Unmarshal(v, &t); err != nil {
				return fmt.Errorf("threat %s: %w", id, err)
			}
			r.shelf.put(&t)
			return nil
		})
	})
	return r, err
}

// Create implements Registry.
func (r *Embedded) Create(_ context.Context, rep Report) (Threat, error) {
	t, events, err := newThreat(rep, r.now())
	if err != nil {
		return Threat{}, err
	}
	return t, r.save(&t, events)
}

func newThreat(rep Report, at time.Time) (Threat, []pdp.Event, error) {
	if err := rep.check(); err != nil {
		return Threat{}, nil, err
	}
	id := pdp.NewID(at.UnixMilli(), rand.Uint64(), rand.Uint64())
	now := at.UnixNano()
	t := Threat{
		ID: string(pdp.AppendUUID(nil, id)), Type: rep.Type, Source: rep.Source, Severity: rep.Severity, Status: Open,
		Description: rep.Description, Metadata: compact(rep.Metadata), Count: 1,
		DetectedAt: seconds(now), UpdatedAt: seconds(now), Version: 1,
	}
	w := eventWriter{now: now, correlation: rep.Correlation}
	w.detected(&t)
	return t, w.events, nil
}

// compact takes the spaces out: an event is one line.
func compact(m json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if json.Compact(&b, m) != nil {
		return json.RawMessage("{}") // checked before
	}
	return b.Bytes()
}

// Raise implements Raiser.
func (r *Embedded) Raise(_ context.Context, s Sighting) (Threat, bool, error) {
	if err := s.check(); err != nil {
		return Threat{}, false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	cur := r.shelf.of(s.Incident)
	t, made, events, err := s.apply(cur, r.now())
	if err != nil || !made && t.Version == cur.Version {
		return t, false, err
	}
	return t, made, r.saveLocked(&t, events)
}

// save stores t with its events, then shows it to readers.
func (r *Embedded) save(t *Threat, events []pdp.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.saveLocked(t, events)
}

func (r *Embedded) saveLocked(t *Threat, events []pdp.Event) error {
	v, err := json.Marshal(t)
	if err != nil {
		return err
	}
	var gone []string
	if _, known := r.shelf.all[t.ID]; !known {
		gone = r.shelf.surplus(r.limit)
	}
	err = r.store.Update(func(tx pdp.Tx) error {
		for i := range events {
			if err := tx.Owe(pdp.ClassThreat, &events[i]); err != nil {
				return err
			}
		}
		for _, id := range gone {
			if err := tx.Delete(bucket, id); err != nil {
				return err
			}
		}
		return tx.Put(bucket, t.ID, v)
	})
	if err != nil {
		return err
	}
	r.shelf.remove(gone...)
	r.shelf.put(t)
	return nil
}

// Get implements Registry.
func (r *Embedded) Get(_ context.Context, id string) (Threat, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	t, ok := r.shelf.all[id]
	if !ok {
		return Threat{}, ErrNotFound
	}
	return t, nil
}

// Change implements Registry.
func (r *Embedded) Change(_ context.Context, id string, c Change) (Threat, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t, ok := r.shelf.all[id]
	if !ok {
		return Threat{}, ErrNotFound
	}
	before := t.Version
	events, err := c.Apply(&t, r.now().UnixNano())
	if err != nil || t.Version == before {
		return t, err
	}
	return t, r.saveLocked(&t, events)
}

// List implements Registry.
func (r *Embedded) List(_ context.Context, f Filter, after string, limit int) ([]Threat, string, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	items, next := r.shelf.page(f, after, limit)
	return items, next, nil
}

// Stats implements Registry.
func (r *Embedded) Stats(context.Context) (Stats, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.shelf.stats(), nil
}
