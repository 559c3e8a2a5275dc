//go:build (linux && (amd64 || arm64)) || darwin

package ring_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"thymus/emitter/ring"
	"thymus/pdp"
)

// The harness: a child process, this test binary again, fills and empties a ring until kill -9 takes it, at a moment of
// the parent's choice or at a step of its own. What it knows it keeps in a report, a mapped file of plain numbers that
// survives it like the ring does.

const childEnv = "THYMUS_RING_CHILD"

func TestMain(m *testing.M) {
	if order := os.Getenv(childEnv); order != "" {
		child(order)
	}
	os.Exit(m.Run())
}

// order is what the parent tells a child.
type order struct {
	Dir   string
	Seed  uint64
	Mode  string // how it is to die, and under which load
	Plant string // a defect planted on purpose: the harness must notice it
}

const killers = 4 // producers

// report is what survives a child beside the ring. Each number has one writer.
type report struct {
	producers [killers]struct {
		tried, kept atomic.Uint64              // sequence last offered, last heard yes for
		keptBy      [pdp.Classes]atomic.Uint64 // yes heard, by class
		refused     [pdp.Classes]atomic.Uint64 // no heard, by class
	}
	// The journal: two side records, and which of them counts.
	side    [2]sideRecord
	current atomic.Uint64
	// What the consumer and the child's start saw.
	delivered, lost, twice, torn, unbalanced, cursorErrors atomic.Uint64
	starts, mended, refusedAll, paddings                   atomic.Uint64
	tornAtStart, recounted                                 atomic.Uint64
}

type sideRecord struct {
	Epoch, Position uint64
	Last            [killers]uint64
	Pumped          [pdp.Classes]uint64
}

