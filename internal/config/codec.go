package config

import (
	"fmt"
	"io/fs"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// codec reads and writes the text of one type of value. expect ends the sentence "got ..., expected"; parse and format
// are inverses: what format writes, parse reads as the same value.
type codec[T any] struct {
	expect string
	parse  func(string) (T, bool)
	format func(T) string
	tag    string   // YAML's, where it is no string
	names  []string // of an enumeration, for the nearest
}

func id(s string) string { return s }

// text is any string of one line.
func text(expect string, ok func(string) bool) codec[string] {
	return codec[string]{expect: expect, format: id, parse: func(s string) (string, bool) {
		return s, !strings.ContainsAny(s, "\x00\r\n") && (ok == nil || ok(s))
	}}
}

// orEmpty lets a text be empty, too.
func orEmpty(c codec[string]) codec[string] {
	parse := c.parse
	c.parse = func(s string) (string, bool) {
		if s == "" {
			return "", true
		}
		return parse(s)
	}
	return c
}

func enum(names ...string) codec[string] {
	c := text(oneOf(names), func(s string) bool { return slices.Contains(names, s) })
	c.names = names
	return c
}

func oneOf(names []string) string {
	if len(names) == 1 {
		return names[0]
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

// either is an enumeration of two, kept as a boolean: yes is true.
func either(no, yes string) codec[bool] {
	return codec[bool]{
		expect: no + " or " + yes, names: []string{no, yes},
		parse: func(s string) (bool, bool) { return s == yes, s == no || s == yes },
		format: func(b bool) string {
			if b {
				return yes
			}
			return no
		},
	}
}

func boolean() codec[bool] {
	c := either("false", "true")
	c.expect, c.names, c.tag = "true or false", nil, "!!bool"
	return c
}

func integer(least, most int) codec[int] {
	return codec[int]{
		expect: fmt.Sprintf("a whole number from %d to %d", least, most), tag: "!!int", format: strconv.Itoa,
		parse: func(s string) (int, bool) {
			n, err := strconv.Atoi(s)
			return n, err == nil && n >= least && n <= most
		},
	}
}

func size(least, most Size) codec[Size] {
	return codec[Size]{
		expect: fmt.Sprintf("a size from %s to %s, in bytes or as 64KiB, 1MiB, 1GiB", least, most), format: Size.String,
		parse: func(s string) (Size, bool) {
			n, ok := ParseSize(s)
			return n, ok && n >= least && n <= most
		},
	}
}

// sizeOr is a size, or a word that stands for 0.
func sizeOr(word string, least, most Size) codec[Size] {
	c := size(least, most)
	parse := c.parse
	c.expect = word + " or " + c.expect
	c.parse = func(s string) (Size, bool) {
		if s == word {
			return 0, true
		}
		return parse(s)
	}
	c.format = func(n Size) string {
		if n == 0 {
			return word
		}
		return n.String()
	}
	return c
}

func duration(least, most time.Duration) codec[time.Duration] {
	return codec[time.Duration]{
		expect: fmt.Sprintf("a duration from %s to %s, such as 50ms, 10s or 168h", short(least), short(most)), format: short,
		parse: func(s string) (time.Duration, bool) {
			d, err := time.ParseDuration(s)
			return d, err == nil && d >= least && d <= most
		},
	}
}

// short writes a duration without the zeros that time.Duration's String ends in: 168h, not 168h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

func fsync() codec[Fsync] {
	every := duration(time.Millisecond, time.Hour)
	return codec[Fsync]{
		expect: "always, never or " + every.expect,
		parse: func(s string) (Fsync, bool) {
			switch s {
			case "always":
				return FsyncAlways, true
			case "never":
				return FsyncNever, true
			}
			d, ok := every.parse(s)
			return Fsync(d), ok
		},
		format: func(f Fsync) string {
			switch f {
			case FsyncAlways:
				return "always"
			case FsyncNever:
				return "never"
			}
			return short(time.Duration(f))
		},
	}
}

// octal is a file's permission bits; what is not quoted in YAML is octal all the same.
func octal() codec[fs.FileMode] {
	return codec[fs.FileMode]{
		expect: "an octal mode from 0000 to 0777, such as 0660",
		parse: func(s string) (fs.FileMode, bool) {
			n, err := strconv.ParseUint(strings.TrimPrefix(s, "0o"), 8, 32)
			return fs.FileMode(n), err == nil && n <= 0o777
		},
		format: func(m fs.FileMode) string { return fmt.Sprintf("%04o", uint32(m.Perm())) },
	}
}

func address() codec[Address] {
	return codec[Address]{
		expect: "host:port such as 127.0.0.1:8181, [::1]:8181 or :0, or nothing for off",
		parse:  func(s string) (Address, bool) { return Address(s), s == "" || hostPort(s, 0) },
		format: func(a Address) string { return string(a) },
	}
}

func broker() codec[string] {
	return text("host:port such as kafka-0:9092", func(s string) bool { return s[0] != ':' && hostPort(s, 1) })
}

// hostPort says whether s is an address whose port is a number that is not below least.
func hostPort(s string, least int) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil || port == "" || port[0] < '0' || port[0] > '9' {
		return false
	}
	n, err := strconv.Atoi(port)
	if err != nil || n < least || n > math.MaxUint16 {
		return false
	}
	if strings.Contains(host, ":") {
		_, err := netip.ParseAddr(host)
		return err == nil
	}
	return !strings.ContainsFunc(host, func(r rune) bool {
		return r != '-' && r != '_' && r != '.' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}
