package cli

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"thymus/pdp/detect"
	"thymus/pdp/immune"
	"thymus/pdp/threat"
)

// incidentDocument is what became of one incident.
type incidentDocument struct {
	Incident    string    `json:"incident"`
	Detector    string    `json:"detector"`
	Type        string    `json:"type"`
	Severity    string    `json:"severity"`
	Subject     string    `json:"agent_id,omitempty"`
	SubjectType string    `json:"subject_type,omitempty"`
	Count       uint64    `json:"count"`
	First       time.Time `json:"first"`
	Last        time.Time `json:"last"`
	Description string    `json:"description"`
	Metadata    rawObject `json:"metadata"`
	Withdrawn   bool      `json:"withdrawn,omitempty"`
	// Quarantine says that self-protection would have acted, but for the bound on how many.
	Quarantine bool `json:"would_quarantine"`
}

// rawObject is JSON as it is.
type rawObject []byte

func (r rawObject) MarshalJSON() ([]byte, error) {
	if len(r) == 0 {
		return []byte("{}"), nil
	}
	return r, nil
}

func (p *past) found(f *detect.Finding) {
	at := time.Unix(0, f.Time).UTC()
	d := p.incidents[f.Incident]
	if d == nil {
		c := f.Clone()
		d = &incidentDocument{
			Incident: c.Incident, Detector: c.Detector.String(), Type: c.Type(), Subject: c.SubjectID, SubjectType: c.SubjectType,
			First: at, Description: c.Description, Metadata: c.Metadata,
		}
		p.incidents[c.Incident] = d
		p.order = append(p.order, d)
	}
	d.Severity, d.Count, d.Last = f.Severity(), f.Count, at
	switch {
	case f.Change == detect.Withdrawn:
		d.Withdrawn, d.Quarantine = true, false
	case f.Candidate && f.Threat.Rank() >= threat.Severity(p.cfg.ProtectAt).Rank() && f.SubjectType != "address" &&
		!slices.Contains(p.cfg.Exempt, f.SubjectID):
		d.Quarantine = true
	}
}

type detectDocument struct {
	Records   uint64              `json:"decisions"`
	Missing   uint64              `json:"missing"`
	Bad       uint64              `json:"unreadable"`
	From      *time.Time          `json:"from"`
	To        *time.Time          `json:"to"`
	Revisions uint64              `json:"activations"`
	Untracked uint64              `json:"untracked"`
	Withheld  uint64              `json:"withheld"`
	Subjects  int                 `json:"would_quarantine"`
	Incidents []*incidentDocument `json:"incidents"`
}

func (p *past) document() *detectDocument {
	s := p.w.Stats()
	d := &detectDocument{
		Records: p.records, Missing: p.missing, Bad: p.bad, Revisions: s.Revisions, Untracked: s.Untracked, Withheld: s.Withheld,
		Incidents: p.order,
	}
	if d.Incidents == nil {
		d.Incidents = []*incidentDocument{}
	}
	if p.records > 0 {
		first, last := time.Unix(0, p.first).UTC(), time.Unix(0, p.last).UTC()
		d.From, d.To = &first, &last
	}
	subjects := map[[2]string]struct{}{}
	for _, in := range p.order {
		if in.Quarantine {
			subjects[[2]string{in.SubjectType, in.Subject}] = struct{}{}
		}
	}
	d.Subjects = len(subjects)
	slices.SortStableFunc(d.Incidents, func(a, b *incidentDocument) int {
		return cmp.Or(a.First.Compare(b.First), cmp.Compare(a.Incident, b.Incident))
	})
	return d
}

func (d *detectDocument) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if len(d.Incidents) > 0 {
		fmt.Fprintln(w, "FIRST\tLASTED\tDETECTOR\tSEVERITY\tCOUNT\tSUBJECT\tPROTECT WOULD")
	}
	for _, in := range d.Incidents {
		subject, would := strconv.Quote(in.SubjectType+"/"+in.Subject), "-"
		switch {
		case in.Subject == "":
			subject = "-"
		case in.SubjectType == "agent" && strconv.Quote(in.Subject) == `"`+in.Subject+`"`:
			subject = in.Subject
		}
		switch {
		case in.Quarantine:
			would = "quarantine"
		case in.Withdrawn:
			would = "undo: the policy is suspect"
		}
		name := in.Detector
		if in.Type == string(immune.PolicyViolation) {
			name, would = "policy suspect: "+name, "withhold"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\t%s\n", in.First.Format("2006-01-02T15:04:05Z"),
			in.Last.Sub(in.First).Round(time.Second), name, in.Severity, in.Count, subject, would)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if d.Records == 0 {
		_, err := fmt.Fprintln(out, "no decisions")
		return err
	}
	_, err := fmt.Fprintf(out, "%d decisions of %s to %s, %d changes of policy: %d incidents, %d subjects would be quarantined\n",
		d.Records, d.From.Format(time.RFC3339), d.To.Format(time.RFC3339), d.Revisions, len(d.Incidents), d.Subjects)
	for _, n := range []struct {
		n    uint64
		what string
	}{
		{d.Missing, "events are not there"}, {d.Bad, "lines could not be read"},
		{d.Untracked, "decisions were of subjects that there was no room to remember (detect.subjects)"},
		{d.Withheld, "offences are not told, because the policy was suspect"},
	} {
		if n.n > 0 && err == nil {
			_, err = fmt.Fprintf(out, "%d %s\n", n.n, n.what)
		}
	}
	return err
}
