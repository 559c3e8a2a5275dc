package immune_test

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"thymus/internal/state"
	"thymus/pdp"
	"thymus/pdp/immune"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tape is what the store had to tell.
type tape struct {
	mu     sync.Mutex
	full   bool
	events []pdp.Event
}

func (p *tape) Room(pdp.Class) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.full
}

func (p *tape) Publish(_ pdp.Class, e *pdp.Event) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, pdp.Event{Type: strings.Clone(e.Type), Key: strings.Clone(e.Key), Payload: append([]byte(nil), e.Payload...)})
	return true
}

func (p *tape) setFull(full bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.full = full
}

// types are the events since the last call.
func (p *tape) types() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var n []string
	for _, e := range p.events {
		n = append(n, strings.TrimPrefix(e.Type, "immune."))
	}
	p.events = nil
	return strings.Join(n, " ")
}

// body is everything of one life that is stored.
type body struct {
	t    testing.TB
	path string
	*tape
	state *state.State
	log   *immune.Log
	q     *immune.Quarantine

	mu      sync.Mutex
	changes []string
}

func born(t testing.TB) *body {
	b := &body{t: t, path: filepath.Join(t.TempDir(), "state.db"), tape: &tape{}}
	b.open()
	return b
}

func (b *body) open() {
	b.t.Helper()
	var err error
	if b.state, err = state.Open(b.path, b.tape, 0); err != nil {
		b.t.Fatal(err)
	}
	b.types()
	if b.log, err = immune.OpenLog(b.state, time.Now); err != nil {
		b.t.Fatal(err)
	}
	b.q, err = immune.OpenQuarantine(b.state, time.Now, func(e immune.Entry, in bool) {
		b.mu.Lock()
		defer b.mu.Unlock()
		word := "-"
		if in {
			word = "+"
		}
		b.changes = append(b.changes, word+e.AgentID)
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *body) told() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer func() { b.changes = nil }()
	return strings.Join(b.changes, " ")
}

func (b *body) close() {
	b.q.Close()
	if err := b.state.Close(); err != nil {
		b.t.Error(err)
	}
}

// again is a restart.
func (b *body) again() {
	b.close()
	b.open()
}

func (b *body) in(typ, id string) bool {
	_, yes := b.q.Quarantined(typ, id)
	return yes
}

// threats takes findings, or is away.
type threats struct {
	mu    sync.Mutex
	away  error
	found []immune.Finding
}

func (x *threats) Raise(_ context.Context, f *immune.Finding) (string, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.away != nil {
		return "", x.away
	}
	x.found = append(x.found, *f)
	return "t", nil
}

func (x *threats) set(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.away = err
}

func (x *threats) count() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.found)
}

// run starts a responder in a bubble; call wait until it has done all.
func (b *body) run(o immune.Options) (*immune.Responder, *threats, func()) {
	x := &threats{}
	o.Log, o.Quarantine = b.log, b.q
	if o.Threats == nil {
		o.Threats = x
	}
	if o.Limit == nil {
		o.Limit = func() int { return 100 }
	}
	if o.TTL == 0 {
		o.TTL, o.MaxTTL = 15*time.Minute, time.Hour
	}
	if o.ProtectAt == 0 {
		o.ProtectAt = 2
	}
	r := immune.NewResponder(o)
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { r.Run(ctx) })
	return r, x, func() {
		cancel()
		done.Wait()
	}
}

func finding(id string, change ...func(*immune.Finding)) *immune.Finding {
	f := &immune.Finding{Incident: "probing-" + id, At: time.Now().UnixNano(), Detector: "probing", Count: 8,
		Description: "one subject is denied distinct things", Metadata: []byte(`{"agent_id":"` + id + `"}`),
		Subject: immune.Subject{Type: "agent", ID: id}, Threat: "HIGH", Rank: 2, Candidate: true}
	for _, c := range change {
		c(f)
	}
	return f
}

func (b *body) messages(prefix string) (n int) {
	items, _ := b.log.Recent(10_000, 0, 10_000)
	for _, e := range items {
		if strings.HasPrefix(e.Message, prefix) {
			n++
		}
	}
	return n
}
