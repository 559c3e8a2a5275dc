package config

import (
	"path/filepath"
	"strings"
)

// derive fills in the defaults that hang on other values. Their origin stays Default. A source that names what the
// default is anyway sets nothing: a printed document that is loaded again means what it meant.
func (l *loader) derive() {
	c := l.cfg
	if c.Dir == "" {
		if c.Dir = l.stateDir(); c.Dir == "" {
			l.fail("", "dir", "there is no home directory to keep state in, expected a folder")
			l.bad["dir"] = true
			return
		}
	}
	l.own("management.token_file", &c.Management.TokenFile, filepath.Join(c.Dir, "management.token"))
	l.own("events.journal.path", &c.Events.Journal.Path, filepath.Join(c.Dir, "journal"))
	if c.Data.PublicURL == "" {
		c.Data.PublicURL = c.Data.Listen.URL(c.Data.TLS.Cert != "")
	}
}

// own gives a path that Thymus makes by itself to a key that has none.
func (l *loader) own(key string, at *string, path string) {
	if *at == "" || filepath.Clean(*at) == path {
		*at = path
		l.made[key] = true
	}
}

// stateDir is where this user's state lies by default; empty without a home. By the XDG base directory specification a
// relative XDG_STATE_HOME does not count.
func (l *loader) stateDir() string {
	if l.o.UID == 0 {
		return "/var/lib/thymus"
	}
	var xdg, home string
	for _, kv := range l.o.Environ {
		if v, ok := strings.CutPrefix(kv, "XDG_STATE_HOME="); ok {
			xdg = v
		}
		if v, ok := strings.CutPrefix(kv, "HOME="); ok {
			home = v
		}
	}
	switch {
	case filepath.IsAbs(xdg):
		return filepath.Join(xdg, "thymus")
	case filepath.IsAbs(home):
		return filepath.Join(home, ".local", "state", "thymus")
	}
	return ""
}
