package events_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	le "encoding/binary"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"thymus/emitter/journal"
)

// run is a command's output and exit code.
func (h *home) run(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	b, err := h.command(args...).CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return string(b), exit.ExitCode()
	case err != nil:
		t.Fatal(err)
	}
	return string(b), 0
}

// A start that cannot be is refused with one clear message each.
func TestBadStartsAreRefused(t *testing.T) {
	small := func(t *testing.T) string { // a tmpfs with room for nothing
		if os.Geteuid() != 0 {
			t.Skip("absent: root, who may mount a tmpfs")
		}
		dir := t.TempDir()
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
			t.Skip("absent: the right to mount a tmpfs: ", err)
		}
		t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
		return dir
	}
	for _, c := range []struct {
		name    string
		prepare func(t *testing.T, h *home) (env []string)
		want    string
	}{
		{"a mask that is none", func(t *testing.T, h *home) []string { return []string{"THYMUS_EVENTS_MASK=agent_id=sha1"} }, "events.mask"},
		{"a mask with an empty step", func(t *testing.T, h *home) []string { return []string{"THYMUS_EVENTS_MASK=input..x"} }, "events.mask"},
		{"a journal that is a file", func(t *testing.T, h *home) []string {
			os.WriteFile(h.journal(), []byte("x"), 0o600)
			return nil
		}, "not a directory"},
		{"a foreign file in the journal", func(t *testing.T, h *home) []string {
			os.Mkdir(h.journal(), 0o700)
			os.WriteFile(filepath.Join(h.journal(), "mine.ndjson"), []byte("{}\n"), 0o600)
			return nil
		}, "mine.ndjson: not named as a journal's files are"},
		{"no room for the ring", func(t *testing.T, h *home) []string { return []string{"THYMUS_EVENTS_RING_PATH=" + small(t)} },
			"no room for the ring: a ring of 8 MiB needs"},
		{"no room for the journal", func(t *testing.T, h *home) []string {
			dir := small(t)
			os.WriteFile(filepath.Join(dir, "full"), make([]byte, 1<<20), 0o600)
			return []string{"THYMUS_EVENTS_JOURNAL_PATH=" + dir}
		}, "no space left on device"},
		{"Kafka with a certificate that is not there", func(t *testing.T, h *home) []string {
			return []string{"THYMUS_EVENTS_KAFKA_BROKERS=127.0.0.1:1", "THYMUS_EVENTS_KAFKA_TLS_ENABLED=true", "THYMUS_EVENTS_KAFKA_TLS_CA=/no/such"}
		}, "events.kafka.tls.ca"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHome(t)
			h.env = append(h.env, c.prepare(t, h)...)
			out, code := h.run(t)
			if code != 2 || !strings.Contains(out, c.want) {
				t.Errorf("exit %d, want 2 with %q:\n%s", code, c.want, out)
			}
		})
	}
}

func TestTwoProcessesOnOneDirectory(t *testing.T) {
	h := newHome(t)
	h.start(t)
	out, code := h.run(t)
	if code != 2 || !strings.Contains(out, "another process uses it") {
		t.Errorf("exit %d:\n%s", code, out)
	}
}

