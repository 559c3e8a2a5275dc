package sink_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"thymus/emitter/journal"
	"thymus/emitter/sink"
	"thymus/test/harness"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// far is a sink that can be told to fail.
type far struct {
	mu    sync.Mutex
	parts int
	got   map[int][]string        // values by partition, as often as they came
	fail  func(part, n int) error // asked before each Send; n counts them
	after bool                    // it fails after it took the batch: an answer that was lost
	sends int
	busy  map[int]bool
	heads [][]byte
	wrong []string
}

func newFar(parts int) *far {
	return &far{parts: parts, got: map[int][]string{}, busy: map[int]bool{}}
}

func (f *far) Name() string { return "far" }

func (f *far) Partitions(context.Context) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.parts == 0 {
		return 0, errors.New("nobody answers")
	}
	return f.parts, nil
}

func (f *far) Partition(key []byte, n int) int {
	h := fnv.New32a()
	h.Write(key)
	return int(h.Sum32() % uint32(n))
}

func (f *far) Send(ctx context.Context, part int, batch []sink.Message) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.busy[part] {
		f.wrong = append(f.wrong, fmt.Sprintf("two batches under way in %d", part))
	}
	f.busy[part] = true
	f.sends++
	n, fail, after := f.sends, f.fail, f.after
	f.mu.Unlock()
	var err error
	if fail != nil {
		err = fail(part, n)
	}
	for i := range batch {
		if bytes.Contains(batch[i].Value, []byte("never")) {
			err = &sink.RefusedError{Err: errors.New("too odd")}
		}
	}
	f.mu.Lock()
	f.busy[part] = false
	if err == nil || after && !errors.As(err, new(*sink.RefusedError)) {
		for i := range batch {
			f.got[part] = append(f.got[part], string(batch[i].Value))
		}
	}
	return err
}

func (f *far) Close() error { return nil }

func (f *far) SendHead(_ context.Context, b []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.heads = append(f.heads, bytes.Clone(b))
	return nil
}

func (f *far) set(edit func()) { f.mu.Lock(); defer f.mu.Unlock(); edit() }

// firsts are the values of all partitions, each at its first occurrence, by partition.
func (f *far) firsts() (all int, byKey map[string][]int, twice int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	seen, byKey := map[string]bool{}, map[string][]int{}
	for p := range 64 {
		for _, v := range f.got[p] {
			if seen[v] {
				twice++
				continue
			}
			seen[v] = true
			var key string
			var n int
			i := strings.Index(v, `"n":`)
			fmt.Sscanf(v[i:], `"n":%d`, &n)
			key, _, _ = strings.Cut(v[strings.Index(v, `agent_id":"`)+11:], `"`)
			byKey[key] = append(byKey[key], n)
		}
	}
	return len(seen), byKey, twice
}

const keys = 17

type bench struct {
	t   testing.TB
	dir string
	j   *journal.Journal
	n   int
}

func newBench(t testing.TB) *bench {
	b := &bench{t: t, dir: t.TempDir()}
	b.open()
	t.Cleanup(func() { b.j.Close() })
	return b
}

func (b *bench) open() {
	b.t.Helper()
	var err error
	b.j, _, err = journal.Open(journal.Options{Dir: b.dir, Fsync: journal.FsyncNever, SegmentSize: 64 << 10})
	if err != nil {
		b.t.Fatal(err)
	}
}

func event(n int, more string) string {
	return fmt.Sprintf(`{"id":"evt_policy_1_%016x","type":"policy.evaluated","source":"policy_engine","target":null,"timestamp":1.5,`+
		`"payload":{"agent_id":"a%d","n":%d%s},"meta":{}}`+"\n", n, n%keys, n, more)
}

func (b *bench) append(count int, more string) {
	b.t.Helper()
	for count > 0 {
		var lines strings.Builder
		k := min(count, 1+rand.N(50))
		for range k {
			lines.WriteString(event(b.n, more))
			b.n++
		}
		count -= k
		if err := b.j.Append(&journal.Batch{Lines: []byte(lines.String()), Events: k}); err != nil {
			b.t.Fatal(err)
		}
	}
}

func quick(o sink.Options) sink.Options {
	o.RetryMin, o.RetryMax, o.Look, o.Heads = time.Millisecond, 4*time.Millisecond, 10*time.Millisecond, 5*time.Millisecond
	return o
}

