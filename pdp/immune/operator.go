package immune

import (
	"time"

	"thymus/pdp"
)

// Order quarantines a subject on an operator's word, as Put does, and stores that in one transaction with the immune
// event that told makes of the entry: who is denied, on whose word and until when, is on record for good, whatever becomes
// of the entry.
func (q *Quarantine) Order(s Subject, reason string, ttl time.Duration, log *Log, told func(*Entry) Report) (Entry, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.entry(s, reason, operator, ttl)
	if _, err := log.publish(told(e), func(tx pdp.Tx) error { return q.stored(tx, s, e) }); err != nil {
		return Entry{}, err
	}
	q.force(s, e)
	return *e, nil
}

// Lift releases a subject on an operator's word, as Release does, together with the immune event that tells of it; false
// where it was not quarantined, which is told nobody.
func (q *Quarantine) Lift(s Subject, log *Log, rep Report) (bool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e, now := q.all[s], q.now().UnixNano()
	if e == nil || e.over(now) {
		return false, nil
	}
	if _, err := log.publish(rep, func(tx pdp.Tx) error { return q.stored(tx, s, nil) }); err != nil {
		return false, err
	}
	q.drop(s, e, now)
	return true, nil
}

// Get is the entry that denies a subject's calls; false where none does.
func (q *Quarantine) Get(s Subject) (Entry, bool) {
	if e := (*q.snap.Load())[s]; e != nil {
		return *e, true
	}
	return Entry{}, false
}

// Get is one event that is kept, or ErrNotFound.
func (l *Log) Get(id int64) (Event, error) { return l.event(id) }
