package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	api "github.com/networkstack/networkstack/api/v1alpha1"
)

// noon is when all of these tests look.
var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func before(d time.Duration) *metav1.Time { return ptr.To(metav1.NewTime(noon.Add(-d))) }

// seen builds what is observed, of a stack in YAML.
func seen(t *testing.T, text string) *observed {
	t.Helper()
	o := &observed{stack: &api.NetworkStack{}, nodes: []observedNode{{"n1", true}, {"n2", true}, {"n3", true}}}
	o.stack.Name, o.stack.Generation = "cluster", 3
	if err := yaml.UnmarshalStrict([]byte(text), &o.stack.Status); err != nil {
		t.Fatal(err)
	}
	o.stack.Status.Facts = &api.FactsStatus{KubernetesVersion: "v1.36.1", Distribution: "kubeadm", Nodes: 3}
	for i := range o.stack.Status.Conditions {
		c := &o.stack.Status.Conditions[i]
		c.LastTransitionTime, c.ObservedGeneration = *before(90 * time.Second), 3
	}
	return o
}

func component0(name string, status api.NetworkComponentStatus) api.NetworkComponent {
	return api.NetworkComponent{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: status}
}

func pods(updated, available, desired int32) *api.RolloutStatus {
	return &api.RolloutStatus{Desired: desired, Updated: updated, Available: available, LastProgressTime: before(20 * time.Second)}
}

