package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	extLines = ".ndjson"
	extSide  = ".side"
	extSign  = ".sig"
	extSink  = ".sink"
	extTemp  = ".tmp"
	lockName = "LOCK"
	digits   = 20 // of the largest uint64, so that names sort like numbers
)

func fileName(dir string, first uint64, ext string) string {
	return filepath.Join(dir, fmt.Sprintf("%0*d%s", digits, first, ext))
}

// parseName reads the number in a file name with one of our extensions.
func parseName(name, ext string) (uint64, bool) {
	stem, ok := strings.CutSuffix(name, ext)
	if !ok || len(stem) != digits {
		return 0, false
	}
	n, err := strconv.ParseUint(stem, 10, 64)
	return n, err == nil && n > 0 && n <= maxNumber && stem[0] >= '0' && stem[0] <= '9'
}

// listing is what lies in a journal's directory.
type listing struct {
	segments []uint64 // first numbers, ascending, of which there is a segment, a side file or both
	lines    map[uint64]bool
	sides    map[uint64]bool
	sinks    []string // names of sinks
	temps    []string // paths of files that an interrupted replacement left
}

// list reads the directory. A file that bears one of our extensions but not one of our names is foreign: whoever reads
// the segments in the order of their names would take it for a part of the journal. Other files do no harm.
func list(dir string) (*listing, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, &WriteError{"read", dir, err}
	}
	l := &listing{lines: map[uint64]bool{}, sides: map[uint64]bool{}}
	for _, e := range entries {
		name := e.Name()
		path := filepath.Join(dir, name)
		ext := filepath.Ext(name)
		switch ext {
		case extLines, extSide, extSign:
			n, ok := parseName(name, ext)
			if !ok {
				return nil, &ForeignError{path, "not named as a journal's files are (20 digits); move it elsewhere"}
			}
			if !e.Type().IsRegular() {
				return nil, &ForeignError{path, "not a regular file"}
			}
			switch ext {
			case extLines:
				l.lines[n] = true
			case extSide:
				l.sides[n] = true
			}
		case extSink:
			if stem := strings.TrimSuffix(name, extSink); sinkName(stem) {
				l.sinks = append(l.sinks, stem)
			} else {
				return nil, &ForeignError{path, "not named as a sink's file is"}
			}
		case extTemp:
			l.temps = append(l.temps, path)
		}
	}
	for n := range l.lines {
		l.segments = append(l.segments, n)
	}
	for n := range l.sides {
		if !l.lines[n] {
			l.segments = append(l.segments, n)
		}
	}
	slices.Sort(l.segments)
	return l, nil
}

// makeDir makes the journal's directory and proves that it can be written.
func makeDir(dir string) error {
	if dir == "" {
		return &ForeignError{"(empty)", "the journal needs a directory"}
	}
	if st, err := os.Stat(dir); err == nil && !st.IsDir() {
		return &ForeignError{dir, "not a directory"}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return &WriteError{"create", dir, err}
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	return errors.Join(err, d.Close())
}

// replace writes a small file so that readers find the old or the new content and nothing between.
func replace(path string, content []byte, sync bool) error {
	tmp := path + extTemp
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return &WriteError{"create", tmp, err}
	}
	_, err = f.Write(content)
	if err == nil && sync {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		_ = os.Remove(tmp) // best effort: the next start removes it too
		return &WriteError{"write", path, err}
	}
	return nil
}

func fileSize(f *os.File) (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

func notExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
