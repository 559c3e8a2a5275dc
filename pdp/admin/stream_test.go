package admin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"thymus/pdp/admin"
)

// book is a journal in memory.
type book struct {
	mu     sync.Mutex
	first  uint64 // number of lines[0]
	lines  []admin.StreamEvent
	news   chan struct{}
	opened int
}

func newBook() *book { return &book{first: 1, news: make(chan struct{})} }

func (b *book) add(types ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range types {
		id := fmt.Sprintf("evt_policy_%d", b.first+uint64(len(b.lines)))
		b.lines = append(b.lines, admin.StreamEvent{ID: []byte(id), Type: []byte(t), Line: fmt.Appendf(nil, `{"id":%q,"type":%q}`, id, t)})
	}
	close(b.news)
	b.news = make(chan struct{})
}

// drop is retention: everything below a number goes.
func (b *book) drop(to uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines, b.first = b.lines[to-b.first:], to
}

func (b *book) Next() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.first + uint64(len(b.lines))
}

func (b *book) Find(_ context.Context, id string) (uint64, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, e := range b.lines {
		if string(e.ID) == id {
			return b.first + uint64(i), true, nil
		}
	}
	return 0, false, nil
}

func (b *book) Follow(from uint64) admin.EventReader {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.opened++
	return &bookmark{b, max(from, b.first)}
}

type bookmark struct {
	b  *book
	at uint64
}

func (r *bookmark) Seq() uint64  { return r.at }
func (r *bookmark) Close() error { return nil }
func (r *bookmark) Next(c *admin.EventChunk) (bool, error) {
	r.b.mu.Lock()
	defer r.b.mu.Unlock()
	*c = admin.EventChunk{First: r.at, Events: c.Events[:0]}
	if r.at < r.b.first {
		c.Missed, c.Why, r.at = r.b.first-r.at, "expired", r.b.first
		return true, nil
	}
	for i := r.at - r.b.first; i < uint64(len(r.b.lines)) && len(c.Events) < 100; i++ {
		c.Events = append(c.Events, r.b.lines[i])
	}
	r.at += uint64(len(c.Events))
	return len(c.Events) > 0, nil
}

func (r *bookmark) Wait(ctx context.Context) error {
	r.b.mu.Lock()
	news, more := r.b.news, r.at < r.b.first+uint64(len(r.b.lines))
	r.b.mu.Unlock()
	if more {
		return nil
	}
	select {
	case <-news:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// patience is how long a listener waits for one message.
const patience = time.Minute

// listener reads a stream. Its messages are "id event" or "gap missed".
type listener struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
	body io.ReadCloser
}

func listen(t testing.TB, addr, query string, headers ...string) *listener {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	head := strings.Join(append([]string{"GET /v1/events/stream" + query + " HTTP/1.1", "Host: x", right}, headers...), "\r\n")
	if _, err := io.WriteString(conn, head+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %s", res.StatusCode, res.Header)
	}
	l := &listener{t: t, conn: conn, r: bufio.NewReader(res.Body), body: res.Body}
	if line, err := l.r.ReadString('\n'); err != nil || line != ":\n" { // from here on nothing is missed
		t.Fatalf("%q %v", line, err)
	}
	return l
}

// next is the next message; comments are passed over.
func (l *listener) next() string {
	l.t.Helper()
	_ = l.conn.SetReadDeadline(time.Now().Add(patience))
	var id, event, data string
	for {
		line, err := l.r.ReadString('\n')
		if err != nil {
			l.t.Fatalf("after %q %q: %v", id, event, err)
		}
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "" && event != "":
			if event == "gap" {
				_, rest, _ := strings.Cut(data, `"missed":`)
				n, _, _ := strings.Cut(rest, ",")
				return "gap " + n
			}
			if data != fmt.Sprintf(`{"id":%q,"type":%q}`, id, event) {
				l.t.Fatalf("data %s of %s %s", data, id, event)
			}
			return strings.TrimPrefix(id, "evt_policy_") + " " + event
		case strings.HasPrefix(line, "id: "):
			id = line[4:]
		case strings.HasPrefix(line, "event: "):
			event = line[7:]
		case strings.HasPrefix(line, "data: "):
			data = line[6:]
		case line != "" && line[0] != ':':
			l.t.Fatalf("line %q", line)
		}
	}
}

