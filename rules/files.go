package rules

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// file is one file of a set of policies, read.
type file struct {
	name string   // as the operator would find it
	dir  []string // folders between the path that was given and the file: where data goes
	ext  string   // .rego, .json, .yaml or .yml
	test bool     // a _test.rego
	text []byte
}

// readFiles reads all files that paths name, in a stable order, each once. Hidden names are passed over; symbolic links
// are followed, because that is how Kubernetes mounts a volume.
func readFiles(paths []string, problems *Problems) []file {
	w := walker{problems: problems, seen: map[string]bool{}}
	for _, p := range paths {
		info, err := os.Stat(p)
		switch {
		case err != nil:
			w.fail(p, err)
		case info.IsDir():
			w.dir(p, nil)
		case extension(p) == "":
			problems.add(Problem{File: p, Detail: "expected a directory or a file whose name ends in .rego, .json, .yaml or .yml"})
		default:
			w.file(p, nil, "")
		}
	}
	slices.SortStableFunc(w.files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return w.files
}

type walker struct {
	problems *Problems
	files    []file
	seen     map[string]bool // real paths of files, and of directories being walked
}

func (w *walker) fail(name string, err error) {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	w.problems.add(Problem{File: name, Detail: "cannot be read: " + err.Error()})
}

func (w *walker) dir(name string, below []string) {
	real, err := filepath.EvalSymlinks(name)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		w.fail(name, err)
		return
	}
	if w.seen[real+"/"] {
		return // a link to a directory that holds it, or a path inside one that was given too
	}
	w.seen[real+"/"] = true
	entries, err := os.ReadDir(name)
	if err != nil {
		w.fail(name, err)
		return
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		full := filepath.Join(name, e.Name())
		if e.Type().IsRegular() { // as most are: there is no link to follow
			if extension(full) != "" {
				w.file(full, below, filepath.Join(real, e.Name()))
			}
			continue
		}
		info, err := os.Stat(full)
		switch {
		case err != nil:
			if extension(full) != "" {
				w.fail(full, err)
			}
		case info.IsDir():
			w.dir(full, append(below[:len(below):len(below)], e.Name()))
		case info.Mode().IsRegular() && extension(full) != "":
			w.file(full, below, "")
		}
	}
}

// file reads a file whose real path is known, or empty.
func (w *walker) file(name string, dir []string, real string) {
	var err error
	if real == "" {
		if real, err = filepath.EvalSymlinks(name); err == nil {
			real, err = filepath.Abs(real)
		}
	}
	if err != nil {
		w.fail(name, err)
		return
	}
	if w.seen[real] {
		return
	}
	w.seen[real] = true
	text, err := os.ReadFile(name)
	if err != nil {
		w.fail(name, err)
		return
	}
	w.files = append(w.files, file{name: name, dir: dir, ext: extension(name), test: strings.HasSuffix(name, "_test.rego"), text: text})
}

// extension is the file's, where it is one that policies and data have, else empty.
func extension(name string) string {
	switch ext := filepath.Ext(name); ext {
	case ".rego", ".json", ".yaml", ".yml":
		return ext
	}
	return ""
}
