package cli

import (
	"context"

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

// evaluate decides here, by the same engine as a sidecar's. Policies of the management API and quarantine are a
// sidecar's own, and count for nothing here.
func evaluate(ctx context.Context, cfg *config.Config, q question) (*answer, error) {
	set, err := rules.Load(ctx, ruleOptions(cfg))
	if err != nil {
		return nil, err
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
	return readAnswer(wire.AppendResult(nil, d))
}
