package cli

import (
	"bufio"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"thymus/pdp"
)

// What detection observed is kept in files "detect.seen-NUMBER" and "detect.flags-NUMBER", sealed, little endian:
//
//	0  8   "thymseen"
//	8  16  salt of the file's key, random
//	   for each batch:
//	   u32  length of what follows, n
//	   n    AES-256-GCM of the batch; its number in the file is the nonce, the magic additional data
//
// A batch, before it is sealed:
//
//	0  u64  number in the journal of the event behind the batch
//	        for each decision: uvarint length, and as much of its record (pdp.AppendRecord) as detection looks at; where
//	        the length is 0 none, but the revision of those that follow: uvarint length, text
const (
	seenPrefix = "detect.seen-"
	flagPrefix = "detect.flags-"
	seenMagic  = "thymseen"
	seenSalt   = 16
)

// When a snapshot is due: the files are bounded by what the last one took, so that neither it nor reading them takes
// more than a share of the pump's time.
const (
	seenLeast = 4 << 20
	seenTimes = 4 // as large as the snapshot
)

// seen notes down, batch by batch and before the journal has it, what detection observed since its windows were kept:
// where masks take from the journal who did what, a start reads it here. What is not ready's is guarded by
// immunity.seeing.
type seen struct {
	dir    string
	prefix string // of its files' names
	secret []byte
	log    zerolog.Logger
	ready  atomic.Pointer[snapshot] // is to be written; nil: the next may be taken

	number   uint64 // of the file at hand
	file     *os.File
	aead     cipher.AEAD
	batches  uint64 // in the file
	size     int    // bytes since the last snapshot
	base     int    // bytes of the last snapshot
	at       time.Time
	plain    []byte // the batch at hand
	sealed   []byte
	seq      uint32
	revision string // of the record before, in the batch at hand
	end      uint64 // of the last batch
	failed   time.Time
}

// due says whether a snapshot is to be taken now: the batch at hand is empty, so that the journal has everything.
func (l *seen) due() bool {
	if len(l.plain) > 0 || l.size == 0 || l.ready.Load() != nil {
		return false
	}
	return l.size >= max(seenLeast, seenTimes*l.base) || time.Since(l.at) >= keepEvery
}

// turn begins a new file: a snapshot of so many bytes stands for all that was observed before.
func (l *seen) turn(base int) {
	l.close()
	l.number++
	l.size, l.base, l.at = 0, base, time.Now()
}

func (l *seen) close() {
	if l.file != nil {
		_ = l.file.Close() // it was written whole, or that was said
		l.file = nil
	}
}

// add notes a record, of a revision by name.
func (l *seen) add(rec *pdp.Record, name func(seq uint32) string) {
	b := l.plain
	if len(b) == 0 {
		b = append(b, make([]byte, 8)...)
		l.seq, l.revision = 0, ""
	}
	revision := l.revision
	switch {
	case rec.Seq == 0:
		revision, l.seq = rec.Revision, 0
	case rec.Seq != l.seq:
		revision, l.seq = name(rec.Seq), rec.Seq
	}
	if revision != l.revision {
		l.revision = strings.Clone(revision)
		b = append(binary.AppendUvarint(append(b, 0), uint64(len(revision))), revision...)
	}
	lean := pdp.Record{
		Time: rec.Time, Eval: rec.Eval, ID: rec.ID, Flags: rec.Flags &^ pdp.FlagInput, Surface: rec.Surface, Effect: rec.Effect,
		Fault: rec.Fault, SubjectType: rec.SubjectType, SubjectID: rec.SubjectID, Role: rec.Role, Action: rec.Action, Resource: rec.Resource,
	}
	// The length goes in front, two bytes: no record without input is longer than they say.
	start := len(b)
	b = pdp.AppendRecord(append(b, 0, 0), &lean)
	n := len(b) - start - 2
	b[start], b[start+1] = byte(n)|0x80, byte(n>>7)
	l.plain = b
}

var _ [1<<14 - 1 - 4*pdp.MaxName - 2*pdp.MaxResource - 128]struct{} // what two bytes of a uvarint hold is enough

// Keep writes the batch at hand; end is the number of the event behind it.
func (l *seen) Keep(end uint64) {
	if len(l.plain) == 0 {
		return
	}
	binary.LittleEndian.PutUint64(l.plain, end)
	err := l.open()
	if err == nil {
		b := append(l.sealed[:0], 0, 0, 0, 0)
		b = l.aead.Seal(b, l.nonce(l.batches), l.plain, []byte(seenMagic))
		binary.LittleEndian.PutUint32(b, uint32(len(b)-4))
		l.sealed = b
		l.batches++
		if _, err = l.file.Write(b); err != nil {
			l.close() // what follows is behind half a batch otherwise
			l.number++
		}
		l.size += len(b)
	}
	if err != nil && time.Since(l.failed) >= time.Minute {
		l.failed = time.Now()
		l.log.Warn().Err(err).Msg("what detection observes cannot be kept: a kill would lose it, masks keep it from being observed again")
	}
	l.end, l.plain = end, l.plain[:0]
}

