package immune

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
)

// Finding is what detection says of one incident: the whole of it so far, so that the same finding twice does nothing
// the second time. It is either about a subject, and then a threat, or about the sidecar, and then an immune event.
type Finding struct {
	Incident    string // names the incident, and is the same when the same records are looked at again
	At          int64  // Unix nanoseconds, by the records
	Detector    string
	Count       uint64
	Description string
	Metadata    json.RawMessage // a JSON object

	// Of threats.
	Subject   Subject
	Threat    string // severity; empty: no threat
	Rank      int    // of the severity, as Options.ProtectAt counts
	Candidate bool   // as far as detection can tell the subject is at fault, and not the policy
	Withdrawn bool   // it was not the subject: what was done to it for this incident is undone

	// Of immune events.
	Severity Severity
	Type     Type
	Suspect  bool // the policy is suspect
	Ended    bool // the incident is over

	urgent bool
	acted  bool // what it asks for is done, but for its threat
}

// Threats keeps threats.
type Threats interface {
	// Raise makes the incident's threat, or raises its count and severity, and gives its id.
	Raise(ctx context.Context, f *Finding) (id string, err error)
}

// same says whether a later finding of the same incident may take an earlier one's place where it waits.
func (f *Finding) same(g *Finding) bool {
	return f.Incident == g.Incident && f.Withdrawn == g.Withdrawn && f.Ended == g.Ended && f.Suspect == g.Suspect
}

// waitsAs names what a finding says: of those that wait for their store the newest of a name says all.
func (f *Finding) waitsAs() string {
	if f.Withdrawn || f.Ended {
		return f.Incident + " over"
	}
	return f.Incident
}

// meta is the metadata with members in front; m is an object without its end.
func (f *Finding) meta(m []byte) json.RawMessage {
	in := bytes.TrimSpace(f.Metadata)
	if len(in) > 2 && len(in)+len(m) < maxMeta && in[0] == '{' {
		return append(append(m, ','), bytes.TrimSpace(in[1:])...)
	}
	return append(m, '}')
}

// incident opens an object that names an incident; what follows begins with a comma.
func incident(name string) []byte { return fmt.Appendf(nil, `{"incident":%q`, name) }

// note is what an event's meta says of an incident.
type note struct {
	Incident string `json:"incident"`
	Would    string `json:"would"`
	Ended    bool   `json:"ended"`
}

// noteOf reads meta that a responder wrote; that of others says nothing of incidents.
func noteOf(meta json.RawMessage) (n note) {
	if !bytes.HasPrefix(meta, []byte(`{"incident":`)) || json.Unmarshal(meta, &n) != nil {
		return note{}
	}
	return n
}
