package native

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"strings"
)

// unitBuiltins read versions, sizes and ranges, and make digests.
var unitBuiltins = map[string]native{
	"semver.compare":     semverCompare,
	"semver.is_valid":    semverIsValid,
	"units.parse_bytes":  parseBytes,
	"numbers.range":      numbersRange,
	"crypto.sha256":      digest,
	"crypto.hmac.sha256": authenticate,
}

// plainVersion is three numbers, and maybe a v before them; what follows a release is OPA's to judge.
func plainVersion(v val) (n [3]int64, ok bool) {
	if v.kind != text {
		return n, false
	}
	s := strings.TrimPrefix(v.str(), "v")
	for i := range n {
		part, rest, more := strings.Cut(s, ".")
		if more != (i < 2) || len(part) > 18 || len(part) > 1 && part[0] == '0' {
			return n, false
		}
		if n[i], ok = parseInt(part); !ok || part[0] == '-' {
			return n, false
		}
		s = rest
	}
	return n, true
}

func semverCompare(_ *machine, a []val) (val, bool) {
	x, ok := plainVersion(a[0])
	y, also := plainVersion(a[1])
	if !ok || !also {
		return val{}, false
	}
	for i := range x {
		if x[i] != y[i] {
			if x[i] < y[i] {
				return intVal(-1), true
			}
			return intVal(1), true
		}
	}
	return intVal(0), true
}

// semverIsValid says no only to what is no text, or has nothing of a version.
func semverIsValid(_ *machine, a []val) (val, bool) {
	if a[0].kind != text {
		return boolVal(false), true
	}
	_, ok := plainVersion(a[0])
	return boolVal(ok), ok || !strings.ContainsAny(a[0].str(), ".")
}

// parseBytes knows an integer of nine digits at most, and a unit in any case of its letters.
func parseBytes(_ *machine, a []val) (val, bool) {
	if a[0].kind != text {
		return val{}, false
	}
	s := a[0].str()
	end := 0
	for end < len(s) && s[end]-'0' <= 9 {
		end++
	}
	if end == 0 || end > 9 || len(s) > end+3 {
		return val{}, false
	}
	n := int64(0)
	for _, c := range []byte(s[:end]) {
		n = n*10 + int64(c-'0')
	}
	factor, ok := byteUnit(s[end:])
	if !ok || factor > 0 && n > math.MaxInt64/factor {
		return val{}, false
	}
	return intVal(n * factor), true
}

func byteUnit(s string) (int64, bool) {
	if s == "" {
		return 1, true
	}
	power := strings.IndexByte("kmgt", s[0]|0x20)
	if power < 0 {
		return 0, false
	}
	base := int64(1000)
	switch rest := s[1:]; {
	case rest == "" || rest[0]|0x20 == 'b' && len(rest) == 1:
	case rest[0]|0x20 == 'i' && (len(rest) == 1 || rest[1]|0x20 == 'b' && len(rest) == 2):
		base = 1024
	default:
		return 0, false
	}
	factor := base
	for range power {
		factor *= base
	}
	return factor, true
}

func numbersRange(m *machine, a []val) (val, bool) {
	if !a[0].isInt() || !a[1].isInt() {
		return val{}, false
	}
	x, y := a[0].n, a[1].n
	if x != int64(int32(x)) || y != int64(int32(y)) || max(x-y, y-x) >= maxParts {
		return val{}, false
	}
	n := m.arena.node()
	for ; x < y; x++ {
		n.e = append(n.e, intVal(x))
	}
	for ; x > y; x-- {
		n.e = append(n.e, intVal(x))
	}
	n.e = append(n.e, intVal(y))
	return nodeVal(array, n), true
}

func digest(m *machine, a []val) (val, bool) {
	if a[0].kind != text || a[0].n > maxConcat {
		return val{}, false
	}
	sum := sha256.Sum256([]byte(a[0].str()))
	return m.hex(sum[:]), true
}

func authenticate(m *machine, a []val) (val, bool) {
	if !bothTexts(a[0], a[1]) || max(a[0].n, a[1].n) > maxConcat {
		return val{}, false
	}
	mac := hmac.New(sha256.New, []byte(a[1].str()))
	mac.Write([]byte(a[0].str()))
	var sum [sha256.Size]byte
	return m.hex(mac.Sum(sum[:0])), true
}

func (m *machine) hex(b []byte) val {
	from := len(m.text)
	m.text = hex.AppendEncode(m.text, b)
	return m.makeText(from)
}
