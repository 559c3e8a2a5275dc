package cli

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// errDirInUse says that another process has the state directory.
var errDirInUse = errors.New("another process uses it; every sidecar needs a directory of its own")

// lockDir makes this process the directory's only one, for as long as the file is open. The kernel ends the lock with
// the process, however that ends.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, key("dir", err)
	}
	if err := flock(f); err != nil {
		return nil, errors.Join(key("dir", fmt.Errorf("%s: %w", dir, err)), f.Close())
	}
	return f, nil
}

// instanceName is the configured name, else the one kept in dir, which the first start makes from the host's name and a
// random part: replicas of one image on one host are told apart, and a restart keeps its name.
func instanceName(dir, configured string) (string, error) {
	if configured != "" {
		return configured, nil
	}
	path := filepath.Join(dir, "instance")
	b, err := os.ReadFile(path)
	if err == nil {
		if name := strings.TrimSpace(string(b)); name != "" {
			return name, nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", key("instance", err)
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "thymus"
	}
	var r [4]byte
	rand.Read(r[:]) // never fails: crypto/rand
	name := hostPart(host) + "-" + hex.EncodeToString(r[:])
	if err := writeNew(path, name+"\n"); err != nil {
		return "", key("instance", err)
	}
	return name, nil
}

// hostPart is a host's name in the letters of an instance's.
func hostPart(host string) string {
	host = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
			return r
		}
		return '-'
	}, host)
	return host[:min(len(host), 100)]
}

// writeNew writes a file as a whole or not at all.
func writeNew(path, text string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // 0600
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