func (l *listener) expect(want ...string) {
	l.t.Helper()
	for _, w := range want {
		if got := l.next(); got != w {
			l.t.Fatalf("got %q, want %q", got, w)
		}
	}
}

func startStream(t *testing.T) (string, *book) {
	b := newBook()
	addr, _ := start(t, func(o *admin.Options) { o.Events = b })
	return addr, b
}

func TestTheStreamGivesWhatComes(t *testing.T) {
	addr, b := startStream(t)
	b.add("policy.evaluated", "policy.denied") // before anybody listens
	all, some, pattern := listen(t, addr, ""), listen(t, addr, "?types=policy.denied"), listen(t, addr, "?types=threat.*,immune.critical_event")
	b.add("policy.evaluated", "policy.denied", "threat.detected")
	b.add("immune.event_published", "immune.critical_event", "threat.escalated")
	all.expect("3 policy.evaluated", "4 policy.denied", "5 threat.detected", "6 immune.event_published", "7 immune.critical_event", "8 threat.escalated")
	some.expect("4 policy.denied")
	pattern.expect("5 threat.detected", "7 immune.critical_event", "8 threat.escalated")
}

func TestTheStreamResumes(t *testing.T) {
	addr, b := startStream(t)
	for range 300 {
		b.add("policy.evaluated", "policy.denied")
	}
	old := listen(t, addr, "?types=policy.denied", "Last-Event-ID: evt_policy_593")
	old.expect("594 policy.denied", "596 policy.denied", "598 policy.denied", "600 policy.denied")
	b.add("policy.denied")
	old.expect("601 policy.denied")
	end := listen(t, addr, "", "Last-Event-ID: evt_policy_601")
	b.add("policy.updated")
	end.expect("602 policy.updated")
	b.drop(501)
	gone := listen(t, addr, "", "Last-Event-ID: evt_policy_17")
	gone.expect("gap null", "501 policy.evaluated", "502 policy.denied")
	strange := listen(t, addr, "?types=policy.updated", "Last-Event-ID: nonsense")
	strange.expect("gap null", "602 policy.updated")
}

// Who joins in the middle of a flood and resumes gets each event once, in order.
func TestNothingIsMissedBetweenJournalAndHub(t *testing.T) {
	addr, b := startStream(t)
	const total = 30_000
	b.add("a.b")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 1; i < total; i++ {
			b.add("a.b")
		}
	}()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			time.Sleep(time.Duration(i) * 5 * time.Millisecond)
			l := listen(t, addr, "", "Last-Event-ID: evt_policy_1")
			for n := 2; n <= total; n++ {
				if got := l.next(); got != strconv.Itoa(n)+" a.b" {
					t.Errorf("listener %d: got %q, want number %d", i, got, n)
					return
				}
			}
		})
	}
	wg.Wait()
	<-done
}

// A client that does not read holds nobody up, costs no memory of its own, and is told how much it missed.
func TestASlowClientIsToldWhatItMissed(t *testing.T) {
	addr, b := startStream(t)
	slow, quick := listen(t, addr, ""), listen(t, addr, "?types=threat.mitigated")
	_ = slow.conn.(*net.TCPConn).SetReadBuffer(64 << 10) // else the system takes some MiB for it
	// About 21 MiB on the wire, of which 8 are kept. More would take a busy machine longer than the half minute after which
	// who takes nothing is let go.
	const total = 240_000
	types := make([]string, 1000)
	for i := range types {
		types[i] = "policy.evaluated"
	}
	for range total / len(types) {
		b.add(types...)
	}
	b.add("threat.mitigated")
	for m := quick.next(); m != strconv.Itoa(total+1)+" threat.mitigated"; m = quick.next() {
		if !strings.HasPrefix(m, "gap ") { // it may be outrun too, on a slow machine
			t.Fatalf("got %q", m)
		}
	}
	want, missed := uint64(1), uint64(0)
	for want <= total+1 {
		m := slow.next()
		if rest, ok := strings.CutPrefix(m, "gap "); ok {
			n, err := strconv.ParseUint(rest, 10, 64)
			if err != nil {
				t.Fatalf("%q", m)
			}
			missed += n
			want += n
			continue
		}
		if number, _, _ := strings.Cut(m, " "); number != strconv.FormatUint(want, 10) {
			t.Fatalf("got %q, want number %d: what it missed is not what it was told", m, want)
		}
		want++
	}
	if missed == 0 {
		t.Error("it missed nothing, which shows nothing")
	}
}

