//go:build (linux && (amd64 || arm64)) || darwin

package ring_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"thymus/emitter/ring"
	"thymus/pdp"
)

var modes = []string{"", "slow consumer", "yields at each step", "dies at a step", "dies at a step", "dies in recovery"}

// arena is a ring that lives through many processes.
type arena struct {
	dir    string
	rng    *rand.Rand
	rep    *report
	total  [pdp.Classes]uint64 // records kept, as the ring had them after the last round
	before [pdp.Classes]uint64 // and as the producers had reported them
	modes  map[string]int

	abandoned, pending int
}

func newArena(t *testing.T, seed uint64) *arena {
	t.Helper()
	where, _ := ring.DefaultPath(t.TempDir())
	dir, err := os.MkdirTemp(where, "thymus-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	rep, err := openReport(dir)
	if err != nil {
		t.Fatal(err)
	}
	return &arena{dir: dir, rng: rand.New(rand.NewPCG(seed, 0)), rep: rep, modes: map[string]int{}}
}

// round lets one child live and die, and says what is wrong then.
func (a *arena) round(t *testing.T, seed uint64, plant string) error {
	t.Helper()
	o := order{Dir: a.dir, Seed: seed, Plant: plant, Mode: modes[a.rng.IntN(len(modes))]}
	a.modes[o.Mode]++
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	var stderr tail
	cmd.Stderr = &stderr
	starts := a.rep.starts.Load()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	if a.rng.IntN(5) != 0 { // else it may be killed while it starts
		a.started(starts, ended)
	}
	select {
	case <-time.After(time.Duration(a.rng.IntN(60_000)) * time.Microsecond):
		cmd.Process.Kill()
		<-ended
	case <-ended:
	}
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !ws.Signaled() || ws.Signal() != syscall.SIGKILL {
		return fmt.Errorf("mode %q: the child ended by itself: %v %s", o.Mode, cmd.ProcessState, stderr.b)
	}
	if err := a.verify(); err != nil {
		return fmt.Errorf("mode %q: %w", o.Mode, err)
	}
	return nil
}

// started waits until the child is at work or has ended, or ten seconds.
func (a *arena) started(before uint64, ended <-chan struct{}) {
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for n := 0; n < 10_000 && a.rep.starts.Load() == before; n++ {
		select {
		case <-look.C:
		case <-ended:
			return
		}
	}
}

// verify recovers a copy of the ring and compares it with the report. The ring itself is left for the next child, which
// has to recover it again.
func (a *arena) verify() error {
	whole, err := os.ReadFile(filepath.Join(a.dir, "ring"))
	if os.IsNotExist(err) {
		return nil // killed before it had made the file
	} else if err != nil {
		return err
	}
	o := killOptions(a.dir)
	o.Name = "copy"
	path := filepath.Join(a.dir, o.Name)
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		return err
	}
	defer os.Remove(path)
	r, rec, err := ring.Open(o)
	if err != nil {
		return err
	}
	defer r.Close()
	rep := a.rep
	side := rep.side[rep.current.Load()&1]
	if side.Epoch == r.Epoch() {
		if err := r.SetCursor(side.Position); err != nil {
			return err
		}
	} else if side.Epoch != 0 {
		return fmt.Errorf("epoch %x, the journal has %x", r.Epoch(), side.Epoch)
	}
	a.abandoned += rec.Abandoned
	last, pending := side.Last, [pdp.Classes]uint64{}
	var wrong error
	n, next := r.Poll(1<<20, func(pos uint64, c pdp.Class, b []byte) {
		p, seq, ok := unseal(b)
		switch {
		case !ok:
			wrong = fmt.Errorf("torn record at %d", pos)
			return
		case seq != last[p]+1:
			wrong = fmt.Errorf("producer %d: %d after %d", p, seq, last[p])
		}
		last[p] = seq
		pending[c]++
	})
	a.pending += n
	offered, shed, reported := r.Offered(), r.Shed(), [pdp.Classes]uint64{}
	var refused, shedAll uint64
	for p := range rep.producers {
		q := &rep.producers[p]
		if kept, tried := q.kept.Load(), q.tried.Load(); last[p] < kept || last[p] > tried {
			return fmt.Errorf("producer %d heard yes up to %d and tried %d, the ring has %d", p, kept, tried, last[p])
		}
		for c := range reported {
			reported[c] += q.keptBy[c].Load()
			refused += q.refused[c].Load()
		}
	}
	var ahead uint64
	for c := range offered {
		if offered[c] != side.Pumped[c]+pending[c]+shed[c] || pending[c] != r.Pending()[c] {
			return fmt.Errorf("class %d: offered %d, pumped %d, pending %d (the ring says %d), shed %d", c, offered[c],
				side.Pumped[c], pending[c], r.Pending()[c], shed[c])
		}
		now := side.Pumped[c] + pending[c]
		ahead += (now - a.total[c]) - (reported[c] - a.before[c])
		a.total[c], a.before[c] = now, reported[c]
		shedAll += shed[c]
	}
	switch {
	case wrong != nil:
		return wrong
	case next != r.Tail():
		return fmt.Errorf("blocked at %d, tail %d", next, r.Tail())
	case rec.Torn != 0 || rec.BootChanged || !(rec.Recounted <= killers):
		return fmt.Errorf("recovery: %+v", rec)
	case ahead > killers:
		return fmt.Errorf("the ring kept %d records more in this round than were reported", int64(ahead))
	case shedAll < refused || shedAll > refused+killers*rep.starts.Load():
		return fmt.Errorf("%d refusals reported, the ring counted %d", refused, shedAll)
	}
	for name, n := range map[string]uint64{"torn": rep.torn.Load() + rep.tornAtStart.Load(), "lost": rep.lost.Load(),
		"delivered twice": rep.twice.Load(), "starts out of balance": rep.unbalanced.Load(), "cursor errors": rep.cursorErrors.Load()} {
		if n != 0 {
			return fmt.Errorf("a child saw: %s %d", name, n)
		}
	}
	return nil
}

