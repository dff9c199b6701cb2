package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// statusClient reads a cluster's stack and what belongs to it.
type statusClient struct {
	client client.WithWatch
	host   string
}

func newStatusClient(ctx context.Context, flags *genericclioptions.ConfigFlags) (*statusClient, error) {
	cfg, err := flags.ToRESTConfig()
	if err != nil {
		return nil, statusError("", err)
	}
	if raw, err := flags.ToRawKubeConfigLoader().RawConfig(); err == nil && len(raw.Clusters) == 0 && cfg.Host == nowhere {
		return nil, statusError("", clientcmd.ErrEmptyConfig)
	}
	cfg.QPS, cfg.Burst = -1, 0
	cfg.WarningHandler = rest.NoWarnings{}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), networkstackv1alpha1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	c := &statusClient{host: cfg.Host}
	if c.client, err = client.NewWithWatch(cfg, client.Options{Scheme: scheme}); err != nil {
		return nil, statusError(cfg.Host, err)
	}
	return c, ctx.Err()
}

// statusError is clusterError for a command that does not work without a cluster.
func statusError(host string, err error) error {
	err = clusterError(host, err)
	return errors.New(strings.TrimSuffix(strings.TrimSuffix(err.Error(), ", or give --facts FILE to work without a cluster"),
		": give --facts FILE to work without a cluster"))
}

// stackNames are for the shell.
func stackNames(ctx context.Context, flags *genericclioptions.ConfigFlags) []string {
	c, err := newStatusClient(ctx, flags)
	if err != nil {
		return nil
	}
	var list networkstackv1alpha1.NetworkStackList
	if c.client.List(ctx, &list) != nil {
		return nil
	}
	names := make([]string, len(list.Items))
	for i := range list.Items {
		names[i] = list.Items[i].Name
	}
	return names
}

// observe looks once. It gives nothing when there is no such stack.
func (c *statusClient) observe(ctx context.Context, name string) (*observed, error) {
	var stacks networkstackv1alpha1.NetworkStackList
	if err := c.client.List(ctx, &stacks); err != nil {
		if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("the cluster at %s does not know NetworkStacks: install the operator first", c.host)
		}
		return nil, statusError(c.host, err)
	}
	stack, err := theStack(stacks.Items, name)
	if stack == nil || err != nil {
		return nil, err
	}
	o := &observed{stack: stack}
	var components networkstackv1alpha1.NetworkComponentList
	if err := c.client.List(ctx, &components); err != nil {
		return nil, statusError(c.host, err)
	}
	o.components = components.Items
	return o, c.agents(ctx, o)
}

// theStack is the one that is asked for.
func theStack(list []networkstackv1alpha1.NetworkStack, name string) (*networkstackv1alpha1.NetworkStack, error) {
	var names []string
	for i := range list {
		if list[i].Name == name {
			return &list[i], nil
		}
		names = append(names, list[i].Name)
	}
	switch {
	case name != "" || len(list) == 0:
		return nil, nil
	case len(list) > 1:
		return nil, usagef("there are several NetworkStacks (%s), of which a cluster has use for one: name one", strings.Join(names, ", "))
	}
	return &list[0], nil
}

// agents looks at nodes, and at the pods of agents that are being rolled out. What may not be read is not shown.
func (c *statusClient) agents(ctx context.Context, o *observed) error {
	var nodes corev1.NodeList
	if err := c.client.List(ctx, &nodes); err != nil {
		return passed(c.host, err)
	}
	o.nodes = []observedNode{}
	for i := range nodes.Items {
		o.nodes = append(o.nodes, observedNode{nodes.Items[i].Name, nodeReady(&nodes.Items[i])})
	}
	for i := range o.components {
		nc := &o.components[i]
		if r := nc.Status.Rollout; r == nil || r.Desired == 0 || r.Updated >= r.Desired && r.Available >= r.Desired {
			continue
		}
		var sets appsv1.DaemonSetList
		if err := c.client.List(ctx, &sets, client.MatchingLabels{networkstackv1alpha1.ComponentLabel: nc.Name}); err != nil {
			return passed(c.host, err)
		}
		for j := range sets.Items {
			ds := &sets.Items[j]
			var revisions appsv1.ControllerRevisionList
			var pods corev1.PodList
			labels := client.MatchingLabels(ds.Spec.Selector.MatchLabels)
			if err := c.client.List(ctx, &revisions, client.InNamespace(ds.Namespace), labels); err != nil {
				return passed(c.host, err)
			}
			if err := c.client.List(ctx, &pods, client.InNamespace(ds.Namespace), labels); err != nil {
				return passed(c.host, err)
			}
			o.pods = append(o.pods, agentPods(nc.Name, ds, revisions.Items, pods.Items)...)
		}
	}
	return nil
}