func TestAThousandClientsListen(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	addr, b := startStream(t)
	const clients, events = 1000, 200
	ls := make([]*listener, clients)
	for i := range ls {
		ls[i] = listen(t, addr, "?types=policy.denied")
	}
	begin := time.Now()
	for range events {
		b.add("policy.evaluated", "policy.denied")
	}
	var wg sync.WaitGroup
	for _, l := range ls {
		wg.Go(func() {
			for n := range events {
				if got := l.next(); got != strconv.Itoa(2*n+2)+" policy.denied" {
					t.Errorf("got %q", got)
					return
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d clients had %d events each after %s", clients, events, time.Since(begin))
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.opened != 1 {
		t.Errorf("the journal was read by %d", b.opened)
	}
}

func TestStreamsThatCannotBe(t *testing.T) {
	addr, _ := startStream(t)
	for name, c := range map[string]struct {
		target string
		header string
		status int
	}{
		"an unknown shape of type":    {"?types=Policy", right, 400},
		"a star in the middle":        {"?types=policy.*.x", right, 400},
		"a star without its dot":      {"?types=pol*", right, 400},
		"an empty type":               {"?types=policy.denied,", right, 400},
		"a type that does not exist":  {"?types=policy.refused", right, 400},
		"a beginning of no type":      {"?types=policy.denied,threats.*", right, 400},
		"a beginning with its dot":    {"?types=policy.denied.", right, 400},
		"too many":                    {"?types=" + strings.Repeat("threat.*,", 64) + "policy.*", right, 400},
		"an id longer than any of us": {"", right + "\r\nLast-Event-ID: " + strings.Repeat("x", 300), 400},
		"no token":                    {"", "X: y", 401},
	} {
		if a := ask(t, addr, "GET", "/v1/events/stream"+c.target, c.header); a.StatusCode != c.status {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	for _, name := range []string{"policy.refused", "threats.*"} {
		if a := ask(t, addr, "GET", "/v1/events/stream?types=policy.denied,"+name, right); !strings.Contains(string(a.body), name) ||
			!strings.Contains(string(a.body), `"field":"types"`) || !strings.Contains(string(a.body), "immune.self_protection_triggered") {
			t.Errorf("%s is not named: %s", name, a.body)
		}
	}
	if a := ask(t, addr, "HEAD", "/v1/events/stream", right); a.StatusCode != 200 || a.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("HEAD: %d %s", a.StatusCode, a.Header)
	}
}

// Every type that is documented can be asked for, and every family of them.
func TestTheStreamKnowsEveryDocumentedType(t *testing.T) {
	b, err := os.ReadFile("../../docs/events.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Properties struct {
			Type struct{ Enum []string }
		}
	}
	if err := json.Unmarshal(b, &schema); err != nil || len(schema.Properties.Type.Enum) < 16 {
		t.Fatalf("%v: %d types", err, len(schema.Properties.Type.Enum))
	}
	addr, _ := startStream(t)
	all := schema.Properties.Type.Enum
	for _, types := range append(slices.Clone(all), strings.Join(all, ","), "policy.*", "threat.*,immune.*", "*") {
		if a := ask(t, addr, "HEAD", "/v1/events/stream?types="+types, right); a.StatusCode != 200 {
			t.Errorf("%s: %d %s", types, a.StatusCode, a.body)
		}
	}
}

// The listener's read timeout is 30 s, and keep-alive comments come every 15: both need their time.
func TestAQuietStreamIsKeptAlive(t *testing.T) {
	if testing.Short() || os.Getenv("THYMUS_SLOW") == "" {
		t.Skip("takes 35 s; THYMUS_SLOW=1 runs it")
	}
	addr, b := startStream(t)
	l := listen(t, addr, "")
	_ = l.conn.SetReadDeadline(time.Now().Add(50 * time.Second))
	begin := time.Now()
	for comments := 0; comments < 2; {
		line, err := l.r.ReadString('\n')
		if err != nil {
			t.Fatalf("after %s: %v", time.Since(begin), err)
		}
		if line == ":\n" {
			comments++
		}
	}
	if d := time.Since(begin); d < 29*time.Second || d > 32*time.Second {
		t.Errorf("two comments after %s", d)
	}
	time.Sleep(3 * time.Second) // past the read timeout
	b.add("policy.denied")
	l.expect("1 policy.denied")
}
