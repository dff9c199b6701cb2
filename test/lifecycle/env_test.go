package lifecycle

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/operator"
)

const (
	// patience is for conditions that come true on any machine, however busy.
	patience = 3 * time.Minute
	look     = 100 * time.Millisecond

	flannelSample = "networkstack_flannel.yaml"
	ciliumSample  = "networkstack_cilium.yaml"
)

// env is a cluster with the operator running against it.
type env struct {
	t       *testing.T
	cp      *controlplane.ControlPlane
	client  client.Client
	admin   string // kubeconfig
	account string // kubeconfig
	args    []string
	// environ are more variables of the operator's, NAME=value.
	environ []string
	// chartCache is the operator's own.
	chartCache string
	log        *operator.Log
	process    *operator.Process
}

// newEnv starts a control plane with three nodes and the operator.
func newEnv(t *testing.T, options controlplane.Options, args ...string) *env {
	t.Helper()
	e := newCluster(t, options, args...)
	e.startOperator()
	return e
}

// newCluster is newEnv without a running operator.
func newCluster(t *testing.T, options controlplane.Options, args ...string) *env {
	t.Helper()
	e := bareCluster(t, options, args...)
	e.check(operator.Install(t.Context(), e.cp.RESTConfig()))
	e.check(operator.Kubeconfig(t.Context(), e.admin, e.account))
	return e
}

// bareCluster is newCluster without anything that the operator needs.
func bareCluster(t *testing.T, options controlplane.Options, args ...string) *env {
	t.Helper()
	if options.Nodes == 0 {
		options.Nodes = 3
	}
	if options.Node.MTU == 0 {
		options.Node.MTU = 1500
	}
	cp := controlplane.ForTest(t, options)
	e := &env{t: t, cp: cp, admin: cp.Kubeconfig(), log: &operator.Log{}, chartCache: filepath.Join(t.TempDir(), "charts")}
	e.args = append([]string{"--chart-cache", e.chartCache}, args...)
	var err error
	e.client, err = operator.Client(cp.RESTConfig())
	e.check(err)
	e.account = filepath.Join(t.TempDir(), "operator.kubeconfig")
	t.Cleanup(func() {
		if e.process != nil {
			_ = e.process.Stop()
		}
		if t.Failed() {
			e.dump(t)
		}
	})
	return e
}

// dump shows how things were when a test failed.
func (e *env) dump(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var stacks networkstackv1alpha1.NetworkStackList
	var components networkstackv1alpha1.NetworkComponentList
	var events corev1.EventList
	_ = e.client.List(ctx, &stacks)
	_ = e.client.List(ctx, &components)
	_ = e.client.List(ctx, &events, client.InNamespace("default"))
	for i := range stacks.Items {
		t.Logf("NetworkStack %s: %s", stacks.Items[i].Name, toJSON(stacks.Items[i].Status.Conditions))
	}
	for i := range components.Items {
		c := &components.Items[i]
		t.Logf("NetworkComponent %s (deleted %v): %s %s", c.Name, c.DeletionTimestamp, c.Status.Phase, toJSON(c.Status.Conditions))
	}
	for i := range events.Items {
		t.Logf("event: %s %s: %s", events.Items[i].Reason, events.Items[i].InvolvedObject.Name, events.Items[i].Message)
	}
	const most = 20000
	for _, line := range strings.Split(e.log.Tail(most), "\n") {
		if !strings.Contains(line, "EventSource") {
			t.Log(line)
		}
	}
}

func (e *env) startOperator() {
	e.t.Helper()
	var err error
	e.process, err = operator.Start(operator.Options{Binary: operatorBinary, Kubeconfig: e.account, Args: e.args, Env: e.environ, Log: e.log})
	e.check(err)
}

func (e *env) check(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatal(err)
	}
}

// sample is one of config/samples.
func sample(t *testing.T, name string) *networkstackv1alpha1.NetworkStack {
	t.Helper()
	stack, err := operator.Sample(name)
	if err != nil {
		t.Fatal(err)
	}
	return stack
}

// smallStack is Flannel, kube-proxy and CoreDNS.
func smallStack(t *testing.T) *networkstackv1alpha1.NetworkStack {
	t.Helper()
	stack, err := operator.SmallStack()
	if err != nil {
		t.Fatal(err)
	}
	return stack
}

