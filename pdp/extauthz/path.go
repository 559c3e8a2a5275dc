package extauthz

import "bytes"

// Canonical paths are Envoy's with normalize_path, merge_slashes and UNESCAPE_AND_FORWARD, in Envoy's order:
//
//  1. slashes: %2F, %5C and \ become /
//  2. decode: escapes of unreserved characters are decoded, bytes that stand in no path are escaped
//  3. dots: segments . and .. are removed
//  4. merge: runs of slashes become one
//
// A proxy, a router or a file server behind it may take the steps in another order, or leave one for later. Where that
// would give another path, whom the policy protects could be asked for something else than what the policy saw: such a
// path is ambiguous.
//
// Envoy also takes parameters off dot segments, because some servers do ("/a/..;x/b" is "/b"): between the escapes of
// step 1 and its backslashes. Where a path has such a segment at any stage, it is ambiguous.
//
// Sources: Envoy's HttpConnectionManager documentation, RFC 3986, 5.2.4 and 6.2.2; held against Envoy itself by a test.

// pathBuffers are the memory that canonical works in. The zero value is ready.
type pathBuffers struct {
	work [pathSteps + 1][]byte
	want []byte
}

const pathSteps = 4

// canonical is Envoy's path for a raw one (without query), and whether it is ambiguous. It returns raw itself where
// nothing has to be done. ok is false where Envoy would refuse the request: no path begins without a slash, and none
// holds a zero or a fragment. The result is lent until the next call.
func (p *pathBuffers) canonical(raw []byte) (path []byte, ambiguous, ok bool) {
	if len(raw) == 0 || raw[0] != '/' || bytes.IndexByte(raw, '#') >= 0 || bytes.IndexByte(raw, 0) >= 0 ||
		bytes.Contains(raw, zeroEscape()) {
		return raw, false, false
	}
	if plainPath(raw) {
		return raw, false, true
	}
	p.want = appendSlashes(p.want[:0], raw, false)
	p.work[0] = appendBare(p.work[0][:0], p.want)
	ambiguous = len(p.work[0]) != len(p.want)
	p.want, p.work[0] = p.work[0], p.want
	for step := range pathSteps {
		p.work[0] = take(step, p.work[0][:0], p.want)
		p.want, p.work[0] = p.work[0], p.want
		ambiguous = ambiguous || hasBare(p.want)
	}
	p.work[0] = append(p.work[0][:0], raw...)
	return p.want, ambiguous || !p.agree(0, 0), true
}

func zeroEscape() []byte { return []byte("%00") }

// plainPath says whether no step would change anything, in one look.
func plainPath(b []byte) bool {
	for i, c := range b {
		switch {
		case c == '%' || c == '\\' || escaped[c]:
			return false
		case c == '/' && i+1 < len(b) && (b[i+1] == '/' || b[i+1] == '.'):
			return false
		}
	}
	return true
}

// agree says whether every order of the steps that are not yet in done leads from work[depth] to want.
func (p *pathBuffers) agree(depth int, done uint) bool {
	if depth == pathSteps {
		return bytes.Equal(p.work[depth], p.want)
	}
	for step := range pathSteps {
		if done&(1<<step) != 0 {
			continue
		}
		p.work[depth+1] = take(step, p.work[depth+1][:0], p.work[depth])
		if !p.agree(depth+1, done|1<<step) {
			return false
		}
	}
	return true
}

// take appends what a step makes of a path.
func take(step int, dst, path []byte) []byte {
	switch step {
	case 0:
		return appendSlashes(dst, path, true)
	case 1:
		return appendDecoded(dst, path)
	case 2:
		return appendUndotted(dst, path)
	}
	return appendMerged(dst, path)
}

// appendSlashes decodes escaped slashes of both kinds, and turns backslashes if all is set.
func appendSlashes(dst, path []byte, all bool) []byte {
	for i := 0; i < len(path); i++ {
		c := path[i]
		if v, ok := unhex(path, i); ok && (v == '/' || v == '\\') {
			c, i = v, i+2
		}
		if c == '\\' && all {
			c = '/'
		}
		dst = append(dst, c)
	}
	return dst
}

// dotted is the length of the dots with which a segment with parameters begins, if it is a dot segment but for them.
func dotted(seg []byte) int {
	switch {
	case bytes.HasPrefix(seg, []byte(".;")):
		return 1
	case bytes.HasPrefix(seg, []byte("..;")):
		return 2
	}
	return 0
}

// appendBare takes the parameters off dot segments.
func appendBare(dst, path []byte) []byte {
	for len(path) > 0 {
		end := bytes.IndexByte(path[1:], '/') + 1
		if end == 0 {
			end = len(path)
		}
		seg := path[:end]
		if n := dotted(seg[1:]); n > 0 {
			seg = seg[:1+n]
		}
		dst, path = append(dst, seg...), path[end:]
	}
	return dst
}

// hasBare says whether appendBare would change anything.
func hasBare(path []byte) bool {
	for i, c := range path {
		if c == '/' && dotted(path[i+1:]) > 0 {
			return true
		}
	}
	return false
}

// unhex is the byte of the escape at i, if there is one.
func unhex(b []byte, i int) (v byte, ok bool) {
	if b[i] != '%' || i+2 >= len(b) {
		return 0, false
	}
	hi, lo := nibble(b[i+1]), nibble(b[i+2])
	return hi<<4 | lo, hi < 16 && lo < 16
}

func nibble(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 16
}

// unreserved are the characters that stand for themselves, escaped or not (RFC 3986, 2.3).
func unreserved(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// escaped are the bytes that a canonical path holds only as escapes.
var escaped = func() (t [256]bool) {
	for c := range t {
		t[c] = c <= ' ' || c >= 0x7f
	}
	for _, c := range []byte("\"<>?^`{|}") {
		t[c] = true
	}
	return t
}()

const upperHex = "0123456789ABCDEF"

func appendDecoded(dst, path []byte) []byte {
	for i := 0; i < len(path); i++ {
		c := path[i]
		switch v, ok := unhex(path, i); {
		case ok && unreserved(v):
			dst = append(dst, v)
			i += 2
		case escaped[c]:
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// appendUndotted removes dot segments; a .. takes the segment before it, an empty one too, and stops at the root.
func appendUndotted(dst, path []byte) []byte {
	base := len(dst)
	for len(path) > 0 {
		// path begins with a slash, or is what the caller's path began with
		end := bytes.IndexByte(path[1:], '/') + 1
		if end == 0 {
			end = len(path)
		}
		last := end == len(path)
		switch seg := path[:end]; string(seg) {
		case "/.":
			if last {
				dst = append(dst, '/')
			}
		case "/..":
			dst = dst[:base+max(bytes.LastIndexByte(dst[base:], '/'), 0)]
			if last {
				dst = append(dst, '/')
			}
		default:
			dst = append(dst, seg...)
		}
		path = path[end:]
	}
	return dst
}

// appendMerged makes runs of slashes one. Of a path of slashes alone it leaves two, as Envoy does.
func appendMerged(dst, path []byte) []byte {
	if len(path) > 1 && len(bytes.Trim(path, "/")) == 0 {
		return append(dst, "//"...)
	}
	for i, c := range path {
		if c != '/' || i == 0 || path[i-1] != '/' {
			dst = append(dst, c)
		}
	}
	return dst
}
