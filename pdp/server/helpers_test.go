package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"thymus/internal/health"
	"thymus/pdp"
	"thymus/pdp/engine"
	"thymus/pdp/server"
)

// oracle decides by the action's name, and answers documents by their path: what HTTP makes of it is under test here,
// not evaluation.
type oracle struct {
	entered chan struct{} // told when "wait" begins
	release chan struct{} // ends "wait"
}

func (o *oracle) Match(in *pdp.Doc, b *pdp.Budget, r *pdp.Result) {
	r.Reset(1 << 10)
	action, _ := in.StringAt(in.Path("action", "name"))
	if want, ok := strings.CutPrefix(action, "peer:"); ok {
		if got, _ := in.StringAt(in.Path("peer", "principal")); got == want {
			action = "read"
		}
	}
	switch action {
	case "read":
		r.Matches = append(r.Matches, pdp.Match{Rule: 0, Policy: 0, Effect: pdp.Allow})
	case "wait":
		o.entered <- struct{}{}
		<-o.release
		r.Matches = append(r.Matches, pdp.Match{Rule: 0, Policy: 0, Effect: pdp.Allow})
	case "loop":
		for !b.Stopped() {
			time.Sleep(time.Millisecond)
		}
		r.AddFault(pdp.FaultDeadline, -1, "the deadline has passed")
	case "panic":
		panic("an evaluator's bug")
	}
}

type question struct{ path string }

func (o *oracle) Query(path []string) pdp.Query { return question{strings.Join(path, "/")} }

func (o *oracle) Value(q pdp.Query, in *pdp.Doc, strict bool, _ *pdp.Budget, r *pdp.Result) {
	r.Reset(1 << 10)
	out := func(k pdp.Kind, text string) {
		r.Defined = true
		r.Out.Add(pdp.Span{}, k, r.Out.AddText(text))
	}
	switch p := q.(question).path; p {
	case "":
		out(pdp.String, "root")
	case "allow":
		out(pdp.True, "")
	case "strict":
		if strict {
			r.AddFault(pdp.FaultBuiltin, -1, "div: divide by zero")
			return
		}
	case "conflict":
		r.AddFault(pdp.FaultConflict, -1, "complete rules must not produce multiple outputs")
	case "big":
		out(pdp.String, strings.Repeat("wide ", 1000))
	case "input":
		if len(in.Nodes) > 0 {
			r.Defined = true
			r.Out.Nodes = append(r.Out.Nodes[:0], in.Nodes...)
			r.Out.Text = append(r.Out.Text[:0], in.Text...)
		}
	case "undefined":
	default:
		out(pdp.String, p)
	}
}

func snapshot(o *oracle) *pdp.Snapshot {
	return &pdp.Snapshot{
		Revision: "r1", Eval: o,
		Policies: []pdp.Policy{{ID: "p", Name: "p", Rules: 1}},
		Rules:    []pdp.Rule{{Policy: "p", ID: "r", Effect: pdp.Allow, Sentence: pdp.Sentence(pdp.Allow, "r", "", "")}},
	}
}

// warnings keeps what the server said.
type warnings struct {
	mu   sync.Mutex
	said []string
}

func (w *warnings) Warn(what string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, what+": "+err.Error())
}

func (w *warnings) all() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.said, "\n")
}

// plane is a running server.
type plane struct {
	*server.Server
	addr   string
	oracle *oracle
	engine *engine.Engine
	health *health.Health
	log    *warnings
}

// start runs a server on loopback; change, which may be nil, adjusts what it is made of.
func start(t testing.TB, change func(*server.Options, *engine.Options), secure *tls.Config) *plane {
	t.Helper()
	p := &plane{oracle: &oracle{entered: make(chan struct{}, 100), release: make(chan struct{})}, log: &warnings{}}
	eo := engine.Options{Deadline: 50 * time.Millisecond}
	so := server.Options{Health: health.New(), Log: p.log, PublicURL: "http://pdp.example"}
	if change != nil {
		change(&so, &eo)
	}
	p.engine = engine.New(eo)
	p.engine.Activate(snapshot(p.oracle))
	so.Engine, p.health = p.engine, so.Health
	var err error
	if p.Server, err = server.New(so); err != nil {
		t.Fatal(err)
	}
	a, err := p.Listen("127.0.0.1:0", secure)
	if err != nil {
		t.Fatal(err)
	}
	p.addr = a.String()
	p.Serve()
	t.Cleanup(func() {
		p.Close()
		p.engine.Close()
	})
	return p
}

// drain drains within d.
func (p *plane) drain(d time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return p.Drain(ctx)
}

// line is one connection on which tests write what they like.
type line struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func (p *plane) dial(t testing.TB) *line {
	t.Helper()
	c, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	return newLine(t, c)
}

func newLine(t testing.TB, c net.Conn) *line {
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return &line{t, c, bufio.NewReader(c)}
}

// send writes text, in which a line feed stands for CR LF up to the empty line.
func (w *line) send(text string) *line {
	w.t.Helper()
	head, body, _ := strings.Cut(text, "\n\n")
	_, err := io.WriteString(w.Conn, strings.ReplaceAll(head, "\n", "\r\n")+"\r\n\r\n"+body)
	if err != nil {
		w.t.Fatalf("send: %v", err)
	}
	return w
}

// answer is one response.
type answer struct {
	*http.Response
	body string
}

func (w *line) answer(method string) answer {
	w.t.Helper()
	a, err := w.tryAnswer(method)
	if err != nil {
		w.t.Fatalf("answer: %v", err)
	}
	return a
}

func (w *line) tryAnswer(method string) (answer, error) {
	resp, err := http.ReadResponse(w.r, &http.Request{Method: method})
	if err != nil {
		return answer{}, err
	}
	b, err := io.ReadAll(resp.Body)
	return answer{resp, string(b)}, err
}

// ends says whether the server has closed the connection.
func (w *line) ends(within time.Duration) bool {
	_ = w.SetReadDeadline(time.Now().Add(within))
	_, err := w.r.ReadByte()
	ne, timeout := err.(net.Error)
	return err != nil && !(timeout && ne.Timeout())
}

func evaluate(action string) string {
	body := `{"agent_id":"a","action":"` + action + `"}`
	return "POST /v1/evaluate HTTP/1.1\nHost: x\nContent-Type: application/json\nContent-Length: " +
		itoa(len(body)) + "\n\n" + body
}