func openReport(dir string) (*report, error) {
	f, err := os.OpenFile(filepath.Join(dir, "report"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := f.Truncate(8192); err != nil {
		return nil, err
	}
	b, err := unix.Mmap(int(f.Fd()), 0, 8192, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return (*report)(unsafe.Pointer(&b[0])), nil
}

func killOptions(dir string) ring.Options {
	return ring.Options{Path: dir, Name: "ring", Size: small}
}

func die() {
	syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// child runs until it is killed.
func child(text string) {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		panic(err)
	}
	if err := o.run(); err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(3)
	}
}

func (o *order) run() error {
	rng := rand.New(rand.NewPCG(o.Seed, 1))
	rep, err := openReport(o.Dir)
	if err != nil {
		return err
	}
	if o.Plant == "claims believed" {
		believeClaims(filepath.Join(o.Dir, "ring"))
	}
	r, rec, err := ring.Open(killOptions(o.Dir).Watched(func(step int, _ uint64) {
		if step == ring.StepMended {
			rep.mended.Add(1)
		}
		if o.Mode == "dies in recovery" && rng.IntN(2) == 0 {
			die()
		}
	}))
	if err != nil {
		return err
	}
	rep.tornAtStart.Add(uint64(rec.Torn))
	rep.recounted.Add(rec.Recounted)
	side := &rep.side[rep.current.Load()&1]
	if side.Epoch == r.Epoch() && o.Plant != "side record ignored" {
		if err := r.SetCursor(side.Position); err != nil {
			rep.cursorErrors.Add(1)
			return err
		}
	}
	if offered, pending, shed := r.Offered(), r.Pending(), r.Shed(); rec.Torn == 0 {
		for c := range offered {
			if offered[c] != side.Pumped[c]+pending[c]+shed[c] {
				rep.unbalanced.Add(1)
			}
		}
	}
	var next [killers]uint64
	for p := range next {
		next[p] = side.Last[p]
	}
	r.Poll(1<<20, func(_ uint64, _ pdp.Class, b []byte) {
		if p, seq, ok := unseal(b); ok {
			next[p] = max(next[p], seq)
		}
	})
	r.Watch(o.hook(r, rep, rng))
	rep.starts.Add(1)
	for p := range killers {
		go o.produce(r, rep, p, next[p]+1)
	}
	o.consume(r, rep)
	return nil
}

// hook plants the defects that lie inside Append, and dies at a step where that is the mode.
func (o *order) hook(r *ring.Ring, rep *report, rng *rand.Rand) func(int, uint64) {
	at, countdown := -1, atomic.Int64{}
	countdown.Store(int64(1 + rng.IntN(2000)))
	if o.Mode == "dies at a step" {
		places := []int{ring.StepClaimed, ring.StepPadded, ring.StepMarked, ring.StepHalf, ring.StepCopied, ring.StepCommitted, ring.StepRefused, ring.StepSlot}
		if at = places[rng.IntN(len(places))]; at == ring.StepPadded {
			countdown.Store(int64(1 + rng.IntN(20)))
		}
	}
	return func(step int, pos uint64) {
		switch {
		case step == ring.StepPadded:
			rep.paddings.Add(1)
		case step == ring.StepMarked && o.Plant == "committed before the copy":
			r.Force(pos, ring.Committed)
		case step == ring.StepCommitted && o.Plant == "never committed" && pos%(97*64) == 0:
			r.Force(pos, ring.Claimed)
		case step == ring.StepRefused && o.Plant == "refusals not counted":
			(*atomic.Uint64)(unsafe.Pointer(&r.Image()[512])).Add(^uint64(0))
		}
		if step == at && countdown.Add(-1) == 0 {
			die()
		}
		if o.Mode == "yields at each step" && step != ring.StepLooked {
			runtime.Gosched()
		}
	}
}

func (o *order) produce(r *ring.Ring, rep *report, p int, seq uint64) {
	rng := rand.New(rand.NewPCG(o.Seed, uint64(p)+2))
	mine := &rep.producers[p]
	buf := make([]byte, 1024)
	for ; ; seq++ {
		n := sealMin + rng.IntN(600)
		c := pdp.Class(rng.IntN(pdp.Classes))
		mine.tried.Store(seq)
		for !r.Append(c, seal(buf, p, seq, n)) {
			mine.refused[c].Add(1)
			rep.refusedAll.Add(1)
			runtime.Gosched()
			c = pdp.Class(rng.IntN(pdp.Classes))
		}
		mine.kept.Store(seq)
		mine.keptBy[c].Add(1)
	}
}

// consume is a pump and its journal: the side record first, then the cursor.
func (o *order) consume(r *ring.Ring, rep *report) {
	if o.Mode == "slow consumer" {
		time.Sleep(30 * time.Millisecond) // so that producers meet a full ring
	}
	state := rep.side[rep.current.Load()&1]
	state.Epoch = r.Epoch()
	for batch := uint64(1); ; batch++ {
		n, next := r.Poll(16, func(_ uint64, c pdp.Class, b []byte) {
			p, seq, ok := unseal(b)
			if !ok {
				rep.torn.Add(1)
				return
			}
			switch last := state.Last[p]; {
			case seq <= last:
				rep.twice.Add(1)
			case seq != last+1:
				rep.lost.Add(1)
			}
			state.Last[p] = seq
			state.Pumped[c]++
			rep.delivered.Add(1)
		})
		if next == r.Cursor() {
			runtime.Gosched()
			continue
		}
		state.Position = next
		if o.Plant == "cursor before the journal" {
			if r.Advance(next); batch%64 != 0 {
				continue
			}
		}
		other := rep.current.Load()&1 ^ 1
		rep.side[other] = state
		rep.current.Store(other)
		if o.Plant == "side record ignored" && batch%500 == 0 {
			die()
		}
		r.Advance(next)
		if n < 16 && o.Mode != "slow consumer" {
			runtime.Gosched()
		}
	}
}

// believeClaims makes committed what was only claimed, as a careless recovery would.
func believeClaims(path string) {
	b, err := os.ReadFile(path)
	if err != nil || len(b) == 0 {
		return
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer f.Close()
	for i := 4096; i < 4096+small/8; i += 8 {
		if b[i+3]>>3&3 == ring.Claimed {
			f.WriteAt([]byte{b[i+3]&^0x18 | ring.Committed<<3}, int64(i+3))
		}
	}
}
