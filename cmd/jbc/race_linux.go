package main

import (
	"os/exec"
	"syscall"
)

// tie has a process end with this one, however that ends, and keeps a Ctrl-C of the
// terminal from it: this process tells it when. The thread that starts it has to live
// as long as this process.
func tie(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
