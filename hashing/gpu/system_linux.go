//go:build !nogpu && !android && (amd64 || arm64)

package gpu

import (
	"errors"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// openCLNames are what the loader of OpenCL is called.
var openCLNames = []string{"libOpenCL.so.1", "libOpenCL.so"}

// deviceFiles are how drivers get at their devices.
var deviceFiles = []string{"/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia[0-9]*", "/dev/kfd", "/dev/dri/renderD*"}

// closedFiles returns the device files that this process may not use.
func closedFiles() []string { return closedAmong(deviceFiles, access) }

func access(path string) error {
	return unix.Faccessat(unix.AT_FDCWD, path, unix.R_OK|unix.W_OK, unix.AT_EACCESS)
}

// closedAmong returns the files of the patterns that access refuses for want of
// permission.
func closedAmong(patterns []string, access func(path string) error) []string {
	var closed []string
	for _, pattern := range patterns {
		files, _ := filepath.Glob(pattern) // the patterns are good
		for _, file := range files {
			if err := access(file); errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
				closed = append(closed, file)
			}
		}
	}
	return closed
}
