package journal

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"

	"thymus/pdp"
)

// Kind says why a side record was written.
type Kind uint16

// The kinds of side records.
const (
	KindOpen    Kind = 1 // first of a side file: no lines, the state that the segment starts from
	KindBatch   Kind = 2 // a batch
	KindRepair  Kind = 3 // written by recovery in place of records whose lines were lost, or to skip numbers
	KindAdopted Kind = 4 // written by recovery for lines whose side file was gone; proves nothing before it
)

// Marks is the number of words that a batch may carry for its writer.
const Marks = 8

// Side is one side record: a batch, where it lies, and the totals up to and including it.
//
// Layout, 256 bytes, little endian:
//
//	  0  4  magic "TJS1"
//	  4  2  version, 1
//	  6  2  kind
//	  8  4  length of the record, 256
//	 12  4  CRC32C of the lines
//	 16  8  ring epoch
//	 24  8  ring end: position behind the last record consumed
//	 32  8  offset of the lines in the segment
//	 40  4  length of the lines in bytes
//	 44  4  events, which is the number of lines
//	 48  8  number of the first event
//	 56  8  missing: numbers behind the events that are lost for good
//	 64  8  time of the first event, Unix nanoseconds
//	 72  8  time of the last
//	 80  8  largest time of any event so far
//	 88 56  records pumped so far, by class
//	144 64  marks of the writer
//	208  8  lost: sum of missing so far
//	216 32  head: SHA-256 of the previous head, bytes 0 to 215 of this record, and the lines
//	248  4  zero
//	252  4  CRC32C of bytes 0 to 251
type Side struct {
	Kind                      Kind
	RingEpoch, RingEnd        uint64
	Offset                    int64
	Length, Events            uint32
	First, Missing            uint64
	FirstTime, LastTime, High int64
	Pumped                    [pdp.Classes]uint64
	Marks                     [Marks]uint64
	Lost                      uint64
	Head                      [sha256.Size]byte
	sum                       uint32 // CRC32C of the lines
}

// Next is the number of the first event behind the record.
func (s *Side) Next() uint64 { return s.First + uint64(s.Events) + s.Missing }

// End is the offset behind the record's lines.
func (s *Side) End() int64 { return s.Offset + int64(s.Length) }

const (
	sideSize    = 256
	sideMagic   = 0x31534a54 // "TJS1"
	sideVersion = 1
	sideHashed  = 216 // bytes of the record that the head covers
	maxNumber   = math.MaxUint64 >> 1
)

// What is wrong with a side record.
var (
	errSideShort   = errors.New("side record is cut short")
	errSideMagic   = errors.New("no side record: magic does not match")
	errSideVersion = errors.New("side record of an unknown version")
	errSideSum     = errors.New("side record's checksum does not match")
	errSideShape   = errors.New("side record's fields contradict each other")
)

// put writes all but head and checksum, which seal adds once the head is known.
func (s *Side) put(b *[sideSize]byte) {
	le := binary.LittleEndian
	le.PutUint32(b[0:], sideMagic)
	le.PutUint16(b[4:], sideVersion)
	le.PutUint16(b[6:], uint16(s.Kind))
	le.PutUint32(b[8:], sideSize)
	le.PutUint32(b[12:], s.sum)
	le.PutUint64(b[16:], s.RingEpoch)
	le.PutUint64(b[24:], s.RingEnd)
	le.PutUint64(b[32:], uint64(s.Offset))
	le.PutUint32(b[40:], s.Length)
	le.PutUint32(b[44:], s.Events)
	le.PutUint64(b[48:], s.First)
	le.PutUint64(b[56:], s.Missing)
	le.PutUint64(b[64:], uint64(s.FirstTime))
	le.PutUint64(b[72:], uint64(s.LastTime))
	le.PutUint64(b[80:], uint64(s.High))
	for i, n := range s.Pumped {
		le.PutUint64(b[88+8*i:], n)
	}
	for i, n := range s.Marks {
		le.PutUint64(b[144+8*i:], n)
	}
	le.PutUint64(b[208:], s.Lost)
	clear(b[248:252])
}

func (s *Side) seal(b *[sideSize]byte) {
	copy(b[216:248], s.Head[:])
	binary.LittleEndian.PutUint32(b[252:], checksum(b[:252]))
}

// decode reads a record. On an error s is not to be used.
func (s *Side) decode(b []byte) error {
	le := binary.LittleEndian
	switch {
	case len(b) < sideSize:
		return errSideShort
	case le.Uint32(b) != sideMagic:
		return errSideMagic
	case le.Uint32(b[252:]) != checksum(b[:252]):
		return errSideSum
	case le.Uint16(b[4:]) != sideVersion || le.Uint32(b[8:]) != sideSize:
		return errSideVersion
	}
	s.Kind = Kind(le.Uint16(b[6:]))
	s.sum = le.Uint32(b[12:])
	s.RingEpoch = le.Uint64(b[16:])
	s.RingEnd = le.Uint64(b[24:])
	s.Offset = int64(le.Uint64(b[32:]))
	s.Length = le.Uint32(b[40:])
	s.Events = le.Uint32(b[44:])
	s.First = le.Uint64(b[48:])
	s.Missing = le.Uint64(b[56:])
	s.FirstTime = int64(le.Uint64(b[64:]))
	s.LastTime = int64(le.Uint64(b[72:]))
	s.High = int64(le.Uint64(b[80:]))
	for i := range s.Pumped {
		s.Pumped[i] = le.Uint64(b[88+8*i:])
	}
	for i := range s.Marks {
		s.Marks[i] = le.Uint64(b[144+8*i:])
	}
	s.Lost = le.Uint64(b[208:])
	copy(s.Head[:], b[216:248])
	switch {
	case s.Kind < KindOpen || s.Kind > KindAdopted,
		s.Offset < 0, s.Length > MaxBatch, s.Events > s.Length, s.Length > 0 && s.Events == 0,
		s.First == 0, s.First > maxNumber, s.Missing > maxNumber,
		s.Kind == KindOpen && (s.Length != 0 || s.Offset != 0 || s.Missing != 0),
		s.Kind == KindBatch && s.Missing != 0:
		return errSideShape
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }
