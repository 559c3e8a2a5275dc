package immune

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"thymus/pdp"
)

// ErrNotFound says that there is no such event, or that it is no longer kept.
var ErrNotFound = errors.New("no such immune event")

const (
	eventBucket = "immune_events"
	keptEvents  = 10_000 // the newest are kept; the journal has them all
)

// Log keeps immune events. Its methods may be called from many goroutines at once.
type Log struct {
	store pdp.Store
	now   func() time.Time

	mu     sync.RWMutex
	events []Event // by id, which is by time
}

// OpenLog reads the log. now is the clock.
func OpenLog(store pdp.Store, now func() time.Time) (*Log, error) {
	l := &Log{store: store, now: now}
	err := store.View(func(tx pdp.Tx) error {
		return tx.Each(eventBucket, "", func(key string, v []byte) error {
			var e Event
			if err := json.Unmarshal(v, &e); err != nil {
				return fmt.Errorf("immune event %s: %w", key, err)
			}
			l.events = append(l.events, e)
			return nil
		})
	})
	return l, err
}

// eventKey sorts as the id counts.
func eventKey(id int64) string { return fmt.Sprintf("%019d", id) }

// Publish stores a new event and what is said about it.
func (l *Log) Publish(r Report) (Event, error) { return l.publish(r, nil) }

// publish is Publish with what is to be stored in the same transaction; also may be nil.
func (l *Log) publish(r Report, also func(pdp.Tx) error) (Event, error) {
	if err := r.check(); err != nil {
		return Event{}, err
	}
	now := l.now().UnixNano()
	l.mu.Lock()
	defer l.mu.Unlock()
	e := Event{
		ID: 1, Severity: r.Severity, Type: r.Type, Category: string(bytes.ToLower([]byte(r.Type))), Message: r.Message,
		AgentID: r.AgentID, Module: r.Module, Meta: compact(r.Meta), PublishedAt: seconds(now),
	}
	if n := len(l.events); n > 0 {
		e.ID = l.events[n-1].ID + 1
	}
	if err := l.put(&e, correlated(published(&e, r.Action, now), r.Correlation), also); err != nil {
		return Event{}, err
	}
	l.events = append(l.events, e)
	if n := len(l.events) - keptEvents; n > 0 {
		l.events = slices.Clone(l.events[n:])
	}
	return e, nil
}

func compact(m json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if m == nil || json.Compact(&b, m) != nil {
		return nil
	}
	return b.Bytes()
}

func (l *Log) put(e *Event, about []pdp.Event, also func(pdp.Tx) error) error {
	v, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return l.store.Update(func(tx pdp.Tx) error {
		if also != nil {
			if err := also(tx); err != nil {
				return err
			}
		}
		for i := range about {
			if err := tx.Owe(pdp.ClassImmune, &about[i]); err != nil {
				return err
			}
		}
		if err := tx.Delete(eventBucket, eventKey(e.ID-keptEvents)); err != nil {
			return err
		}
		return tx.Put(eventBucket, eventKey(e.ID), v)
	})
}

// SetSeverity changes an event's severity; correlation is what asked for it. The same severity again changes nothing and says nothing.
func (l *Log) SetSeverity(id int64, s Severity, correlation string) (Event, error) {
	if !slices.Contains(Severities(), s) {
		return Event{}, &FieldError{"severity", "expected one of INFO, WARNING, CRITICAL"}
	}
	now := l.now().UnixNano()
	l.mu.Lock()
	defer l.mu.Unlock()
	i, ok := slices.BinarySearchFunc(l.events, id, func(e Event, id int64) int { return int(e.ID - id) })
	if !ok {
		return Event{}, ErrNotFound
	}
	e := l.events[i]
	if e.Severity == s {
		return e, nil
	}
	old := e.Severity
	e.Severity = s
	about := []pdp.Event{changed(&e, old, now)}
	if s == Critical {
		about = append(about, wire(&e, "immune.critical_event", "", "critical_at", now))
	}
	if err := l.put(&e, correlated(about, correlation), nil); err != nil {
		return Event{}, err
	}
	l.events[i] = e
	return e, nil
}

// Recent gives up to limit events of the last minutes, newest first, from below the id before (0 begins), and the id to
// go on from (0: that was all).
func (l *Log) Recent(minutes int, before int64, limit int) (items []Event, next int64) {
	since := seconds(l.now().UnixNano()) - float64(minutes)*60
	l.mu.RLock()
	defer l.mu.RUnlock()
	for i := len(l.events) - 1; i >= 0; i-- {
		e := l.events[i]
		if before != 0 && e.ID >= before {
			continue
		}
		if e.PublishedAt < since {
			break
		}
		if len(items) == limit {
			return items, items[limit-1].ID
		}
		items = append(items, e)
	}
	return items, 0
}

// Health is what the events of a window add up to.
type Health struct {
	ActiveIssues   int     `json:"active_issues"`   // WARNING and CRITICAL
	CriticalIssues int     `json:"critical_issues"` // CRITICAL
	LastEvents     []Event `json:"last_events"`     // at most 10, newest first
}

// Health of the last minutes.
func (l *Log) Health(minutes int) Health {
	all, _ := l.Recent(minutes, 0, keptEvents)
	h := Health{LastEvents: all[:min(len(all), 10):min(len(all), 10)]}
	if h.LastEvents == nil {
		h.LastEvents = []Event{}
	}
	for i := range all {
		switch all[i].Severity {
		case Critical:
			h.CriticalIssues++
			h.ActiveIssues++
		case Warning:
			h.ActiveIssues++
		}
	}
	return h
}
