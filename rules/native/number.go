package native

import (
	"math"
	"strconv"
	"unsafe"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/util"
)

// numVal reads a number's JSON text. Integers that int64 holds become integers, unless their text is not the one that
// they would be printed as (-0); everything else stays text, so that no digit is ever lost.
func numVal(s string) val {
	if n, ok := parseInt(s); ok {
		return intVal(n)
	}
	return val{kind: number, p: unsafe.Pointer(unsafe.StringData(s)), n: int64(len(s))}
}

func parseInt(s string) (int64, bool) {
	if len(s) == 0 || len(s) > 20 {
		return 0, false
	}
	if len(s) > 18 {
		n, err := strconv.ParseInt(s, 10, 64)
		return n, err == nil && s[0] != '+'
	}
	i := 0
	if s[0] == '-' {
		i = 1
		if len(s) == 1 || s[1] == '0' {
			return 0, false
		}
	}
	var n int64
	for ; i < len(s); i++ {
		c := s[i] - '0'
		if c > 9 {
			return 0, false
		}
		n = n*10 + int64(c)
	}
	if s[0] == '-' {
		n = -n
	}
	return n, true
}

// isInt says whether v is an integer held as one.
func (v val) isInt() bool { return v.kind == number && v.p == nil }

// position is v as the index of an array, which 1.0 is too, and 1e0 is not.
func (v val) position() (int64, bool) {
	if v.kind != number {
		return 0, false
	}
	if v.p == nil {
		return v.n, v.n >= 0
	}
	n, ok := util.Atoi64(v.str())
	return n, ok && n >= 0
}

// appendNumber appends the number's JSON text.
func appendNumber(dst []byte, v val) []byte {
	if v.p == nil {
		return strconv.AppendInt(dst, v.n, 10)
	}
	return append(dst, v.str()...)
}

func numberText(v val) string {
	if v.p == nil {
		return strconv.FormatInt(v.n, 10)
	}
	return v.str()
}

// float is the nearest float64; equal numbers have equal floats, so that it serves as a hash.
func (v val) float() float64 {
	if v.p == nil {
		return float64(v.n)
	}
	f, _ := strconv.ParseFloat(v.str(), 64)
	return f
}

// exactDigits is how many decimal digits a float64 tells apart.
const exactDigits = 15

func compareNumbers(a, b val) int {
	if a.p == nil && b.p == nil {
		switch {
		case a.n < b.n:
			return -1
		case a.n > b.n:
			return 1
		}
		return 0
	}
	if short(a) && short(b) {
		x, y := a.float(), b.float()
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	}
	return ast.NumberCompare(ast.Number(numberText(a)), ast.Number(numberText(b)))
}

// short says whether the number has so few digits, and so small an exponent, that comparing float64s is exact.
func short(v val) bool {
	if v.p == nil {
		return v.n < 1e15 && v.n > -1e15
	}
	s := v.str()
	if len(s) > exactDigits+2 { // a sign and a point
		return false
	}
	for i := range len(s) {
		if s[i] == 'e' || s[i] == 'E' {
			return false
		}
	}
	return true
}

func hashNumber(v val) uint64 {
	f := v.float()
	if f == 0 {
		f = 0 // -0 too
	}
	return mix(math.Float64bits(f))
}