// A ring file that is no ring is put aside, and said.
func TestForeignRingFileIsPutAside(t *testing.T) {
	h := newHome(t)
	s := h.start(t)
	s.Stop()
	var dir string
	for _, kv := range h.env {
		if v, ok := strings.CutPrefix(kv, "THYMUS_EVENTS_RING_PATH="); ok {
			dir = v
		}
	}
	names, err := filepath.Glob(filepath.Join(dir, "thymus-*"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	if err := os.WriteFile(names[0], bytes.Repeat([]byte("foreign!"), 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	s = h.start(t)
	if _, err := s.evaluate(body(0)); err != nil {
		t.Fatal(err)
	}
	if err := equations(s.settle()); err != nil {
		t.Error(err)
	}
	if !strings.Contains(s.Log(), "put aside") {
		t.Errorf("nothing was said:\n%s", s.Log())
	}
	if kept, err := os.ReadFile(names[0] + ".aside-1"); err != nil || !bytes.HasPrefix(kept, []byte("foreign!")) {
		t.Error("the foreign file is gone", err)
	}
}

// Another size of ring takes up what an earlier life left in it.
func TestRingIsResized(t *testing.T) {
	h := newHome(t)
	s := h.start(t)
	ctx, cancel := context.WithCancel(context.Background())
	first := s
	time.AfterFunc(150*time.Millisecond, func() { first.Kill(); cancel() })
	answered := s.load(ctx, 4)
	for _, size := range []string{"2MiB", "16MiB"} {
		h.env = append(h.env, "THYMUS_EVENTS_RING_SIZE="+size)
		s = h.start(t)
		m := s.settle()
		if err := equations(m); err != nil {
			t.Error(err)
		}
		want := map[string]float64{"2MiB": 2 << 20, "16MiB": 16 << 20}[size]
		if m["thymus_ring_capacity_bytes"] != want {
			t.Errorf("capacity %v, want %v", m["thymus_ring_capacity_bytes"], want)
		}
		s.Stop()
	}
	l := newLedger(h.journal())
	if err := errors.Join(l.read(), l.holds(answered)); err != nil {
		t.Error(err)
	}
}

// A journal's disk that fills: decisions go on in shed, are refused in strict, and all is well again with space.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("absent: root, who may mount a tmpfs")
	}
	for _, loss := range []string{"shed", "strict"} {
		t.Run(loss, func(t *testing.T) {
			disk := t.TempDir()
			if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=24m"); err != nil {
				t.Skip("absent: the right to mount a tmpfs: ", err)
			}
			t.Cleanup(func() { syscall.Unmount(disk, syscall.MNT_DETACH) })
			h := newHome(t, "THYMUS_EVENTS_JOURNAL_PATH="+filepath.Join(disk, "journal"), "THYMUS_EVENTS_LOSS="+loss,
				"THYMUS_EVENTS_RING_SIZE=1MiB", "THYMUS_EVENTS_JOURNAL_RETAIN_SIZE=64MiB")
			s := h.start(t)
			if _, err := s.evaluate(body(0)); err != nil {
				t.Fatal(err)
			}
			s.settle()
			full := filepath.Join(disk, "full")
			f, err := os.Create(full)
			if err != nil {
				t.Fatal(err)
			}
			for _, err = f.Write(make([]byte, 1<<20)); err == nil; _, err = f.Write(make([]byte, 4<<10)) {
			}
			f.Close()
			answered, refused := 0, 0
			for n := range 9000 {
				_, err := s.evaluate(body(n))
				var st *status
				switch {
				case err == nil:
					answered++
				case errors.As(err, &st) && st.code == http.StatusServiceUnavailable:
					refused++
				default:
					t.Fatal(err)
				}
				if refused > 20 {
					break
				}
			}
			m := s.metrics()
			if m["thymus_journal_up"] != 0 || m["thymus_records_oldest_pending_seconds"] == 0 {
				t.Errorf("journal up %v, oldest pending %v", m["thymus_journal_up"], m["thymus_records_oldest_pending_seconds"])
			}
			shed := 0.0
			for _, c := range classes {
				shed += m[`thymus_records_shed_total{class="`+c+`"}`]
			}
			if shed == 0 || loss == "shed" && refused > 0 || loss == "strict" && refused == 0 {
				t.Errorf("%d answered, %d refused, %v shed", answered, refused, shed)
			}
			res, err := client.Get("http://" + s.data + "/readyz")
			if err != nil || res.StatusCode != http.StatusOK {
				t.Errorf("readiness: %v %v", res, err)
			}
			if err == nil {
				res.Body.Close()
			}
			os.Remove(full)
			for deadline := time.Now().Add(30 * time.Second); s.metrics()["thymus_journal_up"] == 0 && time.Now().Before(deadline); {
				time.Sleep(20 * time.Millisecond)
			}
			if err := equations(s.settle()); err != nil {
				t.Error(err)
			}
			if _, err := s.evaluate(body(0)); err != nil {
				t.Errorf("not well again: %v\n%s", err, s.Log())
			}
			s.Stop()
			if out, code := h.run(t, "events", "verify"); code != 0 {
				t.Errorf("verify: %s", out)
			}
		})
	}
}

// What is masked is in no file of the state directory and in no answer of the event commands, the threat that the
// denials become included, and what detection is in the middle of. Only the registry itself knows who its threats are
// about: it acts on them. Nevertheless a restart forgets nothing.
func TestMaskedValuesAreNowhere(t *testing.T) {
	for _, mask := range []string{"agent_id=hash", "agent_id"} {
		t.Run(mask, func(t *testing.T) {
			h := newHome(t, "THYMUS_EVENTS_MASK="+mask+",resource,input.context.pin", "THYMUS_EVENTS_INPUT=true",
				"THYMUS_DETECT_DENIALS_ENABLED=true")
			calls := 0
			for life := range 2 { // 20 denials are MEDIUM, 50 within the window HIGH
				s := h.start(t)
				for calls < 20+30*life {
					calls++
					if _, err := s.evaluate(`{"agent_id":"very-secret-agent","agent_role":"guest","action":"delete","resource":"secret-place",` +
						`"environment":{"pin":"secret-pin","who":"very-secret-agent","shown":"yes"}}`); err != nil {
						t.Fatal(err)
					}
				}
				s.settle()
				s.Stop()
				shown, threats, raised, err := look(h.dir, "very-secret-agent", "secret-place", "secret-pin")
				if err != nil || shown != calls || threats != 1 || raised != life {
					t.Errorf("life %d: %d inputs are shown, %d threats, %d raised, %v", life, shown, threats, raised, err)
				}
				if _, err := os.Stat(filepath.Join(h.dir, "detect.windows")); err != nil {
					t.Errorf("what detection is in the middle of: %v", err)
				}
			}
			if st, err := os.Stat(filepath.Join(h.dir, "mask.key")); strings.Contains(mask, "hash") && (err != nil || st.Mode().Perm() != 0o600) {
				t.Error("the key:", st, err)
			}
		})
	}
}

// look counts in the journal of a directory, and fails where any of its files but the registry's holds one of the words.
func look(dir string, words ...string) (shown, threats, raised int, err error) {
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "state.db" {
			return err
		}
		b, err := os.ReadFile(path)
		if strings.HasSuffix(path, ".ndjson") {
			shown += bytes.Count(b, []byte(`"shown":"yes"`))
			threats += bytes.Count(b, []byte(`"threat.detected"`))
			raised += bytes.Count(b, []byte(`"threat.severity_changed"`))
		}
		for _, word := range words {
			if bytes.Contains(b, []byte(word)) {
				return fmt.Errorf("%s holds %q", path, word)
			}
		}
		return err
	})
	return shown, threats, raised, err
}