// passed passes over what the user may not read.
func passed(host string, err error) error {
	if apierrors.IsForbidden(err) {
		return nil
	}
	return statusError(host, err)
}

func nodeReady(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

// agentPods says how a DaemonSet's pods are, by node.
func agentPods(component string, ds *appsv1.DaemonSet, revisions []appsv1.ControllerRevision, pods []corev1.Pod) []agentPod {
	var newest *appsv1.ControllerRevision
	for i := range revisions {
		if r := &revisions[i]; metav1.IsControlledBy(r, ds) && (newest == nil || r.Revision > newest.Revision) {
			newest = r
		}
	}
	hash := ""
	if newest != nil {
		hash = newest.Labels[appsv1.ControllerRevisionHashLabelKey]
	}
	var out []agentPod
	for i := range pods {
		p := &pods[i]
		if !metav1.IsControlledBy(p, ds) || p.Spec.NodeName == "" {
			continue
		}
		out = append(out, agentPodOf(component, ds.Namespace+"/"+ds.Name, hash, p))
	}
	slices.SortFunc(out, func(a, b agentPod) int { return cmp.Compare(a.node, b.node) })
	return out
}

func agentPodOf(component, workload, hash string, p *corev1.Pod) agentPod {
	out := agentPod{component: component, workload: workload, node: p.Spec.NodeName, state: agentUpdated}
	ready := slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
	latest := hash == "" || p.Labels[appsv1.ControllerRevisionHashLabelKey] == hash
	switch {
	case p.DeletionTimestamp != nil:
		out.state, out.since = agentMissing, p.DeletionTimestamp.Time
		out.reason = "the old one ends"
	case !latest:
		out.state = agentOld
	case !ready:
		out.state, out.since = agentStarting, p.CreationTimestamp.Time
		if reason := troubleOf(p); reason != "" {
			out.state, out.reason = agentFailing, reason
		}
	}
	return out
}

// troubleOf is why a pod does not come up, as the kubelet has it.
func troubleOf(p *corev1.Pod) string {
	for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		w := s.State.Waiting
		if w != nil && w.Reason != "" && w.Reason != "PodInitializing" && w.Reason != "ContainerCreating" {
			return s.Name + ": " + w.Reason
		}
	}
	return ""
}

// screen shows what is followed.
type screen interface {
	// show shows it as it is now; nil when there is no stack.
	show(o *observed)
	// end shows it for the last time.
	end(o *observed)
}

// silentScreen shows nothing.
type silentScreen struct{}

func (silentScreen) show(*observed) {}
func (silentScreen) end(*observed)  {}

// follow looks again whenever something has changed, until the context ends, or until the stack is Ready. What was seen last is nil when
// there was no stack.
func (c *statusClient) follow(ctx context.Context, name string, untilReady bool, show screen) (*observed, error) {
	const (
		tick  = time.Second            // ages go on, and pods are looked at
		pause = 200 * time.Millisecond // between two looks, however much happens
	)
	last, err := c.observe(ctx, name)
	if err != nil {
		return nil, err
	}
	changed, stop := c.changes(ctx)
	defer stop()
	for {
		show.show(last)
		if untilReady && last != nil && isReady(last.stack) {
			return last, nil
		}
		select {
		case <-ctx.Done():
			return last, nil
		case <-changed:
		case <-time.After(tick):
			if last == nil || isReady(last.stack) {
				continue // nothing is told but ages
			}
		}
		select {
		case <-ctx.Done():
			return last, nil
		case <-time.After(pause):
		}
		now, err := c.observe(ctx, name)
		var usage usageError
		switch {
		case ctx.Err() != nil:
			return last, nil
		case errors.As(err, &usage):
			return last, err
		case err != nil:
			continue // the API server may be away for a moment: what is shown stays
		}
		last = now
	}
}

// changes tells by watch that a stack or a component has changed.
func (c *statusClient) changes(ctx context.Context) (changed <-chan struct{}, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	out := make(chan struct{}, 1)
	for _, list := range []client.ObjectList{&networkstackv1alpha1.NetworkStackList{}, &networkstackv1alpha1.NetworkComponentList{}} {
		go func() {
			const again = 2 * time.Second
			for ctx.Err() == nil {
				if w, err := c.client.Watch(ctx, list); err == nil {
					forward(ctx, w, out)
					w.Stop()
				}
				select {
				case <-ctx.Done():
				case <-time.After(again):
				}
			}
		}()
	}
	return out, cancel
}

// forward says of every event that there was one, until the watch ends.
func forward(ctx context.Context, w watch.Interface, out chan<- struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case _, open := <-w.ResultChan():
			if !open {
				return
			}
			select {
			case out <- struct{}{}:
			default:
			}
		}
	}
}
