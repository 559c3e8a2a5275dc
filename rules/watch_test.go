package rules_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"thymus/rules"
	"thymus/test/harness"
)

// watching starts Watch over paths and returns a function that waits for a report, at most 2 s in which the machine moves,
// and one that wants none for a while.
func watching(t *testing.T, paths ...string) (want func(what string), wantNone func(what string)) {
	return watchingBy(t, rules.Watch, paths...)
}

func watchingBy(t *testing.T, watch func(context.Context, []string, func()) error, paths ...string) (want func(what string), wantNone func(what string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	changed := make(chan struct{}, 100)
	done := make(chan error, 1)
	go func() { done <- watch(ctx, paths, func() { changed <- struct{}{} }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	drain := func() {
		for quiet := false; !quiet; {
			over, stop := harness.Moving(300 * time.Millisecond)
			select {
			case <-changed:
			case <-over:
				quiet = true
			}
			stop()
		}
	}
	// The watch stands once a write is reported.
	probe := filepath.Join(paths[0], "probe.json")
	if info, err := os.Stat(paths[0]); err != nil || !info.IsDir() {
		probe = paths[0]
	}
	for i, reported := 0, false; !reported; i++ {
		write(t, probe, fmt.Sprintf(`{"probe":%d}`, i))
		select {
		case <-changed:
			reported = true
		case <-time.After(500 * time.Millisecond):
			if i == 40 {
				t.Fatal("nothing is ever reported")
			}
		}
	}
	return func(what string) {
			t.Helper()
			over, stop := harness.Moving(2 * time.Second)
			defer stop()
			select {
			case <-changed:
			case <-over:
				t.Errorf("%s: not reported within 2 s", what)
			}
			drain()
		}, func(what string) {
			t.Helper()
			drain()
			select {
			case <-changed:
				t.Errorf("%s was reported", what)
			case <-time.After(700 * time.Millisecond):
			}
		}
}

func write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestWatchReportsWhatChangesADirectory(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) }) // runs last
	root := t.TempDir()
	in := func(name string) string { return filepath.Join(root, name) }
	want, _ := watching(t, root)
	write(t, in("a.rego"), "package a")
	want("a new file")
	write(t, in("a.rego"), "package b")
	want("a write")
	write(t, in(".a.rego.tmp"), "package c")
	must(t, os.Rename(in(".a.rego.tmp"), in("a.rego")))
	want("a rename onto a file")
	must(t, os.Mkdir(in("sub"), 0o755))
	want("a new folder")
	write(t, in("sub/b.yaml"), "x: 1")
	want("a file in the new folder")
	must(t, os.MkdirAll(in("deep/er/still"), 0o755))
	write(t, in("deep/er/still/c.json"), "{}")
	want("a file in folders made with it")
	write(t, in("deep/er/still/c.json"), `{"x":1}`)
	want("a write in folders made at once")
	must(t, os.Remove(in("a.rego")))
	want("a removal")
	must(t, os.RemoveAll(in("deep")))
	want("the removal of a folder")
	must(t, os.RemoveAll(root))
	want("the removal of everything")
	must(t, os.Mkdir(root, 0o755))
	write(t, in("d.rego"), "package d")
	want("everything made again")
}

func TestWatchIgnoresWhatIsNotLoaded(t *testing.T) {
	root := t.TempDir()
	_, none := watching(t, root)
	for _, name := range []string{".hidden.rego", "a.rego~", ".a.rego.swp", "4913", "README.md", "a.rego.tmp"} {
		write(t, filepath.Join(root, name), "x")
	}
	write(t, filepath.Join(filepath.Dir(root), "beside.json"), "{}")
	none("a file that is never loaded")
}

func TestWatchFollowsAKubernetesVolume(t *testing.T) {
	root := t.TempDir()
	version := func(n int) string { return fmt.Sprintf("..version_%d", n) }
	put := func(n int) {
		must(t, os.Mkdir(filepath.Join(root, version(n)), 0o755))
		write(t, filepath.Join(root, version(n), "p.rego"), fmt.Sprintf("package p%d", n))
		must(t, os.Symlink(version(n), filepath.Join(root, "..data_tmp")))
		must(t, os.Rename(filepath.Join(root, "..data_tmp"), filepath.Join(root, "..data")))
	}
	put(1)
	must(t, os.Symlink("..data/p.rego", filepath.Join(root, "p.rego")))
	want, _ := watching(t, root)
	for n := 2; n < 5; n++ {
		put(n)
		must(t, os.RemoveAll(filepath.Join(root, version(n-1))))
		want("a swap of ..data")
	}
}

func TestWatchOfAFileAndOfALink(t *testing.T) {
	root := t.TempDir()
	file := filepath.Join(root, "only.json")
	write(t, file, "{}")
	want, none := watching(t, file)
	write(t, filepath.Join(root, "new"), `{"x":1}`)
	must(t, os.Rename(filepath.Join(root, "new"), file))
	want("a rename onto the file")
	write(t, filepath.Join(root, "other.json"), "{}")
	none("a file beside it")

	real := filepath.Join(t.TempDir(), "real.json")
	write(t, real, "{}")
	dir := t.TempDir()
	must(t, os.Symlink(real, filepath.Join(dir, "link.json")))
	want, _ = watching(t, dir)
	write(t, real, `{"x":2}`)
	want("a write to what a link names")
}

// TestWatchIsNotStarved: writes without a pause are reported while they go on, and not each of them.
func TestWatchIsNotStarved(t *testing.T) {
	harness.Steady(t, 30*time.Millisecond, func(t testing.TB) { // a writer that is kept from running makes pauses
		root := t.TempDir()
		ctx, cancel := context.WithCancel(context.Background())
		changed, done := make(chan time.Time, 1000), make(chan error, 1)
		go func() { done <- rules.Watch(ctx, []string{root}, func() { changed <- time.Now() }) }()
		defer func() { cancel(); <-done }()
		start := time.Now()
		for i := 0; time.Since(start) < 3*time.Second; i++ {
			write(t, filepath.Join(root, "a.json"), fmt.Sprintf(`{"i":%d}`, i))
			time.Sleep(10 * time.Millisecond) // the pace of the writer under test, not a wait for the watcher
		}
		if n := len(changed); n < 2 || n > 12 {
			t.Errorf("%d reports in 3 s of writes", n)
		}
	})
}

// TestWatchWithoutWatches is Watch where the system has no watches to give.
func TestWatchWithoutWatches(t *testing.T) {
	root := t.TempDir()
	want, none := watchingBy(t, rules.WatchByPolling, root)
	write(t, filepath.Join(root, "a.rego"), "package a")
	want("a new file")
	write(t, filepath.Join(root, "a.rego"), "package b") // the same size
	want("a write")
	must(t, os.MkdirAll(filepath.Join(root, "x/y"), 0o755))
	write(t, filepath.Join(root, "x/y/b.json"), "{}")
	want("a file in a new folder")
	write(t, filepath.Join(root, "notes.txt"), "{}")
	none("a file that is never loaded")
	must(t, os.RemoveAll(filepath.Join(root, "x")))
	want("a removal")
}
