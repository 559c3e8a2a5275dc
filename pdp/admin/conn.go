package admin

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"strconv"

	"thymus/pdp/wire"
)

// plainError is what net/http puts behind the status line when it refuses a request before any handler sees it; what
// handlers answer here always has another header first.
const plainError = "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"

// problems lets connections speak RFC 9457 where net/http itself refuses.
type problems struct{ net.Listener }

// Accept is net.Listener's.
func (l problems) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &problemConn{c}, nil
}

type problemConn struct{ net.Conn }

// Write replaces a refusal of net/http's by a problem of the same status.
func (c *problemConn) Write(p []byte) (int, error) {
	status, ok := refusal(p)
	if !ok {
		return c.Conn.Write(p)
	}
	detail := "expected a request by RFC 9112"
	if status == http.StatusRequestHeaderFieldsTooLarge {
		detail = "the request line and all headers together: expected at most " + strconv.Itoa(maxHeader) + " bytes"
	}
	body := wire.AppendProblem(nil, wire.StatusProblem(status, detail))
	_, err := fmt.Fprintf(c.Conn, "HTTP/1.1 %d %s\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		status, http.StatusText(status), len(body), body)
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// refusal is the status of a refusal that net/http wrote.
func refusal(p []byte) (int, bool) {
	const version = "HTTP/1.1 "
	if !bytes.HasPrefix(p, []byte(version)) || len(p) < len(version)+3 {
		return 0, false
	}
	end := bytes.Index(p, []byte("\r\n"))
	if end < 0 || !bytes.HasPrefix(p[end:], []byte(plainError)) {
		return 0, false
	}
	status, err := strconv.Atoi(string(p[len(version) : len(version)+3]))
	return status, err == nil && status >= 400
}
