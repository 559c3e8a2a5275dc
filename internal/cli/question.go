package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"thymus/pdp"
	"thymus/pdp/wire"
)

// question is what a decision is asked for.
type question struct {
	body      []byte // JSON
	canonical bool   // body is a whole canonical input, else a native call
}

// maxQuestion bounds what is read from standard input, in bytes.
const maxQuestion = 64 << 20

// question is made of the flags, else read from standard input.
func (c *checkFlags) question(cmd *cobra.Command, std Stdio) (question, error) {
	if asked(cmd) {
		return c.native(cmd)
	}
	if terminal(std.In) {
		return question{}, errors.New("expected --agent and --action, or a JSON document on standard input")
	}
	body, err := io.ReadAll(io.LimitReader(std.In, maxQuestion+1))
	if err != nil {
		return question{}, fmt.Errorf("standard input: %w", err)
	}
	if len(body) > maxQuestion {
		return question{}, fmt.Errorf("standard input: more than %d bytes", maxQuestion)
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return question{}, errors.New("standard input is empty, expected --agent and --action, or a JSON document there")
	}
	doc := &pdp.Doc{}
	if p := wire.NewScanner().Scan(body, wire.Mode{Depth: pdp.MaxDepth}, doc); p != nil {
		return question{}, fmt.Errorf("standard input: %w", p)
	}
	return question{body: body, canonical: doc.Member(0, "agent_id") < 0 && doc.Member(0, "subject") >= 0}, nil
}

// native makes the native call that the flags describe.
func (c *checkFlags) native(cmd *cobra.Command) (question, error) {
	if c.agent == "" || c.action == "" {
		return question{}, errors.New("expected --agent and --action, each with a value")
	}
	call := map[string]any{"agent_id": c.agent, "action": c.action}
	if cmd.Flags().Changed("role") {
		call["agent_role"] = c.role
	}
	if cmd.Flags().Changed("resource") {
		call["resource"] = c.resource
	}
	for _, part := range []struct {
		flag, member string
		pairs        []string
	}{{"--param", "params", c.params}, {"--env", "environment", c.env}} {
		if len(part.pairs) == 0 {
			continue
		}
		values := map[string]json.RawMessage{}
		for _, pair := range part.pairs {
			key, value, ok := strings.Cut(pair, "=")
			if !ok || key == "" {
				return question{}, fmt.Errorf("%s: got %q, expected key=value", part.flag, pair)
			}
			if _, twice := values[key]; twice {
				return question{}, fmt.Errorf("%s: %q is given twice", part.flag, key)
			}
			values[key] = rawJSON(value)
		}
		call[part.member] = values
	}
	body, err := json.Marshal(call)
	return question{body: body}, err
}

// rawJSON is text itself where it is JSON, else text as a JSON string.
func rawJSON(text string) json.RawMessage {
	if json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	return pdp.AppendString(nil, text)
}

// request reads the question into a request as a sidecar would, but that the call's surface is the command line.
func (q question) request(req *pdp.Request) error {
	if !q.canonical {
		if p := wire.NewDecoder().Native(q.body, pdp.SurfaceCLI, nil, req); p != nil {
			return p
		}
		return nil
	}
	body, err := completed(q.body)
	if err != nil {
		return err
	}
	doc := &pdp.Doc{}
	if p := wire.NewScanner().Scan(body, wire.Mode{Depth: pdp.MaxDepth}, doc); p != nil {
		return p
	}
	text := func(names ...string) (string, bool) { return doc.StringAt(doc.Path(names...)) }
	*req = pdp.Request{Surface: pdp.SurfaceCLI, Input: doc}
	req.SubjectType, _ = text("subject", "type")
	req.SubjectID, _ = text("subject", "id")
	req.Role, req.HasRole = text("subject", "properties", "role")
	req.Action, _ = text("action", "name")
	req.Resource, req.HasResource = text("resource", "id")
	for _, need := range [...][2]string{{"subject.id", req.SubjectID}, {"action.name", req.Action}} {
		if need[1] == "" {
			return fmt.Errorf("standard input: %s: expected a text that is not empty", need[0])
		}
	}
	return nil
}

// completed is a canonical input with what a sidecar adds: empty properties and context where there are none, and peer,
// which is never the caller's.
func completed(body []byte) ([]byte, error) {
	var input map[string]any
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if err := dec.Decode(&input); err != nil {
		return nil, err
	}
	for _, name := range []string{"subject", "action", "resource"} {
		part, ok := input[name].(map[string]any)
		if !ok && input[name] != nil {
			return nil, fmt.Errorf("standard input: %s: expected an object", name)
		}
		if part == nil {
			part = map[string]any{}
			input[name] = part
		}
		if _, ok := part["properties"]; !ok {
			part["properties"] = map[string]any{}
		}
		if _, ok := part["type"]; !ok && name != "action" {
			part["type"] = ""
		}
	}
	if _, ok := input["context"]; !ok {
		input["context"] = map[string]any{}
	}
	input["peer"] = map[string]any{"surface": pdp.SurfaceCLI.String(), "transport": "tcp"}
	return json.Marshal(input)
}