// whole says that the journal, whose next event has this number, has all that was observed.
func (l *seen) whole(next uint64) bool { return len(l.plain) == 0 && l.end <= next }

func (l *seen) nonce(n uint64) []byte {
	return binary.LittleEndian.AppendUint64(make([]byte, 4, 12), n)
}

// open makes the file at hand, if it is not there yet.
func (l *seen) open() (err error) {
	if l.file != nil {
		return nil
	}
	head := append([]byte(seenMagic), make([]byte, seenSalt)...)
	rand.Read(head[len(seenMagic):]) // never fails: crypto/rand
	if l.aead, err = newAEAD(l.secret, head[len(seenMagic):], "thymus "+l.prefix); err != nil {
		return err
	}
	name := filepath.Join(l.dir, l.prefix+strconv.FormatUint(l.number, 10))
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(head); err != nil {
		return errors.Join(err, f.Close())
	}
	l.file, l.batches = f, 0
	return nil
}

// seenFiles are the numbers of the files there are, in order.
func seenFiles(dir, prefix string) (numbers []uint64) {
	names, _ := filepath.Glob(filepath.Join(dir, prefix+"*")) // the pattern is good
	for _, n := range names {
		if x, err := strconv.ParseUint(strings.TrimPrefix(filepath.Base(n), prefix), 10, 64); err == nil {
			numbers = append(numbers, x)
		}
	}
	slices.Sort(numbers)
	return numbers
}

// removeSeen removes the files below a number.
func removeSeen(dir, prefix string, below uint64) (err error) {
	for _, n := range seenFiles(dir, prefix) {
		if n < below {
			if e := os.Remove(filepath.Join(dir, prefix+strconv.FormatUint(n, 10))); !errors.Is(e, fs.ErrNotExist) {
				err = errors.Join(err, e)
			}
		}
	}
	return err
}

func (l *seen) remove(below uint64) error { return removeSeen(l.dir, l.prefix, below) }

// replay observes again what an earlier life did, from a file on, up to what the journal has: what is behind next comes
// again from the ring. Records are lent for the call.
func (l *seen) replay(from, next uint64, observe func(*pdp.Record)) {
	for _, n := range seenFiles(l.dir, l.prefix) {
		l.number = max(l.number, n)
		if n < from {
			continue
		}
		err := l.read(filepath.Join(l.dir, l.prefix+strconv.FormatUint(n, 10)), next, observe)
		if err != nil {
			l.log.Warn().Err(err).Msg("a part of what detection observed last cannot be read")
		}
	}
	l.number = max(l.number, from)
}

var errSeen = errors.New("not what detection observed")

// read observes what a file holds. A last batch that is not whole was never journaled.
func (l *seen) read(path string, next uint64, observe func(*pdp.Record)) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<16)
	head := make([]byte, len(seenMagic)+seenSalt)
	if _, err := io.ReadFull(r, head); err != nil || string(head[:len(seenMagic)]) != seenMagic {
		return fmt.Errorf("%w: %s: no such file", errSeen, filepath.Base(path))
	}
	aead, err := newAEAD(l.secret, head[len(seenMagic):], "thymus "+l.prefix)
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err != nil {
		return err
	}
	var length [4]byte
	for n := uint64(0); ; n++ {
		if _, err := io.ReadFull(r, length[:]); err != nil {
			return nil
		}
		size := binary.LittleEndian.Uint32(length[:])
		if int64(size) > st.Size() {
			return nil
		}
		b := make([]byte, size)
		if _, err := io.ReadFull(r, b); err != nil {
			return nil
		}
		plain, err := aead.Open(b[:0], l.nonce(n), b, []byte(seenMagic))
		if err != nil || len(plain) < 8 {
			return fmt.Errorf("%w: %s: batch %d is not sealed with this directory's key", errSeen, filepath.Base(path), n)
		}
		if binary.LittleEndian.Uint64(plain) > next {
			return nil
		}
		if err := eachSeen(plain[8:], observe); err != nil {
			return fmt.Errorf("%w: %s: batch %d: %w", errSeen, filepath.Base(path), n, err)
		}
	}
}

// eachSeen goes through the records of a batch.
func eachSeen(b []byte, observe func(*pdp.Record)) error {
	var rec pdp.Record
	revision := ""
	take := func() ([]byte, bool) {
		n, w := binary.Uvarint(b)
		if w <= 0 || n > math.MaxInt32 || int(n) > len(b)-w {
			return nil, false
		}
		p := b[w : w+int(n)]
		b = b[w+int(n):]
		return p, true
	}
	for len(b) > 0 {
		p, ok := take()
		if ok && len(p) == 0 {
			if p, ok = take(); ok {
				revision = string(p)
				continue
			}
		}
		if !ok {
			return errors.New("lengths do not fit")
		}
		if err := pdp.ParseRecord(p, &rec); err != nil {
			return err
		}
		rec.Revision = revision
		observe(&rec)
	}
	return nil
}
