package wire

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"thymus/pdp"
)

// MaxBatch is how many items a batch may have.
const MaxBatch = 1000

// keep is how much text a Decoder holds on to between calls, in bytes.
const keep = 64 << 10

// Decoder reads the calls of all surfaces. It is owned by one goroutine at a time; callers pool it, from NewDecoder to
// Release and around again.
//
// What its methods hand out is lent: a Request's strings and Input, and a *Problem, until the next method that takes a
// body, or Release; within a batch Input and *Problem only until the next Item. The body itself is not kept: it may be
// reused as soon as the method has returned.
//
// Each method that fills a Request sets all of its fields but Correlation, which is the transport's.
type Decoder struct {
	// YAML turns a YAML text into JSON, for Data with a content type that names YAML; nil refuses those. What it
	// returns is only read, before Data returns.
	YAML func(body []byte) ([]byte, error)

	scan    *Scanner
	raw     pdp.Doc    // the body's tape; its Text begins with fixed
	doc     pdp.Doc    // the canonical input; its Text is raw's
	peer    []pdp.Node // the peer member, Next relative to itself
	surface pdp.Surface
	next    int32   // of a batch: the node of the next item
	index   int     // of a batch: the item being read; else single
	top     members // of an AuthZEN batch: the defaults
	problem Problem
}

// NewDecoder makes a Decoder.
func NewDecoder() *Decoder {
	d := &Decoder{scan: NewScanner()}
	d.raw.Text = append(make([]byte, 0, 1024), fixed...)
	d.raw.Nodes = make([]pdp.Node, 0, 64)
	d.doc.Nodes = make([]pdp.Node, 0, 64)
	return d
}

// Release makes d ready for the pool: it lets go of memory that a large body made it take.
func (d *Decoder) Release() {
	if cap(d.raw.Text) > keep || cap(d.raw.Nodes) > keep/8 || cap(d.doc.Nodes) > keep/8 || cap(d.scan.table) > keep/4 {
		yaml := d.YAML
		*d = *NewDecoder()
		d.YAML = yaml
		return
	}
	d.doc.Text = nil
}

// begin reads the body of a call into the raw tape.
func (d *Decoder) begin(body []byte, m Mode) *Problem {
	d.raw.Text = d.raw.Text[:len(fixed)] // what stands there was never written to
	return d.scan.Scan(body, m, &d.raw)
}

// object checks that the body is an object.
func (d *Decoder) object() *Problem {
	if k := d.raw.Nodes[0].Kind; k != pdp.Object {
		d.index = single
		return d.fault("", "expected a JSON object, got "+kindName(k))
	}
	return nil
}

// strict is how the native and AuthZEN surfaces read.
var strict = Mode{Depth: pdp.MaxDepth}

// source notes where the call comes from, and lays out the peer member for it.
func (d *Decoder) source(surface pdp.Surface, peer *pdp.Peer) {
	d.surface = surface
	ns := append(d.peer[:0], pdp.Node{Key: keyPeer, Kind: pdp.Object})
	ns = append(ns, pdp.Node{Key: keySurface, Val: surfaceText[surface], Next: 2, Kind: pdp.String})
	transport := textTCP
	if peer != nil && peer.Unix {
		transport = textUnix
	}
	ns = append(ns, pdp.Node{Key: keyTransport, Val: transport, Next: 3, Kind: pdp.String})
	if peer != nil && peer.HasCred {
		for i, n := range [...]int64{int64(peer.UID), int64(peer.GID), int64(peer.PID)} {
			off := len(d.raw.Text)
			d.raw.Text = strconv.AppendInt(d.raw.Text, n, 10)
			val := pdp.Span{Off: uint32(off), Len: uint32(len(d.raw.Text) - off)}
			ns = append(ns, pdp.Node{Key: keyCred[i], Val: val, Next: int32(len(ns) + 1), Kind: pdp.Number})
		}
	}
	if peer != nil && peer.Principal != "" {
		p := peer.Principal
		if !utf8.ValidString(p) {
			p = strings.ToValidUTF8(p, "\ufffd")
		}
		ns = append(ns, pdp.Node{Key: keyPrincipal, Val: d.raw.AddText(p), Next: int32(len(ns) + 1), Kind: pdp.String})
	}
	ns[0].Val.Len, ns[0].Next = uint32(len(ns)-1), int32(len(ns))
	d.peer = ns
}
