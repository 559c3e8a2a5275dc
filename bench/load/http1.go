package load

import "bytes"

// http1 speaks HTTP/1.1 (RFC 9112) as far as a client must that sends whole requests and waits for each answer: bodies by
// length and in chunks, 1xx answers passed over, "close" heeded. A body that ends with the connection is refused, since
// nothing tells it from one that was cut off.
type http1 struct {
	verdict reader
	body    []byte // a chunked body put together
}

func (h *http1) open() []byte       { return nil }
func (h *http1) ask(c *Call) []byte { return c.Wire }

// take reads the verdict of a whole answer.
func (h *http1) take(status int, b []byte) (a answer) {
	v, ok := h.verdict(status, b)
	switch {
	case !ok:
		a.fault = faultStatus
	case v == Unknown:
		a.fault = faultMalformed
	}
	a.done, a.verdict = true, v
	return a
}

func (h *http1) read(in, reply []byte) (int, answer, []byte, error) {
	n, a, err := h.parse(in)
	return n, a, reply, err
}

func (h *http1) parse(in []byte) (int, answer, error) {
	end := bytes.Index(in, []byte("\r\n\r\n"))
	if end < 0 {
		if len(in) > 64<<10 {
			return 0, answer{}, broken("a header block of more than 64 KiB")
		}
		return 0, answer{}, nil
	}
	head, err := readHead(in[:end])
	if err != nil {
		return 0, answer{}, err
	}
	rest := in[end+4:]
	switch {
	case head.status/100 == 1 && head.status != 101:
		n, a, err := h.parse(rest)
		if n > 0 {
			n += end + 4
		}
		return n, a, err
	case head.status == 204 || head.status == 304:
		a := h.take(head.status, nil)
		a.last = head.last
		return end + 4, a, nil
	case head.chunked:
		n, err := h.chunks(rest)
		if n == 0 || err != nil {
			return 0, answer{}, err
		}
		a := h.take(head.status, h.body)
		a.last = head.last
		return end + 4 + n, a, nil
	case head.length < 0:
		return 0, answer{}, broken("an answer that does not say how long it is")
	case len(rest) < head.length:
		return 0, answer{}, nil
	}
	a := h.take(head.status, rest[:head.length])
	a.last = head.last
	return end + 4 + head.length, a, nil
}

// head is what matters of an answer's header block.
type head struct {
	status  int
	length  int // -1: not said
	chunked bool
	last    bool
}

func readHead(b []byte) (head, error) {
	h := head{length: -1}
	line, b := cutLine(b)
	if len(line) < 12 || string(line[:7]) != "HTTP/1." || line[8] != ' ' {
		return h, broken("an answer that is no HTTP/1.1")
	}
	h.last = line[7] == '0'
	for _, c := range line[9:12] {
		if c < '0' || c > '9' {
			return h, broken("an answer without a status")
		}
		h.status = h.status*10 + int(c-'0')
	}
	for len(b) > 0 {
		line, b = cutLine(b)
		colon := bytes.IndexByte(line, ':')
		if colon < 0 {
			return h, broken("a header line without a colon")
		}
		switch value := bytes.TrimSpace(line[colon+1:]); {
		case equalFold(line[:colon], "content-length"):
			if h.length = decimal(value); h.length < 0 || h.length > maxAnswer {
				return h, broken("a Content-Length that cannot be")
			}
		case equalFold(line[:colon], "transfer-encoding"):
			h.chunked = equalFold(value, "chunked")
		case equalFold(line[:colon], "connection"):
			h.last = equalFold(value, "close") || h.last && !equalFold(value, "keep-alive")
		}
	}
	return h, nil
}

// chunks puts a chunked body together and says how long it was on the wire; 0 where it is not complete.
func (h *http1) chunks(in []byte) (int, error) {
	h.body = h.body[:0]
	for i := 0; ; {
		eol := bytes.Index(in[i:], []byte("\r\n"))
		if eol < 0 {
			return 0, nil
		}
		size, _, _ := bytes.Cut(in[i:i+eol], []byte(";"))
		n := hexadecimal(bytes.TrimSpace(size))
		if n < 0 || n > maxAnswer {
			return 0, broken("a chunk size that cannot be")
		}
		i += eol + 2
		if n == 0 { // trailers, if any, up to the empty line
			if bytes.HasPrefix(in[i:], []byte("\r\n")) {
				return i + 2, nil
			}
			end := bytes.Index(in[i:], []byte("\r\n\r\n"))
			if end < 0 {
				return 0, nil
			}
			return i + end + 4, nil
		}
		if len(in)-i < n+2 {
			return 0, nil
		}
		h.body = append(h.body, in[i:i+n]...)
		i += n + 2
	}
}

func cutLine(b []byte) (line, rest []byte) {
	if i := bytes.Index(b, []byte("\r\n")); i >= 0 {
		return b[:i], b[i+2:]
	}
	return b, nil
}

// equalFold compares with a text in lower case, ASCII letters without regard to case.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

func decimal(b []byte) (n int) {
	if len(b) == 0 || len(b) > 12 {
		return -1
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int(c-'0')
	}
	return n
}

func hexadecimal(b []byte) (n int) {
	if len(b) == 0 || len(b) > 8 {
		return -1
	}
	for _, c := range b {
		switch {
		case '0' <= c && c <= '9':
			n = n<<4 | int(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			n = n<<4 | int(c|0x20-'a'+10)
		default:
			return -1
		}
	}
	return n
}
