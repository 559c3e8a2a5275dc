package pdp

// ReadVerdict reads the value of an entrypoint, or of a Data API document, as a decision (CONTRACT 3 and 6): a boolean,
// an effect's name, or an object with `allowed` (boolean) or `effect` (name), and perhaps `reason` (string) and
// `warnings` (array of strings). It sets Effect, Allowed, Audit, Reason and Warnings of d, which must be fresh from
// Reset, and returns true.
//
// It returns false, and leaves d alone, where doc is undefined or of any other type; an object whose `reason` or
// `warnings` has another type is of another type altogether, because half of an answer is none. Where `allowed` and
// `effect` contradict each other the verdict is a deny.
//
// What it sets shares doc's memory. Reason stays empty where the value names none.
func ReadVerdict(doc *Doc, d *Decision) bool {
	if len(doc.Nodes) == 0 {
		return false
	}
	switch doc.Nodes[0].Kind {
	case True, False, String:
		e := verdictEffect(doc, 0)
		if e == None {
			return false
		}
		d.settle(e)
		return true
	case Object:
		return readVerdictObject(doc, d)
	}
	return false
}

func readVerdictObject(doc *Doc, d *Decision) bool {
	effect, reason, warnings := None, int32(-1), int32(-1)
	end := doc.Nodes[0].Next
	for c := int32(1); c < end; c = doc.Nodes[c].Next {
		n := &doc.Nodes[c]
		switch doc.Str(n.Key) {
		case "allowed":
			if n.Kind != True && n.Kind != False {
				return false
			}
			effect = bothSay(effect, verdictEffect(doc, c))
		case "effect":
			if n.Kind != String || verdictEffect(doc, c) == None {
				return false
			}
			effect = bothSay(effect, verdictEffect(doc, c))
		case "reason":
			if n.Kind != String {
				return false
			}
			reason = c
		case "warnings":
			if !isStrings(doc, c) {
				return false
			}
			warnings = c
		}
	}
	if effect == None {
		return false
	}
	d.settle(effect)
	if reason >= 0 {
		d.Reason = doc.Str(doc.Nodes[reason].Val)
	}
	if warnings >= 0 {
		for c := warnings + 1; c < doc.Nodes[warnings].Next; c++ { // strings only: each is one node
			d.Warnings, d.WarnRows = append(d.Warnings, doc.Str(doc.Nodes[c].Val)), append(d.WarnRows, -1)
		}
	}
	return true
}

// settle makes e the decision's effect.
func (d *Decision) settle(e Effect) {
	d.Effect, d.Allowed, d.Audit = e, e.Permits(), e == Audit
}

// verdictEffect is what the boolean or the string at index i says; None where it says nothing.
func verdictEffect(doc *Doc, i int32) Effect {
	switch n := &doc.Nodes[i]; n.Kind {
	case True:
		return Allow
	case False:
		return Deny
	case String:
		e, _ := ParseEffect(doc.Str(n.Val))
		return e
	}
	return None
}

// bothSay joins what `allowed` and `effect` say: the finer of the two where they agree, else a deny.
func bothSay(a, b Effect) Effect {
	switch {
	case a == None:
		return b
	case a.Permits() && b.Permits():
		return max(a, b)
	}
	return Deny
}

func isStrings(doc *Doc, i int32) bool {
	n := &doc.Nodes[i]
	if n.Kind != Array {
		return false
	}
	for c := i + 1; c < n.Next; c = doc.Nodes[c].Next {
		if doc.Nodes[c].Kind != String {
			return false
		}
	}
	return true
}
