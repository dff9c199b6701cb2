package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/endstate"
	"github.com/networkstack/networkstack/test/operator"
)

const (
	look = 150 * time.Millisecond
	// patience is for what comes true on any machine, however busy, once nothing is in the way.
	patience = 5 * time.Minute

	flannelNamespace = "kube-flannel"
	stackName        = "cluster"
)

// env is a cluster that operators reach through proxies.
type env struct {
	t       *testing.T
	cp      *controlplane.ControlPlane
	cfg     *rest.Config
	client  client.Client
	account string // kubeconfig of the operator's ServiceAccount, past the proxies
	dir     string
	names   int
}

func newEnv(t *testing.T) *env {
	t.Helper()
	cp := controlplane.ForTest(t, controlplane.Options{Nodes: 2, Node: controlplane.NodeOptions{MTU: 1500}})
	e := &env{t: t, cp: cp, cfg: cp.RESTConfig(), dir: t.TempDir()}
	e.cfg.QPS = -1
	e.check(operator.Install(t.Context(), e.cfg))
	var err error
	e.client, err = operator.Client(e.cfg)
	e.check(err)
	e.account = filepath.Join(e.dir, "operator.kubeconfig")
	e.check(operator.Kubeconfig(t.Context(), cp.Kubeconfig(), e.account))
	t.Cleanup(func() {
		if t.Failed() {
			e.dump()
		}
	})
	return e
}

func (e *env) check(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatal(err)
	}
}

// run is an operator behind a proxy of its own.
type run struct {
	*operator.Process
	proxy *proxy
	log   *operator.Log
}

// start starts an operator. What it prints is shown when the test fails.
func (e *env) start(f fault, args ...string) *run {
	e.t.Helper()
	p, err := newProxy(e.cfg)
	e.check(err)
	p.set(f)
	e.names++
	path := filepath.Join(e.dir, fmt.Sprintf("proxy-%d.kubeconfig", e.names))
	e.check(p.kubeconfig(e.account, path))
	r := &run{proxy: p, log: &operator.Log{}}
	args = append([]string{"--chart-cache", filepath.Join(e.dir, "charts")}, args...)
	r.Process, err = operator.Start(operator.Options{Binary: operatorBinary, Kubeconfig: path, Args: args, Log: r.log})
	e.check(err)
	e.t.Cleanup(func() {
		r.end()
		if e.t.Failed() {
			e.t.Logf("operator %d said:\n%s", r.PID(), r.log.Tail(4000))
		}
	})
	return r
}

// end kills the operator and its proxy.
func (r *run) end() {
	r.Kill()
	r.proxy.stop()
}

// sample is CNI and kube-proxy of the demo's stack, to be deleted with all they brought: each of its writes is a run of these tests,
// and those of the rest are of the same kinds.
func sample(t *testing.T) *networkstackv1alpha1.NetworkStack {
	t.Helper()
	stack, err := operator.SmallStack()
	if err != nil {
		t.Fatal(err)
	}
	stack.Name = stackName
	stack.Spec.DeletionPolicy = networkstackv1alpha1.DeletionDelete
	stack.Spec.DNS = nil
	return stack
}

// apply applies the stack the way kubectl apply --server-side does.
func (e *env) apply(stack *networkstackv1alpha1.NetworkStack) {
	e.t.Helper()
	e.check(operator.ApplyStack(e.t.Context(), e.client, stack))
}

func (e *env) delete() {
	e.t.Helper()
	stack := &networkstackv1alpha1.NetworkStack{ObjectMeta: metav1.ObjectMeta{Name: stackName}}
	e.check(client.IgnoreNotFound(e.client.Delete(e.t.Context(), stack)))
}

