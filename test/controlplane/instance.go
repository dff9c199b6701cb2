package controlplane

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// recordFile is where an instance's directory tells what runs in it.
const recordFile = "instance.json"

// record is what somebody else needs to know to find and to end an instance.
type record struct {
	// Ready is false until the start has succeeded.
	Ready      bool            `json:"ready"`
	Server     string          `json:"server"`
	Kubernetes string          `json:"kubernetes"`
	Kubeconfig string          `json:"kubeconfig"`
	Kubectl    string          `json:"kubectl"`
	Owner      processRecord   `json:"owner"`
	Processes  []processRecord `json:"processes"`
}

// processRecord identifies a process: pids alone are used again.
type processRecord struct {
	Name  string `json:"name"`
	PID   int    `json:"pid"`
	Start string `json:"start"`
}

func recordProcess(name string, pid int) processRecord {
	start, _, _ := processStart(pid)
	return processRecord{Name: name, PID: pid, Start: start}
}

// alive tells whether the process still runs and belongs to the instance in
// dir: every component has a path below it on its command line.
func (r processRecord) alive(dir string) bool {
	start, commandLine, alive := processStart(r.PID)
	return alive && r.PID > 1 && start == r.Start && strings.Contains(commandLine, dir)
}

func readRecord(dir string) (record, error) {
	var r record
	content, err := os.ReadFile(filepath.Join(dir, recordFile))
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(content, &r); err != nil {
		return r, fmt.Errorf("%s: %w", filepath.Join(dir, recordFile), err)
	}
	return r, nil
}

func (r record) write(dir string) error {
	content, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, recordFile)
	if err := os.WriteFile(path+".new", append(content, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// endRecorded ends the processes recorded in dir that are still alive, last
// started first, and waits until they are gone.
func endRecorded(ctx context.Context, dir string) error {
	r, err := readRecord(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	slices.Reverse(r.Processes)
	for _, p := range r.Processes {
		if err := p.end(ctx, dir); err != nil {
			return err
		}
	}
	return nil
}

func (r processRecord) end(ctx context.Context, dir string) error {
	deadline := time.Now().Add(stopGrace)
	sig := syscall.SIGTERM
	for r.alive(dir) {
		// Each component leads a process group.
		_ = syscall.Kill(-r.PID, syscall.SIGCONT)
		_ = syscall.Kill(-r.PID, sig)
		if time.Now().After(deadline) {
			sig = syscall.SIGKILL
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("%s (pid %d) has not ended: %w", r.Name, r.PID, err)
		}
	}
	return nil
}

// instanceDir is the directory of an instance that ends with this process. The
// lock in it says that its owner lives.
type instanceDir struct {
	path string
	lock *fileLock
}

// newInstanceDir makes a directory, after cleaning up what crashed owners left.
func newInstanceDir(ctx context.Context, out io.Writer) (*instanceDir, error) {
	root := runtimeRoot()
	l, err := lock(ctx, filepath.Join(root, "instances.lock"), "starting a control plane", out)
	if err != nil {
		return nil, err
	}
	defer l.unlock()
	instances := filepath.Join(root, "instances")
	if err := removeStale(ctx, instances, out); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(instances, 0o700); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(instances, "")
	if err != nil {
		return nil, err
	}
	own, err := tryLock(filepath.Join(dir, "owner.lock"))
	if err != nil {
		return nil, err
	}
	return &instanceDir{path: dir, lock: own}, nil
}

func (d *instanceDir) remove() error {
	// Removed before it is unlocked: nobody else cleans it up meanwhile.
	err := os.RemoveAll(d.path)
	d.lock.unlock()
	return err
}

// removeStale removes the instances whose owner is gone. One that cannot be
// removed is reported and left for later: it is in nobody's way.
func removeStale(ctx context.Context, instances string, out io.Writer) error {
	entries, err := os.ReadDir(instances)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		dir := filepath.Join(instances, e.Name())
		owner, err := tryLock(filepath.Join(dir, "owner.lock"))
		if err == nil && owner == nil {
			continue // its owner lives
		}
		if err == nil {
			if err = endRecorded(ctx, dir); err == nil {
				err = os.RemoveAll(dir)
			}
			owner.unlock()
		}
		if err != nil {
			fmt.Fprintf(out, "could not clean up %s: %v\n", dir, err)
		}
	}
	return nil
}