func TestEventsCommands(t *testing.T) {
	h := newHome(t)
	s := h.start(t)
	for n := range 50 {
		if _, err := s.evaluate(body(n)); err != nil {
			t.Fatal(err)
		}
	}
	s.settle()

	t.Run("tail", func(t *testing.T) {
		for _, c := range []struct {
			args  []string
			lines int
			each  string
		}{
			{nil, 10, `{"id":"evt_policy_`},
			{[]string{"-n", "-1"}, 70, `{"id":"evt_policy_`},
			{[]string{"-n", "0"}, 0, ""},
			{[]string{"-n", "3", "--type", "policy.denied"}, 3, `"type":"policy.denied"`},
			{[]string{"-n", "100", "--type", "*.denied"}, 20, `"type":"policy.denied"`},
			{[]string{"-n", "2", "--agent", "agent-3"}, 2, `"agent_id":"agent-3"`},
			{[]string{"--agent", "nobody"}, 0, ""},
		} {
			out, code := h.run(t, append([]string{"events", "tail"}, c.args...)...)
			lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
			if out == "" {
				lines = nil
			}
			if code != 0 || len(lines) != c.lines {
				t.Errorf("%v: exit %d, %d lines, want %d", c.args, code, len(lines), c.lines)
			}
			for _, l := range lines {
				if !strings.Contains(l, c.each) {
					t.Errorf("%v: %s", c.args, l)
				}
			}
		}
	})
	t.Run("tail --follow", func(t *testing.T) {
		cmd := h.command("events", "tail", "-n", "1", "-f", "--agent", "late")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.evaluate(`{"agent_id":"late","agent_role":"admin","action":"x"}`); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(`{"id":"evt_policy_`))
		if _, err := io.ReadFull(out, got); err != nil || string(got) != `{"id":"evt_policy_` {
			t.Errorf("%s %v", got, err)
		}
		cmd.Process.Signal(syscall.SIGINT)
		if err := cmd.Wait(); err != nil {
			t.Errorf("interrupted, it ends with %v", err)
		}
	})
	t.Run("stats", func(t *testing.T) {
		out, code := h.run(t, "events", "stats", "-o", "json")
		var d struct {
			Next  uint64
			Total struct{ Events int }
			Types []struct {
				Type   string
				Events int
			}
		}
		if err := json.Unmarshal([]byte(out), &d); err != nil || code != 0 || d.Total.Events != 71 || len(d.Types) != 2 ||
			d.Types[0].Type != "policy.denied" || d.Types[0].Events != 20 || d.Next != 72 {
			t.Errorf("exit %d, %v: %s", code, err, out)
		}
		if out, code := h.run(t, "events", "stats"); code != 0 || !strings.Contains(out, "policy.evaluated") {
			t.Errorf("exit %d: %s", code, out)
		}
	})
	t.Run("replay to stdout", func(t *testing.T) {
		all, _ := h.command("events", "replay", "--to", "stdout").Output()
		files, _ := filepath.Glob(filepath.Join(h.journal(), "*.ndjson"))
		want, _ := os.ReadFile(files[0])
		if !bytes.Equal(all, want) {
			t.Errorf("%d bytes, the journal has %d", len(all), len(want))
		}
		half, _ := h.command("events", "replay", "--to", "stdout", "--from", "36").Output()
		if n := bytes.Count(half, []byte("\n")); n != 36 || !bytes.HasSuffix(want, half) {
			t.Errorf("from event 36: %d lines", n)
		}
		hour, _ := h.command("events", "replay", "--to", "stdout", "--from", "1h", "--type", "policy.denied").Output()
		if n := bytes.Count(hour, []byte("\n")); n != 20 {
			t.Errorf("denials of the last hour: %d lines", n)
		}
		future, _ := h.command("events", "replay", "--to", "stdout", "--from", time.Now().Add(time.Hour).Format(time.RFC3339)).Output()
		if len(future) != 0 {
			t.Errorf("from the future: %s", future)
		}
	})
	t.Run("bad arguments", func(t *testing.T) {
		for want, args := range map[string][]string{
			`--to: got "file", expected kafka or stdout`:                      {"replay", "--to", "file"},
			`key "events.kafka.brokers": none named`:                          {"replay", "--to", "kafka"},
			`"yesterday": expected an event's number, a time such as`:         {"replay", "--to", "stdout", "--from", "yesterday"},
			`--type: "[" is no pattern`:                                       {"tail", "--type", "["},
			"holds no journal":                                                {"verify", "--journal", t.TempDir()},
			`"veryfy" is no command of thymus events, did you mean "verify"?`: {"veryfy"},
		} {
			if out, code := h.run(t, append([]string{"events"}, args...)...); code != 2 || !strings.Contains(out, want) {
				t.Errorf("%v: exit %d, want 2 with %q: %s", args, code, want, out)
			}
		}
	})
	t.Run("verify", func(t *testing.T) {
		if out, code := h.run(t, "events", "verify"); code != 0 || !strings.HasPrefix(out, "ok: 71 events (1 to 71)") {
			t.Errorf("beside the server: exit %d: %s", code, out)
		}
		s.Stop()
		files, _ := filepath.Glob(filepath.Join(h.journal(), "*.ndjson"))
		b, _ := os.ReadFile(files[0])
		at := bytes.Index(b, []byte(`"agent-7"`)) // in whose line?
		line := 1 + bytes.Count(b[:at], []byte("\n"))
		b[at+7] = '8'
		os.WriteFile(files[0], b, 0o600)
		want := fmt.Sprintf("%s:%d", filepath.Base(files[0]), line)
		if out, code := h.run(t, "events", "verify"); code != 1 || !strings.Contains(out, want) {
			t.Errorf("with a changed byte: exit %d, want 1 with %s: %s", code, want, out)
		}
		var d struct {
			OK       bool
			Problems []struct{ Line int }
		}
		out, code := h.run(t, "events", "verify", "-o", "json")
		if err := json.Unmarshal([]byte(out), &d); err != nil || code != 1 || d.OK || len(d.Problems) == 0 || d.Problems[0].Line != line {
			t.Errorf("exit %d, %v: %s", code, err, out)
		}
	})
}

