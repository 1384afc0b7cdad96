//go:build unix && !linux

package main

import (
	"os/exec"
	"syscall"
)

// tie keeps a Ctrl-C of the terminal from a process: this process tells it when to end.
// It lives on where this one is killed.
func tie(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