// statusStates are the states that are looked at, by name.
func statusStates(t *testing.T) map[string]*observed {
	out := map[string]*observed{}

	out["unseen"] = seen(t, `observedGeneration: -1`)

	o := seen(t, `
observedGeneration: 3
components:
- {name: cilium, type: Cilium, stage: 20, phase: Installing, wantedVersion: 1.20.0, ready: false, message: "the release is being installed"}
- {name: coredns, type: CoreDNS, stage: 30, phase: Pending, wantedVersion: 1.46.2, ready: false, message: "install waits for cilium"}
- {name: addon-cert-manager, type: Addon, stage: 100, phase: Failed, wantedVersion: v1.21.1, ready: false,
   message: "attempt 3 failed: chart source https://charts.jetstack.io/index.yaml: DNS does not know the host charts.jetstack.io; the next attempt is in 16 s"}
conditions:
- {type: Accepted, status: "True", reason: Accepted, message: fine}
- {type: Ready, status: "False", reason: Installing, message: "cilium: the release is being installed; coredns: install waits for cilium"}
- {type: Reconciling, status: "True", reason: Installing, message: "cilium: the release is being installed"}`)
	out["installing"] = o

	o = seen(t, `
observedGeneration: 3
components:
- {name: kube-proxy, type: KubeProxy, stage: 10, phase: Ready, version: 1.36.1, wantedVersion: 1.36.1, ready: true}
- {name: cilium, type: Cilium, stage: 20, phase: RollingOut, version: 1.20.0, wantedVersion: 1.20.0, ready: false, message: "DaemonSet kube-system/cilium: 4 of 40 pods are updated"}
- {name: coredns, type: CoreDNS, stage: 30, phase: Ready, version: 1.46.1, wantedVersion: 1.46.2, ready: false, message: "upgrade waits for cilium"}
conditions:
- {type: Accepted, status: "True", reason: Accepted, message: fine}
- {type: Ready, status: "False", reason: Progressing, message: "cilium: DaemonSet kube-system/cilium: 4 of 40 pods are updated"}
warnings: ["spec.mtu: a"]`)
	o.components = []api.NetworkComponent{
		component0("kube-proxy", api.NetworkComponentStatus{Rollout: pods(40, 40, 40)}),
		component0("cilium", api.NetworkComponentStatus{Rollout: pods(4, 37, 40)}),
	}
	o.pods = []agentPod{
		{"cilium", "kube-system/cilium", "n1", agentUpdated, time.Time{}, ""},
		{"cilium", "kube-system/cilium", "n2", agentStarting, noon.Add(-12 * time.Second), ""},
		{"cilium", "kube-system/cilium", "n3", agentFailing, noon.Add(-3 * time.Minute), "cilium-agent: CrashLoopBackOff"},
		{"cilium", "kube-system/cilium", "n4", agentMissing, noon.Add(-time.Second), "the old one ends"},
	}
	o.nodes[2].ready = false
	for i := range 37 {
		o.nodes = append(o.nodes, observedNode{fmt.Sprintf("n%d", i+4), true})
	}
	for i := range 36 {
		o.pods = append(o.pods, agentPod{"cilium", "kube-system/cilium", fmt.Sprintf("old%d", i), agentOld, time.Time{}, ""})
	}
	out["rolling-out"] = o

	o = seen(t, `
observedGeneration: 3
components:
- {name: flannel, type: Flannel, stage: 20, phase: Ready, version: 0.28.9, wantedVersion: 0.28.9, ready: true, driftCount: 7}
conditions:
- {type: Accepted, status: "True", reason: Accepted, message: fine}
- {type: Ready, status: "True", reason: Ready, message: "all components are ready"}
- {type: Drifted, status: "True", reason: DriftDetected, message: "flannel: ..."}
- {type: Contested, status: "True", reason: DriftContested, message: "flannel: ..."}`)
	o.components = []api.NetworkComponent{component0("flannel", api.NetworkComponentStatus{Rollout: pods(3, 3, 3), Drift: &api.DriftStatus{
		Count: 7,
		Recent: []api.Drift{
			{Object: "DaemonSet kube-flannel/kube-flannel-ds", Reason: api.ReasonDriftCorrected, Time: before(12 * time.Second), Manager: "kubectl-edit",
				Fields: []api.DriftField{{Path: ".spec.template.spec.containers[kube-flannel].image"}, {Path: ".b"}, {Path: ".c"}, {Path: ".d"}}, MoreFields: 2},
			{Object: "ConfigMap kube-flannel/kube-flannel-cfg", Reason: api.ReasonObjectRestored, Time: before(time.Hour), Manager: "unknown"},
		},
		Open:      []api.Drift{{Object: "ServiceAccount kube-flannel/flannel", Reason: api.ReasonDriftDetected, Time: before(time.Minute), Manager: "argocd"}},
		Contested: []api.ContestedField{{Object: "DaemonSet kube-flannel/kube-flannel-ds", Path: ".spec.replicas", Manager: "hpa"}},
	}})}
	out["drift"] = o

	out["refused"] = seen(t, `
observedGeneration: 3
conditions:
- {type: Accepted, status: "False", reason: Invalid, message: "spec.ipPools[0].cidrs[0]: Invalid value: \"10.96.0.0/12\": overlaps the Services' range 10.96.0.0/16 [POOL-OVERLAP]; spec.mtu: Invalid value: 9000: node n2 has 1500 [MTU-TOO-LARGE]"}
- {type: Ready, status: "False", reason: Invalid, message: "refused"}
- {type: Stalled, status: "True", reason: Invalid, message: "refused"}`)
	out["conflict"] = seen(t, `
observedGeneration: 3
conditions:
- {type: Accepted, status: "False", reason: Conflict, message: "there is an older NetworkStack main, and a cluster has use for one"}
- {type: Ready, status: "False", reason: Conflict, message: "x"}
- {type: Stalled, status: "True", reason: Conflict, message: "x"}`)

	out["held"] = seen(t, `
observedGeneration: 3
components:
- {name: flannel, type: Flannel, stage: 20, phase: Ready, version: 0.28.9, wantedVersion: 0.28.9, ready: true}
policies: {mode: Enforce, api: NetworkPolicy, deny: Held, namespaces: 12, pending: 3, findingsTotal: 4, dangerous: 1,
  message: "1 finding is dangerous and not acknowledged: webhook-cert-manager"}
conditions:
- {type: Accepted, status: "True", reason: Accepted, message: fine}
- {type: Ready, status: "False", reason: PoliciesHeld, message: "baseline policies are not in force: 1 finding is dangerous and not acknowledged: webhook-cert-manager"}
- {type: Stalled, status: "True", reason: PoliciesHeld, message: "baseline policies are not in force: 1 finding is dangerous and not acknowledged: webhook-cert-manager"}`)

	o = seen(t, `
observedGeneration: 3
components:
- {name: kube-proxy, type: KubeProxy, stage: 10, phase: Ready, version: 1.36.1, wantedVersion: v1.36.1, ready: true}
- {name: cilium, type: Cilium, stage: 20, phase: Ready, version: 1.20.0, wantedVersion: 1.20.0, ready: true}
ipPools:
- {name: default, family: IPv4, unit: NodeRanges, capacity: 256, allocated: 107, percent: 41, state: Sufficient}
- {name: default, family: IPv6, unit: NodeRanges, allocated: 3}
- {name: pods, family: IPv4, unit: Addresses, capacity: 100, allocated: 97, percent: 97, state: Critical, fullAt: "2026-05-04T17:30:00Z"}
- {name: old, family: IPv4, unit: Addresses, capacity: 100, allocated: 1, percent: 1, disabled: true}
policies: {mode: Enforce, api: Cilium, deny: Enforced, namespaces: 1, pending: 0}
conditions:
- {type: Accepted, status: "True", reason: Accepted, message: fine}
- {type: Ready, status: "True", reason: Ready, message: "all components are ready"}
- {type: PoolsSufficient, status: "False", reason: NearlyExhausted, message: m}`)
	o.nodes = nil
	o.components = []api.NetworkComponent{component0("cilium", api.NetworkComponentStatus{Rollout: pods(3, 3, 3)})}
	out["ready"] = o

	o = seen(t, `
observedGeneration: 3
components:
- {name: flannel, type: Flannel, stage: 20, phase: Uninstalling, version: 0.28.9, ready: false, message: "the release is being uninstalled"}
conditions:
- {type: Ready, status: "False", reason: Deleting, message: "flannel: the release is being uninstalled"}
- {type: Reconciling, status: "True", reason: Deleting, message: "flannel"}`)
	o.stack.DeletionTimestamp = before(time.Minute)
	o.stack.Name = "a-name-of-a-cluster-that-is-so-long-that-it-has-a-line-to-itself"
	out["deleting"] = o
	return out
}