// A reload that changes policies from files is on record.
func TestReloadLeavesEvents(t *testing.T) {
	h := newHome(t)
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a.json", `{"policy_id":"a","name":"First","version":"1","rules":[{"rule_id":"r","effect":"allow"}]}`)
	write("b.json", `{"policy_id":"b","rules":[{"rule_id":"r","effect":"allow"}]}`)
	s := h.start(t, dir)
	os.Remove(filepath.Join(dir, "b.json"))
	write("c.json", `{"policy_id":"c","rules":[]}`)
	write("a.json", `{"policy_id":"a","name":"First","version":"2","rules":[{"rule_id":"r","effect":"allow"},{"rule_id":"s","effect":"deny"}]}`)
	s.Signal(syscall.SIGHUP)
	got := map[string]string{}
	for deadline := time.Now().Add(30 * time.Second); len(got) < 3 && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		r, err := journal.OpenReader(h.journal(), 0)
		if err != nil {
			t.Fatal(err)
		}
		var c journal.Chunk
		for ok, err := r.Next(&c); ok && err == nil; ok, err = r.Next(&c) {
			for _, line := range c.All {
				var e struct {
					Type    string
					Payload map[string]any
				}
				json.Unmarshal(line, &e)
				for k := range e.Payload {
					if strings.HasSuffix(k, "_at") {
						delete(e.Payload, k)
					}
				}
				p, _ := json.Marshal(e.Payload)
				got[e.Type] = string(p)
			}
		}
		r.Close()
	}
	for typ, want := range map[string]string{
		"policy.created": `{"enabled":true,"name":"c","policy_id":"c","rules_count":0,"version":""}`,
		"policy.deleted": `{"name":"b","policy_id":"b"}`,
		"policy.updated": `{"changes":{"rules":{"new_count":2,"old_count":1},"version":{"new":"2","old":"1"}},"policy_id":"a"}`,
	} {
		if got[typ] != want {
			t.Errorf("%s: %s, want %s", typ, got[typ], want)
		}
	}
}

