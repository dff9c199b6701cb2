//go:build !linux

package controlplane

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// processAttributes puts a component into a process group of its own. Without
// Linux's parent-death signal, a crash leaves components behind until the next
// start cleans up.
func processAttributes(detached bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: detached, Setpgid: !detached}
}

// processStart returns when a living process was started, and its command line.
func processStart(pid int) (start, commandLine string, alive bool) {
	start, err := ps(pid, "lstart")
	if err != nil {
		return "", "", false
	}
	commandLine, err = ps(pid, "command")
	return start, commandLine, err == nil
}

// processPaused tells whether a process is stopped.
func processPaused(pid int) bool {
	state, err := ps(pid, "state")
	return err == nil && strings.HasPrefix(state, "T")
}

func ps(pid int, field string) (string, error) {
	out, err := exec.Command("ps", "-ww", "-o", field+"=", "-p", strconv.Itoa(pid)).Output()
	return strings.TrimSpace(string(out)), err
}
