package stack

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/health"
	"github.com/networkstack/networkstack/internal/plan"
	"github.com/networkstack/networkstack/internal/survey"
)

// What agents leave on nodes is removed at the end of a deletion. The component that does it is made while the agents are there, and
// is suspended: it keeps what there will be to do, however often the operator is restarted. It begins when all other components and
// the agents' pods are gone, and goes when every node is done.

const (
	// cleaningDeadline is how long nodes may take, from when all other components are gone. A node that is not done by then is told
	// of, and does not keep a deletion from its end.
	cleaningDeadline = 5 * time.Minute
	// agentsAgain is when the agents' pods are looked for again; nothing watches them.
	agentsAgain = 2 * time.Second
	// mostNodesNamed is how many nodes an event names.
	mostNodesNamed = 10
)

// agentPods are the pods of a DaemonSet.
type agentPods struct {
	Namespace string `json:"namespace"`
	Selector  string `json:"selector"`
}

// planCleaning makes the component that cleans nodes, or says why nodes are not cleaned.
func (r *Reconciler) planCleaning(ctx context.Context, s *scope) error {
	agents, err := r.agentsOf(ctx, s.components)
	if err != nil {
		return err
	}
	left := leftoversOf(agents)
	begins := !slices.ContainsFunc(s.components, func(c networkstackv1alpha1.NetworkComponent) bool {
		return !c.DeletionTimestamp.IsZero()
	})
	if err := r.spareVirtualServers(ctx, s, &left, begins); err != nil || !left.Any() {
		return err
	}
	if m := left.Multus; m != nil {
		m.Books, m.Networks = booksEnd(s)
	}
	service, err := r.serviceAddresses(ctx)
	if err != nil {
		return err
	}
	why := r.uncleanable(left, service)
	var release compose.Release
	if why != "" && r.OperatorImage != "" {
		// What nobody needs to reach anything is removed all the same.
		left.FlannelImage, left.KubeProxyImage = "", ""
		delete(agents, string(networkstackv1alpha1.CNIFlannel))
		delete(agents, compose.TypeKubeProxy)
	}
	if clean := why == "" || r.OperatorImage != "" && left.Any(); clean {
		known, err := r.Catalog.Current(ctx)
		if err != nil {
			return err
		}
		in := compose.Input{
			Stack: s.stack, Catalog: known.Catalog, OperatorImage: r.OperatorImage, Existing: survey.Existing(s.components),
		}
		var has bool
		if release, has = compose.NodeCleanup(in, left); !has {
			why = "the catalogue has no entry for " + compose.TypeNodeCleanup
		}
	}
	if why != "" {
		if begins {
			r.event(s.stack, "Warning", networkstackv1alpha1.ReasonNodesNotCleaned, "Clean",
				"what the agents leave on nodes stays there, for %s: restart the nodes or replace them, or clean them by hand", why)
		}
		if release.Name == "" {
			return nil
		}
	}
	waited, err := json.Marshal(podsOf(agents))
	if err != nil {
		return err
	}
	c := &networkstackv1alpha1.NetworkComponent{Spec: release.Spec}
	c.Name = release.Name
	c.Labels = map[string]string{networkstackv1alpha1.StackLabel: s.stack.Name}
	c.Annotations = map[string]string{networkstackv1alpha1.AgentsAnnotation: string(waited)}
	// It has no owner: a deletion in the foreground deletes all that the stack owns, and would delete this before its turn.
	if err := r.Create(ctx, c); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("NetworkComponent %s: %w", c.Name, err)
	}
	return nil
}

// spareVirtualServers leaves the rules of kube-proxy where a node has virtual servers of IPVS that are somebody else's, for kube-proxy
// removes them with its own, in whatever mode it was.
func (r *Reconciler) spareVirtualServers(ctx context.Context, s *scope, left *compose.Leftovers, tell bool) error {
	if left.KubeProxyImage == "" {
		return nil
	}
	nodes, err := r.nodes(ctx)
	if err != nil {
		return err
	}
	maps.DeleteFunc(nodes, func(_ string, n nodeSeen) bool { return !n.virtualServers })
	if len(nodes) == 0 {
		return nil
	}
	left.KubeProxyImage = ""
	if tell {
		r.event(s.stack, "Warning", networkstackv1alpha1.ReasonNodesNotCleaned, "Clean",
			"the rules of kube-proxy stay until the nodes are restarted: its clean-up removes all virtual servers of IPVS, and others than kube-proxy have some on %s",
			nodesText(slices.Sorted(maps.Keys(nodes))))
	}
	return nil
}

