package native

import (
	"math/big"
	"strings"
)

// decimals are the three numbers of an operation. OPA computes with 64 bits of mantissa what is no integer, and so does
// this package, by the same steps.
type decimals struct{ x, y, z big.Float }

const longDecimal = 40 // bytes

// fraction says whether v is a decimal number that is no integer, such as 1.5, and not too long.
func fraction(v val) bool {
	if v.kind != number || v.p == nil || v.n > longDecimal {
		return false
	}
	whole, part, ok := strings.Cut(v.str(), ".")
	return ok && !strings.ContainsAny(part, "eE") && len(whole) <= exactDigits && strings.Trim(part, "0") != ""
}

// float sets one of the numbers to an operand.
func (d *decimals) float(x *big.Float, v val) *big.Float {
	x.SetPrec(64)
	if v.p == nil {
		return x.SetInt64(v.n)
	}
	if _, ok := x.SetString(v.str()); !ok {
		panic("a number that is none: " + v.str())
	}
	return x
}

// onDecimals is a builtin over two numbers, one of which at least is no integer. The other may be one of 64 bits, which
// the mantissa holds.
func onDecimals(f func(z, x, y *big.Float) *big.Float) func(m *machine, a, b val) (val, bool) {
	return func(m *machine, a, b val) (val, bool) {
		if x, y := fraction(a), fraction(b); !x && !y || !x && !a.isInt() || !y && !b.isInt() {
			return val{}, false
		}
		d := &m.decimals
		return m.decimal(f(d.z.SetPrec(64), d.float(&d.x, a), d.float(&d.y, b)))
	}
}

// divided is a quotient that OPA does not compute in integers.
func divided(m *machine, a, b val) (val, bool) {
	if !fraction(a) && !a.isInt() || !fraction(b) && (!b.isInt() || b.n == 0) {
		return val{}, false
	}
	d := &m.decimals
	return m.decimal(d.z.SetPrec(64).Quo(d.float(&d.x, a), d.float(&d.y, b)))
}

// decimal is the number as OPA writes it.
func (m *machine) decimal(f *big.Float) (val, bool) {
	format := byte('g')
	if f.IsInt() {
		format = 'f'
	}
	from := len(m.text)
	m.text = f.Append(m.text, format, -1)
	return numVal(m.makeText(from).str()), true
}

// toInteger rounds in a way that is told by half, what is added before the rest is cut off, and up, whether what is cut
// off counts one. It knows positive numbers.
func toInteger(half, up bool) native {
	return func(m *machine, a []val) (val, bool) {
		if a[0].isInt() {
			return a[0], true
		}
		if !fraction(a[0]) || a[0].str()[0] == '-' {
			return val{}, false
		}
		d := &m.decimals
		x := d.float(&d.x, a[0])
		if half {
			x = d.z.SetPrec(64).Add(x, d.y.SetPrec(64).SetFloat64(0.5))
		}
		n, acc := x.Int64()
		if up && acc != big.Exact {
			n++
		}
		return intVal(n), true
	}
}
