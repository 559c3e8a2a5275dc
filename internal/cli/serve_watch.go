package cli

import (
	"context"

	"github.com/rs/zerolog"

	"thymus/internal/config"
	"thymus/rules"
)

// watchPolicies calls change whenever what lies at the policies' paths may have changed, until ctx ends.
func watchPolicies(ctx context.Context, cfg *config.Config, log zerolog.Logger, change func()) {
	if err := rules.Watch(ctx, cfg.Policies.Paths, change); err != nil && ctx.Err() == nil {
		log.Error().Err(err).Msg("policies are not watched any more, SIGHUP reloads them")
	}
}