// agentsOf are the DaemonSets, as a whole, of those components that leave something on nodes which can be removed, and of the node agent,
// which runs the operator's image, too.
func (r *Reconciler) agentsOf(ctx context.Context, components []networkstackv1alpha1.NetworkComponent) (
	map[string]*appsv1.DaemonSet, error,
) {
	types := map[string]string{}
	for i := range components {
		switch typ := components[i].Spec.Type; typ {
		case string(networkstackv1alpha1.CNIFlannel), compose.TypeKubeProxy, compose.TypeNodeAgent,
			compose.TypeMultus, compose.TypeNodeLocalDNS:
			types[components[i].Name] = typ
		}
	}
	if len(types) == 0 {
		return nil, nil
	}
	var list appsv1.DaemonSetList
	if err := r.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("listing DaemonSets: %w", err)
	}
	out := map[string]*appsv1.DaemonSet{}
	for i := range list.Items {
		typ, wanted := types[list.Items[i].Labels[networkstackv1alpha1.ComponentLabel]]
		if !wanted {
			continue
		}
		// What is kept in memory has neither volumes nor labels of pods.
		ds := &appsv1.DaemonSet{}
		if err := r.Facts.Live.Get(ctx, client.ObjectKeyFromObject(&list.Items[i]), ds); client.IgnoreNotFound(err) != nil {
			return nil, fmt.Errorf("reading DaemonSet %s/%s: %w", list.Items[i].Namespace, list.Items[i].Name, err)
		} else if err == nil {
			out[typ] = ds
		}
	}
	return out, nil
}

// leftoversOf are what these agents leave, by their type.
func leftoversOf(agents map[string]*appsv1.DaemonSet) compose.Leftovers {
	var out compose.Leftovers
	var selectors []map[string]string
	for typ, ds := range agents {
		pod := &ds.Spec.Template.Spec
		if len(pod.Containers) == 0 {
			continue
		}
		if ds.Namespace == metav1.NamespaceSystem {
			for _, secret := range pod.ImagePullSecrets {
				out.PullSecrets = append(out.PullSecrets, secret.Name)
			}
		}
		if typ == compose.TypeNodeAgent {
			continue
		}
		if typ == compose.TypeNodeLocalDNS && !pod.HostNetwork {
			continue // Cilium brings queries to it
		}
		selectors = append(selectors, pod.NodeSelector)
		image, paths := pod.Containers[0].Image, hostPaths(pod)
		switch typ {
		case compose.TypeKubeProxy:
			out.KubeProxyImage = image
		case compose.TypeMultus:
			out.Multus = &compose.MultusLeftovers{ConfDir: paths["cni-conf"], BinDir: paths["cni-bin"]}
		case compose.TypeNodeLocalDNS:
			out.NodeLocalDNS = &compose.NodeLocalDNSLeftovers{Image: image, Addresses: cacheAddresses(pod.Containers[0].Args)}
		default:
			out.FlannelImage, out.ConfDir, out.BinDir = image, paths["cni"], paths["cni-plugin"]
		}
	}
	slices.Sort(out.PullSecrets)
	out.PullSecrets = slices.Compact(out.PullSecrets)
	same := !slices.ContainsFunc(selectors, func(m map[string]string) bool { return !maps.Equal(m, selectors[0]) })
	if len(selectors) > 0 && same && len(selectors[0]) > 0 {
		out.NodeSelector = maps.Clone(selectors[0])
	}
	return out
}

// hostPaths are the paths of the node that a pod has, by the names of its volumes.
func hostPaths(pod *corev1.PodSpec) map[string]string {
	out := map[string]string{}
	for _, v := range pod.Volumes {
		if v.HostPath != nil {
			out[v.Name] = v.HostPath.Path
		}
	}
	return out
}

