package operator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// stopGrace is how long an operator may take to stop before it is killed.
const stopGrace = 30 * time.Second

// Binary builds the operator into dir the way the image has it, and answers its path.
func Binary(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, "networkstack-operator")
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags", "-s -w", "-o", path, "./cmd/operator")
	cmd.Dir = Root()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the operator: %w\n%s", err, out)
	}
	return path, nil
}

// Process is a running operator.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// Options of a Process.
type Options struct {
	// Binary is the operator's path.
	Binary string
	// Kubeconfig it authenticates with.
	Kubeconfig string
	// Args are more arguments.
	Args []string
	// Env are more variables, NAME=value.
	Env []string
	// Log receives what it prints.
	Log io.Writer
}

// Start starts an operator. It is ready when its objects' status says so: there is nothing else to wait for.
func Start(o Options) (*Process, error) {
	args := []string{"--kubeconfig", o.Kubeconfig, "--health-probe-bind-address", "0", "--zap-time-encoding", "rfc3339nano"}
	cmd := exec.Command(o.Binary, append(args, o.Args...)...)
	cmd.Env = append(os.Environ(), o.Env...)
	cmd.Stdout, cmd.Stderr = o.Log, o.Log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the operator: %w", err)
	}
	p := &Process{cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.err = cmd.Wait()
	}()
	return p, nil
}

// PID of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Exited is closed when the process is gone.
func (p *Process) Exited() <-chan struct{} { return p.done }

// Kill ends the process at once, as a crash would.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Stop asks the process to end and waits for it. A process that had to be killed is an error.
func (p *Process) Stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
		return p.err
	case <-time.After(stopGrace):
		p.Kill()
		return fmt.Errorf("the operator did not stop within %s", stopGrace)
	}
}

// Answer is all that a server of the operator's, such as that of metrics, says to a request, or the error.
func Answer(ctx context.Context, url string) string {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err.Error()
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}
