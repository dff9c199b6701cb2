package controlplane

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// progressInterval is how often a long wait says that it is still alive.
const progressInterval = 10 * time.Second

// build returns the paths of the module's binaries by name, building those the
// cache lacks. position, such as "2 of 3", is for the progress lines.
func (m *module) build(ctx context.Context, position string, progress io.Writer) (map[string]string, error) {
	dir, err := m.cacheDir()
	if err != nil {
		return nil, err
	}
	paths := map[string]string{}
	for _, t := range m.tools {
		paths[t.binary] = filepath.Join(dir, t.binary)
	}
	if len(m.missing(paths)) == 0 {
		return paths, nil
	}
	what := fmt.Sprintf("building %s %s", m.name, m.version)
	l, err := lock(ctx, dir+".lock", what, progress)
	if err != nil {
		return nil, err
	}
	defer l.unlock()
	// Whoever held the lock may have built them meanwhile.
	missing := m.missing(paths)
	if len(missing) == 0 {
		return paths, nil
	}
	start := time.Now()
	fmt.Fprintf(progress, "%s (%s); this is done once\n", what, position)
	if err := m.goBuild(ctx, missing, dir, what+" ("+position+")", progress); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	fmt.Fprintf(progress, "built %s %s in %s\n", m.name, m.version, elapsed(start))
	return paths, nil
}

func (m *module) missing(paths map[string]string) []tool {
	var missing []tool
	for _, t := range m.tools {
		if _, err := os.Stat(paths[t.binary]); err != nil {
			missing = append(missing, t)
		}
	}
	return missing
}

// goBuild builds tools into dir. Each binary appears there complete or not at all.
func (m *module) goBuild(ctx context.Context, tools []tool, dir, what string, progress io.Writer) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	// A fixed name: what a killed build left goes away. The caller has the lock.
	tmp := filepath.Join(dir, ".build")
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	if err := os.Mkdir(tmp, 0o755); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	goCommand, err := exec.LookPath("go")
	if err != nil {
		return fmt.Errorf("the control plane is built with the go command: %w", err)
	}
	args := []string{"build", "-v", "-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags", m.ldflags}
	if len(tools) == 1 {
		// Not all packages have the name their program is known by.
		args = append(args, "-o", filepath.Join(tmp, tools[0].binary))
	} else {
		args = append(args, "-o", tmp+string(filepath.Separator))
	}
	for _, t := range tools {
		args = append(args, t.pkg)
	}
	cmd := exec.CommandContext(ctx, goCommand, args...)
	cmd.Dir = m.dir
	// Settings for the project's own build, such as -race or a workspace, are
	// not meant for these.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	// The compilers started by the go command have to end with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if err := runBuild(cmd, what, progress); err != nil {
		return err
	}
	for _, t := range tools {
		if err := os.Rename(filepath.Join(tmp, t.binary), filepath.Join(dir, t.binary)); err != nil {
			return err
		}
	}
	return nil
}

// runBuild runs `go build -v`, which prints a line per compiled package, and
// turns these into a count.
func runBuild(cmd *exec.Cmd, what string, progress io.Writer) error {
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	var packages atomic.Int64
	done := make(chan struct{})
	var reporter sync.WaitGroup
	reporter.Go(func() {
		ticker := time.NewTicker(progressInterval)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				fmt.Fprintf(progress, "%s: %s, %d packages compiled\n", what, elapsed(start), packages.Load())
			}
		}
	})
	var tail []string
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		packages.Add(1)
		if tail = append(tail, lines.Text()); len(tail) > 20 {
			tail = tail[1:]
		}
	}
	err = errors.Join(lines.Err(), cmd.Wait())
	close(done)
	reporter.Wait() // progress is the caller's again
	if err != nil {
		return fmt.Errorf("%w; the last lines of its output:\n%s", err, strings.Join(tail, "\n"))
	}
	return nil
}