// cacheAddresses are those that a cache of DNS answers on, by its arguments.
func cacheAddresses(args []string) []string {
	at := slices.Index(args, "-localip")
	if at < 0 || at+1 >= len(args) {
		return nil
	}
	return strings.Split(args[at+1], ",")
}

// booksEnd says whether Multus's books go with it, because the network of all pods does, and of which networks of the stack's attachments
// these are.
func booksEnd(s *scope) (ends bool, networks []string) {
	for i := range s.components {
		spec := &s.components[i].Spec
		ends = ends || spec.Type == string(s.stack.Spec.CNI.Type)
		if spec.Type == compose.TypeAttachments {
			networks = compose.NetworksOf(spec)
		}
	}
	return ends, networks
}

// podsOf are the agents' pods, in order.
func podsOf(agents map[string]*appsv1.DaemonSet) []agentPods {
	var out []agentPods
	for _, typ := range slices.Sorted(maps.Keys(agents)) {
		ds := agents[typ]
		out = append(out, agentPods{Namespace: ds.Namespace, Selector: metav1.FormatLabelSelector(ds.Spec.Selector)})
	}
	return out
}

// serviceAddresses are those of the API server's Service.
func (r *Reconciler) serviceAddresses(ctx context.Context) ([]string, error) {
	var service corev1.Service
	err := r.Get(ctx, client.ObjectKey{Namespace: metav1.NamespaceDefault, Name: "kubernetes"}, &service)
	if client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("reading Service default/kubernetes: %w", err)
	}
	return append(slices.Clone(service.Spec.ClusterIPs), service.Spec.ClusterIP, serviceName), nil
}

// serviceName is the name of that Service in every namespace, without the cluster's domain.
const serviceName = "kubernetes.default"

// uncleanable says why nodes are not cleaned; empty when they can be. The operator must not cut itself off before it is done.
func (r *Reconciler) uncleanable(left compose.Leftovers, service []string) string {
	switch {
	case r.OperatorImage == "":
		return "the operator does not know its own image (--operator-image)"
	case r.OnPodNetwork:
		return "the operator is on the pods' network itself (its chart's mode is not Bootstrap), and would cut itself off"
	case left.KubeProxyImage != "" && (slices.Contains(service, r.APIServerHost) || strings.HasPrefix(r.APIServerHost, serviceName+".svc")):
		return "the operator reaches the API server by its Service (its chart's apiServer.host is not set), and would cut itself off"
	}
	return ""
}

// cleanNodes takes the next step in cleaning nodes, when all other components are gone.
func (r *Reconciler) cleanNodes(ctx context.Context, s *scope, c *networkstackv1alpha1.NetworkComponent,
	policy networkstackv1alpha1.DeletionPolicy,
) error {
	if !c.DeletionTimestamp.IsZero() || policy != networkstackv1alpha1.DeletionDelete {
		s.deleting = append(s.deleting, c.Name)
		return r.removeComponent(ctx, c, networkstackv1alpha1.DeletionDelete)
	}
	since, err := time.Parse(time.RFC3339, c.Annotations[networkstackv1alpha1.CleaningSinceAnnotation])
	if err != nil || since.After(time.Now()) { // by a clock that went wrong
		s.cleaning = "nodes are about to be cleaned"
		return r.startClock(ctx, c)
	}
	nodes, err := r.nodes(ctx)
	if err != nil {
		return err
	}
	end := since.Add(cleaningDeadline)
	remaining, atMost := time.Until(end), " (until "+end.UTC().Format(time.RFC3339)+" at most): "
	switch {
	case plan.Ready(c), len(unfinished(nodes, nil, compose.NodesOfCleanup(&c.Spec))) == 0:
		return r.endCleaning(ctx, s, c)
	case remaining <= 0:
		return r.giveUpCleaning(ctx, s, c)
	case !c.Spec.Suspend:
		s.cleaning, s.requeueIn = "nodes are being cleaned"+atMost+readyMessage(c), remaining
		return nil
	}
	running, err := r.runningAgents(ctx, c)
	if err != nil {
		return err
	}
	if len(running) > 0 {
		s.cleaning = "nodes are cleaned when the agents' pods are gone" + atMost + nodesText(running)
		s.requeueIn = min(remaining, agentsAgain)
		return nil
	}
	return r.beginCleaning(ctx, s, c)
}

