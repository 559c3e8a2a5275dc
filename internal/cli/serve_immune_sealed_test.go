package cli

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestWhatIsSealedIsReadWithItsKeyAlone(t *testing.T) {
	open := func(secret, purpose string) sealer {
		s, err := newSealer([]byte(secret), purpose)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open("secret", "windows")
	for _, content := range []string{"", "agent-7", string(bytes.Repeat([]byte("agent-7 "), 10_000))} {
		b := s.seal([]byte(content))
		if content != "" && bytes.Contains(b, []byte("agent-7")) {
			t.Error("the content is there as it is")
		}
		if again := s.seal([]byte(content)); bytes.Equal(again, b) {
			t.Error("the same twice is the same sealed: the nonce is none")
		}
		if got, err := s.open(b); err != nil || string(got) != content {
			t.Errorf("%d bytes come back as %d, %v", len(content), len(got), err)
		}
	}
	good := s.seal([]byte("agent-7"))
	for name, b := range map[string][]byte{
		"nothing": nil, "a magic": []byte(sealMagic), "cut": good[:len(good)-1], "longer": append(slices.Clone(good), 0),
		"plain": []byte("thymwin2 and so on, as an earlier version wrote it"),
	} {
		if _, err := s.open(b); !errors.Is(err, errSeal) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := range good {
		b := slices.Clone(good)
		b[i] ^= 1
		if _, err := s.open(b); !errors.Is(err, errSeal) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	for name, other := range map[string]sealer{"another secret": open("Secret", "windows"), "another purpose": open("secret", "state")} {
		if _, err := other.open(good); !errors.Is(err, errSeal) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A file that holds names and is of no use any more does not stay: one that was written unsealed, one of a time with masks.
func TestNamesThatNobodyNeedsAreRemoved(t *testing.T) {
	for _, mask := range []string{"agent_id", ""} {
		t.Run("mask="+mask, func(t *testing.T) {
			s := life(t, "events.mask="+mask)
			path := filepath.Join(s.cfg.Dir, windowsFile)
			if err := os.WriteFile(path, []byte("thymwin1 with very-secret-agent"), 0o600); err != nil {
				t.Fatal(err)
			}
			if s.immunity.blind {
				s.immunity.recallWindows()
			} else {
				s.immunity.dropWindows()
			}
			if b, _ := os.ReadFile(path); bytes.Contains(b, []byte("very-secret-agent")) {
				t.Error("it is still there")
			}
		})
	}
}

// What waits to be stored and cannot be read without its key is said once, and does not lie about for good.
func TestWhatWaitsAndCannotBeReadIsRemoved(t *testing.T) {
	s := life(t)
	s.immunity.stop() // nobody else keeps what waits from here on
	path := filepath.Join(s.cfg.Dir, pendingFile)
	for what, content := range map[string][]byte{
		"of another key":  []byte(sealMagic + "very-secret-agent, sealed under a key that is gone"),
		"of another kind": s.immunity.pendingSealer.seal([]byte(`{"version":9}`)),
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		s.immunity.recallPending()
		s.immunity.keepPending()
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: it is still there (%v)", what, err)
		}
	}
}
