package health

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

func waiting(reason, message string, restarts int32) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: "agent", Image: "example.com/agent:1", RestartCount: restarts,
		State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}
}

func ended(code int32, reason string) *corev1.ContainerStateTerminated {
	return &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, Message: "password=hunter2"}
}

func crashed(s corev1.ContainerStatus, code int32, reason string) corev1.ContainerStatus {
	s.LastTerminationState.Terminated = ended(code, reason)
	return s
}

func podIn(phase corev1.PodPhase, containers ...corev1.ContainerStatus) *corev1.Pod {
	return &corev1.Pod{Status: corev1.PodStatus{Phase: phase, ContainerStatuses: containers}}
}

func withConditions(p *corev1.Pod, conditions ...corev1.PodCondition) *corev1.Pod {
	p.Status.Conditions = conditions
	return p
}

func TestPodProblem(t *testing.T) {
	up := corev1.ContainerStatus{Name: "sidecar", Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
	notYet := up
	notYet.Ready = false
	restarted := crashed(notYet, 1, "Error")
	restarted.RestartCount = 3
	for _, tc := range []struct {
		name string
		pod  *corev1.Pod
		want string
	}{
		{"ready", withConditions(podIn(corev1.PodRunning, up), corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue}), ""},
		{"ready after restarts", withConditions(podIn(corev1.PodRunning, restarted), corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue}), ""},
		{"a Job's pod that is done", podIn(corev1.PodSucceeded), ""},
		{"image, while it is tried", podIn(corev1.PodPending, waiting("ErrImagePull", "rpc error: code = NotFound", 0)),
			"ImagePullBackOff, container agent, image example.com/agent:1"},
		{"image, while it is waited", podIn(corev1.PodPending, up, waiting("ImagePullBackOff", "Back-off pulling image", 0)),
			"ImagePullBackOff, container agent, image example.com/agent:1"},
		{"crash, waiting", podIn(corev1.PodRunning, crashed(waiting("CrashLoopBackOff", "back-off 2m40s restarting", 5), 137, "OOMKilled")),
			"CrashLoopBackOff, container agent, exit code 137, OOMKilled"},
		{"crash, running again", podIn(corev1.PodRunning, restarted), "CrashLoopBackOff, container sidecar, exit code 1"},
		{"crash, just ended", podIn(corev1.PodRunning, corev1.ContainerStatus{Name: "agent", RestartCount: 2,
			State: corev1.ContainerState{Terminated: ended(1, "Error")}}), "CrashLoopBackOff, container agent, exit code 1"},
		{"failed once", podIn(corev1.PodPending, corev1.ContainerStatus{Name: "agent", State: corev1.ContainerState{Terminated: ended(2, "Error")}}),
			"failed, container agent, exit code 2"},
		{"ends again and again without an error", podIn(corev1.PodRunning, corev1.ContainerStatus{Name: "agent", RestartCount: 4,
			State: corev1.ContainerState{Terminated: ended(0, "Completed")}}), "CrashLoopBackOff, container agent, exit code 0"},
		{"a missing Secret", podIn(corev1.PodPending, waiting("CreateContainerConfigError", `secret "certs" not found`, 0)),
			`CreateContainerConfigError, container agent: secret "certs" not found`},
		{"another reason, whose message may be anything", podIn(corev1.PodPending, waiting("RunContainerError", "password=hunter2", 0)),
			"RunContainerError, container agent"},
		{"an init container comes first", &corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodPending,
			InitContainerStatuses: []corev1.ContainerStatus{{Name: "done", State: corev1.ContainerState{Terminated: ended(0, "Completed")}},
				crashed(waiting("CrashLoopBackOff", "", 2), 7, "Error")},
			ContainerStatuses: []corev1.ContainerStatus{waiting("PodInitializing", "", 0)}}}, "CrashLoopBackOff, container agent, exit code 7"},
		{"being created", podIn(corev1.PodPending, waiting("ContainerCreating", "", 0)), "containers are being created"},
		{"fails its probe", podIn(corev1.PodRunning, notYet), "running, but not ready"},
		{"nobody has taken it up", podIn(corev1.PodPending), "not started by the kubelet"},
		{"unschedulable", withConditions(podIn(corev1.PodPending), corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionFalse,
			Reason: "Unschedulable", Message: "0/3 nodes are available:\n 3 Insufficient cpu."}), "Unschedulable: 0/3 nodes are available: 3 Insufficient cpu."},
		{"a long story", withConditions(podIn(corev1.PodPending), corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionFalse,
			Message: strings.Repeat("é", 300)}), "not scheduled: " + strings.Repeat("é", 200) + "…"},
		{"evicted", &corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "The node was low on memory"}}, "Evicted"},
		{"on its way out", &corev1.Pod{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: ptr.To(metav1.Now())},
			Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{notYet}}}, "still terminating"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := podProblem(tc.pod); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}

