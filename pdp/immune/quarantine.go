package immune

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"thymus/pdp"
)

const (
	quarantineBucket = "quarantine"
	releasedBucket   = "quarantine_released" // subject → when it was released, Unix nanoseconds in decimal
)

// Subject is who is quarantined: a type and an id, as decisions name them.
type Subject struct{ Type, ID string }

// key is the subject's in the store: the type ends with a NUL. A type that holds one itself is parted by its length, behind
// a byte that no text begins with, so that no two subjects share a key.
func (s Subject) key() string {
	if strings.Contains(s.Type, "\x00") {
		return fmt.Sprintf("\xff%d:%s%s", len(s.Type), s.Type, s.ID)
	}
	return s.Type + "\x00" + s.ID
}

// subjectOf is the subject of a key.
func subjectOf(key string) Subject {
	if rest, ok := strings.CutPrefix(key, "\xff"); ok {
		size, text, _ := strings.Cut(rest, ":")
		if n, err := strconv.Atoi(size); err == nil && n >= 0 && n <= len(text) {
			return Subject{text[:n], text[n:]}
		}
	}
	typ, id, _ := strings.Cut(key, "\x00")
	return Subject{typ, id}
}

// Entry is one quarantined subject. Times are Unix seconds.
type Entry struct {
	Type    string   `json:"type"`
	AgentID string   `json:"agent_id"`
	Reason  string   `json:"reason"`
	Since   float64  `json:"since"`
	Until   *float64 `json:"until,omitempty"` // nil: until it is released
	By      string   `json:"by"`              // operator, or the detector that caused it
	Strikes int      `json:"strikes"`         // how often self-protection has quarantined it
	// Cleared is when an earlier quarantine of it ended by itself: what it did before is not held against it.
	Cleared float64 `json:"cleared,omitempty"`
	// Incident is what it is quarantined for, where self-protection did it; empty for an operator's.
	Incident string `json:"incident,omitempty"`
}

func (e *Entry) subject() Subject { return Subject{e.Type, e.AgentID} }

func (e *Entry) over(now int64) bool { return e.Until != nil && *e.Until <= seconds(now) }

// Quarantine knows whose every call is denied. Quarantined may be called by every decision at once; the other methods
// take turns.
type Quarantine struct {
	store pdp.Store
	now   func() time.Time
	snap  atomic.Pointer[map[Subject]*Entry] // what is in force; never changed once it is here

	mu      sync.Mutex
	all     map[Subject]*Entry // in force, and those that ended whose strikes still count
	free    map[Subject]int64  // when a subject was released
	timer   *time.Timer
	closed  bool
	changes func(Entry, bool) // called with each entry that comes into force (true) or ends
}

// OpenQuarantine reads what is in force. now is the clock; changed, which may be nil, hears of every entry that comes
// into force or ends, one at a time.
func OpenQuarantine(store pdp.Store, now func() time.Time, changed func(e Entry, inForce bool)) (*Quarantine, error) {
	q := &Quarantine{store: store, now: now, all: map[Subject]*Entry{}, free: map[Subject]int64{}, changes: changed}
	err := store.View(func(tx pdp.Tx) error {
		err := tx.Each(releasedBucket, "", func(key string, v []byte) error {
			at, err := strconv.ParseInt(string(v), 10, 64)
			q.free[subjectOf(key)] = at
			return err
		})
		if err != nil {
			return err
		}
		return tx.Each(quarantineBucket, "", func(key string, v []byte) error {
			e := new(Entry)
			if err := json.Unmarshal(v, e); err != nil {
				return fmt.Errorf("quarantine %q: %w", key, err)
			}
			q.all[e.subject()] = e
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.timer = time.AfterFunc(time.Hour, q.expire)
	q.publish()
	return q, nil
}

// Close stops the clock that ends entries.
func (q *Quarantine) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.timer.Stop()
}

// Quarantined implements the engine's question: one load, one map look-up, no allocation.
func (q *Quarantine) Quarantined(subjectType, id string) (reason string, yes bool) {
	m := *q.snap.Load()
	if len(m) == 0 {
		return "", false
	}
	e := m[Subject{subjectType, id}]
	if e == nil {
		return "", false
	}
	return e.Reason, true
}

// Count is how many subjects are quarantined.
func (q *Quarantine) Count() int { return len(*q.snap.Load()) }

// List is who is quarantined, by type and id.
func (q *Quarantine) List() []Entry {
	var out []Entry
	for _, e := range *q.snap.Load() {
		out = append(out, *e)
	}
	slices.SortFunc(out, func(a, b Entry) int {
		return strings.Compare(a.Type+"\x00"+a.AgentID, b.Type+"\x00"+b.AgentID)
	})
	return out
}

// Put quarantines a subject for ttl, 0 until it is released, and stores that with what is said about it. An entry that
// is in force is replaced, its beginning kept.
func (q *Quarantine) Put(s Subject, reason, by string, ttl time.Duration, about ...pdp.Event) (Entry, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.entry(s, reason, by, ttl)
	if err := q.write(s, e, about); err != nil {
		return Entry{}, err
	}
	q.force(s, e)
	return *e, nil
}

// entry is what a subject's entry will be.
func (q *Quarantine) entry(s Subject, reason, by string, ttl time.Duration) *Entry {
	now := q.now().UnixNano()
	e := &Entry{Type: s.Type, AgentID: s.ID, Reason: reason, Since: seconds(now), By: by}
	if old := q.all[s]; old != nil {
		e.Strikes, e.Cleared = old.Strikes, old.Cleared
		if old.over(now) {
			e.Cleared = *old.Until
		} else {
			e.Since = old.Since
		}
	}
	if by != operator {
		e.Strikes++
	}
	if ttl > 0 {
		until := seconds(now + int64(ttl))
		e.Until = &until
	}
	return e
}

// force lets decisions see an entry that is stored.
func (q *Quarantine) force(s Subject, e *Entry) {
	q.all[s] = e
	q.publish()
	q.tell(*e, true)
}

// operator is By for what a person asked for.
const operator = "operator"

// Release ends a subject's quarantine and forgets its strikes; false where it was not quarantined.
func (q *Quarantine) Release(s Subject, about ...pdp.Event) (bool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.all[s]
	now := q.now().UnixNano()
	if e == nil || e.over(now) {
		return false, nil
	}
	if err := q.write(s, nil, about); err != nil {
		return false, err
	}
	q.drop(s, e, now)
	return true, nil
}

// drop lets decisions see that a subject is released.
func (q *Quarantine) drop(s Subject, e *Entry, now int64) {
	delete(q.all, s)
	q.free[s] = now
	q.publish()
	q.tell(*e, false)
}

// Released is when a subject was last released, or its quarantine ended by itself, Unix nanoseconds, if that was less
// than a day ago; 0 otherwise. What it did before is not to be held against it, after a restart neither.
func (q *Quarantine) Released(s Subject) int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	at, e := q.free[s], q.all[s]
	if e == nil {
		return at
	}
	cleared := e.Cleared
	if e.over(q.now().UnixNano()) {
		cleared = *e.Until
	}
	return max(at, int64(cleared*1e6+0.5)*1000)
}

// ReleasedSince are the subjects that were released after a time in Unix nanoseconds, up to a day ago.
func (q *Quarantine) ReleasedSince(ns int64) (out []Subject) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for s, at := range q.free {
		if at > ns {
			out = append(out, s)
		}
	}
	return out
}

// Strikes is how often self-protection has quarantined a subject that has not been released since.
func (q *Quarantine) Strikes(s Subject) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if e := q.all[s]; e != nil {
		return e.Strikes
	}
	return 0
}