// tail keeps the first of what a child says.
type tail struct{ b []byte }

func (w *tail) Write(p []byte) (int, error) {
	if len(w.b) < 2000 {
		w.b = append(w.b, p...)
	}
	return len(p), nil
}

func rounds(t *testing.T) int {
	n := 20
	if s := os.Getenv("THYMUS_CRASH_ROUNDS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil || n < 1 {
			t.Fatalf("THYMUS_CRASH_ROUNDS is %q, expected a number of rounds", s)
		}
	}
	return n
}

// After each of many kills: every record whose producer heard yes is in the journal or in the ring, once, whole and in
// order; nothing is there that nobody tried; and offered = pumped + pending + shed for each class.
func TestKilledAgainAndAgain(t *testing.T) {
	a := newArena(t, 1)
	n := rounds(t)
	for i := range n {
		if err := a.round(t, uint64(i), ""); err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
	}
	rep := a.rep
	t.Logf("kills %d %v: delivered %d, pending at a kill %d, refused %d, claims cut short %d, mended %d, ends crossed %d; lost 0, torn 0, twice 0",
		n, a.modes, rep.delivered.Load(), a.pending, rep.refusedAll.Load(), a.abandoned, rep.mended.Load(), rep.paddings.Load())
	for name, n := range map[string]uint64{"delivered": rep.delivered.Load(), "refused": rep.refusedAll.Load(), "pending": uint64(a.pending),
		"claims cut short": uint64(a.abandoned), "mended": rep.mended.Load(), "ends crossed": rep.paddings.Load()} {
		if n == 0 {
			t.Errorf("no record was ever %s: the rounds prove little", name)
		}
	}
}

// The harness can fail: it notices each of these defects.
func TestTheHarnessNoticesPlantedDefects(t *testing.T) {
	for i, plant := range []string{"committed before the copy", "never committed", "refusals not counted", "claims believed",
		"side record ignored", "cursor before the journal"} {
		t.Run(plant, func(t *testing.T) {
			a := newArena(t, uint64(i))
			for round := range 200 {
				if err := a.round(t, uint64(1000*i+round), plant); err != nil {
					t.Logf("noticed in round %d: %v", round, err)
					return
				}
			}
			t.Fatal("not noticed in 200 rounds")
		})
	}
}