// run starts a shipper; stop ends it and waits.
func (b *bench) run(f sink.Sink, o sink.Options) (s *sink.Shipper, stop func()) {
	b.t.Helper()
	o.Refused = filepath.Join(b.dir, "refused")
	s, err := sink.NewShipper(b.j, f, quick(o))
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return s, func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Error(err)
		}
	}
}

func (b *bench) drain(s *sink.Shipper) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := s.Drain(ctx); err != nil {
		b.t.Fatal(err, s.State())
	}
}

// check holds what arrived against what was journaled.
func (b *bench) check(s *sink.Shipper, f *far, refused int) {
	b.t.Helper()
	all, byKey, _ := f.firsts()
	if all != b.n-refused {
		b.t.Errorf("%d events arrived, want %d", all, b.n-refused)
	}
	for k, ns := range byKey {
		for i := 1; i < len(ns); i++ {
			if ns[i] <= ns[i-1] {
				b.t.Fatalf("key %s: %d came after %d", k, ns[i], ns[i-1])
			}
		}
	}
	if len(f.wrong) > 0 {
		b.t.Error(f.wrong[0])
	}
	c := s.Counters()
	if c.Journaled != c.Delivered+c.Pending+c.Expired+c.Refused || c.Delivered != uint64(b.n-refused) || c.Refused != uint64(refused) {
		b.t.Errorf("account %+v, want %d delivered and %d refused", c, b.n-refused, refused)
	}
}

func TestShipsAllInOrderPerKey(t *testing.T) {
	for name, edit := range map[string]func(f *far){
		"nothing fails":              func(f *far) {},
		"every third send fails":     func(f *far) { f.fail = func(_, n int) error { return failEvery(n, 3) } },
		"every third answer is lost": func(f *far) { f.fail, f.after = func(_, n int) error { return failEvery(n, 3) }, true },
		"nobody answers at first": func(f *far) {
			f.parts = 0
			time.AfterFunc(20*time.Millisecond, func() { f.set(func() { f.parts = 4 }) })
		},
		"one partition fails for some while": func(f *far) { f.fail = func(p, n int) error { return failIf(p == 1 && n < 60) } },
	} {
		t.Run(name, func(t *testing.T) {
			b, f := newBench(t), newFar(4)
			edit(f)
			s, stop := b.run(f, sink.Options{MaxBatch: 4 << 10})
			b.append(3000, "")
			b.drain(s)
			stop()
			b.check(s, f, 0)
			if s.State() != nil {
				t.Error("still in trouble:", s.State())
			}
		})
	}
}

func failEvery(n, k int) error { return failIf(n%k == 0) }

func failIf(yes bool) error {
	if yes {
		return errors.New("not now")
	}
	return nil
}

// A lane that is stuck holds up no other as long as the window lasts, and the window bounds what is held.
func TestStuckLaneHoldsUpNoOther(t *testing.T) {
	b, f := newBench(t), newFar(4)
	f.fail = func(p, _ int) error { return failIf(p == 2) }
	s, stop := b.run(f, sink.Options{MaxBatch: 4 << 10, Window: 8 << 20})
	b.append(3000, "")
	stuck := 0
	for i := range 3000 {
		if f.Partition(fmt.Appendf(nil, "a%d", i%keys), 4) == 2 {
			stuck++
		}
	}
	harness.Eventually(t, 10*time.Second, "only those of the stuck partition wait", func() bool { return s.Counters().Pending == uint64(stuck) })
	if s.State() == nil {
		t.Errorf("nothing is said of the %d events of the stuck partition", stuck)
	}
	f.set(func() { f.fail = nil })
	b.drain(s)
	stop()
	b.check(s, f, 0)
}

func TestRefusedEventsAreSetAside(t *testing.T) {
	b, f := newBench(t), newFar(3)
	b.append(100, "")
	b.append(3, `,"odd":"never"`)
	b.append(100, "")
	s, stop := b.run(f, sink.Options{})
	b.drain(s)
	stop()
	b.check(s, f, 3)
	aside, err := os.ReadFile(filepath.Join(b.dir, "refused"))
	if err != nil || bytes.Count(aside, []byte("\n")) != 3 || bytes.Count(aside, []byte(`"reason":"too odd","event":{"id":"evt_`)) != 3 {
		t.Errorf("%v: %s", err, aside)
	}
}

