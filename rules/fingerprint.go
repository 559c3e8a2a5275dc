package rules

import (
	"errors"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// fingerprint is a digest of the files that paths name by name, size and time of change. A file that changed so lately
// that another write may carry the same time goes in by its content.
func fingerprint(paths []string) uint64 {
	const lately = 3 * time.Second
	h := fnv.New64a()
	now := time.Now()
	for _, p := range paths {
		eachFile(filepath.Clean(p), func(name string, dir, _ bool) {
			if dir {
				return
			}
			info, err := os.Stat(name)
			if err != nil {
				return
			}
			_, _ = io.WriteString(h, name+"\x00"+strconv.FormatInt(info.Size(), 10)+" "+
				strconv.FormatInt(info.ModTime().UnixNano(), 10)+info.Mode().String()+"\x00")
			if now.Sub(info.ModTime()) < lately {
				if text, err := os.ReadFile(name); err == nil {
					_, _ = h.Write(text)
				}
			}
		})
	}
	return h.Sum64()
}

// eachFile calls f for every directory and every loadable file at and below path, as readFiles would find them. plain says
// of a file that its folder names it: it is no symbolic link.
func eachFile(path string, f func(name string, dir, plain bool)) {
	seen := map[string]bool{}
	var walk func(name string)
	walk = func(name string) {
		info, err := os.Stat(name)
		if err != nil {
			return
		}
		if !info.IsDir() {
			if extension(name) != "" {
				f(name, false, false)
			}
			return
		}
		real, err := filepath.EvalSymlinks(name)
		if err != nil || seen[real] {
			return
		}
		seen[real] = true
		f(name, true, false)
		entries, err := os.ReadDir(name)
		if err != nil {
			return
		}
		for _, e := range entries {
			switch {
			case strings.HasPrefix(e.Name(), "."):
			case !e.Type().IsRegular():
				walk(filepath.Join(name, e.Name()))
			case extension(e.Name()) != "":
				f(filepath.Join(name, e.Name()), false, true)
			}
		}
	}
	walk(path)
}

func isDir(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// exhausted says that the system has no watch left to give, rather than that there is nothing to watch.
func exhausted(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}
