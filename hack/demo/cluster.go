package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/operator"
)

// keptName is the name of the cluster that a demo with --keep leaves running.
const keptName = "demo"

// underlayMTU is what the simulated nodes say of their interfaces.
const underlayMTU = 1500

// cluster is a control plane and the operator that runs against it.
type cluster struct {
	kubeconfig string
	dir        string
	kubectl    string
	version    string
	log        string
	process    *operator.Process
	end        func() error
}

func (d *demo) startCluster(ctx context.Context) (*cluster, error) {
	options := controlplane.Options{
		Version: d.kubernetes, Nodes: d.nodes, Node: controlplane.NodeOptions{MTU: underlayMTU}, Out: indent{os.Stdout},
	}
	if !d.keep {
		cp, err := controlplane.Start(ctx, options)
		if err != nil {
			return nil, err
		}
		return &cluster{
			kubeconfig: cp.Kubeconfig(), dir: cp.Dir(), kubectl: cp.Binaries().Kubectl,
			version: "Kubernetes " + cp.Binaries().KubernetesVersion,
			log:     filepath.Join(cp.Dir(), "operator.log"), end: cp.Stop,
		}, nil
	}
	if err := down(ctx, io.Discard); err != nil {
		return nil, err
	}
	up, _, err := controlplane.Up(ctx, keptName, options)
	if err != nil {
		return nil, err
	}
	return &cluster{
		kubeconfig: up.Kubeconfig, dir: up.Dir, kubectl: up.Kubectl,
		version: "Kubernetes " + up.Kubernetes, log: filepath.Join(up.Dir, "operator.log"),
		end: func() error { return controlplane.Down(context.Background(), keptName, io.Discard) },
	}, nil
}

func (c *cluster) startOperator(binary, kubeconfig string, args []string) error {
	log, err := os.Create(c.log)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	c.process, err = operator.Start(operator.Options{Binary: binary, Kubeconfig: kubeconfig, Args: args, Log: log})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(c.dir, "operator.pid"), []byte(strconv.Itoa(c.process.PID())), 0o600)
}

// operatorExited is an error when the operator is gone, with the end of its log.
func (c *cluster) operatorExited() error {
	select {
	case <-c.process.Exited():
	default:
		return nil
	}
	data, _ := os.ReadFile(c.log)
	const tail = 2000
	if len(data) > tail {
		data = data[len(data)-tail:]
	}
	return fmt.Errorf("the operator ended; its log says:\n%s", data)
}

func (c *cluster) stop() error {
	var err error
	if c.process != nil {
		err = c.process.Stop()
	}
	return errors.Join(err, c.end())
}

// down ends what an earlier demo left running.
func down(ctx context.Context, out io.Writer) error {
	kept, err := controlplane.Find(keptName)
	if errors.Is(err, controlplane.ErrNoCluster) {
		fmt.Fprintln(out, "No demo is running.")
		return nil
	}
	if err != nil {
		return err
	}
	if data, err := os.ReadFile(filepath.Join(kept.Dir, "operator.pid")); err == nil {
		endOperator(strings.TrimSpace(string(data)), kept.Dir)
	}
	if err := controlplane.Down(ctx, keptName, out); err != nil {
		return err
	}
	fmt.Fprintln(out, "The demo is stopped.")
	return nil
}

// endOperator ends the process, if it still is the operator that runs against the cluster in dir.
func endOperator(pid, dir string) {
	n, err := strconv.Atoi(pid)
	if err != nil {
		return
	}
	command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", n))
	if err == nil && strings.Contains(string(command), filepath.Join(dir, "operator.kubeconfig")) {
		_ = syscall.Kill(n, syscall.SIGTERM)
	}
}

// indent sets the control plane's progress apart.
type indent struct{ out io.Writer }

func (i indent) Write(p []byte) (int, error) {
	for _, line := range strings.Split(strings.TrimRight(string(p), "\n"), "\n") {
		if _, err := fmt.Fprintf(i.out, "          %s\n", line); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}
