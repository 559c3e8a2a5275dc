package pdp

import (
	"encoding/binary"
	"fmt"
)

// Event is a record that is one ready event: what the management plane, the threat registry and the immune system
// report. A decision is a Record instead, of which the pump makes one to four events.
type Event struct {
	Time        int64  // Unix nanoseconds
	Source      Source // who says it
	Type        string // "policy.created", ...
	Key         string // partition key: agent_id, else threat_id, else policy_id; empty: the source
	Correlation string
	Payload     []byte // a JSON object
	// Owed numbers the events of stored changes, from 1 in the order of the store: a change that is stored carries its
	// event until the journal has it, and a start offers again what is owed. The journal takes each number once, and
	// none below one it has. 0: nothing is owed for this event.
	Owed uint64
}

// Source is the module of the predecessor that an event speaks for.
type Source uint8

// The sources.
const (
	SourcePolicy Source = iota
	SourceThreat
	SourceImmune
	Sources = 3
)

var sourceNames = [Sources]string{"policy_engine", "threat_service", "immune_service"}

// String is the envelope's source.
func (s Source) String() string {
	if s < Sources {
		return sourceNames[s]
	}
	return ""
}

// An event's record in bytes, little endian:
//
//	 0  u8   version (1)
//	 1  u8   kind (2: event)
//	 2  u8   source
//	 3  5    reserved, 0
//	 8  i64  time
//	16  u64  owed
//	24       type, key, correlation, payload: each a uvarint length and its bytes
const eventFixed = 24

// AppendEvent appends e's bytes.
func AppendEvent(dst []byte, e *Event) []byte {
	dst = append(dst, recordVersion, KindEvent, byte(e.Source), 0, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(e.Time))
	dst = binary.LittleEndian.AppendUint64(dst, e.Owed)
	dst = appendText(dst, e.Type)
	dst = appendText(dst, e.Key)
	dst = appendText(dst, e.Correlation)
	return appendText(dst, lend(e.Payload))
}

// ParseEvent reads an event's record. What e holds points into b.
func ParseEvent(b []byte, e *Event) error {
	if len(b) < eventFixed || b[0] != recordVersion || b[1] != KindEvent || b[2] >= byte(Sources) {
		return fmt.Errorf("%w: no event", ErrRecord)
	}
	*e = Event{Source: Source(b[2]), Time: int64(binary.LittleEndian.Uint64(b[8:])), Owed: binary.LittleEndian.Uint64(b[16:])}
	t := texts{b: b[eventFixed:]}
	t.next(&e.Type)
	t.next(&e.Key)
	t.next(&e.Correlation)
	e.Payload = t.take()
	if t.bad || len(t.b) != 0 {
		return fmt.Errorf("%w: %d bytes do not hold what they announce", ErrRecord, len(b))
	}
	return nil
}
