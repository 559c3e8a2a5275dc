package load

import (
	"bytes"
	"encoding/binary"
	"slices"

	"golang.org/x/net/http2/hpack"
)

// grpc speaks unary gRPC over HTTP/2 (RFC 9113) as far as one call at a time on a connection needs. It takes no header
// compression state from the server (SETTINGS_HEADER_TABLE_SIZE 0), so that equal header blocks mean equal headers, and
// the block of the last trailers need not be read twice.
//
//	frame  length (3) type (1) flags (1) stream (4) payload
//	call   HEADERS END_HEADERS | DATA END_STREAM, payload: 0 length (4) message
type grpc struct {
	stream  uint32 // of the call under way, else of the last one
	asked   bool   // a call is under way
	wire    []byte
	head    []byte // header block of every call
	status  int    // of the call under way; -1: not known yet
	message []byte // what came of its answer
	window  int64  // what may still be sent on the connection
	initial int64  // what may be sent on a new stream
	taken   int    // bytes received and not yet given back to the server's window
	known   []byte // a header block
	knownAs int    // and the status in it
	decoder *hpack.Decoder
	found   int
	goodbye bool
}

// Frame types, flags and settings of RFC 9113.
const (
	frameData, frameHeaders, frameReset, frameSettings, framePing, frameAway, frameWindow = 0, 1, 3, 4, 6, 7, 8

	flagEndStream, flagAck, flagEndHeaders, flagPadded, flagPriority = 1, 1, 4, 8, 0x20

	settingTable, settingPush, settingWindow = 1, 2, 4

	maxFrame      = 16384 // the largest frame that needs no leave
	defaultWindow = 65535
	statusUnknown = -1
	pathCheck     = "/envoy.service.auth.v3.Authorization/Check"
)

func newGRPC() *grpc {
	g := &grpc{}
	g.decoder = hpack.NewDecoder(0, func(f hpack.HeaderField) {
		if f.Name == "grpc-status" {
			if g.found = decimal([]byte(f.Value)); g.found < 0 {
				g.found = 2
			}
		}
	})
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	e.SetMaxDynamicTableSizeLimit(0)
	for _, f := range [...][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", pathCheck}, {":authority", "localhost"},
		{"content-type", "application/grpc"}, {"te", "trailers"}} {
		_ = e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	g.head = b.Bytes()
	return g
}

func (g *grpc) open() []byte {
	*g = grpc{head: g.head, decoder: g.decoder, wire: g.wire, message: g.message[:0], known: g.known[:0],
		window: defaultWindow, initial: defaultWindow, status: statusUnknown}
	b := []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	b = frame(b, 12, frameSettings, 0, 0)
	b = setting(b, settingTable, 0)
	b = setting(b, settingPush, 0)
	b = frame(b, 4, frameWindow, 0, 0)
	return binary.BigEndian.AppendUint32(b, maxAnswer)
}

func setting(dst []byte, id uint16, value uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(dst, id), value)
}

func frame(dst []byte, length int, kind, flags byte, stream uint32) []byte {
	dst = append(dst, byte(length>>16), byte(length>>8), byte(length), kind, flags)
	return binary.BigEndian.AppendUint32(dst, stream)
}

// MaxCheck is how long a message may be: what a new connection lets a client send without waiting.
const MaxCheck = 32 << 10

func (g *grpc) ask(c *Call) []byte {
	if g.stream == 0 {
		g.stream = 1
	} else {
		g.stream += 2
	}
	g.asked, g.status, g.message = true, statusUnknown, g.message[:0]
	b := frame(g.wire[:0], len(g.head), frameHeaders, flagEndHeaders, g.stream)
	b = append(b, g.head...)
	body := c.Wire
	for prefix := 5; ; prefix = 0 {
		n, flags := min(len(body), maxFrame-prefix), byte(flagEndStream)
		if n < len(body) {
			flags = 0
		}
		b = frame(b, n+prefix, frameData, flags, g.stream)
		if prefix > 0 {
			b = binary.BigEndian.AppendUint32(append(b, 0), uint32(len(body)))
		}
		b = append(b, body[:n]...)
		if body = body[n:]; len(body) == 0 {
			break
		}
	}
	g.window -= int64(len(c.Wire) + 5)
	g.wire = b
	return b
}

