package cli

import (
	"context"
	"errors"

	"thymus/internal/config"
)

// runServe wires the server and runs it until a signal ends it. cfg.Policies.Paths holds args already.
func runServe(ctx context.Context, cfg *config.Config, args []string, std Stdio) error {
	if _, err := newLogger(cfg.Log, std); err != nil {
		return err
	}
	return errors.New("this build has no server yet")
}
