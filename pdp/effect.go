package pdp

// Effect is what a matching rule asks for. The order of the constants is the order of strictness: of two effects at
// one priority the larger decides.
type Effect uint8

// The effects, least strict first. None is the absence of one: no default named, or a value that names none.
const (
	None Effect = iota
	Allow
	Warn
	Audit
	Deny
)

var effectNames = [...]string{None: "", Allow: "allow", Warn: "warn", Audit: "audit", Deny: "deny"}

// String is the effect's name on every wire; empty for None.
func (e Effect) String() string {
	if int(e) < len(effectNames) {
		return effectNames[e]
	}
	return ""
}

// Permits says whether a decision with this effect lets the action happen: all but Deny and None do.
func (e Effect) Permits() bool { return e == Allow || e == Warn || e == Audit }

// ParseEffect reads an effect's name as it stands on the wire, in lower case.
func ParseEffect[T ~string | ~[]byte](s T) (Effect, bool) {
	switch string(s) {
	case "allow":
		return Allow, true
	case "deny":
		return Deny, true
	case "warn":
		return Warn, true
	case "audit":
		return Audit, true
	}
	return None, false
}

// Class is the importance of a record when the ring fills: what may be shed first, and the label under which losses
// are counted. The first four are the effects of decisions.
type Class uint8

// The classes, in the order in which their counters are kept.
const (
	ClassAllow Class = iota
	ClassDeny
	ClassWarn
	ClassAudit
	ClassThreat
	ClassImmune
	ClassAdmin
	Classes = 7
)

var classNames = [Classes]string{"allow", "deny", "warn", "audit", "threat", "immune", "admin"}

// String is the class's name in metrics.
func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return ""
}

// Class of the record of a decision with this effect. A decision whose effect cannot be read is kept like a deny.
func (e Effect) Class() Class {
	switch e {
	case Allow:
		return ClassAllow
	case Warn:
		return ClassWarn
	case Audit:
		return ClassAudit
	}
	return ClassDeny
}
