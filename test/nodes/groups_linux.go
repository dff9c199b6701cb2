package nodes

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// makeGroup makes a control group in every hierarchy, below the machine's root groups.
func makeGroup(group string) error {
	hierarchies, err := filepath.Glob("/sys/fs/cgroup/*/cgroup.procs")
	if err != nil {
		return err
	}
	for _, procs := range hierarchies {
		hierarchy := filepath.Dir(procs)
		dir := hierarchy
		for part := range strings.SplitSeq(group, "/") {
			parent := dir
			dir = filepath.Join(dir, part)
			if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
				return err
			}
			// A cpuset takes no process before it has processors and memory.
			for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
				content, err := os.ReadFile(filepath.Join(parent, name))
				if errors.Is(err, os.ErrNotExist) {
					continue
				}
				if err != nil {
					return err
				}
				if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// removeGroup removes a group and those below it; the last processes in it may be about to end. What has died is buried even when
// its owner has no more time, hence no context.
func removeGroup(group string) error {
	for begin := time.Now(); ; <-time.After(50 * time.Millisecond) {
		var dirs []string
		err := filepath.WalkDir(group, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				dirs = append(dirs, path)
			}
			if errors.Is(err, os.ErrNotExist) {
				return nil
			}
			return err
		})
		slices.Reverse(dirs)
		for _, dir := range dirs {
			if failed := os.Remove(dir); failed != nil && !errors.Is(failed, os.ErrNotExist) {
				err = errors.Join(err, failed)
			}
		}
		if err == nil || time.Since(begin) > 30*time.Second {
			return err
		}
	}
}

// until tries something until it succeeds.
func until(ctx context.Context, limit time.Duration, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}
