package config

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// uid is a user's number.
func uid() codec[uint32] {
	return codec[uint32]{
		expect: "a user id from 0 to 4294967295", tag: "!!int",
		parse: func(s string) (uint32, bool) {
			n, err := strconv.ParseUint(s, 10, 32)
			return uint32(n), err == nil
		},
		format: func(n uint32) string { return strconv.FormatUint(uint64(n), 10) },
	}
}

// mask is PATH or PATH=hash, PATH being names parted by dots.
func mask() codec[Mask] {
	return codec[Mask]{
		expect: "a path into the payload such as agent_id or input.context.token, or path=hash",
		parse: func(s string) (Mask, bool) {
			path, how, found := strings.Cut(s, "=")
			return Mask{Path: path, Hash: found}, dotted(path) && (!found || how == "hash")
		},
		format: func(m Mask) string {
			if m.Hash {
				return m.Path + "=hash"
			}
			return m.Path
		},
	}
}

// dotted says whether s is names parted by dots.
func dotted(s string) bool {
	for part := range strings.SplitSeq(s, ".") {
		if part == "" || strings.ContainsAny(part, " \t\x00\r\n") {
			return false
		}
	}
	return true
}

// quota is "5%", or a number of subjects.
func quota() codec[Quota] {
	return codec[Quota]{
		expect: "a share of the active subjects such as 5%, or a number of them",
		parse: func(s string) (Quota, bool) {
			if p, ok := strings.CutSuffix(s, "%"); ok {
				f, err := strconv.ParseFloat(p, 64)
				return Quota{Percent: f}, err == nil && f > 0 && f <= 100
			}
			n, err := strconv.Atoi(s)
			return Quota{Count: n}, err == nil && n >= 0
		},
		format: func(q Quota) string {
			if q.Percent > 0 {
				return strconv.FormatFloat(q.Percent, 'f', -1, 64) + "%"
			}
			return strconv.Itoa(q.Count)
		},
	}
}

// share is a number from 0 to 1.
func share() codec[float64] {
	return codec[float64]{
		expect: "a number from 0 to 1", tag: "!!float",
		parse: func(s string) (float64, bool) {
			f, err := strconv.ParseFloat(s, 64)
			return f, err == nil && f >= 0 && f <= 1
		},
		format: func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) },
	}
}

// webURL is an absolute URL of one of the schemes, without user, query and fragment.
func webURL(expect string, schemes ...string) codec[string] {
	return text(expect, func(s string) bool {
		u, err := url.Parse(s)
		if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return false
		}
		for _, scheme := range schemes {
			if u.Scheme == scheme {
				return true
			}
		}
		return false
	})
}

// store is "embedded" or a redis URL.
func store() codec[string] {
	return text("embedded or redis://[user:password@]host[:port][/database] (rediss:// with TLS)", func(s string) bool {
		if s == "embedded" {
			return true
		}
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "redis" && u.Scheme != "rediss" || u.Hostname() == "" || u.Fragment != "" {
			return false
		}
		db := strings.TrimPrefix(u.Path, "/")
		_, err = strconv.ParseUint(db, 10, 16)
		return db == "" || err == nil
	})
}

// identity is one source of a proxy's subject.
func identity() codec[string] {
	c := text("jwt, principal, address or header:NAME", func(s string) bool {
		if name, ok := strings.CutPrefix(s, "header:"); ok {
			return headerName(name)
		}
		return s == "jwt" || s == "principal" || s == "address"
	})
	return c
}

// headerName says whether s is a token by RFC 9110.
func headerName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("!#$%&'*+-.^_`|~", r) && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// inputPath is a path into the input document.
func inputPath() codec[string] {
	return text("a path into the input such as input.subject.id", func(s string) bool {
		return strings.HasPrefix(s, "input.") && dotted(s)
	})
}

// socketPath is a file that an address of the Unix family can hold: its path has at most 107 bytes on Linux and 103
// elsewhere.
func socketPath() codec[string] {
	return text(fmt.Sprintf("a path of at most %d bytes", maxSocketPath), func(s string) bool { return len(s) <= maxSocketPath })
}
