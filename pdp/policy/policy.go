package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"thymus/pdp"
)

// Form is how a policy is written.
type Form string

// The forms.
const (
	Structured Form = "structured"
	Rego       Form = "rego"
)

// Bounds of what is kept. Beyond them the oldest history goes first; beyond maxPolicies a new policy is refused.
const (
	MaxText      = 1 << 20 // bytes of one policy's text
	MaxID        = 256     // bytes of an id
	maxPolicies  = 20_000  // stored policies that are not deleted
	maxRevisions = 100     // revisions of one policy
	maxDeleted   = 10_000  // deleted policies whose history is kept
)

// Source is one stored policy as a Compiler gets it.
type Source struct {
	ID       string
	Form     Form
	Text     []byte // structured: JSON; Rego: the module. Never changed.
	Disabled bool   // overrides what the text says
	Origin   string // what problems name it
}

// Text is one of the texts that a policy was made of.
type Text struct {
	Origin string
	Text   []byte // as it was read; never changed
}

// Info is what a compiled set knows of one policy, wherever it comes from.
type Info struct {
	ID          string
	Name        string // empty where it has none
	Version     string
	Description string
	Enabled     bool
	Default     pdp.Effect // None where it names none
	Rules       int        // its enabled effect rules
	Form        Form
	Origin      string
	Texts       []Text
}

// Title is the name, and the id of a policy without one: what events call it.
func (i *Info) Title() string {
	if i.Name == "" {
		return i.ID
	}
	return i.Name
}

// Policy is one policy of the active set. Times are Unix seconds.
type Policy struct {
	Info
	ReadOnly  bool   // it lies in a file, or is built in: Origin says which
	Revision  uint64 // from 1; 0 for what is read-only
	Digest    string // hex SHA-256 of what makes it: form, switch and text
	Disabled  bool   // switched off by the API, whatever the text says
	CreatedAt float64
	UpdatedAt float64
	UpdatedBy string // name of the token
}

// Revision is one entry of a policy's history. Times are Unix seconds.
type Revision struct {
	Revision uint64  `json:"revision"`
	Action   Action  `json:"action"`
	From     uint64  `json:"from,omitempty"` // the revision that a rollback returned to
	At       float64 `json:"updated_at"`
	Actor    string  `json:"updated_by"`
	Digest   string  `json:"digest,omitempty"`
	Form     Form    `json:"form,omitempty"`
	Name     string  `json:"name,omitempty"`
	Version  string  `json:"version,omitempty"`
	Enabled  bool    `json:"enabled"`
	Rules    int     `json:"rules_count"`
	Disabled bool    `json:"-"`
	Text     []byte  `json:"-"`
}

// Action is what made a revision.
type Action string

// The actions.
const (
	Created    Action = "created"
	Updated    Action = "updated"
	RolledBack Action = "rolled_back"
	Deleted    Action = "deleted"
)

// origin is how problems and answers name a stored policy.
func origin(id string) string { return "api:" + id }

// digest of a draft.
func digest(form Form, disabled bool, texts ...Text) string {
	h := sha256.New()
	h.Write([]byte(form))
	if disabled {
		h.Write([]byte(" disabled"))
	}
	for _, t := range texts {
		h.Write([]byte{'\n'})
		h.Write(t.Text)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// CheckID says what is wrong with an id, or nothing. Ids are letters, digits, _ . and -, without an empty part between
// dots, and stats is the name of another resource.
func CheckID(id string) string {
	switch {
	case id == "" || len(id) > MaxID:
		return "expected 1 to 256 bytes"
	case id == "stats":
		return "stats is the name of another resource"
	case strings.HasPrefix(id, ".") || strings.HasSuffix(id, ".") || strings.Contains(id, ".."):
		return "a policy id has no empty part between dots"
	}
	for _, c := range []byte(id) {
		switch {
		case c == '_', c == '-', c == '.', c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		default:
			return "a policy id consists of letters, digits, _ . and -"
		}
	}
	return ""
}
