package extauthz

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"time"
	"unicode/utf8"

	"github.com/valyala/fasthttp"
)

// original is the original request, as the proxy tells it. All is lent from the proxy's own request.
type original struct {
	method, path, host, scheme, address []byte
	protocol, body                      []byte
	size                                int // of the body as it was sent

	fields []headerField
	hidden [2]string // headers that are the proxy's message about the request, in lower case
	secret bool      // so is Authorization: it holds the data plane's token
	names  []byte    // memory of lower-case names
}

// headerField is one header as it came.
type headerField struct {
	name, value []byte // the name in lower case
	later       bool   // another one of the same name came before
	next        int    // the next one of the same name, 0: none
}

// tell reads what the proxy says, which shows a token of its own if guarded. The cause is what it lacks.
func (o *original) tell(h *fasthttp.RequestHeader, body []byte, guarded bool) error {
	if !o.take(h) {
		return errors.New("a header's name is none")
	}
	o.secret = guarded
	if p := string(h.Protocol()); p != "HTTP/1.1" && p != "HTTP/1.0" {
		return errors.New("expected HTTP/1.1 or HTTP/1.0")
	}
	o.protocol, o.body, o.size = h.Protocol(), body, len(body)
	target := originForm(h.RequestURI())
	path, _, _ := bytes.Cut(target, []byte{'?'})
	var err error
	switch {
	case isEnvoy(path):
		o.method, o.path, o.host = h.Method(), target[len(pathEnvoy):], h.Host()
		o.address, err = o.lastAddress("x-forwarded-for")
	case string(path) == pathNginx:
		o.hide("x-original-method", "x-original-uri")
		o.host = h.Host()
		if o.address, err = o.single("x-real-ip"); err == nil {
			o.address, err = address(o.address, "x-real-ip")
		}
	case string(path) == pathForward:
		o.hide("x-forwarded-method", "x-forwarded-uri")
		if o.host, err = o.single("x-forwarded-host"); err == nil {
			o.address, err = o.lastAddress("x-forwarded-for")
		}
	default:
		return errors.New("there is no proxy surface at this path")
	}
	if err == nil {
		o.scheme, err = o.single("x-forwarded-proto")
	}
	if len(o.scheme) == 0 {
		o.scheme = []byte("http")
	}
	if err != nil || o.hidden[0] == "" {
		return err
	}
	if o.method, err = o.required(o.hidden[0]); err != nil {
		return err
	}
	o.path, err = o.required(o.hidden[1])
	return err
}

// hide notes in which headers the proxy says method and path. The method is read at once, so that whatever else is wrong is
// an event that names it.
func (o *original) hide(method, path string) {
	o.hidden = [2]string{method, path}
	o.method, _ = o.single(method)
}

// isEnvoy says whether a raw path begins with Envoy's prefix, as a whole segment.
func isEnvoy(path []byte) bool {
	return len(path) >= len(pathEnvoy) && string(path[:len(pathEnvoy)]) == pathEnvoy &&
		(len(path) == len(pathEnvoy) || path[len(pathEnvoy)] == '/')
}

// originForm is a target without scheme and authority, where a client sent it in the absolute form.
func originForm(target []byte) []byte {
	if len(target) > 0 && target[0] != '/' {
		if _, rest, ok := bytes.Cut(target, []byte("://")); ok {
			if i := bytes.IndexByte(rest, '/'); i >= 0 {
				return rest[i:]
			}
		}
	}
	return target
}

// take gathers the headers, and finds those that come more than once. It fails on a name that is no token, of which no two
// readers need to think the same.
func (o *original) take(h *fasthttp.RequestHeader) bool {
	*o = original{fields: o.fields[:0], names: o.names[:0]}
	o.fields = append(o.fields, headerField{}) // so that an index of 0 is none
	for k, v := range h.All() {
		off := len(o.names)
		o.names = appendLower(o.names, k)
		if !isToken(lend(o.names[off:])) {
			return false
		}
		o.fields = append(o.fields, headerField{name: o.names[off:len(o.names):len(o.names)], value: v})
	}
	last := map[string]int(nil)
	for i := 1; i < len(o.fields); i++ {
		f := &o.fields[i]
		if len(o.fields) > few {
			if last == nil {
				last = make(map[string]int, len(o.fields))
			}
			if p := last[string(f.name)]; p > 0 {
				o.fields[p].next, f.later = i, true
			}
			last[string(f.name)] = i
			continue
		}
		for p := i - 1; p > 0; p-- {
			if bytes.Equal(o.fields[p].name, f.name) {
				o.fields[p].next, f.later = i, true
				break
			}
		}
	}
	return true
}

// find is the first header of a name, 0 where there is none.
func (o *original) find(name string) int {
	for i := 1; i < len(o.fields); i++ {
		if string(o.fields[i].name) == name {
			return i
		}
	}
	return 0
}

// twice says whether a header comes more than once.
func (o *original) twice(name string) bool { return o.fields[o.find(name)].next > 0 }

