// Package testbed is a control plane with the operator at work on it as a process of its own, and NetworkComponents
// written by hand: real charts can be tried, and costs measured, without a NetworkStack that asks for them.
package testbed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/operator"
)

const (
	// patience is for what comes about on any machine, however busy.
	patience = 5 * time.Minute
	look     = 100 * time.Millisecond
)

// Options of a Bed.
type Options struct {
	// ControlPlane to start. It always has an audit log.
	ControlPlane controlplane.Options
	// Binary is the operator's path; empty has it built.
	Binary string
	// Args are more arguments of the operator.
	Args []string
	// Log receives what the operator prints; it must bear concurrent use. Default: nothing is kept.
	Log io.Writer
}

// Bed is a control plane with the operator.
type Bed struct {
	ControlPlane *controlplane.ControlPlane
	// Client is a cluster admin's.
	Client client.Client

	options Options
	dir     string
	account string // kubeconfig
	starts  int
	audit   audit

	mu      sync.Mutex
	process *operator.Process
}

// Start starts a control plane and the operator. The operator is a cluster admin there: what permissions the charts need
// is a matter of other tests.
func Start(ctx context.Context, o Options) (*Bed, error) {
	dir, err := os.MkdirTemp("", "networkstack-testbed-")
	if err != nil {
		return nil, err
	}
	b := &Bed{options: o, dir: dir}
	if err := b.start(ctx); err != nil {
		return nil, errors.Join(err, b.Stop())
	}
	return b, nil
}

func (b *Bed) start(ctx context.Context) error {
	if b.options.Binary == "" {
		var err error
		if b.options.Binary, err = operator.Binary(ctx, b.dir); err != nil {
			return err
		}
	}
	o := b.options.ControlPlane
	b.audit.path = filepath.Join(b.dir, "audit.log")
	o.AuditLog = b.audit.path
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	if o.Node.MTU == 0 {
		o.Node.MTU = 1500
	}
	var err error
	if b.ControlPlane, err = controlplane.Start(ctx, o); err != nil {
		return err
	}
	// NetworkComponents are written by hand here, which is the operator's elsewhere.
	if err := operator.Install(ctx, b.ControlPlane.RESTConfig(), "ValidatingAdmissionPolicyBinding"); err != nil {
		return err
	}
	if b.Client, err = operator.Client(b.ControlPlane.RESTConfig()); err != nil {
		return err
	}
	if err := operator.Apply(ctx, b.Client, clusterAdmin()); err != nil {
		return err
	}
	b.account = filepath.Join(b.dir, "operator.kubeconfig")
	if err := operator.Kubeconfig(ctx, b.ControlPlane.Kubeconfig(), b.account); err != nil {
		return err
	}
	return b.StartOperator()
}

// clusterAdmin lets the operator do anything.
func clusterAdmin() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
		"metadata": map[string]any{"name": "testbed"},
		"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
		"subjects": []any{map[string]any{"kind": "ServiceAccount", "namespace": operator.Namespace, "name": operator.ServiceAccount}},
	}}
}

// StartOperator starts an operator that knows nothing of an earlier one: it has no chart in its cache either.
func (b *Bed) StartOperator() error {
	b.starts++
	args := []string{"--chart-cache", filepath.Join(b.dir, fmt.Sprintf("charts-%d", b.starts)), "--leader-elect"}
	log := b.options.Log
	if log == nil {
		log = io.Discard
	}
	p, err := operator.Start(operator.Options{
		Binary: b.options.Binary, Kubeconfig: b.account, Args: append(args, b.options.Args...), Log: log,
	})
	if err != nil {
		return err
	}
	b.mu.Lock()
	b.process = p
	b.mu.Unlock()
	return nil
}

// StopOperator stops the operator.
func (b *Bed) StopOperator() error {
	b.mu.Lock()
	p := b.process
	b.process = nil
	b.mu.Unlock()
	if p == nil {
		return nil
	}
	return p.Stop()
}

// Operator is the running operator.
func (b *Bed) Operator() *operator.Process {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.process
}

// Stop stops everything.
func (b *Bed) Stop() error {
	err := b.StopOperator()
	if b.ControlPlane != nil {
		err = errors.Join(err, b.ControlPlane.Stop())
	}
	return errors.Join(err, os.RemoveAll(b.dir))
}

// Eventually waits until a condition holds. The condition says what it saw last, for the error.
func (b *Bed) Eventually(ctx context.Context, what string, condition func(context.Context) (done bool, last string, err error)) error {
	last := ""
	err := wait.PollUntilContextTimeout(ctx, look, patience, true, func(ctx context.Context) (done bool, err error) {
		select {
		case <-b.exited():
			return false, errors.New("the operator ended by itself")
		default:
		}
		done, last, err = condition(ctx)
		return done, err
	})
	if err != nil {
		return fmt.Errorf("waiting for %s: %w; last seen: %s", what, err, last)
	}
	return nil
}

func (b *Bed) exited() <-chan struct{} {
	if p := b.Operator(); p != nil {
		return p.Exited()
	}
	return nil
}

// Pause lets an operator that is expected to do nothing do so for a while.
func (b *Bed) Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-b.exited():
		return errors.New("the operator ended by itself")
	}
}
