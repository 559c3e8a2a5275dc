package pdp

// Entrypoint turns what an entrypoint evaluated to into the decision (CONTRACT 3): a fault denies, an undefined value
// or one that says neither yes nor no denies, and the reason is the value's own, else the entrypoint's name.
func Entrypoint(s *Snapshot, path string, r *Result, d *Decision) {
	d.Revision = s.Revision
	if len(r.Faults) > 0 {
		f := firstFault(r)
		d.Fail(f.Code, r.Out.Str(f.Msg))
		return
	}
	if !r.Defined || !ReadVerdict(&r.Out, d) {
		d.Effect, d.Allowed = Deny, false
	}
	if d.Reason == "" {
		d.Reason = d.compose("Entrypoint ", path)
	}
}
