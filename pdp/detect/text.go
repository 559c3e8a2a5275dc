package detect

import (
	"strconv"
	"unsafe"

	"thymus/pdp"
)

// lend is b as a string that shares its memory.
func lend(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// appendIncident appends an incident's key: the detector, the subject's hash, the moment it began.
func appendIncident(dst []byte, det Detector, hash uint64, start int64) []byte {
	const digits = "0123456789abcdef"
	dst = append(append(dst, det.String()...), '-')
	for i := 60; i >= 0; i -= 4 {
		dst = append(dst, digits[hash>>i&15])
	}
	return strconv.AppendInt(append(dst, '-'), start, 10)
}

func appendMember(dst []byte, name, value string) []byte {
	dst = append(append(append(dst, `,"`...), name...), `":`...)
	return pdp.AppendString(dst, value)
}

func appendNumber(dst []byte, name string, n int64) []byte {
	dst = append(append(append(dst, `,"`...), name...), `":`...)
	return strconv.AppendInt(dst, n, 10)
}

func (d *Watcher) appendRevision(m []byte) []byte {
	return appendMember(m, "policy_revision", d.revision)
}

// longest is what metadata takes of a value, in bytes: a longer one is left out, since a mask would not know a part of it.
const longest = 1024

// metadata says what the offence was, in the words of events.
func (d *Watcher) metadata(in *incident, o *offence) []byte {
	r := o.record
	m := append(append(append(d.meta[:0], `{"detector":"`...), o.det.String()...), '"')
	if o.after > 0 {
		m = appendNumber(m, "window_seconds", o.after/second)
	}
	if o.at > 0 {
		m = appendNumber(m, "threshold", int64(o.at))
	}
	m = appendNumber(m, "in_window", int64(o.total))
	m = append(m, `,"since":`...)
	m = appendSeconds(m, in.start)
	m = append(m, `,"decision_id":"`...)
	m = pdp.AppendUUID(m, r.ID)
	m = append(m, '"')
	m = d.appendRevision(m)
	m = appendMember(m, "surface", r.Surface.String())
	m = appendMember(m, "agent_id", r.SubjectID)
	m = appendMember(m, "subject_type", r.SubjectType)
	if r.Flags.Has(pdp.FlagRole) {
		m = appendMember(m, "agent_role", r.Role)
	}
	if len(r.Action) <= longest {
		m = appendMember(m, "action", r.Action)
	}
	if r.Flags.Has(pdp.FlagResource) && len(r.Resource) <= longest {
		m = appendMember(m, "resource", r.Resource)
	}
	if in.held {
		m = append(m, `,"held":true`...)
	}
	d.meta = append(m, '}')
	return d.meta
}

// appendSeconds appends a time as Unix seconds, as events have it.
func appendSeconds(m []byte, us int64) []byte {
	m = append(strconv.AppendInt(m, us/second, 10), '.')
	for n, f := int64(100000), us%second; n > 0; n /= 10 {
		m = append(m, byte('0'+f/n%10))
	}
	return m
}