// apply applies a stack the way kubectl apply --server-side does.
func (e *env) apply(stack *networkstackv1alpha1.NetworkStack) {
	e.t.Helper()
	e.check(e.tryApply(stack))
}

func (e *env) tryApply(stack *networkstackv1alpha1.NetworkStack) error {
	e.t.Helper()
	return operator.ApplyStack(e.t.Context(), e.client, stack)
}

func (e *env) stack(name string) *networkstackv1alpha1.NetworkStack {
	e.t.Helper()
	var s networkstackv1alpha1.NetworkStack
	e.check(e.client.Get(e.t.Context(), client.ObjectKey{Name: name}, &s))
	return &s
}

func (e *env) component(name string) *networkstackv1alpha1.NetworkComponent {
	e.t.Helper()
	var c networkstackv1alpha1.NetworkComponent
	e.check(e.client.Get(e.t.Context(), client.ObjectKey{Name: name}, &c))
	return &c
}

// eventually waits until the condition holds; what says what was waited for, and last what was seen last.
func (e *env) eventually(what string, condition func(ctx context.Context) (done bool, last string)) {
	e.t.Helper()
	ctx := e.t.Context()
	last := ""
	err := wait.PollUntilContextTimeout(ctx, look, patience, true, func(context.Context) (bool, error) {
		var done bool
		done, last = condition(ctx)
		return done, nil
	})
	if err != nil {
		e.t.Fatalf("waiting for %s: %v; last seen: %s", what, err, last)
	}
}

// waitReady waits until a stack is Ready at its current generation, and its components are: one that a change of the cluster brought is there
// before the stack's status tells of it.
func (e *env) waitReady(name string) *networkstackv1alpha1.NetworkStack {
	e.t.Helper()
	e.eventually("the components of NetworkStack "+name+" to be Ready", func(ctx context.Context) (bool, string) {
		var list networkstackv1alpha1.NetworkComponentList
		if err := e.client.List(ctx, &list, client.MatchingLabels{networkstackv1alpha1.StackLabel: name}); err != nil {
			return false, err.Error()
		}
		for i := range list.Items {
			c := &list.Items[i]
			ready := meta.FindStatusCondition(c.Status.Conditions, networkstackv1alpha1.ConditionReady)
			if ready == nil || ready.Status != metav1.ConditionTrue || ready.ObservedGeneration != c.Generation {
				return false, c.Name + ": " + toJSON(ready)
			}
		}
		return true, ""
	})
	return e.waitCondition(name, networkstackv1alpha1.ConditionReady, metav1.ConditionTrue, "")
}

// waitCondition waits for a condition of a stack at its current generation; an empty reason means any.
func (e *env) waitCondition(name, conditionType string, status metav1.ConditionStatus, reason string) *networkstackv1alpha1.NetworkStack {
	e.t.Helper()
	var s networkstackv1alpha1.NetworkStack
	e.eventually("NetworkStack "+name+" to be "+conditionType+"="+string(status)+" "+reason, func(ctx context.Context) (bool, string) {
		if err := e.client.Get(ctx, client.ObjectKey{Name: name}, &s); err != nil {
			return false, err.Error()
		}
		c := meta.FindStatusCondition(s.Status.Conditions, conditionType)
		if c == nil {
			return false, "no such condition"
		}
		return c.Status == status && c.ObservedGeneration == s.Generation && (reason == "" || c.Reason == reason), string(c.Status) + " " + c.Reason + ": " + c.Message
	})
	return &s
}

// gone waits until an object does not exist.
func (e *env) gone(obj client.Object) {
	e.t.Helper()
	e.eventually(obj.GetName()+" to be gone", func(ctx context.Context) (bool, string) {
		err := e.client.Get(ctx, client.ObjectKeyFromObject(obj), obj)
		return client.IgnoreNotFound(err) == nil && err != nil, "still there"
	})
}

// helm runs the Helm command line against the cluster and answers what it prints.
func (e *env) helm(args ...string) string {
	e.t.Helper()
	path, err := controlplane.Helm(e.t.Context(), os.Stderr)
	e.check(err)
	cmd := exec.CommandContext(e.t.Context(), path, append(args, "--kubeconfig", e.admin)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		e.t.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}

func rawJSON(text string) *apiextensionsv1.JSON { return &apiextensionsv1.JSON{Raw: []byte(text)} }
