package load

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"thymus/bench/workload"
)

// Target is the dialect that a decision point is asked in.
type Target uint8

// The targets.
const (
	Native  Target = iota // Thymus' POST /v1/evaluate
	AuthZEN               // POST /access/v1/evaluation
	OPA                   // POST /v1/data/PATH; boolean results, or objects with allowed or allow
	HTTP                  // ext_authz over HTTP as Traefik and Caddy ask it, nginx or Envoy, by the path
	GRPC                  // envoy.service.auth.v3.Authorization/Check
	targets
)

var targetNames = [targets]string{"native", "authzen", "opa", "http", "grpc"}

// String is the target's name on the command line.
func (t Target) String() string {
	if t < targets {
		return targetNames[t]
	}
	return ""
}

// ParseTarget reads such a name.
func ParseTarget(s string) (Target, error) {
	if i := slices.Index(targetNames[:], s); i >= 0 {
		return Target(i), nil
	}
	return 0, fmt.Errorf("got %q, expected one of %s", s, strings.Join(targetNames[:], ", "))
}

// GuessTarget tells the target from a URL's path.
func GuessTarget(e Endpoint) Target {
	switch {
	case e.GRPC:
		return GRPC
	case strings.HasPrefix(e.Path, "/access/v1/evaluation"):
		return AuthZEN
	case strings.HasPrefix(e.Path, "/v1/data"):
		return OPA
	case strings.HasPrefix(e.Path, "/ext_authz/"):
		return HTTP
	}
	return Native
}

func (t Target) session() session {
	switch t {
	case AuthZEN:
		return &http1{verdict: readAuthZEN}
	case OPA:
		return &http1{verdict: readOPA}
	case HTTP:
		return &http1{verdict: readGate}
	case GRPC:
		return newGRPC()
	}
	return &http1{verdict: readNative}
}

// Headers in which ext_authz names who asks; a sidecar is told by extauthz.identity and extauthz.role_header.
const (
	SubjectHeader = "x-agent-id"
	RoleHeader    = "x-agent-role"
)

// Encoder turns questions into calls of one target.
type Encoder struct {
	Target   Target
	Endpoint Endpoint
	Path     string      // empty: the endpoint's, else the target's usual one
	Header   http.Header // sent with each call
}

// Calls encodes requests; with judge their expected verdicts are the oracle's, else any will do.
func (e *Encoder) Calls(rs []workload.Request, judge bool) ([]Call, error) {
	cs := make([]Call, len(rs))
	for i := range rs {
		var err error
		if cs[i], err = e.call(&rs[i]); err != nil {
			return nil, fmt.Errorf("request %d: %w", i, err)
		}
		if judge {
			cs[i].Want = verdict(rs[i].Allow)
		}
	}
	return cs, nil
}

// Body makes a call of a body as it is. Targets that are asked by headers alone have none.
func (e *Encoder) Body(body []byte) (Call, error) {
	if e.Target == HTTP || e.Target == GRPC {
		return Call{}, fmt.Errorf("target %s takes no body", e.Target)
	}
	return e.post(body), nil
}

func (e *Encoder) call(r *workload.Request) (Call, error) {
	switch e.Target {
	case HTTP:
		return e.gate(r)
	case GRPC:
		m := appendCheck(nil, r, e.Endpoint.Host())
		if len(m) > MaxCheck-5 {
			return Call{}, fmt.Errorf("a message of %d bytes, more than %d", len(m), MaxCheck-5)
		}
		return Call{Wire: m}, nil
	}
	body, err := json.Marshal(e.body(r))
	if err != nil {
		return Call{}, err
	}
	return e.post(body), nil
}

type object = map[string]any

// body is a question in the target's JSON.
func (e *Encoder) body(r *workload.Request) any {
	if e.Target == Native {
		o := object{"agent_id": r.Subject, "action": r.Action}
		put(o, "agent_role", r.Role)
		put(o, "resource", r.Resource)
		if r.Params != nil {
			o["params"] = r.Params
		}
		if r.Context != nil {
			o["environment"] = r.Context
		}
		return o
	}
	properties := object{}
	put(properties, "role", r.Role)
	orEmpty := func(m json.RawMessage) any {
		if m == nil {
			return object{}
		}
		return m
	}
	o := object{
		"subject":  object{"type": "agent", "id": r.Subject, "properties": properties},
		"action":   object{"name": r.Action, "properties": orEmpty(r.Params)},
		"resource": object{"type": r.Type, "id": r.Resource, "properties": object{}},
		"context":  orEmpty(r.Context),
	}
	if e.Target == OPA {
		return object{"input": o}
	}
	if r.Type == "" { // AuthZEN wants one
		o["resource"].(object)["type"] = "resource"
	}
	return o
}

func put(o object, name, value string) {
	if value != "" {
		o[name] = value
	}
}

func (e *Encoder) path(usual string) string {
	switch {
	case e.Path != "":
		return e.Path
	case e.Endpoint.Path != "":
		return e.Endpoint.Path
	}
	return usual
}

func (e *Encoder) post(body []byte) Call {
	usual := [targets]string{Native: "/v1/evaluate", AuthZEN: "/access/v1/evaluation", OPA: "/v1/data/bench/allow"}[e.Target]
	var b bytes.Buffer
	e.head(&b, http.MethodPost, e.path(usual))
	fmt.Fprintf(&b, "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n", len(body))
	b.Write(body)
	return Call{Wire: b.Bytes()}
}

// gate is the question of a proxy: what was asked of it in headers, or for Envoy in the path.
func (e *Encoder) gate(r *workload.Request) (Call, error) {
	if !strings.HasPrefix(r.Resource, "/") || !token(r.Action) {
		return Call{}, errors.New("a proxy asks about a method and a path")
	}
	path := e.path("/ext_authz/forward")
	var b bytes.Buffer
	switch {
	case strings.HasPrefix(path, "/ext_authz/envoy"):
		e.head(&b, r.Action, strings.TrimSuffix(path, "/")+r.Resource)
		b.WriteString("Content-Length: 0\r\n")
	case strings.HasPrefix(path, "/ext_authz/nginx"):
		e.head(&b, http.MethodGet, path)
		fmt.Fprintf(&b, "X-Original-Method: %s\r\nX-Original-URI: %s\r\n", r.Action, r.Resource)
	default:
		e.head(&b, http.MethodGet, path)
		fmt.Fprintf(&b, "X-Forwarded-Method: %s\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: localhost\r\nX-Forwarded-Uri: %s\r\nX-Forwarded-For: 127.0.0.1\r\n",
			r.Action, r.Resource)
	}
	fmt.Fprintf(&b, "%s: %s\r\n", SubjectHeader, url.PathEscape(r.Subject))
	if r.Role != "" {
		fmt.Fprintf(&b, "%s: %s\r\n", RoleHeader, url.PathEscape(r.Role))
	}
	b.WriteString("\r\n")
	return Call{Wire: b.Bytes()}, nil
}

func (e *Encoder) head(b *bytes.Buffer, method, path string) {
	fmt.Fprintf(b, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, path, e.Endpoint.Host())
	_ = e.Header.Write(b) // a buffer takes all
}

// token says whether s can be a method.
func token(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}
