package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/policy"
	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/operator"
	"github.com/networkstack/networkstack/test/testbed"
	"github.com/networkstack/networkstack/test/testcharts"
)

// coveredTarget is for the median of what is measured of one namespace, and pulledTarget for what denies to be gone in a small cluster.
const (
	coveredTarget = time.Second
	pulledTarget  = time.Second
	// creators make namespaces at the same time.
	creators = 16
	// policiesPatience is for what thousands of namespaces take.
	policiesPatience = 30 * time.Minute
)

var networkPolicies = schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"}

// ciliumPolicies are the kinds that Cilium's operator would define.
var ciliumPolicies = []schema.GroupVersionResource{
	{Group: "cilium.io", Version: "v2", Resource: "ciliumclusterwidenetworkpolicies"},
	{Group: "cilium.io", Version: "v2", Resource: "ciliumnetworkpolicies"},
}

type policiesOptions struct {
	sizes        []int
	apis         []string
	added, turns int
	idle         time.Duration
}

// policiesCost is what baseline policies cost with so many namespaces.
type policiesCost struct {
	converged        time.Duration
	requests, writes int
	idle             int
	before, after    testbed.Memory
	// added and tampered are sorted; pulled are the first and the last, returned is until all are back.
	added, tampered []time.Duration
	pulled          [2]time.Duration
	turns           []time.Duration
	returned        time.Duration
}

func policiesCommand() *cobra.Command {
	o := policiesOptions{sizes: []int{100, 10000}, apis: []string{"NetworkPolicy", "Cilium"}, added: 50, turns: 20, idle: time.Minute}
	cmd := measurement("policies", "Measures baseline policies with few and with many namespaces", o.run)
	cmd.Flags().IntSliceVar(&o.sizes, "namespaces", o.sizes, "how many namespaces the clusters have, one after the other")
	cmd.Flags().StringSliceVar(&o.apis, "apis", o.apis, "what the policies are written as")
	cmd.Flags().IntVar(&o.added, "added", o.added, "how many namespaces are added one by one, and how many objects are tampered with")
	cmd.Flags().IntVar(&o.turns, "turns", o.turns, "how often the glass is broken with few namespaces")
	cmd.Flags().DurationVar(&o.idle, "idle", o.idle, "how long the operator is left alone")
	return cmd
}

func (o *policiesOptions) run(ctx context.Context) (missed bool, err error) {
	t := table.NewWriter()
	t.SetOutputMirror(os.Stdout)
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"api", "namespaces", "in force after", "requests", "of them writes", "idle", "namespace added: p50", "p99",
		"glass broken: first", "last", "mended", "tampered: p50", "p99", "memory before", "settled", "peak"})
	defer t.Render()
	ms := func(d time.Duration) string { return d.Round(time.Millisecond).String() }
	for _, api := range o.apis {
		for i, n := range o.sizes {
			c, err := o.measure(ctx, networkstackv1alpha1.PolicyAPI(api), n, i == 0)
			if errors.Is(err, errNoChart) {
				fmt.Println(err)
				break
			}
			if err != nil {
				return false, fmt.Errorf("%s with %d namespaces: %w", api, n, err)
			}
			t.AppendRow(table.Row{api, n, c.converged.Round(100 * time.Millisecond), c.requests, c.writes, c.idle,
				ms(quantile(c.added, 0.5)), ms(quantile(c.added, 0.99)), ms(c.pulled[0]), ms(c.pulled[1]), ms(c.returned),
				ms(quantile(c.tampered, 0.5)), ms(quantile(c.tampered, 0.99)),
				testbed.MiB(c.before.Resident), testbed.MiB(c.after.Resident), testbed.MiB(c.after.Peak)})
			if len(c.turns) > 0 {
				fmt.Printf("%s, %d namespaces, the glass broken %d times: what denies is gone after p50 %s, p99 %s\n",
					api, n, len(c.turns), ms(quantile(c.turns, 0.5)), ms(quantile(c.turns, 0.99)))
				missed = missed || quantile(c.turns, 0.5) > pulledTarget
			}
			missed = missed || quantile(c.added, 0.5) > coveredTarget || c.idle > 0
		}
	}
	fmt.Printf("idle: requests in %s, without the leader lease\ntarget: a namespace is covered, and with few of them what denies gone, in %s at the median; idle without requests\n",
		o.idle, coveredTarget)
	return missed, nil
}

// policiesStack is a stack for an API, without its policies.
func policiesStack(api networkstackv1alpha1.PolicyAPI) (*networkstackv1alpha1.NetworkStack, error) {
	if api == networkstackv1alpha1.PolicyAPICilium {
		return scaleStack("networkstack_cilium.yaml")
	}
	stack, err := operator.SmallStack()
	if err != nil {
		return nil, err
	}
	stack.Spec.IPPools[0].CIDRs = manyNodes
	stack.Spec.CNI.NetworkPolicy = networkstackv1alpha1.Enabled
	return stack, nil
}

