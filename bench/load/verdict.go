package load

import "bytes"

// Verdict is what a decision comes down to.
type Verdict uint8

// The verdicts. Unknown is, where it is expected, any; where it is answered, an answer that holds no decision.
const (
	Unknown Verdict = iota
	Permit
	Deny
)

// String is the verdict's name on the command line.
func (v Verdict) String() string {
	switch v {
	case Permit:
		return "permit"
	case Deny:
		return "deny"
	}
	return "any"
}

func verdict(permit bool) Verdict {
	if permit {
		return Permit
	}
	return Deny
}

// boolean reads a JSON value that must be true or false.
func boolean(value []byte) Verdict {
	switch string(value) {
	case "true":
		return Permit
	case "false":
		return Deny
	}
	return Unknown
}

// reader finds the verdict in an HTTP answer. ok is false where the status says that there is none.
type reader func(status int, body []byte) (v Verdict, ok bool)

func readNative(status int, body []byte) (Verdict, bool) {
	if status != 200 {
		return Unknown, false
	}
	value, _ := member(body, "allowed")
	return boolean(value), true
}

func readAuthZEN(status int, body []byte) (Verdict, bool) {
	if status != 200 {
		return Unknown, false
	}
	value, _ := member(body, "decision")
	return boolean(value), true
}

// readOPA takes the result as opa-envoy-plugin would: a boolean, or an object with allowed or allow. An answer without a
// result is undefined, which permits nothing.
func readOPA(status int, body []byte) (Verdict, bool) {
	if status != 200 {
		return Unknown, false
	}
	value, ok := member(body, "result")
	switch {
	case !ok:
		return Unknown, true
	case value == nil:
		return Deny, true
	case value[0] != '{':
		return boolean(value), true
	}
	for _, name := range [...]string{"allowed", "allow"} {
		if v, ok := member(value, name); ok && v != nil {
			return boolean(v), true
		}
	}
	return Unknown, true
}

// readGate reads ext_authz over HTTP: 200 permits, 401, 403 and what redirects to a login deny.
func readGate(status int, _ []byte) (Verdict, bool) {
	switch {
	case status == 200:
		return Permit, true
	case status == 401 || status == 403 || status/100 == 3:
		return Deny, true
	}
	return Unknown, false
}

// member is the value of a member of the JSON object doc, nil where there is none of that name; ok is false where doc is
// no object. Names with escapes in them match nothing. It reads as far as it must and allocates nothing.
func member(doc []byte, name string) (value []byte, ok bool) {
	i := space(doc, 0)
	if i == len(doc) || doc[i] != '{' {
		return nil, false
	}
	if i = space(doc, i+1); i < len(doc) && doc[i] == '}' {
		return nil, true
	}
	for {
		key := i
		if i = skip(doc, i); i < 0 || doc[key] != '"' {
			return nil, false
		}
		match := string(doc[key+1:i-1]) == name
		if i = space(doc, i); i == len(doc) || doc[i] != ':' {
			return nil, false
		}
		start := space(doc, i+1)
		if i = skip(doc, start); i < 0 {
			return nil, false
		}
		if match {
			return doc[start:i], true
		}
		if i = space(doc, i); i == len(doc) || doc[i] != ',' {
			return nil, i < len(doc) && doc[i] == '}'
		}
		i = space(doc, i+1)
	}
}

func space(doc []byte, i int) int {
	for i < len(doc) && (doc[i] == ' ' || doc[i] == '\n' || doc[i] == '\r' || doc[i] == '\t') {
		i++
	}
	return i
}

// skip is the index behind the JSON value that begins at i, -1 where none ends. Objects and arrays are skipped by
// counting, without a look at their grammar.
func skip(doc []byte, i int) int {
	if i >= len(doc) {
		return -1
	}
	switch doc[i] {
	case '"':
		return text(doc, i)
	case '{', '[':
		for depth := 0; i < len(doc); i++ {
			switch doc[i] {
			case '"':
				if i = text(doc, i) - 1; i < 0 {
					return -1
				}
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
		return -1
	}
	start := i
	for i < len(doc) && doc[i] != ',' && doc[i] != '}' && doc[i] != ']' && doc[i] > ' ' {
		i++
	}
	if i == start {
		return -1
	}
	return i
}

// text is the index behind the JSON string that begins at i, -1 where it does not end.
func text(doc []byte, i int) int {
	for i++; ; i++ {
		n := bytes.IndexByte(doc[min(i, len(doc)):], '"')
		if n < 0 {
			return -1
		}
		i += n
		escapes := 0
		for doc[i-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return i + 1
		}
	}
}
