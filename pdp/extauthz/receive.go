package extauthz

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"io"

	"google.golang.org/grpc"
	zip "google.golang.org/grpc/encoding/gzip" // its import makes gzip a known encoding: a compressed call is answered
	"google.golang.org/grpc/mem"
)

// inlet is what grpc-go's stream of a call is, beside a grpc.ServerTransportStream. Messages are read from it rather than
// by grpc-go's own decoding, which answers what is too large, cut off, sent twice or compressed badly with a gRPC error,
// and holds all of a message before anybody can say that it is too large. A test fails if another version of grpc-go has
// none of it.
type inlet interface {
	ReadMessageHeader(header []byte) error
	Read(n int) (mem.BufferSlice, error)
	RecvCompress() string
}

// chunk is how much of a message is read at once, in bytes.
const chunk = 64 << 10

// The causes of denials of calls that did not arrive as they should.
const (
	causeLarge   = "the call is larger than extauthz.max_body"
	causeCut     = "the call ends before its message does"
	causeNone    = "the call has no message"
	causeMany    = "the call has more than one message"
	causeGzip    = "the call's compressed message cannot be read"
	causeUnread  = "the call cannot be read"
	causeBusy    = "too many calls are under way"
	causeStrange = "the call's stream cannot be read"
)

// receive lays a call's message on the tape. At most MaxBody bytes of it are kept: t.cut says that there was more, which is
// read to its end if that is not too far away, so that its sender listens to the answer. The cause is why there is no
// message at all.
//
// A message on the wire (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md):
//
//	compressed (1 byte: 0 or 1) | length (4, big endian) | message
func (t *turn) receive(ctx context.Context) (cause string) {
	t.size, t.cut = 0, false
	t.tape.load(0)
	in, ok := grpc.ServerTransportStreamFromContext(ctx).(inlet)
	if !ok {
		return causeStrange
	}
	switch err := in.ReadMessageHeader(t.head[:]); {
	case errors.Is(err, io.EOF):
		return causeNone
	case err != nil:
		return causeCut
	}
	n, limit := int64(binary.BigEndian.Uint32(t.head[1:])), t.m.o.MaxBody
	text := &t.tape.doc.Text
	if t.head[0] == 0 {
		cause = t.take(in, text, n, limit)
		t.size = len(*text) - len(fixed)
	} else {
		t.packed = t.packed[:0]
		if cause = t.take(in, &t.packed, n, limit); cause == "" {
			cause = t.unpack(in.RecvCompress(), limit)
		}
	}
	if cause != "" || n > int64(limit+Slack) {
		return cause
	}
	switch err := in.ReadMessageHeader(t.head[:]); {
	case err == nil:
		return causeMany
	case !errors.Is(err, io.EOF):
		return causeCut
	}
	return ""
}

// take reads n bytes and appends the first of them, up to limit, to dst. Of what is beyond Slack as well it reads nothing.
func (t *turn) take(in inlet, dst *[]byte, n int64, limit int) (cause string) {
	t.cut = n > int64(limit)
	if n > int64(limit+Slack) {
		n = int64(limit)
	}
	for kept := 0; n > 0; {
		b, err := in.Read(int(min(n, chunk)))
		if err != nil {
			return causeCut
		}
		n -= int64(b.Len())
		for _, part := range b {
			p := part.ReadOnlyData()
			p = p[:min(len(p), limit-kept)]
			*dst = append(*dst, p...)
			kept += len(p)
		}
		b.Free()
	}
	return ""
}

// unpack inflates the compressed message onto the tape, as far as the limit goes: what is beyond it is never made.
func (t *turn) unpack(encoding string, limit int) (cause string) {
	if encoding != zip.Name {
		return causeGzip
	}
	short := t.cut // of the compressed message
	r, err := gzip.NewReader(bytes.NewReader(t.packed))
	if err != nil {
		return causeGzip
	}
	text := &t.tape.doc.Text
	end := len(fixed) + limit
	for {
		if len(*text) > end {
			*text, t.cut = (*text)[:end], true
			break
		}
		if len(*text) == cap(*text) {
			*text = append(*text, 0)[:len(*text)]
		}
		m, err := r.Read((*text)[len(*text):cap(*text)])
		*text = (*text)[:len(*text)+m]
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !short {
			return causeGzip
		}
		if err != nil {
			break
		}
	}
	t.size = len(*text) - len(fixed)
	return ""
}
