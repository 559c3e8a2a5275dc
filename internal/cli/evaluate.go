package cli

import (
	"context"
	"errors"
	"fmt"

	"thymus/internal/config"
	"thymus/pdp/engine"
	"thymus/pdp/wire"
	"thymus/rules"
)

// ruleOptions are the policies that the configuration names.
func ruleOptions(cfg *config.Config) rules.Options {
	return rules.Options{
		Paths: cfg.Policies.Paths, Builtin: cfg.Policies.Builtin,
		Entrypoint: cfg.Policies.Entrypoint, AllowBuiltins: cfg.Policies.AllowBuiltins,
		Engine: rules.Engine(cfg.Rules.Engine), ShadowRate: cfg.Rules.ShadowRate, OnDifference: cfg.Rules.OnDifference,
	}
}

// lostEntrypoint is the warning that extauthz.entrypoint names nothing in a set, or nothing that decides, nil where it does or is not set. It does
// not stop a start, as policies.entrypoint does: the rule may come with the next reload or by the management API, and until
// then every proxy's call is denied.
func lostEntrypoint(cfg *config.Config, set *rules.Set) error {
	path := cfg.ExtAuthz.Entrypoint
	if path == "" {
		return nil
	}
	if !set.Defines(path) {
		return key("extauthz.entrypoint", fmt.Errorf("no rule and no data at %q: every call of a proxy is denied", path))
	}
	if why := set.Undecided(path); why != "" {
		return key("extauthz.entrypoint", errors.New(why))
	}
	return nil
}

// evaluate decides here, by the same engine as a sidecar's. Policies of the management API and quarantine are a
// sidecar's own, and count for nothing here.
func evaluate(ctx context.Context, cfg *config.Config, q question, std Stdio, why bool) (*answer, error) {
	set, err := rules.Load(ctx, ruleOptions(cfg))
	if err != nil {
		return nil, err
	}
	if lost := lostEntrypoint(cfg, set); lost != nil {
		fmt.Fprintf(std.Err, "thymus: warning: %v\n", lost)
	}
	e := engine.New(engine.Options{Deadline: cfg.Data.Deadline})
	defer e.Close()
	e.Activate(set.Snapshot)
	call, err := e.Begin(1)
	if err != nil {
		return nil, err
	}
	defer call.End()
	if err := q.request(&call.Req); err != nil {
		return nil, err
	}
	d, err := call.Decide()
	if err != nil {
		return nil, err
	}
	a, err := readAnswer(wire.AppendResult(nil, d))
	if err != nil || !why {
		return a, err
	}
	a.Explanation, err = explain(ctx, set, call.Req.Input, d)
	return a, err
}