// policiesOf are the baselines that are measured.
func policiesOf(api networkstackv1alpha1.PolicyAPI) *networkstackv1alpha1.PoliciesSpec {
	return &networkstackv1alpha1.PoliciesSpec{
		Mode: networkstackv1alpha1.PolicyEnforce, API: api,
		Namespaces: &networkstackv1alpha1.PolicyNamespaces{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"bench": "yes"}}},
		Baselines: []networkstackv1alpha1.Baseline{
			{Name: "deny-in", Type: networkstackv1alpha1.BaselineDefaultDenyIngress},
			{Name: "deny-out", Type: networkstackv1alpha1.BaselineDefaultDenyEgress},
			{Name: "dns", Type: networkstackv1alpha1.BaselineAllowDNS},
			{Name: "own", Type: networkstackv1alpha1.BaselineAllowSameNamespace},
		},
	}
}

func (o *policiesOptions) measure(ctx context.Context, api networkstackv1alpha1.PolicyAPI, n int, small bool) (c policiesCost, err error) {
	stack, err := policiesStack(api)
	if err != nil {
		return c, err
	}
	dir, err := testcharts.CacheDir()
	if err != nil {
		return c, err
	}
	if api == networkstackv1alpha1.PolicyAPICilium {
		if _, missing, err := testbed.Available([]testcharts.Real{{Name: "cilium", Version: "1.20.0"}}); err != nil || len(missing) > 0 {
			return c, errors.Join(err, fmt.Errorf("%s is %w: %v is not in the chart cache", api, errNoChart, missing))
		}
	}
	fmt.Printf("%s with %d namespaces\n", api, n)
	b, err := testbed.Start(ctx, testbed.Options{
		ControlPlane: controlplane.Options{PodCIDRs: manyNodes, Node: controlplane.NodeOptions{MTU: 1500}}, Args: []string{"--charts", dir},
	})
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, b.Stop()) }()
	if err := operator.ApplyStack(ctx, b.Client, stack); err != nil {
		return c, err
	}
	if api == networkstackv1alpha1.PolicyAPICilium {
		for _, r := range ciliumPolicies {
			if err := b.Client.Create(ctx, bareDefinition(r)); err != nil {
				return c, err
			}
		}
	}
	if err := waitStackReady(ctx, b, stack.Name); err != nil {
		return c, err
	}
	if err := addNamespaces(ctx, b, "ns-", n); err != nil {
		return c, err
	}
	fmt.Println("  the namespaces are there")
	if err := b.Settle(ctx); err != nil {
		return c, err
	}
	if c.before, err = b.Memory(); err != nil {
		return c, err
	}
	stack.Spec.Policies = policiesOf(api)
	from := time.Now()
	if err := operator.ApplyStack(ctx, b.Client, stack); err != nil {
		return c, err
	}
	if c.converged, err = inForce(ctx, b, stack.Name, from); err != nil {
		return c, err
	}
	fmt.Printf("  in force after %s\n", c.converged.Round(time.Millisecond))
	if c.requests, c.writes, err = settled(ctx, b, from); err != nil {
		return c, err
	}
	// The numbers in the status may be a minute late.
	if err := b.Pause(ctx, time.Minute); err != nil {
		return c, err
	}
	from = time.Now()
	if err := b.Pause(ctx, o.idle); err != nil {
		return c, err
	}
	if c.idle, _, err = count(ctx, b, from); err != nil {
		return c, err
	}
	if err := tell(ctx, b, from); err != nil {
		return c, err
	}
	cfg := rest.CopyConfig(b.ControlPlane.RESTConfig())
	cfg.QPS = -1
	p := &policiesBed{Bed: b, api: api, stack: stack.Name, sized: n}
	if p.clients, err = dynamic.NewForConfig(cfg); err != nil {
		return c, err
	}
	if c.added, err = p.addOneByOne(ctx, o.added); err != nil {
		return c, fmt.Errorf("adding namespaces: %w", err)
	}
	if c.tampered, err = p.tamperWith(ctx, o.added); err != nil {
		return c, fmt.Errorf("tampering: %w", err)
	}
	if c.pulled, c.returned, err = p.breakGlass(ctx); err != nil {
		return c, fmt.Errorf("breaking glass: %w", err)
	}
	for i := 0; small && i < o.turns; i++ {
		pulled, _, err := p.breakGlass(ctx)
		if err != nil {
			return c, fmt.Errorf("breaking glass: %w", err)
		}
		c.turns = append(c.turns, pulled[1])
	}
	slices.Sort(c.turns)
	if err := b.Settle(ctx); err != nil {
		return c, err
	}
	c.after, err = b.Memory()
	return c, err
}

