package detect_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"thymus/pdp"
	"thymus/pdp/detect"
)

// resume is the box after a restart that keeps what was going on, too.
func (b *box) resume(f func(*detect.Config)) {
	b.t.Helper()
	state, windows := b.w.AppendState(nil), b.w.AppendWindows(nil)
	n := newBox(b.t, f)
	if err := n.w.LoadState(state); err != nil {
		b.t.Fatal(err)
	}
	if err := n.w.LoadWindows(windows); err != nil {
		b.t.Fatal(err)
	}
	b.w = n.w
}

// A restart in the middle of anything finds what no restart would have found, under the same names.
func TestARestartGoesOnWithItsWindows(t *testing.T) {
	run := func(every int) (out []string) {
		b := newBox(t, nil)
		b.crowd(100)
		for n := range 400 {
			if every > 0 && n%every == every-1 {
				b.resume(nil)
			}
			b.call("prober", denied, on(fmt.Sprint("r", n)))
			b.call("pusher", denied, on("door"))
			if n%3 == 0 {
				b.call("confused", flagged(pdp.FlagPathDiffers))
			}
			b.call("hopper", as(fmt.Sprint("role-", n/40)))
			b.call("quiet-1")
			b.wait(700 * time.Millisecond)
		}
		for _, f := range b.found {
			out = append(out, fmt.Sprintf("%s %s %s %s %d %v %s", f.Incident, f.Change, f.Severity(), f.SubjectID, f.Count, f.Candidate, f.Metadata))
		}
		return out
	}
	whole := run(0)
	if len(whole) < 20 {
		t.Fatalf("only %d findings", len(whole))
	}
	for _, every := range []int{1, 3, 50} {
		got := run(every)
		if len(got) != len(whole) {
			t.Errorf("a restart every %d: %d findings, want %d", every, len(got), len(whole))
			continue
		}
		for i := range whole {
			if got[i] != whole[i] {
				t.Errorf("a restart every %d:\n got %s\nwant %s", every, got[i], whole[i])
				break
			}
		}
	}
}

func TestWindowsOfAnotherRevisionAreLeftOut(t *testing.T) {
	b := newBox(t, only(detect.Probing))
	b.crowd(50)
	for i := range 7 {
		b.call("a", denied, on(fmt.Sprint("r", i)))
	}
	windows := b.w.AppendWindows(nil)
	n := newBox(t, only(detect.Probing))
	n.rev = "r2"
	n.crowd(50)
	fresh := newBox(t, only(detect.Probing))
	if err := fresh.w.LoadState(n.w.AppendState(nil)); err != nil {
		t.Fatal(err)
	}
	if err := fresh.w.LoadWindows(windows); err != nil {
		t.Fatal(err)
	}
	fresh.rev = "r2"
	fresh.call("a", denied, on("r8"))
	fresh.want("")
}

func TestMalformedWindowsAreRefusedWhole(t *testing.T) {
	b := newBox(t, nil)
	b.crowd(20)
	for i := range 30 {
		b.call("a", denied, on(fmt.Sprint("r", i)))
		b.call("b", as(fmt.Sprint("role", i)))
	}
	good := b.w.AppendWindows(nil)
	empty := newBox(t, nil).w.AppendWindows(nil)
	for _, c := range []struct {
		name string
		b    []byte
		conf func(*detect.Config)
	}{
		{"nothing", nil, nil},
		{"another magic", append([]byte("thymdet1"), good[8:]...), nil},
		{"cut", good[:len(good)-1], nil},
		{"another configuration", good, func(c *detect.Config) { c.Denials.Window = 30 * time.Second }},
		{"room for other numbers", good, func(c *detect.Config) { c.Probing.At = 20 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newBox(t, c.conf)
			if err := n.w.LoadWindows(c.b); !errors.Is(err, detect.ErrState) {
				t.Errorf("got %v", err)
			}
		})
	}
	for i := range good {
		n := newBox(t, nil)
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		if err := n.w.LoadWindows(bad); !errors.Is(err, detect.ErrState) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
		if i > 200 {
			break
		}
	}
	for _, short := range []int{0, 1, 10, 100, len(good) / 2, len(good) - 41} { // a checksum that is right, and counts that are not
		body := bytes.Clone(good[40 : len(good)-4])
		n := newBox(t, nil)
		if err := n.w.LoadWindows(detect.Checked(append(bytes.Clone(good[:40]), body[:short]...))); !errors.Is(err, detect.ErrState) {
			t.Errorf("%d bytes of %d: %v", short, len(body), err)
		}
		if got := n.w.AppendWindows(nil); !bytes.Equal(got, empty) {
			t.Errorf("%d bytes of %d were taken in part", short, len(body))
		}
	}
	n := newBox(t, nil)
	n.call("a")
	if err := n.w.LoadWindows(good); !errors.Is(err, detect.ErrState) {
		t.Errorf("behind the first record: %v", err)
	}
}
