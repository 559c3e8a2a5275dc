package pdp

// Surface is the way a call came in.
type Surface uint8

// The surfaces of CONTRACT's peer.surface.
const (
	SurfaceNative Surface = iota
	SurfaceAuthZEN
	SurfaceOPA
	SurfaceGRPC
	SurfaceHTTP
	SurfaceCLI
	Surfaces = 6
)

var surfaceNames = [Surfaces]string{"native", "authzen", "opa", "grpc", "http", "cli"}

// String is the surface's name in the input, in events and in metrics.
func (s Surface) String() string {
	if int(s) < len(surfaceNames) {
		return surfaceNames[s]
	}
	return ""
}

// Peer is what Thymus itself knows of the caller; no caller can write it. It lives as long as its connection and does
// not change.
type Peer struct {
	Unix      bool
	HasCred   bool // UID, GID, PID are the kernel's word (Unix socket)
	UID, GID  uint32
	PID       int32
	Principal string // identity in the client's verified certificate; empty without one
}

// Request is one question. All its strings are lent for the call: they share memory with Input's text, with the
// caller's buffers or with constants.
type Request struct {
	Surface Surface
	Input   *Doc // the canonical input, or on the OPA surface the caller's own; without nodes: undefined

	// What quarantine, record and detection read. On the OPA surface SubjectType and SubjectID may be empty and
	// Action is the path.
	SubjectType string
	SubjectID   string
	Role        string
	HasRole     bool
	Action      string
	Resource    string
	HasResource bool
	Correlation string // X-Request-ID, else the trace id of traceparent; empty without either
	// PathDiffers is a proxy surface's: the raw and the canonical path are not the same.
	PathDiffers bool
	// DryRun says that whoever asked lets the request pass whatever the decision is.
	DryRun bool
	// Fault is a reason found before evaluation why this request can only be denied (an ambiguous path, an identity
	// that failed); empty in all other cases. Fault then is the decision's reason's cause.
	Fault     string
	FaultCode FaultCode
}

// Limits on what names a subject, an action and a resource on the native and AuthZEN surfaces, in bytes.
const (
	MaxName     = 256
	MaxResource = 4096
	MaxDepth    = 64
)
