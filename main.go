// Thymus is a policy decision point that runs as a sidecar beside agents and services.
package main

import (
	"os"

	"thymus/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], cli.Process())) }
