package config

import (
	"fmt"
	"net/url"
	"strings"
)

// Key is one row of the schema: all that is known of one key.
type Key struct {
	Name    string // "data.listen"
	Env     string // "THYMUS_DATA_LISTEN"
	Flag    string // of its own beside --set, without dashes; empty: none
	Default string // as text; lists are separated by commas
	Derived string // what an empty default becomes, in words
	Doc     string // one line: what it is for
	Expect  string // what a value looks like
	List    bool
	Secret  bool // never shown

	needs need
	tag   string
	names []string
	mask  func(string) string
	set   func(*Config, []string) (bad string, ok bool)
	get   func(*Config) []string
}

// need is what must exist where a value names it.
type need uint8

const (
	nothing need = iota
	file
	folder
	fileOrFolder
	parent // the folder around it: the thing itself is made
)

// option refines a row.
type option func(*Key)

func flag(name string) option     { return func(k *Key) { k.Flag = name } }
func derived(words string) option { return func(k *Key) { k.Derived = words } }
func names(n need) option         { return func(k *Key) { k.needs = n } }
func secret() option              { return masked(func(string) string { return Masked }) }
func masked(f func(string) string) option {
	return func(k *Key) { k.Secret, k.mask = true, f }
}

// Masked stands for a secret wherever one would be printed. It is refused as a value, so that a printed document that is
// loaded again cannot pass for a secret.
const Masked = "********"

// maskURL hides the password in a URL.
func maskURL(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return Masked
	}
	if pw, ok := u.User.Password(); !ok || pw == "" {
		return s
	}
	u.User = url.UserPassword(u.User.Username(), Masked)
	return strings.Replace(u.String(), url.QueryEscape(Masked), Masked, 1)
}

// one is a row with a single value.
func one[T any](name, def, doc string, at func(*Config) *T, c codec[T], opts ...option) Key {
	k := row(name, def, doc, c.expect, c.tag, c.names, opts)
	k.set = func(cfg *Config, texts []string) (string, bool) {
		v, ok := c.parse(texts[0])
		if ok {
			*at(cfg) = v
		}
		return texts[0], ok
	}
	k.get = func(cfg *Config) []string { return []string{c.format(*at(cfg))} }
	return k
}

// many is a row with a list. A value that stands twice is kept once.
func many[T comparable](name, def, doc string, at func(*Config) *[]T, c codec[T], opts ...option) Key {
	k := row(name, def, doc, c.expect, c.tag, c.names, opts)
	k.List = true
	k.set = func(cfg *Config, texts []string) (string, bool) {
		var out []T
		seen := map[T]bool{}
		for _, t := range texts {
			if t == "" {
				return t, false
			}
			v, ok := c.parse(t)
			if !ok {
				return t, false
			}
			if !seen[v] {
				seen[v] = true
				out = append(out, v)
			}
		}
		*at(cfg) = out
		return "", true
	}
	k.get = func(cfg *Config) []string {
		texts := make([]string, 0, len(*at(cfg)))
		for _, v := range *at(cfg) {
			texts = append(texts, c.format(v))
		}
		return texts
	}
	return k
}

func row(name, def, doc, expect, tag string, names []string, opts []option) Key {
	k := Key{Name: name, Env: EnvName(name), Default: def, Doc: doc, Expect: expect, tag: tag, names: names}
	for _, o := range opts {
		o(&k)
	}
	return k
}

// EnvName is the variable that sets a key.
func EnvName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

const envPrefix = "THYMUS_"

// split takes the text of a variable or of --set apart.
func (k *Key) split(text string) []string {
	if !k.List {
		return []string{text}
	}
	if text == "" {
		return nil
	}
	parts := strings.Split(text, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

// Bool says whether the value is true or false.
func (k *Key) Bool() bool { return k.tag == "!!bool" }

// expected says what a value looks like, the empty one included.
func (k *Key) expected() string {
	switch {
	case k.List:
		return k.Expect + `, or [] for none`
	case k.Default == "":
		return k.Expect + `, or "" for none`
	}
	return k.Expect
}

// apply sets the value, or says what is wrong with it.
func (k *Key) apply(c *Config, texts []string) (detail string) {
	if k.Secret {
		for _, t := range texts {
			if strings.Contains(t, Masked) {
				return "holds the mask " + Masked + " in place of the secret"
			}
		}
	}
	bad, ok := k.set(c, texts)
	switch {
	case ok:
		return ""
	case k.Secret:
		return "got a value that is not shown, expected " + k.Expect
	}
	detail = fmt.Sprintf("got %q, expected %s", bad, k.Expect)
	if k.names != nil && bad != "" {
		if n := Nearest(bad, k.names); distance(bad, n) <= 2 {
			detail += fmt.Sprintf(", did you mean %q?", n)
		}
	}
	return detail
}
