//go:build !unix

package main

import "os/exec"

// tie does nothing here: a process lives on where this one is killed.
func tie(*exec.Cmd) {}
