package loop_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

type message struct{ id, event, data string }

// listen reads a stream until the test ends.
func (s *sidecar) listen(query, last string) <-chan message {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", s.mgmt+"/v1/events/stream"+query, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	res, err := (&http.Client{}).Do(req)
	if err != nil || res.StatusCode != 200 {
		s.t.Fatalf("%v %v", err, res)
	}
	out := make(chan message, 10_000)
	go func() {
		defer close(out)
		defer res.Body.Close()
		var m message
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			switch name, value, _ := strings.Cut(lines.Text(), ": "); name {
			case "id":
				m.id = value
			case "event":
				m.event = value
			case "data":
				m.data = value
			case "":
				if m.event != "" {
					out <- m
				}
				m = message{}
			}
		}
	}()
	return out
}

func next(t *testing.T, c <-chan message) message {
	t.Helper()
	select {
	case m, ok := <-c:
		if !ok {
			t.Fatal("the stream ended")
		}
		if m.event != "gap" {
			var e struct{ ID, Type string }
			if err := json.Unmarshal([]byte(m.data), &e); err != nil || e.ID != m.id || e.Type != m.event {
				t.Fatalf("%v: %+v", err, m)
			}
		}
		return m
	case <-time.After(30 * time.Second):
		t.Fatal("nothing comes")
	}
	return message{}
}

// A listener sees the loop happen, and one that comes back after the sidecar's restart goes on where it was.
func TestTheLoopIsSeenOnTheStream(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, "immune.mode=protect")
	loop := s.listen("?types=policy.denied,threat.*,immune.self_protection_triggered", "")
	s.probe("mallory", 8)
	seen := map[string]int{}
	var last message
	for seen["immune.self_protection_triggered"] == 0 || seen["threat.detected"] == 0 || seen["policy.denied"] < 8 {
		last = next(t, loop)
		if last.event == "policy.evaluated" || last.event == "immune.event_published" {
			t.Fatalf("not asked for: %+v", last)
		}
		seen[last.event]++
	}
	s.Stop()
	for range loop { // what was on its way when it ended; it ends
	}
	s = start(t, dir, "immune.mode=protect")
	s.ask("alice", "nobody", "one", "x")
	again := s.listen("?types=policy.denied", last.id)
	s.ask("alice", "nobody", "two", "x")
	for _, action := range []string{`"action":"one"`, `"action":"two"`} {
		m := next(t, again)
		for strings.Contains(m.data, `"mallory"`) {
			m = next(t, again) // journaled behind the last that was seen
		}
		if m.event != "policy.denied" || !strings.Contains(m.data, action) {
			t.Fatalf("want %s, got %+v", action, m)
		}
	}
	if m := next(t, s.listen("", "evt_policy_1_0000000000000000")); m.event != "gap" {
		t.Errorf("an id that is not held: %+v", m)
	}
}
