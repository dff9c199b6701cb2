package health

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// podPage and maxPods bound what is read of a workload's pods at a time, and at all.
	podPage = 500
	maxPods = 10 * podPage
	// namedNodes is how many nodes are named; maxDetail how much of a scheduler's message is shown.
	namedNodes = 5
	maxDetail  = 200
)

// Explain is what the result says, with the reasons of the pods that do not come up, and where. The pods are read from
// live, by label and page by page; nodes come from cache. Equal reasons make equal texts.
func Explain(ctx context.Context, cache, live client.Reader, r Result) (string, error) {
	var nodes corev1.NodeList
	if err := cache.List(ctx, &nodes); err != nil {
		return "", fmt.Errorf("listing nodes: %w", err)
	}
	var out []string
	for _, w := range r.Workloads {
		if w.Problem == "" {
			continue
		}
		text := w.Object.String() + ": " + w.Problem
		if w.Pods != nil && w.Desired > 0 {
			pods, err := podsOf(ctx, live, w)
			if err != nil {
				return "", err
			}
			if reasons := reasons(w, pods, nodes.Items); reasons != "" {
				text += " (" + reasons + ")"
			}
		}
		out = append(out, text)
	}
	return strings.Join(out, "; "), nil
}

func podsOf(ctx context.Context, live client.Reader, w Workload) ([]pod, error) {
	selector, err := metav1.LabelSelectorAsSelector(w.Pods)
	if err != nil {
		return nil, fmt.Errorf("%s has a selector that cannot be read: %w", w.Object, err)
	}
	var out []pod
	var list corev1.PodList
	for len(out) < maxPods {
		if err := live.List(ctx, &list, client.InNamespace(w.Object.Namespace), client.MatchingLabelsSelector{Selector: selector},
			client.Limit(podPage), client.Continue(list.Continue)); err != nil {
			return nil, fmt.Errorf("listing the pods of %s: %w", w.Object, err)
		}
		for i := range list.Items {
			out = append(out, podFrom(&list.Items[i]))
		}
		if list.Continue == "" {
			break
		}
	}
	return out, nil
}

const (
	// terminating is the problem of a pod that is on its way out, which says less than that of its successor.
	terminating = "still terminating"
	// podPrefix marks the place of a pod without a node.
	podPrefix = "pod "
)

// pod is what matters of a Pod.
type pod struct {
	name, node string
	// problem says why it is not ready; empty when it is.
	problem string
}

func podFrom(p *corev1.Pod) pod {
	return pod{name: p.Name, node: cmp.Or(p.Spec.NodeName, boundTo(p)), problem: podProblem(p)}
}

// boundTo is the node that a DaemonSet's pod was made for, before it is scheduled.
func boundTo(p *corev1.Pod) string {
	if p.Spec.Affinity == nil || p.Spec.Affinity.NodeAffinity == nil {
		return ""
	}
	required := p.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	if required == nil {
		return ""
	}
	for _, term := range required.NodeSelectorTerms {
		for _, f := range term.MatchFields {
			if f.Key == metav1.ObjectNameField && len(f.Values) == 1 {
				return f.Values[0]
			}
		}
	}
	return ""
}

// podProblem says why a pod is not ready, in words that stay the same while the reason does: kubelets alternate between
// trying and waiting. What a container itself has said is left out, for it may be anything.
func podProblem(p *corev1.Pod) string {
	if p.Status.Phase == corev1.PodSucceeded || PodReady(p) {
		return ""
	}
	if scheduled := condition(p, corev1.PodScheduled); scheduled.Status == corev1.ConditionFalse {
		return cmp.Or(scheduled.Reason, "not scheduled") + ": " + shortened(scheduled.Message)
	}
	if p.Status.Phase == corev1.PodFailed && p.Status.Reason != "" {
		return p.Status.Reason
	}
	for _, list := range [][]corev1.ContainerStatus{p.Status.InitContainerStatuses, p.Status.ContainerStatuses} {
		for i := range list {
			if text := containerProblem(&list[i]); text != "" {
				return text
			}
		}
	}
	switch {
	case p.DeletionTimestamp != nil:
		return terminating
	case len(p.Status.ContainerStatuses) == 0:
		return "not started by the kubelet"
	case p.Status.Phase == corev1.PodRunning:
		return "running, but not ready"
	}
	return "containers are being created"
}

