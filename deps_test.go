package main

import (
	"bytes"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// bound is what one room may import of ours, and why no more.
type bound struct {
	room string
	may  []string
	why  string
}

// law says which of our own packages each package may import. A room ends in "/..." where its subfolders live by the
// same line. Tests may import what they like.
var law = []bound{
	{".", []string{"internal/cli"}, "main hands over and knows nothing"},
	{"pdp", nil, "the vocabulary is spoken by all, so it may know none"},
	{"pdp/wire", []string{"pdp"}, "bytes and vocabulary meet here, and nothing else does"},
	{"pdp/engine", []string{"pdp", "internal/metrics"}, "it declares the interfaces it calls; counters are its only tool"},
	{"pdp/policy", []string{"pdp", "internal/state", "internal/metrics"}, "it declares the interfaces it calls; state is its disk, counters its statistics"},
	{"pdp/threat", []string{"pdp", "internal/state"}, "it declares the interfaces it calls; state is its disk"},
	{"pdp/immune", []string{"pdp", "internal/state"}, "it declares the interfaces it calls; state is its disk"},
	{"pdp/detect", []string{"pdp", "pdp/threat", "pdp/immune"}, "detectors read records and write threats and immune events"},
	{"pdp/server", []string{"pdp", "pdp/engine", "pdp/wire", "internal/guard", "internal/health", "internal/metrics"},
		"a plane imports what it serves, and never another plane"},
	{"pdp/extauthz/...", []string{"pdp", "pdp/engine", "pdp/wire", "pdp/extauthz/...", "internal/guard", "internal/health", "internal/metrics"},
		"a plane imports what it serves, and never another plane"},
	{"pdp/admin", []string{"pdp", "pdp/engine", "pdp/policy", "pdp/threat", "pdp/immune", "pdp/wire", "internal/guard", "internal/health", "internal/metrics"},
		"a plane imports what it serves, and never another plane"},
	{"rules", []string{"pdp", "rules/native"}, "how Rego is evaluated is nobody's business but its own; it picks the engine that stands behind the seam"},
	{"rules/native", []string{"pdp"}, "it fills the same seam as topdown and is handed its oracle and fallback through it"},
	{"emitter", []string{"pdp", "emitter/ring", "emitter/journal"}, "the pump joins ring and journal"},
	{"emitter/ring", []string{"pdp"}, "it carries bytes by class"},
	{"emitter/journal", []string{"pdp"}, "it keeps lines by class"},
	{"emitter/sink", []string{"emitter", "emitter/journal"}, "it reads the journal and nothing before it, and knows lines as the emitter writes them"},
	{"emitter/kafka", []string{"emitter/sink"}, "it delivers batches; order, retries and accounts are the shipper's"},
	{"internal/config", nil, "what is configured is told to the rooms by whoever wires them"},
	{"internal/guard", nil, "tokens, certificates and sockets are the same for every plane"},
	{"internal/health", []string{"pdp"}, "whether it is well is asked of it by functions"},
	{"internal/metrics", nil, "counters know nothing of what they count"},
	{"internal/metrics/prom", []string{"internal/metrics"}, "the one place where counters meet Prometheus"},
	{"internal/state", []string{"pdp"}, "one file, one transaction; what lies in it is its users' business"},
	{"internal/cli/...", []string{"..."}, "wiring sees all"},
	{"test/harness", nil, "it runs the program and asks it, as anybody could"},
	{"examples/...", nil, "policies and their tests; no program calls them"},
	{"bench/...", []string{"bench/..."}, "it measures any decision point, so it knows ours from outside only"},
}

// sole says who alone may import a module: what only one room knows can be changed in one room.
var sole = []struct {
	module string
	rooms  []string
	why    string
}{
	{"github.com/open-policy-agent/opa", []string{"rules", "rules/native"}, "another engine takes topdown's place without anything else moving"},
	{"github.com/segmentio/kafka-go", []string{"emitter/kafka"}, "a sink is an interface"},
	{"github.com/valyala/fasthttp", []string{"pdp/server", "pdp/extauthz", "bench/..."}, "its requests are reused, and nobody else should have to know when"},
	{"google.golang.org/grpc", []string{"pdp/extauthz", "bench/..."}, "one plane speaks gRPC"},
	{"google.golang.org/protobuf", []string{"bench/..."}, "the one protobuf message that is read is read by hand"},
	{"github.com/envoyproxy/go-control-plane", []string{"bench/..."}, "tests hold our tables against Envoy's descriptors; nothing else needs them"},
	{"github.com/lestrrat-go/jwx/v3", []string{"pdp/extauthz/token"}, "signatures are a library's business, and one package's"},
	{"github.com/spf13/cobra", []string{"internal/cli/..."}, "only the command line has flags"},
	{"github.com/rs/zerolog", []string{"internal/cli/..."}, "rooms return errors and call hooks; who wires them logs"},
	{"go.etcd.io/bbolt", []string{"internal/state"}, "one file, one owner"},
	{"github.com/redis/go-redis/v9", []string{"pdp/threat"}, "where a fleet keeps its threats is the registry's own business"},
	{"github.com/fsnotify/fsnotify", []string{"rules"}, "only policies are watched; tokens and certificates are read again when asked for"},
	{"go.yaml.in/yaml/v3", []string{"rules", "internal/config", "internal/cli/..."}, "requests are JSON; the command line reads OPA's configuration"},
}

const module = "thymus"

// longest is how many lines a file may have, tests aside.
const longest = 400

type source struct {
	path    string // below the root, with slashes
	room    string // its folder
	imports []string
	lines   int
	test    bool
}

// sources reads every Go file of the module.
func sources(t *testing.T) []source {
	t.Helper()
	var out []source
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if p != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || exists(filepath.Join(p, "go.mod"))) {
				return filepath.SkipDir // what the go command does not look into either
			}
			return nil
		}
		if filepath.Ext(p) != ".go" {
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, text, parser.ImportsOnly)
		if err != nil {
			return err
		}
		s := source{path: filepath.ToSlash(p), room: path.Dir(filepath.ToSlash(p)), lines: bytes.Count(text, []byte("\n")), test: strings.HasSuffix(p, "_test.go")}
		for _, i := range f.Imports {
			name, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			s.imports = append(s.imports, name)
		}
		out = append(out, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 20 {
		t.Fatalf("only %d files were found", len(out))
	}
	return out
}