// bareDefinition is a definition of a kind that takes anything.
func bareDefinition(r schema.GroupVersionResource) *unstructured.Unstructured {
	kinds := map[string]string{"ciliumclusterwidenetworkpolicies": "CiliumClusterwideNetworkPolicy", "ciliumnetworkpolicies": "CiliumNetworkPolicy"}
	scope := apiextensionsv1.NamespaceScoped
	if r.Resource == "ciliumclusterwidenetworkpolicies" {
		scope = apiextensionsv1.ClusterScoped
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": r.GroupResource().String()},
		"spec": map[string]any{
			"group": r.Group, "scope": string(scope),
			"names": map[string]any{"plural": r.Resource, "kind": kinds[r.Resource]},
			"versions": []any{map[string]any{
				"name": r.Version, "served": true, "storage": true,
				"schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
			}},
		},
	}}
}

func addNamespaces(ctx context.Context, b *testbed.Bed, prefix string, n int) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(creators)
	for i := range n {
		g.Go(func() error { return b.Client.Create(ctx, benchNamespace(fmt.Sprintf("%s%d", prefix, i))) })
	}
	return g.Wait()
}

func benchNamespace(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"bench": "yes"}}}
}

// inForce waits until the status says so.
func inForce(ctx context.Context, b *testbed.Bed, name string, from time.Time) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, policiesPatience)
	defer cancel()
	for {
		var stack networkstackv1alpha1.NetworkStack
		if err := b.Client.Get(ctx, client.ObjectKey{Name: name}, &stack); err != nil {
			return 0, err
		}
		if p := stack.Status.Policies; p != nil && p.Deny == networkstackv1alpha1.DenyEnforced {
			return time.Since(from), nil
		}
		if err := b.Pause(ctx, 20*time.Millisecond); err != nil {
			return 0, fmt.Errorf("%w; last seen: %+v", err, stack.Status.Policies)
		}
	}
}

// policiesBed is a bed with policies in force.
type policiesBed struct {
	*testbed.Bed
	clients dynamic.Interface
	api     networkstackv1alpha1.PolicyAPI
	stack   string
	sized   int
}

// resource is what denies is written as.
func (p *policiesBed) resource() schema.GroupVersionResource {
	if p.api == networkstackv1alpha1.PolicyAPICilium {
		return ciliumPolicies[0]
	}
	return networkPolicies
}

// local is what is written in each namespace.
func (p *policiesBed) local() schema.GroupVersionResource {
	if p.api == networkstackv1alpha1.PolicyAPICilium {
		return ciliumPolicies[1]
	}
	return networkPolicies
}

// sightOf is an object as a watch shows it.
type sightOf struct {
	at      time.Time
	deleted bool
	object  *unstructured.Unstructured
}