// startClock notes that all other components are gone.
func (r *Reconciler) startClock(ctx context.Context, c *networkstackv1alpha1.NetworkComponent) error {
	data, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{
		networkstackv1alpha1.CleaningSinceAnnotation: time.Now().UTC().Format(time.RFC3339)}}})
	if err != nil {
		return err
	}
	return client.IgnoreNotFound(r.Patch(ctx, c.DeepCopy(), client.RawPatch(types.MergePatchType, data)))
}

// endCleaning removes the component, for every node is done.
func (r *Reconciler) endCleaning(ctx context.Context, s *scope, c *networkstackv1alpha1.NetworkComponent) error {
	if err := r.removeComponent(ctx, c, networkstackv1alpha1.DeletionDelete); err != nil {
		return err
	}
	r.event(s.stack, "Normal", networkstackv1alpha1.ReasonNodesCleaned, "Clean", "what the agents left on nodes is removed")
	return nil
}

// beginCleaning has the component installed. What agents that somebody else runs have on nodes stays.
func (r *Reconciler) beginCleaning(ctx context.Context, s *scope, c *networkstackv1alpha1.NetworkComponent) error {
	c = c.DeepCopy()
	seen, err := r.Facts.Discover(ctx)
	if err != nil {
		s.cleaning, s.requeueIn = "nodes are cleaned when it is known whether there are other agents: "+err.Error(), factsRetry
		return nil //nolint:nilerr // it is tried again, until the deadline
	}
	more := true
	var kept []string
	for _, other := range seen.Installed {
		typ := string(other.Type)
		if !compose.Cleans(&c.Spec, typ) {
			continue
		}
		kept = append(kept, fmt.Sprintf("what %s has on nodes is that of DaemonSet %s/%s now", typ, other.Namespace, other.Name))
		if more, err = compose.WithoutAgent(&c.Spec, typ); err != nil {
			return err
		}
	}
	if len(kept) > 0 {
		r.event(s.stack, "Normal", networkstackv1alpha1.ReasonNodesNotCleaned, "Clean", "%s, and stays", strings.Join(kept, ", "))
	}
	if !more {
		return r.removeComponent(ctx, c, networkstackv1alpha1.DeletionDelete)
	}
	c.Spec.Suspend = false
	if err := r.Update(ctx, c); err != nil {
		return client.IgnoreNotFound(err)
	}
	s.cleaning = "nodes are being cleaned"
	r.event(s.stack, "Normal", networkstackv1alpha1.ReasonNodesCleaning, "Clean", "removing from nodes what the agents left there")
	return nil
}

// giveUpCleaning goes on without the nodes that are not done, and names them.
func (r *Reconciler) giveUpCleaning(ctx context.Context, s *scope, c *networkstackv1alpha1.NetworkComponent) error {
	nodes, err := r.uncleaned(ctx, c)
	if err != nil {
		return err
	}
	if len(nodes) == 0 {
		return r.endCleaning(ctx, s, c)
	}
	why := readyMessage(c)
	if c.Spec.Suspend {
		running, err := r.runningAgents(ctx, c)
		if err != nil {
			return err
		}
		why = "there are agents' pods on " + nodesText(running)
	}
	if err := r.removeComponent(ctx, c, networkstackv1alpha1.DeletionDelete); err != nil {
		return err
	}
	r.event(s.stack, "Warning", networkstackv1alpha1.ReasonNodesNotCleaned, "Clean",
		"not cleaned within %s: %s: what the agents left there stays until these are restarted or replaced, or cleaned by hand (%s)",
		cleaningDeadline, nodesText(nodes), why)
	return nil
}

