package controlplane

import (
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
	"syscall"
	"time"
)

// stopGrace is how long a component may take to end by itself.
const stopGrace = 5 * time.Second

// process is a started component.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string        // path
	done chan struct{} // closed when it has ended, and cmd says how
}

// command is how to start a component.
type command struct {
	name string
	path string
	args []string
	// home is its working directory, where it finds nobody's settings.
	home string
	log  string
	// detached lets it live on after this process.
	detached bool
}

func (c command) start() (*process, error) {
	if err := os.MkdirAll(filepath.Dir(c.log), 0o755); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(c.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(c.path, c.args...)
	cmd.Dir = c.home
	// A bare environment: no proxies, no settings of the person at work.
	// Memory is cheaper here than time.
	cmd.Env = []string{"HOME=" + c.home, "TMPDIR=" + os.TempDir(), "PATH=" + os.Getenv("PATH"), "GOGC=400"}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = processAttributes(c.detached)
	p := &process{name: c.name, cmd: cmd, log: c.log, done: make(chan struct{})}
	if err := onStarterThread(cmd.Start); err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.name, err)
	}
	go func() {
		_ = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// starter hands functions to an OS thread that lives as long as the process.
// The kernel ends children with the *thread* that started them, and the Go
// runtime ends threads as it likes, except one a goroutine is locked to.
var starter = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

func onStarterThread(f func() error) error {
	result := make(chan error)
	starter() <- func() { result <- f() }
	return <-result
}

// signal sends sig to the process and those it started, unless it has ended:
// its pid may belong to another process then.
func (p *process) signal(sig syscall.Signal) {
	if !p.ended() {
		_ = syscall.Kill(-p.cmd.Process.Pid, sig)
	}
}

// stop ends the process and waits for its end.
func (p *process) stop() {
	if p == nil || p.ended() {
		return
	}
	p.signal(syscall.SIGCONT) // a paused process would not see the other signal
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopGrace):
		p.kill()
	}
}

func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.done
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// waitFor polls ready until it returns nil. It gives up when the process ends,
// or ctx; the error then has the end of the process's log.
func (p *process) waitFor(ctx context.Context, ready func(context.Context) error) error {
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		if p.ended() {
			return p.failure()
		}
		if cause := pause(ctx, 20*time.Millisecond); cause != nil {
			return fmt.Errorf("%s is not ready: %w (%w); the end of its log:\n%s", p.name, cause, err, p.logTail())
		}
	}
}

// failure describes how the process ended.
func (p *process) failure() error {
	return fmt.Errorf("%s ended (%s); the end of its log:\n%s", p.name, p.cmd.ProcessState, p.logTail())
}

// clashed tells whether the process ended because something took its port.
func (p *process) clashed() bool {
	return p.ended() && strings.Contains(p.logTail(), "address already in use")
}

// logTail returns the last few lines of the log.
func (p *process) logTail() string {
	const size = 4 << 10
	f, err := os.Open(p.log)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil && info.Size() > size {
		_, _ = f.Seek(-size, io.SeekEnd)
	}
	tail, err := io.ReadAll(f)
	return strings.TrimSpace(string(tail)) + errorText(err)
}

func errorText(err error) string {
	if err == nil || errors.Is(err, io.EOF) {
		return ""
	}
	return err.Error()
}