// follow calls seen with every change of a resource's objects that are ours, until it answers true.
func (p *policiesBed) follow(ctx context.Context, r schema.GroupVersionResource, act func() error, seen func(sightOf) bool) error {
	ctx, cancel := context.WithTimeout(ctx, policiesPatience)
	defer cancel()
	list, err := p.clients.Resource(r).List(ctx, metav1.ListOptions{LabelSelector: policy.Label, Limit: 1})
	if err != nil {
		return err
	}
	w, err := p.clients.Resource(r).Watch(ctx, metav1.ListOptions{LabelSelector: policy.Label, ResourceVersion: list.GetResourceVersion()})
	if err != nil {
		return err
	}
	defer w.Stop()
	if err := act(); err != nil {
		return err
	}
	for {
		select {
		case e, ok := <-w.ResultChan():
			u, isObject := e.Object.(*unstructured.Unstructured)
			if !ok || !isObject || e.Type == watch.Error {
				return fmt.Errorf("the watch of %s ended: %v", r.Resource, e.Object)
			}
			if seen(sightOf{time.Now(), e.Type == watch.Deleted, u}) {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// addOneByOne adds namespaces and measures until each has all that it is to have.
func (p *policiesBed) addOneByOne(ctx context.Context, n int) ([]time.Duration, error) {
	all, err := p.clients.Resource(p.local()).Namespace("ns-0").List(ctx, metav1.ListOptions{LabelSelector: policy.Label})
	if err != nil {
		return nil, err
	}
	var out []time.Duration
	for i := range n {
		name, left := fmt.Sprintf("added-%d", i), len(all.Items)
		if left == 0 {
			return nil, nil // what has no namespace covers it from the first moment
		}
		var made time.Time
		var took time.Duration
		err := p.follow(ctx, p.local(), func() error {
			err := p.Client.Create(ctx, benchNamespace(name))
			made = time.Now()
			return err
		}, func(s sightOf) bool {
			if s.object.GetNamespace() == name && !s.deleted {
				left--
				took = max(0, s.at.Sub(made))
			}
			return left == 0
		})
		if err != nil {
			return nil, err
		}
		out = append(out, took)
	}
	slices.Sort(out)
	return out, nil
}

// tamperWith changes, deletes and strips what denies, by turns, and measures until it is right again.
func (p *policiesBed) tamperWith(ctx context.Context, n int) ([]time.Duration, error) {
	var out []time.Duration
	for i := range n {
		o := metav1.ListOptions{LabelSelector: policy.EffectLabel + "=" + policy.EffectDeny, Limit: 1}
		namespace := ""
		if p.api == networkstackv1alpha1.PolicyAPINetworkPolicy {
			namespace = fmt.Sprintf("ns-%d", i*37%p.sized)
		}
		of := p.clients.Resource(p.resource()).Namespace(namespace)
		list, err := of.List(ctx, o)
		if err != nil {
			return nil, err
		}
		if len(list.Items) == 0 {
			return nil, fmt.Errorf("nothing denies in %q", namespace)
		}
		was := &list.Items[0]
		var done time.Time
		var took time.Duration
		wrong := false
		act := func() (err error) {
			switch patch := (metav1.PatchOptions{FieldManager: "intruder"}); i % 3 {
			case 0:
				_, err = of.Patch(ctx, was.GetName(), types.MergePatchType, []byte(`{"spec":{"ingress":[{}],"egress":[{}]}}`), patch)
			case 1:
				err = of.Delete(ctx, was.GetName(), metav1.DeleteOptions{})
			default:
				_, err = of.Patch(ctx, was.GetName(), types.MergePatchType,
					[]byte(`{"metadata":{"labels":{"`+policy.Label+`":null}}}`), patch)
			}
			done = time.Now()
			return err
		}
		err = p.follow(ctx, p.resource(), act, func(s sightOf) bool {
			if s.object.GetNamespace() != namespace || s.object.GetName() != was.GetName() {
				return false
			}
			if s.deleted || !right(was, s.object) {
				wrong = true
				return false
			}
			took = max(0, s.at.Sub(done))
			return wrong
		})
		if err != nil {
			return nil, err
		}
		out = append(out, took)
	}
	slices.Sort(out)
	return out, nil
}

// breakGlass annotates the stack, measures until the first and the last of what denies are gone, and then until all are back.
func (p *policiesBed) breakGlass(ctx context.Context) (pulled [2]time.Duration, returned time.Duration, err error) {
	there, err := p.denying(ctx)
	if err != nil {
		return pulled, 0, err
	}
	count := func(annotation any, deleted bool) (first, last time.Duration, err error) {
		left := there
		var once sync.Once
		var from time.Time
		err = p.follow(ctx, p.resource(), func() error {
			data, err := json.Marshal(map[string]any{"metadata": map[string]any{
				"annotations": map[string]any{networkstackv1alpha1.BreakGlassAnnotation: annotation}}})
			if err != nil {
				return err
			}
			err = p.Client.Patch(ctx, &networkstackv1alpha1.NetworkStack{ObjectMeta: metav1.ObjectMeta{Name: p.stack}},
				client.RawPatch(types.MergePatchType, data))
			from = time.Now()
			return err
		}, func(s sightOf) bool {
			if s.object.GetLabels()[policy.EffectLabel] == policy.EffectDeny && s.deleted == deleted {
				left--
				last = max(0, s.at.Sub(from))
				once.Do(func() { first = last })
			}
			return left == 0
		})
		return first, last, err
	}
	if pulled[0], pulled[1], err = count("measuring", true); err != nil {
		return pulled, 0, err
	}
	if left, err := p.denying(ctx); err != nil || left > 0 {
		return pulled, 0, errors.Join(err, fmt.Errorf("%d objects deny with the glass broken", left))
	}
	_, returned, err = count(nil, false)
	return pulled, returned, err
}

// denying counts what denies.
func (p *policiesBed) denying(ctx context.Context) (int, error) {
	o := metav1.ListOptions{LabelSelector: policy.EffectLabel + "=" + policy.EffectDeny, Limit: 500}
	for n := 0; ; {
		list, err := p.clients.Resource(p.resource()).List(ctx, o)
		if err != nil {
			return 0, err
		}
		n += len(list.Items)
		if o.Continue = list.GetContinue(); o.Continue == "" {
			return n, nil
		}
	}
}