func (q *Quarantine) write(s Subject, e *Entry, about []pdp.Event) error {
	return q.store.Update(func(tx pdp.Tx) error {
		for i := range about {
			if err := tx.Owe(pdp.ClassImmune, &about[i]); err != nil {
				return err
			}
		}
		return q.stored(tx, s, e)
	})
}

// stored puts an entry, or with nil its end, into a transaction.
func (q *Quarantine) stored(tx pdp.Tx, s Subject, e *Entry) error {
	key := s.key()
	if e == nil {
		if err := tx.Put(releasedBucket, key, strconv.AppendInt(nil, q.now().UnixNano(), 10)); err != nil {
			return err
		}
		return tx.Delete(quarantineBucket, key)
	}
	v, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return tx.Put(quarantineBucket, key, v)
}

// forget takes out what is of no use any more.
func (q *Quarantine) forget(bucket string, ss []Subject) bool {
	return len(ss) == 0 || q.store.Update(func(tx pdp.Tx) error {
		for _, s := range ss {
			if err := tx.Delete(bucket, s.key()); err != nil {
				return err
			}
		}
		return nil
	}) == nil
}

// strikesLast is how long an entry that ended still counts for the next one's length.
const strikesLast = 24 * time.Hour

// expire takes out what is over and forgets what ended long ago.
func (q *Quarantine) expire() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	now := q.now().UnixNano()
	before := *q.snap.Load()
	var ended []Entry
	var old, free []Subject
	for s, e := range q.all {
		switch {
		case e.over(now - int64(strikesLast)):
			old = append(old, s)
		case e.over(now) && before[s] != nil:
			ended = append(ended, *e)
		}
	}
	for s, at := range q.free {
		if at < now-int64(strikesLast) {
			free = append(free, s)
		}
	}
	if q.forget(quarantineBucket, old) { // else it is forgotten next time
		for _, s := range old {
			delete(q.all, s)
		}
	}
	if q.forget(releasedBucket, free) {
		for _, s := range free {
			delete(q.free, s)
		}
	}
	q.publish()
	for _, e := range ended {
		q.tell(e, false)
	}
}

// publish puts what is in force where decisions read it, and sets the clock for the next end.
func (q *Quarantine) publish() {
	now := q.now().UnixNano()
	m, next := make(map[Subject]*Entry, len(q.all)), now+int64(time.Hour)
	for s, e := range q.all {
		if e.over(now) {
			continue
		}
		m[s] = e
		if e.Until != nil {
			next = min(next, int64(*e.Until*1e9))
		}
	}
	q.snap.Store(&m)
	q.timer.Reset(max(time.Duration(next-now), time.Millisecond))
}

func (q *Quarantine) tell(e Entry, inForce bool) {
	if q.changes != nil {
		q.changes(e, inForce)
	}
}
