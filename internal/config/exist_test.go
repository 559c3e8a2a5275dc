package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"thymus/internal/config"
)

func TestWhatAValueNamesMustBeThere(t *testing.T) {
	dir := t.TempDir()
	there := filepath.Join(dir, "there")
	if err := os.WriteFile(there, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cases := []struct{ name, set, want string }{
		{"a token file", "data.token_file=DIR/none", `key "data.token_file": DIR/none: does not exist`},
		{"a folder for a file", "data.token_file=DIR", `key "data.token_file": DIR: is a folder, expected a file`},
		{"a policy path", "policies.paths=DIR,DIR/none", `key "policies.paths": DIR/none: does not exist`},
		{"a ring's folder", "events.ring.path=DIR/there", `key "events.ring.path": DIR/there: is no folder`},
		{"the folder around a socket", "data.socket=DIR/none/s", `key "data.socket": DIR/none: does not exist`},
		{"a path through a file", "data.token_file=DIR/there/x", `key "data.token_file": DIR/there/x: not a directory`},
		{"a journal that is made", "events.journal.path=DIR/journal", ""},
		{"the token file that is made at the first start", "management.token_file=DIR/state/management.token", ""},
		{"the journal that is made at the first start", "events.journal.path=DIR/state/journal", ""},
		{"keys behind a URL", "extauthz.jwt.jwks=https://id.example/keys", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := source{set: []string{"dir=" + dir + "/state", strings.ReplaceAll(c.set, "DIR", dir), "extauthz.identity=address"}}
			if strings.Contains(c.set, "jwks") {
				s.set[2] = "extauthz.identity=jwt"
			}
			_, err := s.load(t, true)
			got := ""
			if err != nil {
				got = strings.ReplaceAll(err.Error(), dir, "DIR")
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestTheFileItself(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(large, make([]byte, 1<<20+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		o    config.Options
		want string
	}{
		{"is missing", config.Options{File: dir + "/none.yaml"}, "--config: DIR/none.yaml: no such file or directory"},
		{"is a folder", config.Options{Environ: []string{"THYMUS_CONFIG=" + dir}}, "THYMUS_CONFIG: DIR: is a directory"},
		{"is too large", config.Options{File: large}, "--config: DIR/large.yaml: larger than 1MiB, expected a YAML file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := config.Load(c.o)
			if err == nil || strings.ReplaceAll(err.Error(), dir, "DIR") != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestTheStateDirectoryIsTheOwnersAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	for range 2 { // the second finds it
		if err := config.EnsureDir(dir); err != nil {
			t.Fatal(err)
		}
		for _, d := range []string{dir, filepath.Dir(dir)} {
			if info, err := os.Stat(d); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("%s has mode %v (%v)", d, info.Mode(), err)
			}
		}
	}
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := config.EnsureDir(blocked); err == nil || err.Error() != `key "dir": `+blocked+`: not a directory` {
		t.Errorf("over a file: %v", err)
	}
}
