package controlplane

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
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
	modfile, err := m.applyOverlay(ctx, goCommand, tmp)
	if err != nil {
		return err
	}
	if modfile != "" {
		args = append(args, "-modfile", modfile)
	}
	for _, t := range tools {
		args = append(args, t.pkg)
	}
	cmd := exec.CommandContext(ctx, goCommand, args...)
	cmd.Dir = m.dir
	cmd.Env = buildEnvironment()
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

// buildEnvironment keeps settings for the project's own build, such as -race or a workspace, away from those of other modules.
func buildEnvironment() []string {
	return append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
}

// applyOverlay copies the source of the module into dir, lays the overlay over it, and returns the path of a go.mod that leads
// there; it is empty where there is no overlay. (The go command's own overlays do not reach into its module cache.)
func (m *module) applyOverlay(ctx context.Context, goCommand, dir string) (string, error) {
	files, err := m.overlay()
	if err != nil || len(files) == 0 {
		return "", err
	}
	run := func(args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, goCommand, args...)
		cmd.Dir, cmd.Env = m.dir, buildEnvironment()
		out, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
		}
		return strings.TrimSpace(string(out)), nil
	}
	if _, err := run("mod", "download", m.path); err != nil {
		return "", err
	}
	original, err := run("list", "-mod=readonly", "-m", "-f", "{{.Dir}}", m.path)
	if err != nil {
		return "", err
	}
	imports, err := m.imports()
	if err != nil {
		return "", err
	}
	source := filepath.Join(dir, "source")
	if err := copyTree(source, original, imports); err != nil {
		return "", err
	}
	for _, file := range files {
		content, err := os.ReadFile(filepath.Join(m.dir, "overlay", file))
		if err != nil {
			return "", err
		}
		path := filepath.Join(source, file)
		if err := os.RemoveAll(path); err != nil {
			return "", err
		}
		if len(content) > 0 {
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, 0o600)); err != nil {
				return "", err
			}
		}
	}
	modfile := filepath.Join(dir, "go.mod")
	for _, name := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(m.dir, name))
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return "", err
		}
	}
	_, err = run("mod", "edit", "-replace", m.path+"="+source, modfile)
	return modfile, err
}

// copyTree copies the regular files below source. Those of the module cache cannot be written to; the copies can. Go files import
// the second of each pair of imports in place of the first.
func copyTree(target, source string, imports []string) error {
	quoted := make([]string, len(imports))
	for i, path := range imports {
		quoted[i] = strconv.Quote(path)
	}
	others := strings.NewReplacer(quoted...)
	return filepath.WalkDir(source, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(source, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.MkdirAll(filepath.Join(target, below), 0o755)
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if filepath.Ext(path) == ".go" && len(imports) > 0 {
			content = []byte(others.Replace(string(content)))
		}
		return os.WriteFile(filepath.Join(target, below), content, 0o600)
	})
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
