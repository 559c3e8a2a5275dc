package immune

import "sync"

// maxQueued bounds how many incidents may wait. Of one incident one finding waits, the newest.
const maxQueued = 1 << 15

// queue holds findings between the pump, which never waits, and the responder. What self-protection may have to act on
// goes first.
type queue struct {
	wake chan struct{} // holds one

	mu      sync.Mutex
	urgent  []*Finding
	rest    []*Finding
	waiting map[string]*Finding // by incident
	dropped uint64
	current *Finding // was taken and is being handled
	ended   bool     // nobody takes any more
}

func newQueue() *queue {
	return &queue{wake: make(chan struct{}, 1), waiting: map[string]*Finding{}}
}

// put takes a finding, which the queue owns then; false where there was no room.
func (q *queue) put(f *Finding) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if w := q.waiting[f.Incident]; w != nil && w.same(f) && (!f.urgent || w.urgent) {
		rank, threat, count := w.Rank, w.Threat, w.Count
		urgent := w.urgent
		*w = *f
		w.urgent = urgent
		w.Count = max(w.Count, count)
		if rank > w.Rank {
			w.Rank, w.Threat = rank, threat
		}
		return true
	}
	if len(q.urgent)+len(q.rest) >= maxQueued && !f.urgent {
		q.dropped++
		return false
	}
	q.waiting[f.Incident] = f
	if f.urgent {
		q.urgent = append(q.urgent, f)
	} else {
		q.rest = append(q.rest, f)
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return true
}

// take gives the next finding; nil where none waits. What was taken before has been handled.
func (q *queue) take() *Finding {
	q.mu.Lock()
	defer q.mu.Unlock()
	from := &q.urgent
	if len(*from) == 0 {
		from = &q.rest
	}
	q.current = nil
	if len(*from) == 0 {
		return nil
	}
	f := (*from)[0]
	q.current = f
	(*from)[0] = nil
	if *from = (*from)[1:]; len(*from) == 0 {
		*from = nil
	}
	if q.waiting[f.Incident] == f {
		delete(q.waiting, f.Incident)
	}
	return f
}

// busy says whether one waits or is being handled.
func (q *queue) busy() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return !q.ended && (q.current != nil || len(q.urgent)+len(q.rest) > 0)
}

// all are copies of those that wait, the one that is being handled included, in the order in which they are taken.
func (q *queue) all() (out []Finding) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.current != nil {
		out = append(out, *q.current)
	}
	for _, l := range [...][]*Finding{q.urgent, q.rest} {
		for _, f := range l {
			out = append(out, *f)
		}
	}
	return out
}

func (q *queue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
}

func (q *queue) lose() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropped++
}

func (q *queue) lost() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}