// eventually waits until the condition holds; last is what was seen last.
func (e *env) eventually(what string, condition func(ctx context.Context) (done bool, last string)) {
	e.t.Helper()
	last := ""
	err := wait.PollUntilContextTimeout(e.t.Context(), look, patience, true, func(ctx context.Context) (bool, error) {
		var done bool
		done, last = condition(ctx)
		return done, nil
	})
	if err != nil {
		e.t.Fatalf("waiting for %s: %v; last seen: %s", what, err, last)
	}
}

// isReady says whether the stack is Ready at its current generation.
func (e *env) isReady(ctx context.Context) (bool, string) {
	var s networkstackv1alpha1.NetworkStack
	if err := e.client.Get(ctx, client.ObjectKey{Name: stackName}, &s); err != nil {
		return false, err.Error()
	}
	c := meta.FindStatusCondition(s.Status.Conditions, networkstackv1alpha1.ConditionReady)
	if c == nil {
		return false, "nobody has looked at the stack"
	}
	return c.Status == metav1.ConditionTrue && c.ObservedGeneration == s.Generation, c.Reason + ": " + c.Message
}

// isGone says whether the stack is gone, and no namespace is on its way out.
func (e *env) isGone(ctx context.Context) (bool, string) {
	err := e.client.Get(ctx, client.ObjectKey{Name: stackName}, &networkstackv1alpha1.NetworkStack{})
	if !apierrors.IsNotFound(err) {
		return false, fmt.Sprintf("the stack is there (%v)", err)
	}
	var namespace corev1.Namespace
	err = e.client.Get(ctx, client.ObjectKey{Name: flannelNamespace}, &namespace)
	return client.IgnoreNotFound(err) == nil && namespace.DeletionTimestamp == nil, "the namespace is going"
}

// endState is everything that stacks and components have in the cluster.
func (e *env) endState(ctx context.Context) endstate.State {
	e.t.Helper()
	all := endstate.State{}
	for _, scope := range []endstate.Scope{
		{Selector: endstate.AnyComponent, Namespaces: []string{flannelNamespace}, Skip: []string{"Pod"}},
		{Selector: networkstackv1alpha1.StackLabel},
	} {
		state, err := endstate.Read(ctx, e.cfg, scope)
		e.check(err)
		for k, v := range state {
			all[k] = v
		}
	}
	return all
}

// records are Helm's: the newest revision of each release with its status, and whatever is not over.
func (e *env) records(ctx context.Context) []string {
	e.t.Helper()
	var list corev1.SecretList
	e.check(e.client.List(ctx, &list, client.MatchingLabels{"owner": "helm"}))
	newest := map[string]*corev1.Secret{}
	var out []string
	for i := range list.Items {
		s := &list.Items[i]
		name := s.Namespace + "/" + s.Labels["name"]
		if n := newest[name]; n == nil || revision(n) < revision(s) {
			newest[name] = s
		}
		if status := s.Labels["status"]; status != "deployed" && status != "superseded" && status != "failed" {
			out = append(out, fmt.Sprintf("%s revision %d is %s", name, revision(s), status))
		}
	}
	for name, s := range newest {
		out = append(out, name+" "+s.Labels["status"])
	}
	slices.Sort(out)
	return out
}

func revision(s *corev1.Secret) (n int) {
	_, _ = fmt.Sscan(s.Labels["version"], &n)
	return n
}

// dump shows how things are.
func (e *env) dump() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var stacks networkstackv1alpha1.NetworkStackList
	var components networkstackv1alpha1.NetworkComponentList
	_ = e.client.List(ctx, &stacks)
	_ = e.client.List(ctx, &components)
	for i := range stacks.Items {
		e.t.Logf("NetworkStack %s: %s", stacks.Items[i].Name, toJSON(stacks.Items[i].Status.Conditions))
	}
	for i := range components.Items {
		c := &components.Items[i]
		e.t.Logf("NetworkComponent %s (deleted %v): %s %s", c.Name, c.DeletionTimestamp, c.Status.Phase, toJSON(c.Status.Conditions))
	}
}

func toJSON(v any) string {
	data, _ := json.Marshal(v)
	return string(data)
}
