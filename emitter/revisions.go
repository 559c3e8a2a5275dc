package emitter

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"thymus/pdp"
)

// Revisions keeps the rows of each snapshot under its Seq, in a file each, from before its activation until no record
// can refer to it. Of sets that differ in little one lies there whole, and of the others what differs from it. Persist and Prune may be called by any goroutine; rows is lock-free.
type Revisions struct {
	dir   string
	now   func() time.Time
	mu    sync.Mutex // guards old, files, base and current; never taken by the pump or a decision
	known atomic.Pointer[map[uint32]*Rows]
	next  uint32
	// current is the Seq persisted last; all others are on their way out.
	current uint32
	old     map[uint32]*retired
	base    *rowBase // nil: none was written in this life
}

// retired is a snapshot that was replaced. Calls under way may still record under it for a while; once that while is
// over, the ring's tail of that moment bounds where its records lie.
type retired struct {
	since  time.Time
	tail   uint64
	marked bool
}

// grace is how long after its replacement a snapshot may still be recorded with: far longer than any deadline.
const grace = time.Minute

const rowsSuffix = ".rows"

// OpenRevisions reads what earlier lives left in dir, which is made if it is not there. What cannot be read is set
// aside under the suffix .broken and named in the error list; records that refer to it say so in their events.
func OpenRevisions(dir string) (*Revisions, []error, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("revisions: %w", err)
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("revisions: %w", err)
	}
	r := &Revisions{dir: dir, now: time.Now, next: 1, old: map[uint32]*retired{}}
	known := map[uint32]*Rows{}
	var broken []error
	var last *Rows
	for _, n := range names {
		base, ok := strings.CutSuffix(n.Name(), rowsSuffix)
		if !ok {
			if strings.HasSuffix(n.Name(), ".tmp") {
				os.Remove(filepath.Join(dir, n.Name()))
			}
			continue
		}
		seq, err := strconv.ParseUint(base, 10, 32)
		if err != nil || seq == 0 {
			continue
		}
		r.next = max(r.next, uint32(seq)+1)
		path := filepath.Join(dir, n.Name())
		rows, err := readRows(path, uint32(seq), func(seq uint32) *Rows { return known[seq] })
		if err != nil {
			broken = append(broken, err)
			os.Rename(path, path+".broken")
			continue
		}
		if rows.base == 0 {
			rows.share(last)
			last = rows
		}
		known[uint32(seq)] = rows
		r.old[uint32(seq)] = &retired{since: r.now()}
	}
	r.known.Store(&known)
	return r, broken, nil
}

func readRows(path string, seq uint32, known func(uint32) *Rows) (*Rows, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	rows, err := parseRows(b, known)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if rows.Seq != seq {
		return nil, fmt.Errorf("%s: %w: holds seq %d", path, ErrRows, rows.Seq)
	}
	return rows, nil
}

// Persist writes the rows of s and sets s.Seq; it must return before s is activated. Rows that are on disk already are
// used again. After an error s.Seq is 0, with which records carry their texts themselves: larger, and complete.
func (r *Revisions) Persist(s *pdp.Snapshot) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Seq = 0
	if seq, ok := r.find(s); ok {
		r.activate(seq)
		s.Seq = seq
		return nil
	}
	if r.next == math.MaxUint32 {
		return fmt.Errorf("revisions: %s: numbers are used up", r.dir)
	}
	known := clone(*r.known.Load())
	b := r.delta(s)
	whole := b == nil
	if whole {
		b = appendRows(nil, s, r.next)
	}
	rows, err := parseRows(b, func(seq uint32) *Rows { return known[seq] })
	if err != nil {
		return fmt.Errorf("revisions: %w", err)
	}
	if err := writeFile(r.path(r.next), b, 0o600); err != nil {
		return fmt.Errorf("revisions: %w", err)
	}
	if whole {
		rows.share(known[r.current])
		r.base = &rowBase{rows, s.Rules, len(b)}
	}
	known[r.next] = rows
	r.known.Store(&known)
	r.activate(r.next)
	s.Seq = r.next
	r.next++
	return nil
}

// delta is the next file as what differs from the base; nil where it is better written whole.
func (r *Revisions) delta(s *pdp.Snapshot) []byte {
	if r.base == nil || r.base.size < minBase {
		return nil
	}
	if b := appendDelta(nil, s, r.next, r.base, steps(r.base.rules, s.Rules)); len(b) <= max(minDelta, r.base.size/deltaShare) {
		return b
	}
	return nil
}

// find looks for rows on disk that are those of s, byte for byte.
func (r *Revisions) find(s *pdp.Snapshot) (uint32, bool) {
	for seq, rows := range *r.known.Load() {
		if rows.Revision != s.Revision || rows.count() != len(s.Rules) {
			continue
		}
		var b []byte
		switch {
		case rows.base == 0:
			b = appendRows(nil, s, seq)
		case r.base != nil && rows.base == r.base.rows.Seq:
			b = appendDelta(nil, s, seq, r.base, steps(r.base.rules, s.Rules))
		default:
			continue // of an earlier life: it cannot be compared byte for byte
		}
		if was, err := os.ReadFile(r.path(seq)); err == nil && bytes.Equal(was, b) {
			return seq, true
		}
	}
	return 0, false
}

func (r *Revisions) activate(seq uint32) {
	if r.current != 0 && r.current != seq {
		r.old[r.current] = &retired{since: r.now()}
	}
	r.current = seq
	delete(r.old, seq)
}

// Prune removes what no record can refer to any more. tail is where producers of the ring are, cursor where the pump
// is; both belong to the running ring.
func (r *Revisions) Prune(tail, cursor uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var gone []uint32
	for seq, o := range r.old {
		if !o.marked && r.now().Sub(o.since) >= grace {
			o.tail, o.marked = tail, true
		}
		if o.marked && int64(cursor-o.tail) >= 0 { // positions may wrap
			gone = append(gone, seq)
		}
	}
	if gone = r.without(gone); len(gone) == 0 {
		return
	}
	known := clone(*r.known.Load())
	for _, seq := range gone {
		delete(known, seq)
		delete(r.old, seq)
		os.Remove(r.path(seq))
	}
	r.known.Store(&known)
}

// without are those of gone on which nothing is based that stays.
func (r *Revisions) without(gone []uint32) []uint32 {
	if len(gone) == 0 {
		return nil
	}
	needed, goes := map[uint32]bool{}, map[uint32]bool{}
	if r.base != nil {
		needed[r.base.rows.Seq] = true
	}
	for _, seq := range gone {
		goes[seq] = true
	}
	for seq, rows := range *r.known.Load() {
		if rows.base != 0 && !goes[seq] {
			needed[rows.base] = true
		}
	}
	return slices.DeleteFunc(gone, func(seq uint32) bool { return needed[seq] })
}

// Seqs lists what is kept, in order.
func (r *Revisions) Seqs() []uint32 {
	var s []uint32
	for seq := range *r.known.Load() {
		s = append(s, seq)
	}
	slices.Sort(s)
	return s
}

// rows are those of a Seq, nil where they are not on record.
func (r *Revisions) rows(seq uint32) *Rows { return (*r.known.Load())[seq] }

func (r *Revisions) path(seq uint32) string {
	return filepath.Join(r.dir, fmt.Sprintf("%010d%s", seq, rowsSuffix))
}

func clone(m map[uint32]*Rows) map[uint32]*Rows {
	c := make(map[uint32]*Rows, len(m)+1)
	for k, v := range m {
		c[k] = v
	}
	return c
}