// runningAgents are the Ready nodes on which there are pods of agents, which would write again what is removed. A node that is not
// Ready is not waited for: nobody can say what runs there. Neither are pods of a DaemonSet that is there: ours are gone by now.
func (r *Reconciler) runningAgents(ctx context.Context, c *networkstackv1alpha1.NetworkComponent) ([]string, error) {
	var agents []agentPods
	if err := json.Unmarshal([]byte(c.Annotations[networkstackv1alpha1.AgentsAnnotation]), &agents); err != nil {
		return nil, nil //nolint:nilerr // somebody removed it: there is nothing to wait for
	}
	nodes, err := r.nodes(ctx)
	if err != nil {
		return nil, err
	}
	var list appsv1.DaemonSetList
	if err := r.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("listing DaemonSets: %w", err)
	}
	others := map[types.UID]bool{}
	for i := range list.Items {
		others[list.Items[i].UID] = list.Items[i].DeletionTimestamp.IsZero()
	}
	var out []string
	for _, a := range agents {
		selector, err := labels.Parse(a.Selector)
		if err != nil {
			continue
		}
		pods, err := r.pods(ctx, a.Namespace, selector)
		if err != nil {
			return nil, err
		}
		for i := range pods {
			if owner := metav1.GetControllerOf(&pods[i]); owner != nil && others[owner.UID] {
				continue
			}
			if node := pods[i].Spec.NodeName; nodes[node].ready && !slices.Contains(out, node) {
				out = append(out, node)
			}
		}
	}
	slices.Sort(out)
	return out, nil
}

// uncleaned are the nodes whose cleaning has not ended.
func (r *Reconciler) uncleaned(ctx context.Context, c *networkstackv1alpha1.NetworkComponent) ([]string, error) {
	nodes, err := r.nodes(ctx)
	if err != nil {
		return nil, err
	}
	pods, err := r.pods(ctx, c.Spec.Namespace, labels.SelectorFromSet(labels.Set{"app.kubernetes.io/name": compose.NameNodeCleanup}))
	if err != nil {
		return nil, err
	}
	return unfinished(nodes, pods, compose.NodesOfCleanup(&c.Spec)), nil
}

// unfinished are the nodes that a selector matches and that have no Ready pod, in order.
func unfinished(nodes map[string]nodeSeen, pods []corev1.Pod, selector map[string]string) []string {
	done := map[string]bool{}
	for i := range pods {
		if health.PodReady(&pods[i]) {
			done[pods[i].Spec.NodeName] = true
		}
	}
	var out []string
	for name, n := range nodes {
		if !done[name] && labels.SelectorFromSet(selector).Matches(labels.Set(n.labels)) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// nodeSeen is what matters of a node here.
type nodeSeen struct {
	ready  bool
	labels map[string]string
	// virtualServers says that others than kube-proxy have virtual servers of IPVS there.
	virtualServers bool
}

func (r *Reconciler) nodes(ctx context.Context) (map[string]nodeSeen, error) {
	var list corev1.NodeList
	if err := r.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("listing nodes: %w", err)
	}
	out := map[string]nodeSeen{}
	for i := range list.Items {
		n := &list.Items[i]
		servers, _ := strconv.Atoi(n.Annotations[networkstackv1alpha1.NodeIPVSAnnotation]) // no number: nobody has looked
		out[n.Name] = nodeSeen{ready: health.NodeReady(n), labels: n.Labels, virtualServers: servers > 0}
	}
	return out, nil
}

// pods reads pods from the API server: nothing keeps them in memory.
func (r *Reconciler) pods(ctx context.Context, namespace string, selector labels.Selector) ([]corev1.Pod, error) {
	var list corev1.PodList
	err := r.Facts.Live.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabelsSelector{Selector: selector})
	if err != nil {
		return nil, fmt.Errorf("listing pods in %s: %w", namespace, err)
	}
	return list.Items, nil
}

// nodesText names nodes: "nodes a, b and 3 more".
func nodesText(names []string) string {
	switch n := len(names); {
	case n == 0:
		return "no node"
	case n == 1:
		return "node " + names[0]
	case n > mostNodesNamed:
		return fmt.Sprintf("nodes %s and %d more", strings.Join(names[:mostNodesNamed], ", "), n-mostNodesNamed)
	default:
		return "nodes " + strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
}