func exists(p string) bool {
	_, err := os.Stat(p)
	return err == nil
}

// in says whether a room is one of those listed.
func in(room string, rooms []string) bool {
	return slices.ContainsFunc(rooms, func(r string) bool {
		prefix, below := strings.CutSuffix(r, "...")
		return room == r || below && strings.HasPrefix(room+"/", prefix)
	})
}

func TestPackagesImportOnlyWhatTheLawAllows(t *testing.T) {
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		i := slices.IndexFunc(law, func(b bound) bool { return in(s.room, []string{b.room}) })
		if i < 0 {
			t.Errorf("%s: the law does not know the room %s", s.path, s.room)
			continue
		}
		for _, name := range s.imports {
			if ours, ok := strings.CutPrefix(name, module+"/"); ok && !in(ours, law[i].may) {
				t.Errorf("%s imports %s, which %s may not: %s", s.path, ours, s.room, law[i].why)
			}
		}
	}
}

func TestTheVocabularyImportsTheStandardLibraryAlone(t *testing.T) {
	for _, s := range sources(t) {
		if s.room != "pdp" || s.test {
			continue
		}
		for _, name := range s.imports {
			if first, _, _ := strings.Cut(name, "/"); strings.Contains(first, ".") {
				t.Errorf("%s imports %s", s.path, name)
			}
		}
	}
}

func TestModulesThatOneRoomAloneKnows(t *testing.T) {
	for _, s := range sources(t) {
		for _, m := range sole {
			for _, name := range s.imports {
				if (name == m.module || strings.HasPrefix(name, m.module+"/")) && !s.test && !in(s.room, m.rooms) {
					t.Errorf("%s imports %s: %s", s.path, name, m.why)
				}
			}
		}
	}
}

func TestFilesStayShortEnoughToRead(t *testing.T) {
	for _, s := range sources(t) {
		if s.lines > longest && !s.test {
			t.Errorf("%s has %d lines, more than %d: is there a second room in it?", s.path, s.lines, longest)
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	seen := map[string]bool{".": true} // a command is told by main.go
	for _, s := range sources(t) {
		if s.test || seen[s.room] {
			continue
		}
		seen[s.room] = true
		if !exists(filepath.Join(filepath.FromSlash(s.room), "doc.go")) {
			t.Errorf("%s has no doc.go", s.room)
		}
	}
}