// single is the value of a header that may come once.
func (o *original) single(name string) ([]byte, error) {
	i := o.find(name)
	if o.fields[i].next > 0 {
		return nil, errors.New("the header " + name + " comes more than once")
	}
	return o.fields[i].value, nil
}

func (o *original) required(name string) ([]byte, error) {
	v, err := o.single(name)
	if err == nil && len(v) == 0 {
		err = errors.New("the header " + name + " is missing")
	}
	return v, err
}

// lastAddress is the last element of a list, which the proxy itself appended. The list may come in several headers.
func (o *original) lastAddress(name string) ([]byte, error) {
	i := o.find(name)
	for o.fields[i].next > 0 {
		i = o.fields[i].next
	}
	v := o.fields[i].value
	return address(bytes.TrimSpace(v[bytes.LastIndexByte(v, ',')+1:]), name)
}

// address checks that v, unless it is empty, is an IP address.
func address(v []byte, name string) ([]byte, error) {
	if len(v) == 0 {
		return nil, nil
	}
	if _, err := netip.ParseAddr(string(v)); err != nil {
		return nil, errors.New("the header " + name + " holds no IP address")
	}
	return v, nil
}

// appendRequest appends the CheckRequest that Envoy would have sent.
func (o *original) appendRequest(dst []byte, now time.Time) []byte {
	dst, attributes := open(dst, 1)
	if len(o.address) > 0 {
		var at [3]int
		dst, at[0] = open(dst, 1) // source
		dst, at[1] = open(dst, 1) // address
		dst, at[2] = open(dst, 1) // socketAddress
		dst = appendField(dst, 2, o.address)
		dst = shut(shut(shut(dst, at[2]), at[1]), at[0])
	}
	dst, whole := open(dst, 4)
	dst, stamp := open(dst, 1)
	dst = appendVarint(dst, 1, uint64(now.Unix()))
	dst = appendVarint(dst, 2, uint64(now.Nanosecond()))
	dst = shut(dst, stamp)
	dst, message := open(dst, 2)
	dst = appendField(dst, 2, o.method)
	dst = o.appendHeaders(dst)
	dst = appendField(dst, 4, o.path)
	dst = appendField(dst, 5, o.host)
	dst = appendField(dst, 6, o.scheme)
	if o.size > 0 {
		dst = appendVarint(dst, 9, uint64(o.size))
	}
	dst = appendField(dst, 10, o.protocol)
	switch {
	case len(o.body) == 0:
	case utf8.Valid(o.body):
		dst = appendField(dst, 11, o.body)
	default:
		dst = appendField(dst, 12, o.body)
	}
	return shut(shut(shut(dst, message), whole), attributes)
}

// appendHeaders appends the map of headers: HTTP/2's pseudo-headers and the request's own, those that came more than
// once joined by commas, as Envoy joins them.
func (o *original) appendHeaders(dst []byte) []byte {
	dst = appendMapEntry(dst, ":authority", o.host)
	dst = appendMapEntry(dst, ":method", o.method)
	dst = appendMapEntry(dst, ":path", o.path)
	dst = appendMapEntry(dst, ":scheme", o.scheme)
	if o.bodiless() {
		dst = appendMapEntry(dst, headerPartial, []byte("true"))
	}
	for i := 1; i < len(o.fields); i++ {
		f := &o.fields[i]
		if f.later || o.hides(f.name) {
			continue
		}
		value := f.value
		for j := f.next; j > 0; j = o.fields[j].next {
			value = append(append(value[:len(value):len(value)], ','), o.fields[j].value...)
		}
		dst = appendMapEntry(dst, f.name, value)
	}
	return dst
}

// hides says whether a header is no part of the original request.
func (o *original) hides(name []byte) bool {
	switch string(name) {
	case "host", "connection", o.hidden[0], o.hidden[1]:
		return true
	case "authorization":
		return o.secret
	case headerPartial: // Envoy's own word about the body; others let a client's pass
		return o.hidden[0] != ""
	}
	return false
}

// headerPartial is by what Envoy says whether it shows a body cut.
const headerPartial = "x-envoy-auth-partial-body"

// bodiless says whether the proxy showed no body of a request that may have one: nginx and Caddy never do, Traefik only
// with forwardBody. Nothing but the content-type tells.
func (o *original) bodiless() bool {
	return o.hidden[0] != "" && len(o.body) == 0 && o.find("content-type") > 0
}

// appendMapEntry appends an entry of the map in field 3.
func appendMapEntry[T ~string | ~[]byte](dst []byte, name T, value []byte) []byte {
	n := 2 + sizeOf(len(name)) + len(name) + sizeOf(len(value)) + len(value)
	dst = binary.AppendUvarint(append(dst, 3<<3|wireBytes), uint64(n))
	dst = appendField(dst, 1, name)
	return appendField(dst, 2, value)
}

// sizeOf is how many bytes the varint of n takes.
func sizeOf(n int) int {
	size := 1
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}

func appendLower(dst, s []byte) []byte {
	for _, c := range s {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	return dst
}
