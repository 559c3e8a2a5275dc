package journal

import (
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Report is what Verify found.
type Report struct {
	Segments    int
	Batches     int64
	Events      uint64
	First, Next uint64 // numbers of the first event held and of the next one
	Lost        uint64 // numbers that repairs left unused
	Unproven    uint64 // events of adopted lines: their checksums were made after the fact
	Signed      uint64 // events below this number are covered by a signature; 0 without any
	Tail        int64  // bytes behind the last side record: in the making, or what the next start withdraws
	Head        string // of the last side record, hexadecimal
	Problems    []Problem
}

// OK says whether nothing is wrong.
func (r *Report) OK() bool { return len(r.Problems) == 0 }

// Verify reads the whole journal up to its last side record and checks every checksum, number, offset and digest, and
// with pub the signed checkpoints. The checkpoints in expect, kept elsewhere, must lie in the chain. It may run beside
// the writer. progress, if not nil, is told the bytes done and the bytes there are. The error is a failure to read;
// what is wrong with the journal is in the report.
func Verify(dir string, pub ed25519.PublicKey, progress func(done, total int64), expect ...Checkpoint) (*Report, error) {
	l, err := list(dir)
	if err != nil {
		return nil, err
	}
	l.trim()
	if len(l.segments) == 0 {
		return nil, &ForeignError{dir, "holds no journal"}
	}
	if err := checkVersion(dir, l.segments); err != nil {
		return nil, err
	}
	v := &verifier{dir: dir, pub: pub, progress: progress, rep: &Report{First: l.segments[0]}, expect: expect}
	for _, first := range l.segments {
		for _, ext := range []string{extLines, extSide} {
			if st, err := os.Stat(fileName(dir, first, ext)); err == nil {
				v.total += st.Size()
			}
		}
	}
	for len(l.segments) > 0 {
		first := l.segments[0]
		sig, signed := v.signature(first) // before its records are read: the writer may go on
		if l.segments = l.segments[1:]; len(l.segments) == 0 {
			// The writer may have ended the segment since, and what was signed may say so.
			if again, err := list(dir); err == nil {
				i, _ := slices.BinarySearch(again.segments, first+1)
				l.segments = again.segments[i:]
			}
		}
		if err := v.segment(first, &segmentCheck{verifier: v, sig: sig, signed: signed}, len(l.segments) == 0); err != nil {
			return nil, err
		}
	}
	v.finish()
	return v.rep, nil
}

type verifier struct {
	dir      string
	pub      ed25519.PublicKey
	progress func(done, total int64)
	rep      *Report
	expect   []Checkpoint

	done, total int64
	prev        Side // last good record
	known       bool // prev is set
	final       uint64
	buf         []byte
}

func (v *verifier) problem(path string, line, to int, format string, args ...any) {
	v.rep.Problems = append(v.rep.Problems, Problem{filepath.Base(path), line, to, fmt.Sprintf(format, args...)})
}

func (v *verifier) tell(n int64) {
	v.done += n
	if v.progress != nil {
		v.progress(v.done, max(v.done, v.total))
	}
}

func (v *verifier) segment(first uint64, sg *segmentCheck, last bool) error {
	path, sidePath := fileName(v.dir, first, extLines), fileName(v.dir, first, extSide)
	if v.final != 0 && v.final != first {
		v.problem(path, 0, 0, "a signed checkpoint says that the segment before ends with number %d", v.final-1)
	}
	v.final = 0
	side, err := os.ReadFile(sidePath)
	if (err == nil || notExist(err)) && last && lastGood(side) < 0 && emptyOrGone(path) {
		v.rep.Tail += int64(len(side)) // a successor that was only begun
		return nil
	}
	if notExist(err) {
		if !v.expired(first) {
			v.problem(sidePath, 0, 0, "the side file is missing: nothing proves the segment")
		}
		return nil
	} else if err != nil {
		return &WriteError{"read", sidePath, err}
	}
	f, err := os.Open(path)
	if notExist(err) {
		if v.expired(first) {
			return nil
		}
		v.problem(path, 0, 0, "the segment is missing")
		f, err = os.Open(os.DevNull)
	}
	if err != nil {
		return &WriteError{"open", path, err}
	}
	defer f.Close()
	v.rep.Segments++
	sg.path, sg.side, sg.f = path, sidePath, f
	n := len(side) / sideSize
	end := lastGood(side)
	if end < n-1 && !last {
		v.problem(sidePath, 0, 0, "records %d to %d cannot be read", end+2, n)
	}
	for i := range end + 1 {
		if err := sg.record(i, side[i*sideSize:(i+1)*sideSize]); err != nil {
			return err
		}
	}
	if end < 0 {
		v.problem(sidePath, 0, 0, "holds no record that can be read")
	}
	return sg.end(end+1, int64(len(side)), last)
}

// expired says whether retention has removed the segment meanwhile, with all before it. What comes next then begins the
// journal.
func (v *verifier) expired(first uint64) bool {
	l, err := list(v.dir)
	if err != nil {
		return false
	}
	if l.trim(); len(l.segments) == 0 || l.segments[0] <= first {
		return false
	}
	v.known, v.final, v.rep.First = false, 0, l.segments[0]
	return true
}

func emptyOrGone(path string) bool {
	st, err := os.Stat(path)
	return notExist(err) || err == nil && st.Size() == 0
}

func lastGood(side []byte) int {
	last := -1
	var s Side
	for i := 0; (i+1)*sideSize <= len(side); i++ {
		if s.decode(side[i*sideSize:]) == nil {
			last = i
		}
	}
	return last
}

// finish is what is only known at the end.
func (v *verifier) finish() {
	r := v.rep
	r.Next, r.Head, r.Lost = v.prev.Next(), hex.EncodeToString(v.prev.Head[:]), v.prev.Lost
	name := fileName(v.dir, v.final, extLines)
	if v.final != 0 {
		v.problem(name, 0, 0, "the segment is missing: a signed checkpoint says that it was there")
	}
	if v.pub != nil && r.Signed == 0 {
		v.problem(v.dir, 0, 0, "no signed checkpoint")
	}
	for _, c := range v.expect {
		if c.Next > r.Next || c.Next == r.Next && c.Head != r.Head {
			v.problem(fileName(v.dir, c.Segment, extLines), 0, 0,
				"a checkpoint kept elsewhere says that it reached number %d: the tail was cut or rewritten", c.Next-1)
		}
	}
}

// signature is the segment's checkpoint, if it has one and pub is there to check it.
func (v *verifier) signature(first uint64) (Checkpoint, bool) {
	var c Checkpoint
	path := fileName(v.dir, first, extSign)
	b, err := os.ReadFile(path)
	if v.pub == nil || notExist(err) {
		return c, false
	}
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err == nil {
		err = c.Check(v.pub)
	}
	if err == nil && c.Segment != first {
		err = fmt.Errorf("checkpoint of segment %d", c.Segment)
	}
	if err != nil {
		v.problem(path, 0, 0, "%v", err)
		return c, false
	}
	return c, true
}
