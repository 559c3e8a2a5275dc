package pdp

// Record is what one decision leaves behind: everything its events will say, and nothing that can be looked up. A row
// of a snapshot stands for the policy, the rule and the reason; Seq says which snapshot, and whoever keeps records keeps
// the rows of each Seq beside them before a decision can use it.
//
// Strings are lent: AppendRecord copies them out, and ParseRecord's point into the bytes it was given.
type Record struct {
	Time  int64 // the moment of the decision, Unix nanoseconds
	Eval  int64 // nanoseconds spent evaluating
	ID    [16]byte
	Seq   uint32 // Snapshot.Seq
	Row   int32  // row that decided, -1: Policy, Rule and Reason say it
	Flags Flags
	Cut   Field // fields that were longer than a record may hold

	Surface Surface
	Effect  Effect // None: the value of an OPA document said neither yes nor no
	Fault   FaultCode

	SubjectType string
	SubjectID   string
	Role        string
	Action      string
	Resource    string
	Correlation string
	Revision    string // where Seq is 0
	Policy      string // where Row is -1 and FlagMatched is set
	Rule        string
	Reason      string // where Row is -1
	Warnings    []Warning
	Input       []byte // the canonical input as JSON, where the operator wants it
}

// Warning is one warning of a decision: a row whose reason it is, or (Row -1) a text.
type Warning struct {
	Row  int32
	Text string
}

// Flags of a record.
type Flags uint16

// The flags.
const (
	FlagAllowed Flags = 1 << iota
	FlagAudit
	FlagMatched
	FlagRole
	FlagResource
	FlagInput
	FlagQuarantined
	FlagPathDiffers
	FlagDryRun
)

// Has says whether all of the given flags are set.
func (f Flags) Has(g Flags) bool { return f&g == g }

// Field is a set of an event's fields, for saying which were cut.
type Field uint16

// The fields that can be cut.
const (
	CutSubjectType Field = 1 << iota
	CutSubjectID
	CutRole
	CutAction
	CutResource
	CutPolicy
	CutRule
	CutReason
	CutWarnings
	CutInput
)

var cutNames = [...]string{
	"subject_type", "agent_id", "agent_role", "action", "resource", "matched_policy", "matched_rule", "reason", "warnings",
	"input",
}

// Each calls f with the event's name of each field in the set, in a fixed order.
func (c Field) Each(f func(name string)) {
	for i, n := range cutNames {
		if c&(1<<i) != 0 {
			f(n)
		}
	}
}

// Bounds of a record's fields in bytes. With all of them reached and every byte escaped in JSON, an event without input
// stays below 64 KiB.
const (
	maxReason   = 1024
	maxWarnings = 4096 // of all texts together
	maxWarnRows = 256
	MaxInput    = 48 << 10
)

// Fill sets r from a decision on a request. Strings stay lent. Time, Eval and Input are the caller's to set.
func (r *Record) Fill(s *Snapshot, req *Request, d *Decision) {
	w := r.Warnings[:0]
	*r = Record{
		ID: d.ID, Seq: s.Seq, Row: d.Row, Surface: req.Surface, Effect: d.Effect, Fault: d.Fault,
		SubjectType: req.SubjectType, SubjectID: req.SubjectID, Role: req.Role, Action: req.Action,
		Resource: req.Resource, Correlation: req.Correlation,
	}
	r.Flags = flag(d.Allowed, FlagAllowed) | flag(d.Audit, FlagAudit) | flag(d.Matched, FlagMatched) |
		flag(req.HasRole, FlagRole) | flag(req.HasResource, FlagResource) | flag(d.Quarantined, FlagQuarantined) |
		flag(req.PathDiffers, FlagPathDiffers) | flag(req.DryRun, FlagDryRun)
	if s.Seq == 0 {
		r.Revision, r.Row = s.Revision, -1
	}
	if r.Row < 0 {
		r.Policy, r.Rule, r.Reason = d.Policy, d.Rule, d.Reason
	}
	for i, text := range d.Warnings {
		if row := d.WarnRows[i]; row >= 0 && s.Seq != 0 {
			w = append(w, Warning{Row: row})
		} else {
			w = append(w, Warning{Row: -1, Text: text})
		}
	}
	r.Warnings = w
	r.bound()
}

func flag(on bool, f Flags) Flags {
	if on {
		return f
	}
	return 0
}

// bound cuts what is too long and notes it.
func (r *Record) bound() {
	r.cut(&r.SubjectType, MaxName, CutSubjectType)
	r.cut(&r.SubjectID, MaxName, CutSubjectID)
	r.cut(&r.Role, MaxName, CutRole)
	if r.Surface == SurfaceOPA {
		r.cut(&r.Action, MaxResource, CutAction) // a path
	} else {
		r.cut(&r.Action, MaxName, CutAction)
	}
	r.cut(&r.Resource, MaxResource, CutResource)
	r.cut(&r.Policy, MaxName, CutPolicy)
	r.cut(&r.Rule, MaxName, CutRule)
	r.cut(&r.Reason, maxReason, CutReason)
	r.Correlation = clip(r.Correlation, MaxName)
	if len(r.Warnings) > maxWarnRows {
		r.Warnings, r.Cut = r.Warnings[:maxWarnRows], r.Cut|CutWarnings
	}
	left := maxWarnings
	for i := range r.Warnings {
		w := &r.Warnings[i]
		if len(w.Text) > left {
			w.Text, r.Cut = clip(w.Text, left), r.Cut|CutWarnings
		}
		left -= len(w.Text)
	}
}

func (r *Record) cut(s *string, limit int, f Field) {
	if len(*s) > limit {
		*s, r.Cut = clip(*s, limit), r.Cut|f
	}
}

// clip is the longest prefix of s of at most n bytes that does not end inside a UTF-8 sequence.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}