func TestReasons(t *testing.T) {
	node := func(name string, ready corev1.ConditionStatus) corev1.Node {
		return corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name},
			Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready}}}}
	}
	var nodes []corev1.Node
	for i := range 8 {
		nodes = append(nodes, node(fmt.Sprintf("n%d", i), corev1.ConditionTrue))
	}
	on := func(problem string, names ...string) []pod {
		var out []pod
		for _, n := range names {
			out = append(out, pod{name: "agent-" + n, node: n, problem: problem})
		}
		return out
	}
	all := func(lists ...[]pod) []pod {
		var out []pod
		for _, l := range lists {
			out = append(out, l...)
		}
		return out
	}
	ds := func(desired, scheduled int32) Workload {
		return Workload{Object: applied(daemonSetKind, ""), Desired: desired, Scheduled: scheduled}
	}
	for _, tc := range []struct {
		name  string
		w     Workload
		pods  []pod
		nodes []corev1.Node
		want  string
	}{
		{"nothing is wrong with the pods there are", ds(2, 2), on("", "n0", "n1"), nodes[:2], ""},
		{"grouped by reason, by order of nodes", ds(4, 4), all(on("B", "n3", "n1"), on("A", "n2"), on("", "n0")), nodes[:4], "B on n1, n3; A on n2"},
		{"five at most are named", ds(8, 8), on("A", "n7", "n6", "n5", "n4", "n3", "n2", "n1", "n0"), nodes, "A on n0, n1, n2, n3, n4 and 3 more"},
		{"nodes without a pod", ds(3, 1), on("A", "n1"), nodes[:3], "no pod was created on n0, n2; A on n1"},
		{"nodes without a pod, of which some need none", ds(3, 2), on("A", "n1", "n2"), nodes, "A on n1, n2; no pod was created for 1 nodes"},
		{"only missing pods, of which it is not known where", ds(2, 1), on("", "n1"), nodes, "no pod was created for 1 nodes"},
		{"a node that is not ready", ds(2, 2), on("not started by the kubelet", "n0", "x"), append(nodes[:1:1], node("x", corev1.ConditionUnknown)),
			"not started by the kubelet on n0; the node is not ready on x"},
		{"a node that never was", ds(1, 1), on("not started by the kubelet", "x"), []corev1.Node{{ObjectMeta: metav1.ObjectMeta{Name: "x"}}}, "the node is not ready on x"},
		{"pods without a node", Workload{Object: applied(deploymentKind, ""), Desired: 2, Scheduled: 2},
			[]pod{{name: "b", problem: "Unschedulable: full"}, {name: "a", problem: "Unschedulable: full"}}, nodes, "Unschedulable: full for pod a, pod b"},
		{"what goes says less than what comes", ds(1, 1), all(on(terminating, "n0"), on("A", "n0"), on(terminating, "n0")), nodes[:1], "A on n0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := reasons(tc.w, tc.pods, tc.nodes); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}

// TestExplain reads pods page by page, only those of workloads that lack something.
func TestExplain(t *testing.T) {
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "agent"}}
	r := Result{Workloads: []Workload{
		{Object: applied(deploymentKind, ""), Desired: 1, Pods: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "well"}}},
		{Object: applied(daemonSetKind, ""), Problem: "0 of 2 pods are available", Desired: 2, Scheduled: 2, Pods: selector},
		{Object: applied(jobKind, ""), Problem: "missing", Desired: 1},
	}}
	nodes := reader(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Status: corev1.NodeStatus{
		Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}}})
	var asked []string
	live := interceptor.NewClient(reader(), interceptor.Funcs{
		List: func(_ context.Context, _ client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			var o client.ListOptions
			o.ApplyOptions(opts)
			asked = append(asked, fmt.Sprintf("%s %s %d %s", o.Namespace, o.LabelSelector, o.Limit, o.Continue))
			pods, ok := list.(*corev1.PodList)
			if !ok {
				return errors.New("only pods are asked for")
			}
			pods.Items, pods.Continue = []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Name: "p" + o.Continue}, Spec: corev1.PodSpec{NodeName: "a"},
				Status: corev1.PodStatus{Phase: corev1.PodPending}}}, ""
			if o.Continue == "" {
				pods.Items[0].Spec.NodeName = ""
				pods.Items[0].Spec.Affinity = madeFor("b")
				pods.Continue = "2"
			}
			return nil
		},
	})
	got, err := Explain(t.Context(), nodes, live, r)
	if err != nil {
		t.Fatal(err)
	}
	if want := "DaemonSet net/x: 0 of 2 pods are available (not started by the kubelet on a, b); Job net/x: missing"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if diff := cmp.Diff([]string{"net app=agent 500 ", "net app=agent 500 2"}, asked); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
}

// madeFor is the affinity that the DaemonSet controller gives a pod.
func madeFor(node string) *corev1.Affinity {
	return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{
			{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{node}}}}}}}}
}
