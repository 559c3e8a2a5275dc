//go:build !unix

package harness

import "os/exec"

func lead(*exec.Cmd) {}

func killAll(cmd *exec.Cmd) { _ = cmd.Process.Kill() } // it may have ended