// Stops at any moment, journal closed and opened again: nothing is lost, order holds, and nothing counts twice.
func TestGoesOnAfterRestarts(t *testing.T) {
	b, f := newBench(t), newFar(5)
	f.fail, f.after = func(_, n int) error { return failEvery(n, 7) }, true
	for round := range 12 {
		if round == 6 {
			f.set(func() { f.parts = 3 }) // keys move
		}
		_, stop := b.run(f, sink.Options{MaxBatch: 2 << 10})
		b.append(400, "")
		time.Sleep(time.Duration(rand.N(4)) * time.Millisecond) // at any moment
		stop()
		b.j.Close()
		b.open()
	}
	s, stop := b.run(f, sink.Options{})
	b.drain(s)
	stop()
	all, _, twice := f.firsts()
	c := s.Counters()
	if all != b.n || c.Delivered != uint64(b.n) || c.Pending != 0 {
		t.Errorf("%d of %d arrived (%d twice), account %+v", all, b.n, twice, c)
	}
}

func TestPartitionsChangeWhileRunning(t *testing.T) {
	b, f := newBench(t), newFar(2)
	s, stop := b.run(f, sink.Options{MaxBatch: 2 << 10})
	for n := range 10 {
		b.append(300, "")
		f.set(func() { f.parts = 2 + n%3 })
		time.Sleep(12 * time.Millisecond) // paces the changes: each lasts for some batches
	}
	b.drain(s)
	stop()
	if all, _, twice := f.firsts(); all != b.n || twice != 0 {
		t.Errorf("%d of %d arrived, %d twice", all, b.n, twice)
	}
	if c := s.Counters(); c.Delivered != uint64(b.n) {
		t.Errorf("account %+v", c)
	}
}

func TestHeadsOfTheChain(t *testing.T) {
	b, f := newBench(t), newFar(1)
	s, stop := b.run(f, sink.Options{})
	b.append(10, "")
	b.drain(s)
	want := fmt.Sprintf(`"next":%d`, b.n+1)
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		f.mu.Lock()
		n := len(f.heads)
		ok := n > 0 && bytes.Contains(f.heads[n-1], []byte(want))
		f.mu.Unlock()
		if ok {
			stop()
			return
		}
	}
	stop()
	t.Errorf("no head with %s: %s", want, f.heads)
}

func TestTroubleIsSaidOnce(t *testing.T) {
	b, f := newBench(t), newFar(1)
	f.fail = func(_, n int) error { return failIf(n < 30) }
	var mu sync.Mutex
	var said []error
	s, stop := b.run(f, sink.Options{Trouble: func(err error) { mu.Lock(); said = append(said, err); mu.Unlock() }})
	b.append(10, "")
	b.drain(s)
	stop()
	if len(said) != 2 || said[0] == nil || said[1] != nil {
		t.Errorf("said: %v", said)
	}
}

func TestStdout(t *testing.T) {
	b := newBench(t)
	b.append(200, "")
	var out bytes.Buffer
	s, stop := b.run(sink.NewStdout(&out), sink.Options{})
	b.drain(s)
	stop()
	var want strings.Builder
	for i := range b.n {
		want.WriteString(event(i, ""))
	}
	if out.String() != want.String() {
		t.Errorf("%d bytes written, want %d", out.Len(), want.Len())
	}
}

// Retention drops what nobody took while the far end was away: counted as expired, and what is left arrives.
func TestExpiredEventsAreCounted(t *testing.T) {
	for name, parts := range map[string]int{"never reached": 0, "reached, then stuck": 3} {
		t.Run(name, func(t *testing.T) {
			b, f := newBench(t), newFar(parts)
			b.j.Close()
			var err error
			if b.j, _, err = journal.Open(journal.Options{Dir: b.dir, Fsync: journal.FsyncNever, SegmentSize: 32 << 10, RetainSize: 256 << 10}); err != nil {
				t.Fatal(err)
			}
			f.fail = func(int, int) error { return errors.New("away") }
			s, stop := b.run(f, sink.Options{MaxBatch: 4 << 10, Window: 32 << 10})
			for s.Counters().Expired == 0 {
				if b.append(500, ""); b.n > 100000 {
					t.Fatal("retention drops nothing")
				}
				time.Sleep(5 * time.Millisecond) // retention has a goroutine of its own
			}
			f.set(func() { f.fail, f.parts = nil, 3 })
			b.drain(s)
			stop()
			all, _, _ := f.firsts()
			c := s.Counters()
			if c.Delivered != uint64(all) || c.Delivered+c.Expired != uint64(b.n) || all == 0 {
				t.Errorf("%d of %d arrived, account %+v", all, b.n, c)
			}
		})
	}
}
