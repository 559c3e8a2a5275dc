//go:build unix

package harness

import (
	"os/exec"
	"syscall"
)

// lead makes it the head of a group of processes: nginx has workers, which outlive a master that is killed.
func lead(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killAll kills the group. It may have ended.
func killAll(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
