package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// exist looks whether what the values name is there. Defaults name what is made at the first start, so only what some
// source set is looked for.
func (l *loader) exist() {
	for i := range l.keys {
		k := &l.keys[i]
		if k.needs == nothing || l.bad[k.Name] || !l.cfg.IsSet(k.Name) || l.made[k.Name] {
			continue
		}
		for _, path := range k.get(l.cfg) {
			if path == "" || k.Name == "extauthz.jwt.jwks" && strings.HasPrefix(path, "https://") {
				continue
			}
			if detail := missing(k.needs, path); detail != "" {
				l.rule(k.Name, nil, false, detail)
			}
		}
	}
}

// missing says why path is not what it must be; empty where it is.
func missing(n need, path string) string {
	look := path
	if n == parent {
		look = filepath.Dir(path)
	}
	info, err := os.Stat(look)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return look + ": does not exist"
	case err != nil:
		return reason(err)
	case n == file && info.IsDir():
		return path + ": is a folder, expected a file"
	case (n == folder || n == parent) && !info.IsDir():
		return look + ": is no folder"
	}
	return ""
}

// EnsureDir makes the state directory, and those around it, where they are missing, readable by their owner only. A
// directory that is there already keeps its mode.
func EnsureDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return &Error{Key: "dir", Detail: reason(err)}
	}
	return nil
}