func TestStatusView(t *testing.T) {
	dir := filepath.Join("testdata", "status")
	used := map[string]bool{}
	for name, o := range statusStates(t) {
		for _, width := range []int{60, 80, 120} {
			lines := statusLines(o, width, false, noon)
			for _, line := range lines {
				if n := utf8.RuneCountInString(line); n > width {
					t.Errorf("%s: %d wide, not %d: %s", name, n, width, line)
				}
				if strings.ContainsRune(line, '\x1b') {
					t.Errorf("%s: an escape code: %q", name, line)
				}
			}
			// Colours change nothing but colours.
			colored := strings.Join(statusLines(o, width, true, noon), "\n")
			if plain := regexp.MustCompile("\x1b\\[[0-9]*m").ReplaceAllString(colored, ""); plain != strings.Join(lines, "\n") || plain == colored {
				t.Errorf("%s, %d wide: with colours:\n%s", name, width, colored)
			}
			file := fmt.Sprintf("%s-%d.txt", name, width)
			used[file] = true
			got := strings.Join(lines, "\n") + "\n"
			if *update {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", file, diff)
			}
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !used[f.Name()] {
			t.Errorf("%s is of no state", f.Name())
		}
	}
}

// TestStatusVerdict has every state by its word, and only Ready as Ready.
func TestStatusVerdict(t *testing.T) {
	for name, want := range map[string]string{
		"unseen": "Reconciling", "installing": "Reconciling", "rolling-out": "Reconciling", "drift": "Ready", "refused": "Refused", "conflict": "Conflict",
		"held": "Stalled", "ready": "Ready", "deleting": "Deleting",
	} {
		o := statusStates(t)[name]
		word, _ := state(o.stack)
		r := reportOf(o)
		if word != want || r.State != want || r.Ready != (want == "Ready") || (verdictOf(o) == nil) != r.Ready {
			t.Errorf("%s: %s, %v", name, word, r.Ready)
		}
	}
	o := statusStates(t)["ready"]
	o.stack.Generation++
	if isReady(o.stack) {
		t.Error("Ready for a spec that the operator has not seen")
	}
	if r := reportOf(statusStates(t)["rolling-out"]); len(r.Components[1].Nodes) != 39 || r.Components[1].Nodes[1].Reason == "" {
		t.Errorf("%+v", r.Components[1])
	}
}

// TestTerminalScreen draws more than the terminal has room for, and gives it back.
func TestTerminalScreen(t *testing.T) {
	var out bytes.Buffer
	s := &terminalScreen{out: &out, now: func() time.Time { return noon }, size: func() (int, int) { return 80, 10 }}
	o := statusStates(t)["ready"]
	s.show(o)
	frame := out.String()
	if n := strings.Count(frame, "\n"); n != 9 || !strings.HasPrefix(frame, toTop) || !strings.HasSuffix(frame, clearBelow) || !strings.Contains(frame, "more lines") {
		t.Errorf("%d lines: %q", n, frame)
	}
	out.Reset()
	s.show(nil)
	if !strings.Contains(out.String(), "waiting for one") {
		t.Errorf("%q", out.String())
	}
	out.Reset()
	s.end(o)
	if text := out.String(); !strings.HasPrefix(text, leaveScreen) || strings.Contains(text[len(leaveScreen):], "\x1b") || strings.Contains(text, "more lines") {
		t.Errorf("%q", text)
	}
}

// TestLineScreen wants one line for each change, and none without one.
func TestLineScreen(t *testing.T) {
	var out bytes.Buffer
	s := &lineScreen{out: &out, now: func() time.Time { return noon }}
	shows := func(o *observed, want ...string) {
		t.Helper()
		out.Reset()
		s.show(o)
		got := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if len(want) == 0 && out.Len() > 0 || len(want) > 0 && len(got) != len(want) {
			t.Errorf("%d lines, not %d:\n%s", len(got), len(want), out.String())
			return
		}
		for i := range want {
			if got[i] != "2026-05-04T12:00:00Z "+want[i] {
				t.Errorf("line %d: %s", i, got[i])
			}
		}
		if strings.ContainsRune(out.String(), '\x1b') {
			t.Errorf("an escape code: %q", out.String())
		}
	}
	shows(nil, "there is no NetworkStack")
	o := statusStates(t)["drift"]
	shows(o,
		"component flannel: Ready 0.28.9, 3/3 pods",
		"drift 7 of flannel: DaemonSet kube-flannel/kube-flannel-ds corrected, by kubectl-edit: .spec.template.spec.containers[kube-flannel].image, .b, .c and 3 more",
		"Accepted=True Accepted", "Contested=True DriftContested", "Drifted=True DriftDetected", "NetworkStack cluster: Ready")
	shows(o)
	o.components[0].Status.Rollout.LastProgressTime = before(0) // only ages
	shows(o)
	o.components[0].Status.Rollout.Available = 2
	shows(o, "component flannel: Ready 0.28.9, 2/3 pods")
	o.stack.Status.Components = nil
	shows(o, "flannel is gone")
}

// TestAgentPods has a DaemonSet in the middle of a roll-out.
func TestAgentPods(t *testing.T) {
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "agent", Namespace: "kube-system", UID: "1"}}
	owned := func(uid types.UID) []metav1.OwnerReference {
		return []metav1.OwnerReference{{Kind: "DaemonSet", Name: "agent", UID: uid, Controller: ptr.To(true)}}
	}
	revision := func(n int64, hash string, uid types.UID) appsv1.ControllerRevision {
		return appsv1.ControllerRevision{Revision: n, ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"controller-revision-hash": hash}, OwnerReferences: owned(uid)}}
	}
	pod := func(node, hash string, ready corev1.ConditionStatus, change func(*corev1.Pod)) corev1.Pod {
		p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"controller-revision-hash": hash}, OwnerReferences: owned("1"), CreationTimestamp: *before(time.Minute)},
			Spec:   corev1.PodSpec{NodeName: node},
			Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}}}
		if change != nil {
			change(&p)
		}
		return p
	}
	waiting := func(reason string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "init", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}}}
		}
	}
	got := agentPods("c", ds, []appsv1.ControllerRevision{revision(2, "new", "1"), revision(9, "foreign", "2"), revision(1, "old", "1")}, []corev1.Pod{
		pod("n5", "new", corev1.ConditionFalse, waiting("ImagePullBackOff")), pod("n1", "new", corev1.ConditionTrue, nil),
		pod("n4", "new", corev1.ConditionFalse, waiting("PodInitializing")), pod("n2", "old", corev1.ConditionTrue, nil),
		pod("n3", "old", corev1.ConditionTrue, func(p *corev1.Pod) { p.DeletionTimestamp = before(time.Second) }),
		pod("n6", "new", corev1.ConditionTrue, func(p *corev1.Pod) { p.OwnerReferences = nil }), pod("", "new", corev1.ConditionFalse, nil),
	})
	var states []string
	for _, p := range got {
		states = append(states, strings.TrimSpace(p.node+" "+p.state+" "+p.reason))
	}
	if diff := cmp.Diff([]string{"n1 updated", "n2 old", "n3 no pod the old one ends", "n4 starting", "n5 failing init: ImagePullBackOff"}, states); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestTheStack(t *testing.T) {
	list := []api.NetworkStack{{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, {ObjectMeta: metav1.ObjectMeta{Name: "b"}}}
	if s, err := theStack(list, "b"); err != nil || s.Name != "b" {
		t.Error(s, err)
	}
	if s, err := theStack(list[:1], ""); err != nil || s.Name != "a" {
		t.Error(s, err)
	}
	if s, err := theStack(list, "c"); err != nil || s != nil {
		t.Error(s, err)
	}
	if _, err := theStack(list, ""); err == nil || !strings.Contains(err.Error(), "a, b") {
		t.Error(err)
	}
}
