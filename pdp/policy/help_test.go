package policy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"thymus/internal/state"
	"thymus/pdp"
	"thymus/pdp/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// text is a policy as the compiler of these tests reads it.
type text struct {
	ID      string          `json:"policy_id"`
	Name    string          `json:"name,omitempty"`
	Enabled *bool           `json:"enabled,omitempty"`
	Default string          `json:"default_effect,omitempty"`
	Rules   []string        `json:"rules"`
	Broken  string          `json:"broken,omitempty"` // does not compile, and why
	Needs   string          `json:"needs,omitempty"`  // another policy that must be there
	Extra   json.RawMessage `json:"extra,omitempty"`
}

// compiler compiles such texts. Its files are given by the test.
type compiler struct {
	mu       sync.Mutex
	files    []policy.Info
	compiled int           // sets
	delay    chan struct{} // where it is not nil, Compile waits for it
	prepare  error
	active   *policy.Set
	history  []string // revisions that were active
}

func (c *compiler) Read(form policy.Form, b []byte) (string, []byte, error) {
	if form == policy.Rego {
		id, ok := strings.CutPrefix(string(b), "package policies.")
		if !ok {
			return "", nil, policy.Problems{{Detail: "no package"}}
		}
		id, _, _ = strings.Cut(id, "\n")
		return id, b, nil
	}
	var t text
	if err := json.Unmarshal(b, &t); err != nil {
		return "", nil, policy.Problems{{Detail: err.Error()}}
	}
	return t.ID, b, nil
}

func (c *compiler) Compile(_ context.Context, sources []policy.Source, fresh bool) (*policy.Set, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.delay != nil && !fresh {
		<-c.delay
	}
	c.compiled++
	var problems policy.Problems
	set := &policy.Set{}
	for i := range c.files {
		set.Policies = append(set.Policies, &c.files[i])
	}
	there := map[string]bool{}
	for _, s := range sources {
		there[s.ID] = true
	}
	var all strings.Builder
	for _, f := range c.files {
		fmt.Fprintf(&all, "%+v", f)
	}
	for _, s := range sources {
		if s.Form == policy.Rego && strings.HasSuffix(string(s.Text), "library") {
			continue // a module without rules that decide
		}
		info := policy.Info{ID: s.ID, Enabled: !s.Disabled, Form: s.Form, Origin: s.Origin, Texts: []policy.Text{{Origin: s.Origin, Text: s.Text}}}
		if s.Form == policy.Structured {
			var t text
			if err := json.Unmarshal(s.Text, &t); err != nil {
				return nil, err
			}
			if t.Broken != "" {
				problems = append(problems, policy.Problem{Policy: s.ID, Detail: t.Broken})
			}
			if t.Needs != "" && !there[t.Needs] {
				problems = append(problems, policy.Problem{Policy: s.ID, Detail: "needs " + t.Needs})
			}
			info.Name, info.Rules = t.Name, len(t.Rules)
			info.Enabled = t.Enabled == nil || *t.Enabled
			info.Default, _ = pdp.ParseEffect(t.Default)
		}
		fmt.Fprintf(&all, "%s %s %t\n", s.ID, s.Text, s.Disabled)
		set.Policies = append(set.Policies, &info)
	}
	if problems != nil {
		return nil, problems
	}
	slices.SortFunc(set.Policies, func(a, b *policy.Info) int { return strings.Compare(a.ID, b.ID) })
	set.Snapshot = &pdp.Snapshot{Revision: all.String()}
	return set, nil
}

func (c *compiler) Prepare(*policy.Set) error { return c.prepare }

func (c *compiler) Activate(s *policy.Set) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.active = s
	c.history = append(c.history, s.Snapshot.Revision)
}

func (c *compiler) RulesOf(form policy.Form, texts []policy.Text) (out []byte) {
	for _, x := range texts {
		var t text
		if form == policy.Structured && json.Unmarshal(x.Text, &t) == nil {
			out = fmt.Append(out, t.Rules)
			continue
		}
		out = append(out, x.Text...)
	}
	return out
}

// ring takes events until it is full.
type ring struct {
	mu   sync.Mutex
	room int
	got  []pdp.Event
}

func (r *ring) Room(pdp.Class) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.room > 0
}

func (r *ring) Publish(_ pdp.Class, e *pdp.Event) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.room == 0 {
		return false
	}
	r.room--
	c := *e
	c.Type, c.Key, c.Correlation, c.Payload = strings.Clone(e.Type), strings.Clone(e.Key), strings.Clone(e.Correlation), slices.Clone(e.Payload)
	r.got = append(r.got, c)
	return true
}

// told is what was emitted since the last time, as type and payload without its time.
func (r *ring) told() (out []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.got {
		p := string(e.Payload)
		p = p[:strings.LastIndex(p, `,"`)] + "}"
		out = append(out, e.Type+" "+p)
	}
	r.got = nil
	return out
}

type box struct {
	*policy.Store
	c    *compiler
	r    *ring
	path string
	st   *state.State
	now  time.Time
}

// open starts a store over a state of its own.
func open(t *testing.T, c *compiler) *box {
	t.Helper()
	b := &box{c: c, r: &ring{room: 1 << 20}, path: filepath.Join(t.TempDir(), "state.db"), now: time.Unix(1_700_000_000, 0)}
	b.open(t)
	t.Cleanup(func() { _ = b.st.Close() })
	return b
}

func (b *box) open(t *testing.T) {
	t.Helper()
	var err error
	if b.st, err = state.Open(b.path, b.r, 0); err != nil {
		t.Fatal(err)
	}
	if b.Store, err = policy.Open(b.st, func() time.Time { return b.now }); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(t.Context(), b.c); err != nil {
		t.Fatal(err)
	}
}

// again closes the state and opens it as the next process would.
func (b *box) again(t *testing.T) {
	t.Helper()
	if err := b.st.Close(); err != nil {
		t.Fatal(err)
	}
	b.c = &compiler{files: b.c.files}
	b.open(t)
}

func structured(id string, more string) policy.Draft {
	if more != "" {
		more = "," + more
	}
	return policy.Draft{Form: policy.Structured, Text: fmt.Appendf(nil, `{"policy_id":%q%s}`, id, more)}
}

var who = policy.Actor{Name: "ci", Correlation: "req-1"}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
}