func condition(p *corev1.Pod, t corev1.PodConditionType) corev1.PodCondition {
	for _, c := range p.Status.Conditions {
		if c.Type == t {
			return c
		}
	}
	return corev1.PodCondition{}
}

// containerProblem says what is wrong with a container; empty when nothing is known to be.
func containerProblem(s *corev1.ContainerStatus) string {
	at := "container " + s.Name
	switch waiting := s.State.Waiting; {
	case waiting == nil:
	case waiting.Reason == "ErrImagePull" || waiting.Reason == "ImagePullBackOff":
		return fmt.Sprintf("ImagePullBackOff, %s, image %s", at, s.Image)
	case waiting.Reason == "CreateContainerConfigError":
		// This message names the Secret or ConfigMap that is missing.
		return fmt.Sprintf("%s, %s: %s", waiting.Reason, at, shortened(waiting.Message))
	case s.RestartCount == 0 && waiting.Reason != "" && waiting.Reason != "ContainerCreating" && waiting.Reason != "PodInitializing":
		return waiting.Reason + ", " + at
	}
	last := s.LastTerminationState.Terminated
	if ended := s.State.Terminated; ended != nil {
		last = ended
	}
	if last == nil || s.Ready || last.ExitCode == 0 && s.RestartCount == 0 {
		return ""
	}
	text := fmt.Sprintf("%s, exit code %d", at, last.ExitCode)
	if last.Reason != "" && last.Reason != "Error" && last.Reason != "Completed" {
		text += ", " + last.Reason
	}
	if s.RestartCount > 0 {
		return "CrashLoopBackOff, " + text
	}
	return "failed, " + text
}

func shortened(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if r := []rune(text); len(r) > maxDetail {
		text = string(r[:maxDetail]) + "…"
	}
	return text
}

// reasons groups what is wrong by reason: "ImagePullBackOff, … on a, b and 3 more; node c is not ready". Nodes, and pods
// that have none, are named in order, five at most.
func reasons(w Workload, pods []pod, nodes []corev1.Node) string {
	notReady, without := map[string]bool{}, map[string]bool{}
	for i := range nodes {
		notReady[nodes[i].Name] = !NodeReady(&nodes[i])
		without[nodes[i].Name] = true
	}
	wrong := map[string]string{}
	for _, p := range pods {
		delete(without, p.node)
		if p.problem == "" {
			continue
		}
		problem := p.problem
		if notReady[p.node] {
			// A kubelet that is not heard of reports nothing that would be true now.
			problem = "the node is not ready"
		}
		place := cmp.Or(p.node, podPrefix+p.name)
		if known := wrong[place]; known == "" || known == terminating {
			wrong[place] = problem
		}
	}
	lacking := 0
	if w.Object.GVK.GroupKind() == (appsv1.SchemeGroupVersion.WithKind("DaemonSet").GroupKind()) {
		lacking = int(max(w.Desired-w.Scheduled, 0))
	}
	// Which nodes should have a pod is the DaemonSet controller's to say. When the numbers agree there is no doubt.
	if lacking > 0 && lacking == len(without) {
		for name := range without {
			wrong[name] = "no pod was created"
		}
		lacking = 0
	}
	places := slices.Sorted(maps.Keys(wrong))
	more := max(len(places)-namedNodes, 0)
	var order []string
	at := map[string][]string{}
	for _, place := range places[:len(places)-more] {
		if at[wrong[place]] == nil {
			order = append(order, wrong[place])
		}
		at[wrong[place]] = append(at[wrong[place]], place)
	}
	var out []string
	for _, problem := range order {
		where := " on "
		if strings.HasPrefix(at[problem][0], podPrefix) {
			where = " for "
		}
		out = append(out, problem+where+strings.Join(at[problem], ", "))
	}
	text := strings.Join(out, "; ")
	if more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	if lacking > 0 {
		text = strings.TrimPrefix(fmt.Sprintf("%s; no pod was created for %d nodes", text, lacking), "; ")
	}
	return text
}

// NodeReady says whether a kubelet has said of late that its node is ready.
func NodeReady(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

// PodReady says whether a pod is ready.
func PodReady(p *corev1.Pod) bool {
	return condition(p, corev1.PodReady).Status == corev1.ConditionTrue
}
