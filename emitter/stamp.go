package emitter

import "strconv"

// stamp is a moment as text: seconds and six decimals. Every event of a decision says it two or three times, and the
// decision after it most often differs only behind the point, so that what is the same is not formatted again.
type stamp struct {
	ns, sec int64 // those of text; -1 before the first
	text    [32]byte
	point   int // where the point is
}

func newStamp() stamp { return stamp{ns: -1, sec: -1} }

// set makes it the moment ns, nanoseconds since 1970 and not negative.
func (s *stamp) set(ns int64) {
	if ns == s.ns {
		return
	}
	if sec := ns / 1e9; sec != s.sec {
		s.sec, s.point = sec, len(strconv.AppendInt(s.text[:0], sec, 10))
		s.text[s.point] = '.'
	}
	s.ns = ns
	putDecimals(s.text[s.point+1:], uint32(ns%1e9/1e3))
}

// seconds appends it with six decimals: what a float64 still tells apart in this century. Its milliseconds are those of
// millis.
func (s *stamp) seconds(dst []byte) []byte { return append(dst, s.text[:s.point+7]...) }

// millis appends the whole milliseconds since 1970.
func (s *stamp) millis(dst []byte) []byte {
	if s.sec == 0 {
		return strconv.AppendInt(dst, s.ns/1e6, 10) // without the zeros in front
	}
	dst = append(dst, s.text[:s.point]...)
	return append(dst, s.text[s.point+1:s.point+4]...)
}

// pairs is 00 to 99.
const pairs = "0001020304050607080910111213141516171819" +
	"2021222324252627282930313233343536373839" +
	"4041424344454647484950515253545556575859" +
	"6061626364656667686970717273747576777879" +
	"8081828384858687888990919293949596979899"

// putDecimals writes n, below 1,000,000, with six digits.
func putDecimals(dst []byte, n uint32) {
	_ = dst[5]
	a, b, c := n/10000*2, n/100%100*2, n%100*2
	dst[0], dst[1] = pairs[a], pairs[a+1]
	dst[2], dst[3] = pairs[b], pairs[b+1]
	dst[4], dst[5] = pairs[c], pairs[c+1]
}
