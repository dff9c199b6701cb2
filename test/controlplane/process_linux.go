package controlplane

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// processAttributes puts a component into a process group of its own, so that
// an interrupt at the terminal does not reach it before its turn.
func processAttributes(detached bool) *syscall.SysProcAttr {
	if detached {
		return &syscall.SysProcAttr{Setsid: true}
	}
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// processStart returns when a living process was started, in the kernel's own
// unit, and its command line. Together with the pid, the start says whether a
// process is still the one that was recorded.
func processStart(pid int) (start, commandLine string, alive bool) {
	fields := statFields(fmt.Sprintf("/proc/%d/stat", pid))
	const startTime = 19
	if len(fields) <= startTime || fields[0] == "Z" || fields[0] == "X" {
		return "", "", false
	}
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return "", "", false
	}
	return fields[startTime], string(bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '})), true
}

// processPaused tells whether all threads of a process are stopped: they stop
// one after the other.
func processPaused(pid int) bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, stat := range threads {
		if fields := statFields(stat); len(fields) > 0 && fields[0] != "T" {
			return false
		}
	}
	return err == nil && len(threads) > 0
}

// statFields returns the fields of a stat file, see proc(5), from the third one
// on: the state. The second is a name in parentheses that may contain anything.
func statFields(path string) []string {
	stat, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
}
