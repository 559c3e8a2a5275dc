package emitter

import (
	"strconv"

	"thymus/pdp"
)

// Encoder turns records into events, a line each. It belongs to one goroutine; in steady state it allocates nothing.
type Encoder struct {
	mask       *Mask
	rows       func(seq uint32) *Rows
	last       *Rows  // of the record before: revisions change rarely
	common     []byte // what a decision's events share, with its opening brace
	payload    []byte
	at         stamp // of the event at hand
	unresolved uint64
}

// NewEncoder makes one. rows finds the rows of a Seq and may return nil; mask may be nil.
func NewEncoder(rows func(seq uint32) *Rows, mask *Mask) *Encoder {
	return &Encoder{rows: rows, mask: mask, at: newStamp()}
}

// Unresolved is how many records referred to rows that are not on record any more: their events say so in the reason.
func (e *Encoder) Unresolved() uint64 { return e.unresolved }

// view is a record with its rows looked up.
type view struct {
	*pdp.Record
	rows   *Rows
	row    *row
	ns     int64
	cut    pdp.Field
	denied bool
}

// Decision appends the one to four events of a decision (CONTRACT 6) and returns how many they are. o and pos name the
// record's place.
func (e *Encoder) Decision(dst []byte, r *pdp.Record, o Origin, pos uint64) ([]byte, int) {
	v := view{Record: r, ns: max(r.Time, 0), cut: r.Cut}
	e.resolve(&v)
	e.at.set(v.ns)
	v.denied = r.Effect != pdp.None && !r.Flags.Has(pdp.FlagAllowed)

	e.common = appendCommon(e.common[:0], &v)
	dst = e.evaluated(dst, &v, o.id(pos, 0))
	n := 1
	if v.denied {
		dst = e.short(dst, &v, o.id(pos, 1), TypeDenied)
		n++
	}
	if len(r.Warnings) > 0 && r.Flags.Has(pdp.FlagAllowed) {
		dst = e.short(dst, &v, o.id(pos, 2), TypeWarning)
		n++
	}
	if r.Flags.Has(pdp.FlagAudit) {
		dst = e.short(dst, &v, o.id(pos, 3), TypeAudit)
		n++
	}
	return dst, n
}

// resolve looks up what the record says by number.
func (e *Encoder) resolve(v *view) {
	if v.Seq == 0 {
		return
	}
	if e.last == nil || e.last.Seq != v.Seq {
		e.last = e.rows(v.Seq)
	}
	v.rows = e.last
	if v.Row >= 0 {
		if v.row = v.rows.at(v.Row); v.row != nil {
			v.cut |= v.row.cut
		}
	}
	if v.rows == nil || v.Row >= 0 && v.row == nil {
		e.unresolved++
	}
	if len(v.Warnings) == 0 {
		return
	}
	size := 0
	for i := range v.Warnings {
		w := &v.Warnings[i]
		size += len(w.Text)
		if x := v.rows.at(w.Row); x != nil {
			size += len(x.reason)
		}
	}
	if size > maxWarnings {
		v.cut |= pdp.CutWarnings
	}
}

// evaluated appends policy.evaluated, without the input if it would be too long with it.
func (e *Encoder) evaluated(dst []byte, v *view, id uint64) []byte {
	start := len(dst)
	input := v.Flags.Has(pdp.FlagInput) && len(v.Input) > 0
	for {
		dst = appendHead(dst[:start], pdp.SourcePolicy, &e.at, id, TypeEvaluated)
		dst = e.masked(dst, appendEvaluated(e.scratch(dst), v, &e.at, e.common, input))
		dst = appendTail(dst, v.Correlation)
		if !input || len(dst)-start-1 <= MaxEvent {
			return dst
		}
		input, v.cut = false, v.cut|pdp.CutInput
		e.common = appendCommon(e.common[:0], v)
	}
}

// short appends one of the three events that may follow policy.evaluated.
func (e *Encoder) short(dst []byte, v *view, id uint64, typ string) []byte {
	dst = appendHead(dst, pdp.SourcePolicy, &e.at, id, typ)
	p := append(e.scratch(dst), e.common...)
	if v.Flags.Has(pdp.FlagResource) {
		p = append(p, `,"resource":`...)
		p = pdp.AppendString(p, v.Resource)
	}
	p = appendMatched(p, v)
	switch typ {
	case TypeDenied:
		p = appendReason(p, v)
		p = append(p, `,"denied_at":`...)
	case TypeWarning:
		p = appendWarnings(p, v)
		p = append(p, `,"triggered_at":`...)
	case TypeAudit:
		p = append(p, `,"requires_audit":true,"audit_at":`...)
	}
	p = append(e.at.seconds(p), '}')
	return appendTail(e.masked(dst, p), v.Correlation)
}

// scratch is where a payload is written: into the line, or apart where a mask reads it first.
func (e *Encoder) scratch(line []byte) []byte {
	if e.mask == nil {
		return line
	}
	return e.payload[:0]
}

// masked is the line with the payload that was written to its scratch.
func (e *Encoder) masked(line, written []byte) []byte {
	if e.mask == nil {
		return written
	}
	e.payload = written
	return e.mask.Append(line, written)
}

// Event appends a ready event under an id. It returns dst unchanged and false where the event would be longer than
// MaxEvent.
func (e *Encoder) Event(dst []byte, ev *pdp.Event, id uint64) ([]byte, bool) {
	start := len(dst)
	e.at.set(max(ev.Time, 0))
	dst = appendHead(dst, ev.Source, &e.at, id, ev.Type)
	if e.mask == nil {
		dst = append(dst, ev.Payload...)
	} else {
		dst = e.mask.Append(dst, ev.Payload)
	}
	dst = appendTail(dst, ev.Correlation)
	if len(dst)-start-1 > MaxEvent {
		return dst[:start], false
	}
	return dst, true
}

var truncatedNames = func() (names [16]string) {
	for i := range names {
		pdp.Field(1 << i).Each(func(n string) { names[i] = strconv.Quote(n) })
	}
	return names
}()
