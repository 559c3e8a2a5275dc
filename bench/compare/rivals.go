package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"
	"github.com/cedar-policy/cedar-go"
	"github.com/valyala/fasthttp"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"

	"context"
)

// call is a native call; all rivals behind our server read it.
type call struct {
	Agent       string                     `json:"agent_id"`
	Role        *string                    `json:"agent_role"`
	Action      string                     `json:"action"`
	Resource    string                     `json:"resource"`
	Params      json.RawMessage            `json:"params"`
	Environment map[string]json.RawMessage `json:"environment"`
}

// decider is a rival's library. It turns a call into what the library takes, and gives what asks the library alone.
type decider func(c *call) (decide func() (bool, error), err error)

// serveRival is this program as one of the small servers. It says where it listens on its first line.
func serveRival(kind string, args []string) error {
	f := flag.NewFlagSet(kind, flag.ExitOnError)
	dir := f.String("dir", "", "`folder` of the policy")
	if err := f.Parse(args); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	var h fasthttp.RequestHandler
	switch kind {
	case "serve-echo":
		h = echo
	case "serve-stall":
		h = stalling()
	case "serve-grpc-echo":
		s := grpc.NewServer()
		auth.RegisterAuthorizationServer(s, permits{})
		fmt.Println("at", l.Addr())
		return s.Serve(l)
	case "serve-cedar":
		d, err := newCedar(*dir)
		if err != nil {
			return err
		}
		h = answer(d)
	case "serve-casbin":
		d, err := newCasbin(*dir)
		if err != nil {
			return err
		}
		h = answer(d)
	default:
		return fmt.Errorf("%s: there is no such server", kind)
	}
	fmt.Println("at", l.Addr())
	return (&fasthttp.Server{Handler: measured(h), NoDefaultDate: true}).Serve(l)
}

// measured adds /metrics with what the heap has given out, as Prometheus' client for Go names it.
func measured(h fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(c *fasthttp.RequestCtx) {
		if !c.IsGet() {
			h(c)
			return
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		fmt.Fprintf(c, "go_memstats_mallocs_total %d\n", m.Mallocs)
	}
}

// echo answers without a look at the question: what HTTP alone costs.
func echo(c *fasthttp.RequestCtx) {
	c.SetContentType("application/json")
	c.Response.SetBodyString(`{"allowed":true,"effect":"allow","matched_policy":"bench","matched_rule":"rule_1","reason":"Allowed by rule 'rule_1'",` +
		`"warnings":[],"requires_audit":false,"decision_id":"01939d2f-0000-7000-8000-000000000000","policy_revision":"0123456789abcdef"}`)
}

// permits answers without a look at the question: what gRPC alone costs.
type permits struct {
	auth.UnimplementedAuthorizationServer
}

func (permits) Check(context.Context, *auth.CheckRequest) (*auth.CheckResponse, error) {
	return &auth.CheckResponse{}, nil
}

// answer puts HTTP and JSON around a library.
func answer(d decider) fasthttp.RequestHandler {
	return func(x *fasthttp.RequestCtx) {
		var c call
		if err := json.Unmarshal(x.PostBody(), &c); err != nil {
			x.Error(err.Error(), fasthttp.StatusBadRequest)
			return
		}
		decide, err := d(&c)
		allowed := false
		if err == nil {
			allowed, err = decide()
		}
		if err != nil {
			x.Error(err.Error(), fasthttp.StatusInternalServerError)
			return
		}
		x.SetContentType("application/json")
		if allowed {
			x.Response.SetBodyString(`{"allowed":true}`)
		} else {
			x.Response.SetBodyString(`{"allowed":false}`)
		}
	}
}

// overlay is the policy's entities with what a call says of its own two.
type overlay struct {
	base               cedar.EntityMap
	principal, subject cedar.Entity
}

// Get is cedar.EntityGetter.
func (o *overlay) Get(uid cedar.EntityUID) (cedar.Entity, bool) {
	switch uid {
	case o.principal.UID:
		return o.principal, true
	case o.subject.UID:
		return o.subject, true
	}
	e, ok := o.base[uid]
	return e, ok
}

func newCedar(dir string) (decider, error) {
	text, err := os.ReadFile(filepath.Join(dir, "bench.cedar"))
	if err != nil {
		return nil, err
	}
	ps, err := cedar.NewPolicySetFromBytes("bench.cedar", text)
	if err != nil {
		return nil, err
	}
	base := cedar.EntityMap{}
	if text, err = os.ReadFile(filepath.Join(dir, "entities.json")); err == nil {
		err = json.Unmarshal(text, &base)
	}
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	// known is an entity of the policy, or a new one with an attribute that the call names.
	known := func(uid cedar.EntityUID, attr, value string) cedar.Entity {
		if e, ok := base[uid]; ok {
			return e
		}
		e := cedar.Entity{UID: uid}
		if value != "" {
			e.Attributes = cedar.NewRecord(cedar.RecordMap{cedar.String(attr): cedar.String(value)})
		}
		return e
	}
	return func(c *call) (func() (bool, error), error) {
		role := ""
		if c.Role != nil {
			role = *c.Role
		}
		r := cedar.Request{Principal: cedar.NewEntityUID("Agent", cedar.String(c.Agent)), Action: cedar.NewEntityUID("Action", cedar.String(c.Action)),
			Resource: cedar.NewEntityUID("Resource", cedar.String(c.Resource))}
		facts := cedar.RecordMap{}
		if c.Params != nil {
			var params cedar.Record
			if err := json.Unmarshal(c.Params, &params); err != nil {
				return nil, err
			}
			facts["params"] = params
		}
		for k, v := range c.Environment {
			var n int64
			if err := json.Unmarshal(v, &n); err != nil {
				return nil, err
			}
			facts[cedar.String(k)] = cedar.Long(n)
		}
		r.Context = cedar.NewRecord(facts)
		entities := &overlay{base, known(r.Principal, "role", role), known(r.Resource, "path", c.Resource)}
		return func() (bool, error) {
			d, _ := cedar.Authorize(ps, entities, r)
			return d == cedar.Allow, nil
		}, nil
	}, nil
}

func newCasbin(dir string) (decider, error) {
	e, err := casbin.NewEnforcer(filepath.Join(dir, "model.conf"), filepath.Join(dir, "policy.csv"))
	if err != nil {
		return nil, err
	}
	return casbinDecider(e), nil
}

// newCachedCasbin is Casbin with its own cache of decisions.
func newCachedCasbin(dir string) (decider, error) {
	e, err := casbin.NewCachedEnforcer(filepath.Join(dir, "model.conf"), filepath.Join(dir, "policy.csv"))
	if err != nil {
		return nil, err
	}
	return casbinDecider(e), nil
}

// enforcer is Casbin, with or without a cache.
type enforcer interface {
	GetModel() model.Model
	Enforce(values ...any) (bool, error)
}

func casbinDecider(e enforcer) decider {
	parts := e.GetModel()["r"]["r"].Tokens
	return func(c *call) (func() (bool, error), error) {
		values := make([]any, len(parts))
		for i, p := range parts {
			switch strings.TrimPrefix(p, "r_") {
			case "role":
				values[i] = ""
				if c.Role != nil {
					values[i] = *c.Role
				}
			case "sub":
				values[i] = c.Agent
			case "obj":
				values[i] = c.Resource
			case "act":
				values[i] = c.Action
			}
		}
		return func() (bool, error) { return e.Enforce(values...) }, nil
	}
}
