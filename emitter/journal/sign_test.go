package journal_test

import (
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"thymus/emitter/journal"
)

func key(seed byte) (ed25519.PublicKey, ed25519.PrivateKey) {
	priv := ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune(seed)), 32)))
	return priv.Public().(ed25519.PublicKey), priv
}

func TestSignedCheckpointsProveThatNoTailWasCut(t *testing.T) {
	pub, priv := key('a')
	other, _ := key('b')
	for name, c := range map[string]struct {
		hurt func(d *injured)
		pub  ed25519.PublicKey
		says string
	}{
		"whole": {func(d *injured) {}, pub, ""},
		"the last batch cut from both files": {func(d *injured) {
			d.cut(d.side(-1), record)
			d.cut(d.lines(-1), int64(4*(len(line(400))+1)))
		}, pub, "the tail was cut"},
		"the last segment removed with all beside it": {func(d *injured) {
			for _, ext := range []string{".ndjson", ".side", ".sig"} {
				d.must(os.Remove(strings.TrimSuffix(d.lines(-1), ".ndjson") + ext))
			}
		}, pub, "a signed checkpoint says that it was there"},
		"a segment in the middle removed with all beside it": {func(d *injured) {
			for _, ext := range []string{".ndjson", ".side", ".sig"} {
				d.must(os.Remove(strings.TrimSuffix(d.lines(2), ".ndjson") + ext))
			}
		}, pub, "a signed checkpoint says that the segment before ends"},
		"signed with another key": {func(d *injured) {}, other, "signature does not verify"},
		"a signature that was edited": {func(d *injured) {
			d.edit(strings.TrimSuffix(d.lines(1), ".ndjson")+".sig", func(b []byte) []byte {
				return []byte(strings.Replace(string(b), `"records":`, `"records":1`, 1))
			})
		}, pub, "signature does not verify"},
		"no signatures": {func(d *injured) {
			for _, f := range files(d.t, d.dir, ".sig") {
				d.must(os.Remove(f))
			}
		}, pub, "no signed checkpoint"},
		"the journal written anew without the key": {func(d *injured) {
			old := killed(d.t, d.dir)
			for _, ext := range []string{".ndjson", ".side"} {
				for _, f := range files(d.t, d.dir, ext) {
					d.must(os.Remove(f))
				}
			}
			j, _ := open(d.t, journal.Options{Dir: d.dir, SegmentSize: 4 << 10})
			for n := uint64(1); n <= 400; n += 6 {
				b := batch(n, int(min(6, 401-n)))
				b.Marks[7] = 1 // anything that was otherwise
				d.must(j.Append(b))
			}
			d.must(j.Close())
			if len(files(d.t, old, ".sig")) != len(files(d.t, d.dir, ".sig")) {
				d.t.Fatal("signatures were touched")
			}
		}, pub, "the digest is not the one that was signed"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			j, _ := open(t, journal.Options{Dir: dir, SegmentSize: 4 << 10, SignKey: priv})
			fill(t, j, 400, 6)
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			c.hurt(&injured{t, dir, files(t, dir, ".ndjson")})
			rep, err := journal.Verify(dir, c.pub, nil)
			if err != nil {
				t.Fatal(err)
			}
			if said := fmt.Sprint(rep.Problems); c.says == "" && !rep.OK() || !strings.Contains(said, c.says) {
				t.Fatalf("verify says %s, want %q", said, c.says)
			}
			if c.says == "" && rep.Signed != 401 {
				t.Fatalf("signed up to %d", rep.Signed)
			}
		})
	}
}

func TestSignaturesGoOnAfterAKill(t *testing.T) {
	pub, priv := key('a')
	o := journal.Options{Dir: t.TempDir(), SegmentSize: 4 << 10, SignKey: priv}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 5 {
		j, _ := open(t, o)
		fill(t, j, 100+rng.IntN(100), 6)
		dir := killed(t, o.Dir)
		j.Close()
		o.Dir = dir
	}
	j, _ := open(t, o)
	j.Close()
	rep, err := journal.Verify(o.Dir, pub, nil)
	if err != nil || !rep.OK() || rep.Signed != rep.Next || len(files(t, o.Dir, ".sig")) != rep.Segments {
		t.Fatalf("%+v %v", rep, err)
	}
}

func TestACheckpointKeptElsewhereFindsARewrittenJournal(t *testing.T) {
	write := func(mark uint64, n int) (string, []journal.Checkpoint) {
		dir := t.TempDir()
		j, _ := open(t, journal.Options{Dir: dir, SegmentSize: 4 << 10})
		var cs []journal.Checkpoint
		for i := range n {
			b := batch(uint64(5*i+1), 5)
			b.Marks[1] = mark
			if err := j.Append(b); err != nil {
				t.Fatal(err)
			}
			c, err := j.Checkpoint()
			if err != nil {
				t.Fatal(err)
			}
			cs = append(cs, c)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		return dir, cs
	}
	dir, cs := write(1, 60)
	forged, _ := write(2, 60)
	short, _ := write(1, 59)
	for name, c := range map[string]struct {
		dir, says string
		expect    []journal.Checkpoint
	}{
		"the journal itself":       {dir, "", cs},
		"written anew":             {forged, "the digest is not that of a checkpoint kept elsewhere", cs[30:31]},
		"written anew, the last":   {forged, "the tail was cut or rewritten", cs[59:]},
		"the end is missing":       {short, "the tail was cut or rewritten", cs[59:]},
		"the end is not asked for": {short, "", cs[:59]},
	} {
		rep, err := journal.Verify(c.dir, nil, nil, c.expect...)
		if err != nil {
			t.Fatal(err)
		}
		if said := fmt.Sprint(rep.Problems); c.says == "" != rep.OK() || !strings.Contains(said, c.says) {
			t.Errorf("%s: %s", name, said)
		}
	}
}

func TestVerifyRunsBesideTheWriterAndTellsItsProgress(t *testing.T) {
	pub, priv := key('a')
	o := journal.Options{Dir: t.TempDir(), SegmentSize: 16 << 10, SignKey: priv, RetainSize: 256 << 10, Fsync: 5e6}
	j, _ := open(t, o)
	fill(t, j, 500, 10)
	if err := j.Close(); err != nil { // signs
		t.Fatal(err)
	}
	j, _ = open(t, o)
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		synced := j.Stats().LastSync
		for n := j.Next(); ; n += 10 {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if err := j.Append(batch(n, 10)); err != nil {
				done <- err
				return
			}
			// The writer waits for a sync where it is 50 KiB ahead; before the next one what was there is signed. So what
			// expires has been signed before, however slow the disk is.
			for n/640 != (n+10)/640 && j.Stats().LastSync.Equal(synced) {
				time.Sleep(time.Millisecond)
			}
			if n/640 != (n+10)/640 {
				synced = j.Stats().LastSync
			}
		}
	}()
	for range 40 {
		last := int64(0)
		rep, err := journal.Verify(o.Dir, pub, func(d, total int64) {
			if d < last || total < d {
				t.Errorf("progress %d of %d after %d", d, total, last)
			}
			last = d
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range rep.Problems {
			t.Errorf("beside the writer: %v", p)
		}
		if last == 0 || rep.Events == 0 {
			t.Fatalf("%+v", rep)
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
