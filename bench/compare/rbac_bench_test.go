package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cedar-policy/cedar-go"

	"thymus/pdp"
	"thymus/pdp/wire"
	"thymus/rules"
)

// roleRules is n rules over a role and an action, in both languages.
func roleRules(n int) (structured, inCedar string) {
	var s, c strings.Builder
	s.WriteString(`{"policy_id":"roles","rules":[`)
	for i := range n {
		if i > 0 {
			s.WriteByte(',')
		}
		fmt.Fprintf(&s, `{"rule_id":"r%d","effect":"allow","conditions":[{"field":"agent_role","operator":"==","value":"role%d"},{"field":"action","operator":"==","value":"act%d"}]}`, i, i, i%7)
		fmt.Fprintf(&c, "permit (principal, action == Action::\"act%d\", resource) when { principal.role == \"role%d\" };\n", i%7, i)
	}
	s.WriteString("]}")
	return s.String(), c.String()
}

// BenchmarkRBAC is the decision of a library about one call that the rule in the middle permits: from each library's own
// form of the call to yes or no, nothing decoded, nothing recorded.
//
//	cd bench/compare && go test -run '^$' -bench RBAC -count 10 | benchstat -col /engine -
func BenchmarkRBAC(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 10000} {
		structured, inCedar := roleRules(n)
		file := filepath.Join(b.TempDir(), "roles.json")
		if err := os.WriteFile(file, []byte(structured), 0o600); err != nil {
			b.Fatal(err)
		}
		agent, action := fmt.Sprintf("role%d", n/2), fmt.Sprintf("act%d", n/2%7)
		call := fmt.Sprintf(`{"agent_id":"ops_agent","agent_role":%q,"action":%q,"resource":"db","environment":{"risk":3}}`, agent, action)
		for _, engine := range []rules.Engine{rules.EngineNative, rules.EngineTopdown} {
			if engine == rules.EngineTopdown && n > 1000 {
				continue
			}
			b.Run(fmt.Sprintf("rules=%d/engine=%v", n, engine), func(b *testing.B) {
				set, err := rules.Load(context.Background(), rules.Options{Paths: []string{file}, Engine: engine})
				if err != nil {
					b.Fatal(err)
				}
				var req pdp.Request
				if p := wire.NewDecoder().Native([]byte(call), pdp.SurfaceNative, nil, &req); p != nil {
					b.Fatal(p)
				}
				s, r, budget := set.Snapshot, &pdp.Result{}, &pdp.Budget{}
				var d pdp.Decision
				b.ReportAllocs()
				for b.Loop() {
					d.Reset()
					s.Eval.Match(req.Input, budget, r)
					pdp.Combine(s, &req, r, &d)
				}
				if !d.Allowed {
					b.Fatal(d.Reason)
				}
			})
		}
		b.Run(fmt.Sprintf("rules=%d/engine=cedar", n), func(b *testing.B) {
			ps, err := cedar.NewPolicySetFromBytes("roles.cedar", []byte(inCedar))
			if err != nil {
				b.Fatal(err)
			}
			uid := cedar.NewEntityUID("Agent", "ops_agent")
			entities := cedar.EntityMap{uid: cedar.Entity{UID: uid, Attributes: cedar.NewRecord(cedar.RecordMap{"role": cedar.String(agent)})}}
			req := cedar.Request{Principal: uid, Action: cedar.NewEntityUID("Action", cedar.String(action)), Resource: cedar.NewEntityUID("Resource", "db"),
				Context: cedar.NewRecord(cedar.RecordMap{"risk": cedar.Long(3)})}
			d := cedar.Deny
			b.ReportAllocs()
			for b.Loop() {
				d, _ = cedar.Authorize(ps, entities, req)
			}
			if d != cedar.Allow {
				b.Fatal(d)
			}
		})
	}
}
