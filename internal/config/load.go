package config

import (
	"fmt"
	"slices"
	"strings"
)

// Options are the sources, and what Load needs to know of the process.
type Options struct {
	File    string       // --config; empty: THYMUS_CONFIG, else no file
	Environ []string     // "NAME=value", as os.Environ gives it
	Set     []Assignment // flags, in their order
	UID     int          // of the process, as os.Geteuid gives it: root's state lies elsewhere
	Exist   bool         // look whether the files and folders that values name are there
}

// Assignment is one value given on the command line.
type Assignment struct {
	Key    string
	Values []string // one, or the elements of a list
	Flag   string   // where it was given, such as "--listen"
	Text   bool     // Values is one text that is to be split at commas if the key is a list
}

// Set reads the argument of --set.
func Set(arg string) (Assignment, error) {
	key, value, ok := strings.Cut(arg, "=")
	if !ok || key == "" {
		return Assignment{}, &Error{Place: "--set", Detail: fmt.Sprintf("got %q, expected key=value", arg)}
	}
	return Assignment{Key: key, Values: []string{value}, Flag: "--set", Text: true}, nil
}

// Load reads all sources. The error is Errors, and holds everything that is wrong.
func Load(o Options) (*Config, error) {
	l := newLoader(o)
	l.defaults()
	l.file()
	l.environ()
	l.flags()
	l.derive()
	l.check()
	if o.Exist {
		l.exist()
	}
	if len(l.errs) > 0 {
		return nil, l.errs
	}
	return l.cfg, nil
}

type loader struct {
	o     Options
	cfg   *Config
	keys  []Key
	byKey map[string]*Key
	all   []string        // names of keys and sections
	bad   map[string]bool // keys that some source set wrongly: no check across keys may read them
	made  map[string]bool // keys that name what Thymus makes by itself
	errs  Errors
}

func newLoader(o Options) *loader {
	l := &loader{
		o: o, cfg: &Config{origins: map[string]string{}}, keys: Schema(),
		byKey: map[string]*Key{}, bad: map[string]bool{}, made: map[string]bool{},
	}
	sections := map[string]bool{}
	for i := range l.keys {
		k := &l.keys[i]
		l.byKey[k.Name] = k
		l.all = append(l.all, k.Name)
		for i, c := range k.Name {
			if c == '.' {
				sections[k.Name[:i]] = true
			}
		}
	}
	for s := range sections {
		l.all = append(l.all, s)
	}
	return l
}

func (l *loader) fail(place, key, format string, args ...any) {
	l.errs = append(l.errs, &Error{Place: place, Key: key, Detail: fmt.Sprintf(format, args...)})
}

func (l *loader) defaults() {
	for i := range l.keys {
		k := &l.keys[i]
		if detail := k.apply(l.cfg, k.split(k.Default)); detail != "" {
			l.fail("default", k.Name, "%s", detail)
		}
	}
}

// set gives a key its value from one source.
func (l *loader) set(k *Key, texts []string, place string) (detail string) {
	if detail = k.apply(l.cfg, texts); detail != "" {
		l.bad[k.Name] = true
		return detail
	}
	l.cfg.origins[k.Name] = place
	return ""
}

func (l *loader) environ() {
	names := make([]string, 0, len(l.keys))
	byEnv := map[string]*Key{}
	for i := range l.keys {
		names = append(names, l.keys[i].Env)
		byEnv[l.keys[i].Env] = &l.keys[i]
	}
	names = append(names, FileEnv)
	env := slices.Clone(l.o.Environ)
	slices.Sort(env)
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, envPrefix) || name == FileEnv {
			continue
		}
		k, ok := byEnv[name]
		switch {
		case ok:
			if detail := l.set(k, k.split(value), name); detail != "" {
				l.fail(name, k.Name, "%s", detail)
			}
		case injected(name):
		default:
			l.fail(name, "", "unknown, did you mean %s?%s", Nearest(name, names), linksHint(name))
		}
	}
}

// FileEnv names the configuration file.
const FileEnv = "THYMUS_CONFIG"

// injected says whether Kubernetes makes this variable for a service called thymus: THYMUS_SERVICE_HOST, THYMUS_PORT,
// THYMUS_PORT_8181_TCP_ADDR and so on. No key begins like that.
func injected(name string) bool {
	return strings.HasPrefix(name, envPrefix+"PORT") || strings.HasPrefix(name, envPrefix+"SERVICE_")
}

// linksHint explains the variables that Kubernetes makes for services called thymus-something.
func linksHint(name string) string {
	if strings.HasSuffix(name, "_SERVICE_HOST") || strings.Contains(name, "_SERVICE_PORT") ||
		strings.HasSuffix(name, "_PORT") || strings.Contains(name, "_TCP") {
		return " (if Kubernetes made it for a service, set enableServiceLinks to false in the pod)"
	}
	return ""
}

func (l *loader) flags() {
	for _, a := range l.o.Set {
		k, ok := l.byKey[a.Key]
		if !ok {
			l.fail("", a.Key, "%s", l.unknown(a.Key))
			continue
		}
		values := a.Values
		if a.Text {
			values = k.split(a.Values[0])
		}
		if detail := l.set(k, values, a.Flag); detail != "" {
			place := a.Flag
			if place == "--set" {
				place = ""
			}
			l.fail(place, k.Name, "%s", detail)
		}
	}
}

// unknown says what is wrong with a name that is no key.
func (l *loader) unknown(name string) string {
	if slices.Contains(l.all, name) {
		var below []string
		for _, k := range l.all {
			if rest, ok := strings.CutPrefix(k, name+"."); ok && !strings.Contains(rest, ".") {
				below = append(below, k)
			}
		}
		slices.Sort(below)
		return "a section, not a key; in it are " + strings.Join(below, ", ")
	}
	return fmt.Sprintf("unknown, did you mean %q?", Nearest(name, l.all))
}
