package extauthz_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strconv"
	"testing"
	"time"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"
)

// raw is a client that speaks HTTP/2 frame by frame, and so can do what no gRPC library does.
type raw struct {
	t    testing.TB
	nc   net.Conn
	f    *http2.Framer
	next uint32
	dec  *hpack.Decoder

	window, streamWindow, initial int // how much the server takes on the connection, on its one open stream, on new ones
	ignoreGoAway                  bool
}

func dialRaw(t testing.TB, addr string) *raw {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	c := &raw{t: t, nc: nc, f: http2.NewFramer(nc, nc), next: 1, dec: hpack.NewDecoder(4096, nil), window: 65535, initial: 65535}
	if _, err := io.WriteString(nc, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	_ = c.f.WriteSettings()
	_ = c.f.WriteWindowUpdate(0, 1<<30)
	return c
}

// begin opens a call of Check, with more headers.
func (c *raw) begin(end bool, more ...string) (stream uint32) {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for _, h := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", "/envoy.service.auth.v3.Authorization/Check"},
		{":authority", "thymus"}, {"content-type", "application/grpc"}, {"te", "trailers"}} {
		_ = e.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]})
	}
	for i := 0; i < len(more); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: more[i], Value: more[i+1]})
	}
	stream = c.next
	c.next += 2
	c.streamWindow = c.initial
	_ = c.f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: b.Bytes(), EndHeaders: true, EndStream: end})
	return stream
}

// send writes a piece of a call's body, whatever the server's windows say.
func (c *raw) send(stream uint32, b []byte, end bool) error {
	for {
		n := min(len(b), 16<<10)
		c.window, c.streamWindow = c.window-n, c.streamWindow-n
		if err := c.f.WriteData(stream, end && n == len(b), b[:n]); err != nil {
			return err
		}
		if b = b[n:]; len(b) == 0 {
			return nil
		}
	}
}

// framed is a message with what stands in front of it on the wire.
func framed(compressed byte, message []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{compressed}, uint32(len(message))), message...)
}

// reply is what came back on a stream.
type reply struct {
	status int // gRPC's; -1 without one
	resp   *auth.CheckResponse
	reset  bool
}

// bytesOf gives the bytes of b piece by piece.
func bytesOf(b []byte) func(n int) ([]byte, bool) {
	return func(n int) (piece []byte, end bool) {
		n = min(n, len(b))
		piece, b = b[:n], b[n:]
		return piece, len(b) == 0
	}
}

// answer sends what next gives, as far as the server's windows let it, and reads frames until the stream ends. next, which
// may be nil, is asked for at most n bytes and says which are the last.
func (c *raw) answer(stream uint32, next func(n int) (piece []byte, end bool)) reply {
	c.t.Helper()
	r := reply{status: -1}
	var body []byte
	_ = c.nc.SetReadDeadline(time.Now().Add(20 * time.Second))
	for {
		for next != nil && min(c.window, c.streamWindow) > 0 {
			b, end := next(min(c.window, c.streamWindow, 16<<10))
			if c.send(stream, b, end) != nil || end {
				next = nil
			}
		}
		f, err := c.f.ReadFrame()
		if err != nil {
			c.t.Fatalf("the connection ended: %v", err)
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if n, ok := f.Value(http2.SettingInitialWindowSize); ok {
				c.streamWindow += int(n) - c.initial
				c.initial = int(n)
			}
			if !f.IsAck() {
				_ = c.f.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				_ = c.f.WritePing(true, f.Data)
			}
		case *http2.WindowUpdateFrame:
			switch f.StreamID {
			case 0:
				c.window += int(f.Increment)
			case stream:
				c.streamWindow += int(f.Increment)
			}
		case *http2.HeadersFrame:
			fields, err := c.dec.DecodeFull(f.HeaderBlockFragment())
			if err != nil {
				c.t.Fatal(err)
			}
			for _, h := range fields {
				if h.Name == "grpc-status" && f.StreamID == stream {
					r.status, _ = strconv.Atoi(h.Value)
				}
			}
			if f.StreamID == stream && f.StreamEnded() {
				return r.read(c.t, body)
			}
		case *http2.DataFrame:
			if f.StreamID == stream {
				body = append(body, f.Data()...)
			}
		case *http2.RSTStreamFrame:
			if f.StreamID == stream {
				r.reset = true
				return r.read(c.t, body)
			}
		case *http2.GoAwayFrame:
			if c.ignoreGoAway {
				continue
			}
			c.t.Fatalf("go away: %v %s", f.ErrCode, f.DebugData())
		}
	}
}

func (r reply) read(t testing.TB, body []byte) reply {
	if len(body) < 5 {
		return r
	}
	if body[0] != 0 {
		r.resp = &auth.CheckResponse{} // compressed like the call; what it says is looked at by clients of grpc-go
		return r
	}
	r.resp = &auth.CheckResponse{}
	if err := proto.Unmarshal(body[5:], r.resp); err != nil {
		t.Fatal(err)
	}
	return r
}

func wireOf(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
