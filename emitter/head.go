package emitter

import "bytes"

// Head is what routing and filters need of a line of the journal. Its slices share the line's memory.
type Head struct {
	ID        []byte
	Type      []byte
	Source    []byte // policy_engine, threat_service or immune_service
	Timestamp []byte // seconds, as JSON
	// Key is the partition key (CONTRACT 6): the payload's agent_id, else threat_id, else policy_id, else the source.
	// It is read from the line and not kept beside it, so that what was masked there is masked here, and so that a
	// replay sends each event where it went the first time.
	Key []byte
	// Agent is the payload's agent_id; empty where there is none.
	Agent []byte
}

// ParseHead reads a line, without or with its newline. False: it is no line of ours. It allocates nothing, unless the
// key is written with escapes.
func ParseHead(line []byte, h *Head) bool {
	return h.quick(line) || h.scan(line)
}

// scan reads any line of JSON, whatever the order and the spaces.
func (h *Head) scan(line []byte) bool {
	*h = Head{}
	s := scanner{b: line}
	if !s.take('{') {
		return false
	}
	for {
		name, ok := s.name()
		if !ok {
			return false
		}
		switch string(name) {
		case "id":
			h.ID = s.plain()
		case "type":
			h.Type = s.plain()
		case "source":
			h.Source = s.plain()
		case "timestamp":
			h.Timestamp = s.skip()
		case "payload":
			h.Key, h.Agent = s.partitionKey()
			if len(h.Key) == 0 {
				h.Key = h.Source
			}
			return !s.bad && len(h.ID) > 0 && len(h.Type) > 0 && len(h.Source) > 0
		default:
			s.skip()
		}
		if s.bad || !s.take(',') {
			return false
		}
	}
}

// In is the head as it lies in a copy of the line that it was read from. What was unescaped has memory of its own and
// stays there.
func (h *Head) In(line, copied []byte) Head {
	return Head{
		ID: in(h.ID, line, copied), Type: in(h.Type, line, copied), Source: in(h.Source, line, copied),
		Timestamp: in(h.Timestamp, line, copied), Key: in(h.Key, line, copied), Agent: in(h.Agent, line, copied),
	}
}

// in is part of a copy, if it is part of the line: slices of one memory that end where it ends are apart by what their
// capacities differ.
func in(part, line, copied []byte) []byte {
	at := cap(line) - cap(part)
	if len(part) == 0 || at < 0 || at+len(part) > len(line) || &line[at] != &part[0] {
		return part
	}
	return copied[at : at+len(part)]
}

// partitionKey looks through the payload for the first of the members that make the key. agent_id ends the search.
func (s *scanner) partitionKey() (key, agent []byte) {
	var threat, policy []byte
	if !s.take('{') {
		s.fail()
		return nil, nil
	}
	for s.peek() == '"' {
		name, ok := s.name()
		if !ok {
			return nil, nil
		}
		switch string(name) {
		case "agent_id":
			if v := s.plain(); len(v) > 0 {
				return v, v
			}
		case "threat_id":
			threat = s.plain()
		case "policy_id":
			policy = s.plain()
		default:
			s.skip()
		}
		if s.bad || !s.take(',') {
			break
		}
	}
	if !s.bad && s.peek() != '}' {
		s.fail()
	}
	if len(threat) > 0 {
		return threat, nil
	}
	return policy, nil
}

// name consumes a member's name and its colon.
func (s *scanner) name() ([]byte, bool) {
	if s.peek() != '"' {
		return nil, false
	}
	raw, escaped := s.str()
	if s.bad || !s.take(':') {
		return nil, false
	}
	if escaped {
		return unquote(nil, raw), true
	}
	return raw[1 : len(raw)-1], true
}

// plain consumes a value and returns what it says if it is a string, else nothing.
func (s *scanner) plain() []byte {
	if s.peek() != '"' {
		s.skip()
		return nil
	}
	raw, escaped := s.str()
	if s.bad {
		return nil
	}
	if escaped {
		return unquote(nil, raw)
	}
	return raw[1 : len(raw)-1]
}

// Nanoseconds is the timestamp in Unix nanoseconds, exact to its six decimals; false where it is no number.
func (h *Head) Nanoseconds() (ns int64, ok bool) {
	whole, part, _ := bytes.Cut(h.Timestamp, []byte("."))
	if len(whole) == 0 || len(whole) > 10 || len(part) > 9 {
		return 0, false
	}
	for _, c := range whole {
		if c < '0' || c > '9' {
			return 0, false
		}
		ns = ns*10 + int64(c-'0')
	}
	for i := range 9 {
		ns *= 10
		if i < len(part) {
			if part[i] < '0' || part[i] > '9' {
				return 0, false
			}
			ns += int64(part[i] - '0')
		}
	}
	return ns, true
}
