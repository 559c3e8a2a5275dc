package detect

import (
	"bytes"

	"thymus/pdp"
)

// cursor reads a line in the very shape in which the emitter writes it: members in its order, no spaces, no escapes.
// Whatever is otherwise makes it fail, and the line is read by encoding/json, which takes some times as long.
type cursor struct {
	b     []byte
	other bool // a line of the emitter's, and no policy.evaluated
	bad   bool
}

func (c *cursor) evaluated(f *fields) bool {
	c.skip(`{"id":"`)
	c.text()
	c.skip(`,"type":"`)
	if c.bad {
		return false
	}
	if typ := c.text(); typ != typeEvaluated {
		c.other = !c.bad
		return false
	}
	c.skip(`,"source":"policy_engine","target":null,"timestamp":`)
	c.number()
	c.skip(`,"payload":{"decision_id":"`)
	f.id = c.text()
	c.skip(`,"policy_revision":"`)
	f.revision = c.text()
	c.skip(`,"surface":"`)
	f.surface = c.text()
	c.skip(`,"agent_id":"`)
	f.agent = c.text()
	c.skip(`,"subject_type":"`)
	f.typ = c.text()
	if c.has(`,"agent_role":"`) {
		f.role = c.text()
		f.flags |= pdp.FlagRole
	}
	c.skip(`,"action":"`)
	f.action = c.text()
	c.skip(`,"resource":`)
	f.resource = c.optional(&f.flags, pdp.FlagResource)
	c.skip(`,"result":{"allowed":`)
	switch {
	case c.has("true"):
		f.flags |= pdp.FlagAllowed
	case c.has("false"), c.has("null"):
	default:
		return false
	}
	c.skip(`,"effect":`)
	f.effect = c.optional(&f.flags, 0)
	c.skip(`,"matched_policy":`)
	f.policy = c.optional(&f.flags, pdp.FlagMatched)
	c.skip(`,"matched_rule":`)
	f.rule = c.optional(&f.flags, pdp.FlagMatched)
	c.skip(`,"reason":"`)
	f.reason = c.text()
	c.skip(`},"evaluation_time_ms":`)
	f.millis = c.number()
	c.skip(`,"evaluated_at":`)
	f.at = c.number()
	c.skip(`},"meta":{"correlation_id":`)
	c.optional(&f.flags, 0)
	c.skip(`,"version":"1.0"}}`)
	return !c.bad && (len(c.b) == 0 || string(c.b) == "\n")
}

func (c *cursor) has(s string) bool {
	if len(c.b) < len(s) || string(c.b[:len(s)]) != s {
		return false
	}
	c.b = c.b[len(s):]
	return true
}

func (c *cursor) skip(s string) {
	if !c.has(s) {
		c.bad = true
	}
}

// text is a string whose opening quote is behind; escapes and what JSON must not hold as it is are not for here.
func (c *cursor) text() string {
	for i, x := range c.b {
		if x == '"' {
			s := lend(c.b[:i])
			c.b = c.b[i+1:]
			return s
		}
		if x == '\\' || x < ' ' || x >= 0x80 {
			break
		}
	}
	c.bad = true
	return ""
}

func (c *cursor) optional(flags *pdp.Flags, there pdp.Flags) string {
	if c.has("null") {
		return ""
	}
	c.skip(`"`)
	*flags |= there
	return c.text()
}

func (c *cursor) number() string {
	i := 0
	for i < len(c.b) && (c.b[i] >= '0' && c.b[i] <= '9' || c.b[i] == '.') {
		i++
	}
	if i == 0 || i == len(c.b) || c.b[0] == '.' || c.b[i-1] == '.' || i > 32 || bytes.Count(c.b[:i], []byte(".")) > 1 {
		c.bad = true
		return ""
	}
	s := lend(c.b[:i])
	c.b = c.b[i:]
	return s
}
