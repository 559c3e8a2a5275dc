package guard_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"thymus/internal/guard"
	"thymus/test/harness"
)

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	harness.Eventually(t, 10*time.Second, what, ok)
}

func TestWhatIsATokenAndWhatIsNot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	for _, c := range []struct{ name, text, want string }{
		{"an empty file", "", "empty, a token expected"},
		{"white space alone", " \n\t\n", "empty, a token expected"},
		{"two tokens", "one two\n", "one token without white space"},
		{"two lines", "one\ntwo\n", "one token without white space"},
		{"something huge", strings.Repeat("x", 5000), "at most 4096 bytes"},
	} {
		put(t, path, c.text)
		if _, err := guard.OpenToken(path, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := guard.OpenToken(path+".no", nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	put(t, path, "  secret-1 \n")
	tok, err := guard.OpenToken(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for header, want := range map[string]bool{
		"Bearer secret-1": true, "bearer secret-1": true, "BeArEr   secret-1  ": true,
		"": false, "Bearer": false, "Bearer ": false, "secret-1": false, "Bearersecret-1": false, "Basic secret-1": false,
		"Bearer secret-2": false, "Bearer secret-": false, "Bearer secret-11": false, "Bearer SECRET-1": false,
		"Bearer " + strings.Repeat("x", 1<<16): false,
	} {
		if got := tok.Right([]byte(header)); got != want {
			t.Errorf("%.40q: %t", header, got)
		}
	}
}

func TestCheckingATokenAllocatesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	put(t, path, "secret")
	tok, err := guard.OpenToken(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	right, wrong := []byte("Bearer secret"), []byte("Bearer wrong")
	if n := testing.AllocsPerRun(100, func() { _ = tok.Right(right); _ = tok.Right(wrong) }); n > 0 {
		t.Fatalf("%v allocations", n)
	}
}

func TestATokenIsMadeOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	if _, err := guard.EnsureToken(path, nil); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil || len(strings.TrimSpace(string(b))) != 43 {
		t.Fatalf("%q %v", b, err)
	}
	if fi, _ := os.Stat(path); fi.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v", fi.Mode())
	}
	tok, err := guard.EnsureToken(path, nil)
	if err != nil || !tok.Right([]byte("Bearer "+strings.TrimSpace(string(b)))) {
		t.Fatalf("the second start has another token: %v", err)
	}
}

func TestAChangedTokenIsReadAndABrokenOneIsNot(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "token")
	put(t, path, "first")
	var failed atomic.Int32
	files := guard.WatchFiles(5*time.Millisecond, func(_ string, err error) {
		if err != nil {
			failed.Add(1)
		}
	})
	defer files.Close()
	tok, err := guard.OpenToken(path, files)
	if err != nil {
		t.Fatal(err)
	}
	put(t, path, "second")
	eventually(t, "the second token counts", func() bool { return tok.Right([]byte("Bearer second")) })
	if tok.Right([]byte("Bearer first")) {
		t.Fatal("the first token still counts")
	}
	put(t, path, "")
	eventually(t, "the empty file is reported", func() bool { return failed.Load() > 0 })
	if !tok.Right([]byte("Bearer second")) || tok.Right([]byte("Bearer ")) {
		t.Fatal("an empty file changed the token")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	put(t, path+".new", "third")
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a rename counts", func() bool { return tok.Right([]byte("Bearer third")) })
}

func TestTheSymlinkSwapOfAKubernetesVolumeIsAChange(t *testing.T) {
	dir := t.TempDir()
	version := func(name, text string) {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(dir, name, "token"), text)
		if err := os.Symlink(name, filepath.Join(dir, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	version("..1", "first")
	path := filepath.Join(dir, "token")
	if err := os.Symlink(filepath.Join("..data", "token"), path); err != nil {
		t.Fatal(err)
	}
	files := guard.WatchFiles(5*time.Millisecond, nil)
	defer files.Close()
	tok, err := guard.OpenToken(path, files)
	if err != nil {
		t.Fatal(err)
	}
	version("..2", "other") // of the same length
	eventually(t, "the swapped token counts", func() bool { return tok.Right([]byte("Bearer other")) })
}

func TestSockets(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	t.Run("the mode is exact, whatever the umask", func(t *testing.T) {
		for _, mode := range []os.FileMode{0o600, 0o660, 0o666, 0o777} {
			ln, err := guard.ListenUnix(path, mode)
			if err != nil {
				t.Fatal(err)
			}
			if fi, _ := os.Stat(path); fi.Mode().Perm() != mode {
				t.Errorf("%v, want %v", fi.Mode().Perm(), mode)
			}
			_ = ln.Close()
		}
	})
	t.Run("a stale socket is replaced", func(t *testing.T) {
		ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
		if err != nil {
			t.Fatal(err)
		}
		ln.SetUnlinkOnClose(false)
		_ = ln.Close()
		again, err := guard.ListenUnix(path, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		_ = again.Close()
	})
	t.Run("a live one stops the start", func(t *testing.T) {
		ln, err := guard.ListenUnix(path, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		if _, err := guard.ListenUnix(path, 0o600); !errors.Is(err, guard.ErrSocketLive) {
			t.Fatalf("%v", err)
		}
	})
	t.Run("a file that is no socket is left alone", func(t *testing.T) {
		file := filepath.Join(dir, "f")
		put(t, file, "precious")
		if _, err := guard.ListenUnix(file, 0o600); err == nil || !strings.Contains(err.Error(), "no socket") {
			t.Fatalf("%v", err)
		}
		if b, _ := os.ReadFile(file); string(b) != "precious" {
			t.Fatal("the file was touched")
		}
	})
	t.Run("a folder that is not there is named", func(t *testing.T) {
		if _, err := guard.ListenUnix(filepath.Join(dir, "no", "s"), 0o600); err == nil || !strings.Contains(err.Error(), "no such file") {
			t.Fatalf("%v", err)
		}
	})
	t.Run("the kernel says who connects", func(t *testing.T) {
		ln, err := guard.ListenUnix(path, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		s, err := ln.AcceptUnix()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		cred, err := guard.PeerCred(s)
		if err != nil || cred.UID != uint32(os.Getuid()) || cred.GID != uint32(os.Getgid()) || cred.PID != int32(os.Getpid()) {
			t.Fatalf("%+v %v", cred, err)
		}
	})
}