func (g *grpc) read(in, reply []byte) (n int, a answer, out []byte, err error) {
	for !a.done {
		f := in[n:]
		if len(f) < 9 {
			break
		}
		size := int(f[0])<<16 | int(f[1])<<8 | int(f[2])
		if size > maxFrame {
			return n, a, reply, broken("a frame longer than was agreed")
		}
		if len(f) < 9+size {
			break
		}
		stream := binary.BigEndian.Uint32(f[5:]) &^ (1 << 31)
		if a, reply, err = g.frame(f[3], f[4], stream, f[9:9+size], reply); err != nil {
			return n, a, reply, err
		}
		n += 9 + size
	}
	return n, a, reply, nil
}

func (g *grpc) frame(kind, flags byte, stream uint32, p, reply []byte) (a answer, out []byte, err error) {
	mine := g.asked && stream == g.stream
	switch kind {
	case frameData:
		if g.taken += len(p); g.taken > 1<<20 {
			reply = binary.BigEndian.AppendUint32(frame(reply, 4, frameWindow, 0, 0), uint32(g.taken))
			g.taken = 0
		}
		if p, err = unpad(flags, p); err != nil || !mine {
			return a, reply, err
		}
		if g.message = append(g.message, p...); len(g.message) > defaultWindow {
			return a, reply, broken("an answer that is longer than a stream's window")
		}
	case frameHeaders:
		if p, err = unpad(flags, p); err != nil || !mine {
			return a, reply, err
		}
		if flags&flagPriority != 0 && len(p) >= 5 {
			p = p[5:]
		}
		if flags&flagEndHeaders == 0 {
			return a, reply, broken("headers in more than one frame")
		}
		if flags&flagEndStream != 0 {
			if g.status, err = g.trailers(p); err != nil {
				return a, reply, err
			}
		}
	case frameReset:
		if mine {
			g.asked = false
			return answer{done: true, fault: faultStatus, last: g.goodbye}, reply, nil
		}
	case frameSettings:
		if flags&flagAck == 0 {
			return a, frame(g.agree(p, reply), 0, frameSettings, flagAck, 0), nil
		}
	case framePing:
		if flags&flagAck == 0 && len(p) == 8 {
			return a, append(frame(reply, 8, framePing, flagAck, 0), p...), nil
		}
	case frameAway:
		// What is under way is still answered where the server has taken it on; nothing new is.
		if g.goodbye = true; !g.asked || len(p) >= 4 && g.stream > binary.BigEndian.Uint32(p)&^(1<<31) {
			return a, reply, broken("the server says goodbye")
		}
	case frameWindow:
		if stream == 0 && len(p) == 4 {
			g.window += int64(binary.BigEndian.Uint32(p))
		}
	}
	if mine && flags&flagEndStream != 0 && (kind == frameData || kind == frameHeaders) {
		a = g.finish()
	}
	return a, reply, nil
}

// agree takes in the server's settings.
func (g *grpc) agree(p, reply []byte) []byte {
	for ; len(p) >= 6; p = p[6:] {
		if binary.BigEndian.Uint16(p) == settingWindow {
			g.initial = int64(binary.BigEndian.Uint32(p[2:]))
		}
	}
	return reply
}

// trailers is the grpc-status of a header block.
func (g *grpc) trailers(block []byte) (int, error) {
	if len(g.known) > 0 && slices.Equal(g.known, block) {
		return g.knownAs, nil
	}
	g.found = statusUnknown
	if _, err := g.decoder.Write(block); err != nil {
		return 0, broken("headers that cannot be read")
	}
	if err := g.decoder.Close(); err != nil {
		return 0, broken("headers that cannot be read")
	}
	g.known, g.knownAs = append(g.known[:0], block...), g.found
	return g.found, nil
}

// finish is the answer of the call under way, whose stream has ended.
func (g *grpc) finish() answer {
	g.asked = false
	a := answer{done: true, last: g.goodbye || g.stream > 1<<30 || g.window < MaxCheck || g.initial < MaxCheck}
	if g.status != 0 {
		a.fault = faultStatus
		return a
	}
	if len(g.message) >= 5 && g.message[0] == 0 && int(binary.BigEndian.Uint32(g.message[1:])) == len(g.message)-5 {
		if v, ok := readCheck(g.message[5:]); ok {
			a.verdict = v
			return a
		}
	}
	a.fault = faultMalformed
	return a
}

func unpad(flags byte, p []byte) ([]byte, error) {
	if flags&flagPadded == 0 {
		return p, nil
	}
	if len(p) == 0 || int(p[0]) >= len(p) {
		return nil, broken("padding longer than its frame")
	}
	return p[1 : len(p)-int(p[0])], nil
}