// With a key in the state directory the head is signed: a journal whose end was cut on purpose is found out.
func TestSignedJournalCannotBeCut(t *testing.T) {
	h := newHome(t)
	pub, priv, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	write := func(path, kind string, der []byte, err error) {
		t.Helper()
		if err == nil {
			err = os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	der, err := x509.MarshalPKCS8PrivateKey(priv)
	write(filepath.Join(h.dir, "journal.key"), "PRIVATE KEY", der, err)
	der, err = x509.MarshalPKIXPublicKey(pub)
	public := filepath.Join(t.TempDir(), "journal.pub")
	write(public, "PUBLIC KEY", der, err)
	s := h.start(t)
	for n := range 20 {
		if _, err := s.evaluate(body(n)); err != nil {
			t.Fatal(err)
		}
		s.settle() // a batch of its own
	}
	s.Stop()
	if out, code := h.run(t, "events", "verify", "--public-key", public); code != 0 {
		t.Fatalf("exit %d: %s", code, out)
	}
	files, _ := filepath.Glob(filepath.Join(h.journal(), "*.ndjson"))
	side := strings.TrimSuffix(files[0], ".ndjson") + ".side"
	const record = 256
	b, err := os.ReadFile(side)
	if err != nil || len(b) < 3*record {
		t.Fatal(len(b), err)
	}
	end := le.LittleEndian.Uint64(b[len(b)-record+32:]) // where the last batch's lines begin
	if err := errors.Join(os.Truncate(side, int64(len(b)-record)), os.Truncate(files[0], int64(end))); err != nil {
		t.Fatal(err)
	}
	if out, code := h.run(t, "events", "verify"); code != 0 {
		t.Errorf("without the key nothing is amiss, but exit %d: %s", code, out)
	}
	if out, code := h.run(t, "events", "verify", "--public-key", public); code != 1 {
		t.Errorf("with the key: exit %d, want 1: %s", code, out)
	}
}
