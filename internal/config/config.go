package config

import (
	"io/fs"
	"time"
)

// Config is the effective configuration. It is plain data: nobody changes it once Load has returned it, and then it may
// be read by any number of goroutines.
type Config struct {
	Dir         string
	Instance    string // empty: made at the first start from the host's name, and kept in Dir
	Data        Data
	Management  Management
	Diagnostics Diagnostics
	ExtAuthz    ExtAuthz
	Policies    Policies
	Rules       Rules
	Events      Events
	Threats     Threats
	Detect      Detect
	Immune      Immune
	Log         Log

	origins map[string]string // by key; Default for what no source set
}

// Default is the origin of a value that no source set.
const Default = "default"

// Origin says where a key's value came from: Default, "FILE:LINE", the name of a variable or of a flag.
func (c *Config) Origin(key string) string {
	if o, ok := c.origins[key]; ok {
		return o
	}
	return Default
}

// IsSet says whether any source set the key.
func (c *Config) IsSet(key string) bool { return c.Origin(key) != Default }

// TLS is what a listener serves with. Without Cert it serves in the clear.
type TLS struct{ Cert, Key, ClientCA string }

// Data is the plane that answers decisions.
type Data struct {
	Listen         Address
	Socket         string
	SocketMode     fs.FileMode
	PeerUIDs       []uint32 // empty: any
	TokenFile      string
	TLS            TLS
	Insecure       bool
	MaxBody        Size
	MaxHeader      Size
	MaxConnections int
	Deadline       time.Duration
	PublicURL      string // empty: made from the address that Listen got
	OPA            OPA
	DrainDelay     time.Duration
}

// OPA bounds and reads OPA's Data API.
type OPA struct {
	Paths   []string // globs parted by "/"; "**" is all, none of them is nothing
	Subject string   // where the subject's id is in the input
}

// Management is the plane of operators.
type Management struct {
	Listen    Address
	TokenFile string
	TLS       TLS
	Insecure  bool
}

// Diagnostics is the listener with health and metrics alone.
type Diagnostics struct {
	Listen Address
	Pprof  bool // and with profiles; only on loopback
}

// ExtAuthz answers proxies.
type ExtAuthz struct {
	Listen       Address
	Socket       string
	Entrypoint   string
	Identity     []string // "jwt", "principal", "address" or "header:NAME", first that yields one
	RoleHeader   string
	JWT          JWT
	ExposeReason bool
	DryRun       bool
	MaxBody      Size
}

// JWT says which tokens name a subject.
type JWT struct {
	JWKS       string // a file, or an https URL
	Issuer     string
	Audience   []string
	Algorithms []string
	Header     string
	RoleClaim  string
	Leeway     time.Duration
	RequireExp bool
	Refresh    time.Duration
	MaxAge     time.Duration
}

// Policies says what decides.
type Policies struct {
	Paths         []string
	Watch         bool
	Builtin       bool
	Entrypoint    string
	AllowBuiltins []string
}

// Rules says how policies are evaluated.
type Rules struct {
	Engine       string  // native or topdown
	ShadowRate   float64 // 0 to 1
	OnDifference string  // report or topdown
}

// Events says what becomes of records.
type Events struct {
	Ring    Ring
	Journal Journal
	Kafka   Kafka
	Strict  bool // events.loss
	Mask    []Mask
	Input   bool
}

// Ring is the memory between decisions and the journal.
type Ring struct {
	Path string // a folder; empty: a tmpfs where there is one, else Config.Dir
	Size Size
}

// Journal is the events on disk.
type Journal struct {
	Path        string
	SegmentSize Size
	RetainSize  Size // 0: a quarter of the disk that is free at start
	RetainAge   time.Duration
	Fsync       Fsync
}

// Kafka is where events are sent.
type Kafka struct {
	Brokers     []string // empty: nowhere
	Topic       string
	Acks        string // "all", "1" or "0"
	Linger      time.Duration
	Compression string // "none", "gzip", "snappy", "lz4" or "zstd"
	TLS         ClientTLS
	SASL        SASL
}

// ClientTLS is how a client speaks TLS.
type ClientTLS struct {
	Enabled             bool
	CA, Cert, Key, Name string
}

// SASL is how a client says who it is.
type SASL struct {
	Mechanism    string // "none", "PLAIN", "SCRAM-SHA-256" or "SCRAM-SHA-512"
	Username     string
	Password     string
	PasswordFile string
}

// Threats is where the threat registry is kept.
type Threats struct{ Store string } // "embedded", or a redis URL

// Immune is what Thymus does about what it detects.
type Immune struct {
	Protect        bool   // immune.mode
	ProtectAt      string // a severity
	Exempt         []string
	MaxQuarantined Quota
	TTL, MaxTTL    time.Duration // of self-protection's quarantines
	Healing        Healing
	BrownOut       BrownOut
}

// Healing says when a change of policies is taken back.
type Healing struct {
	Enabled         bool
	Window          time.Duration
	Errors, Percent int
}

// BrownOut says when optional work is left out, in percent of the ring.
type BrownOut struct {
	Enabled                  bool
	Detectors, Allows, Leave int
	Calm                     time.Duration
}

// Log is what is said on standard error.
type Log struct{ Level, Format string }
