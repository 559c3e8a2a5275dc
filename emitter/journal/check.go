package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// segmentCheck is one segment's pass.
type segmentCheck struct {
	*verifier
	path, side string
	f          *os.File
	sig        Checkpoint
	signed     bool
	line       int   // lines before the record at hand
	at         int64 // offset behind the last record
	skipped    bool  // a record before this one could not be read
}

// record checks the record at index i and its lines.
func (s *segmentCheck) record(i int, b []byte) error {
	v := s.verifier
	var rec Side
	if err := rec.decode(b); err != nil {
		v.problem(s.side, i+1, i+1, "%v", err)
		s.skipped = true
		return nil
	}
	if i == 0 && rec.Kind != KindOpen {
		v.problem(s.side, 1, 1, "the first record is not the one that opens a segment")
	}
	if i == 0 && rec.First != v.segmentOf(s.path) {
		v.problem(s.path, 0, 0, "begins with number %d, which is not its name", rec.First)
	}
	if v.known && rec.First != v.prev.Next() && !s.skipped {
		v.problem(s.path, 0, 0, "number %d follows %d", rec.First, v.prev.Next()-1)
	}
	if rec.Offset != s.at && !s.skipped {
		v.problem(s.path, s.line+1, s.line+1, "offset %d, expected %d", rec.Offset, s.at)
	}
	v.buf = slices.Grow(v.buf[:0], int(rec.Length))[:rec.Length]
	n, err := s.f.ReadAt(v.buf, rec.Offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return &WriteError{"read", s.path, err}
	}
	lines := int(rec.Events)
	good := false
	switch {
	case n < int(rec.Length):
		v.problem(s.path, s.line+1, s.line+lines, "%d bytes of %d are missing", int(rec.Length)-n, rec.Length)
	case checksum(v.buf) != rec.sum:
		s.locate(b, &rec)
	case bytes.Count(v.buf, newline) != lines:
		v.problem(s.path, s.line+1, s.line+lines, "%d lines, the side record says %d", bytes.Count(v.buf, newline), lines)
	default:
		good = true
	}
	// The chain: of the first record of the oldest segment there is nothing to check it against.
	if v.known && !s.skipped && good && digest(v.prev.Head, b, v.buf) != rec.Head {
		v.problem(s.path, s.line+1, s.line+max(lines, 1), "the digest does not follow from what is before it")
	}
	s.expected(i, &rec)
	v.rep.Batches++
	v.rep.Events += uint64(rec.Events)
	if rec.Kind == KindAdopted {
		v.rep.Unproven += uint64(rec.Events)
	}
	s.line += lines
	s.at = rec.End()
	s.skipped = false
	v.prev, v.known = rec, true
	v.tell(int64(rec.Length) + sideSize)
	return nil
}

// expected compares with checkpoints: the segment's own, and those kept elsewhere.
func (s *segmentCheck) expected(i int, rec *Side) {
	v := s.verifier
	head := hex.EncodeToString(rec.Head[:])
	if s.signed && int64(i+1) == s.sig.Records {
		if s.sig.Head != head || s.sig.Next != rec.Next() {
			v.problem(s.path, s.line+1, s.line+max(int(rec.Events), 1), "the digest is not the one that was signed")
		}
		v.rep.Signed = rec.Next()
	}
	for _, c := range v.expect {
		if c.Segment == v.segmentOf(s.path) && c.Records == int64(i+1) && c.Head != head {
			v.problem(s.path, s.line+1, s.line+max(int(rec.Events), 1), "the digest is not that of a checkpoint kept elsewhere")
		}
	}
}

func (v *verifier) segmentOf(path string) uint64 {
	n, _ := parseName(filepath.Base(path), extLines)
	return n
}

func (s *segmentCheck) end(records int, side int64, last bool) error {
	v := s.verifier
	size, err := fileSize(s.f)
	if err != nil {
		return &WriteError{"read", s.path, err}
	}
	if size > s.at && !last {
		v.problem(s.path, s.line+1, s.line+1, "%d bytes behind the last side record", size-s.at)
	}
	if last {
		v.rep.Tail += max(0, size-s.at) + max(0, side-int64(records)*sideSize)
	}
	if s.signed {
		if s.sig.Records > int64(records) {
			v.problem(s.path, s.line+1, s.line+1, "the tail was cut: a signed checkpoint covers %d records up to number %d, there are %d",
				s.sig.Records, s.sig.Next-1, records)
		}
		if s.sig.Final {
			v.final = s.sig.Next
			if s.sig.Records < int64(records) {
				v.problem(s.path, s.line, s.line, "records behind the signed end of the segment")
			}
		}
	}
	return nil
}

func digest(prev [sha256.Size]byte, rec, lines []byte) (head [sha256.Size]byte) {
	h := sha256.New()
	h.Write(prev[:])
	h.Write(rec[:sideHashed])
	h.Write(lines)
	h.Sum(head[:0])
	return head
}
