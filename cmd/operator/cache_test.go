package main

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/facts"
)

func byType(t *testing.T, o cache.Options, obj client.Object) cache.ByObject {
	t.Helper()
	for k, v := range o.ByObject {
		if reflect.TypeOf(k) == reflect.TypeOf(obj) {
			return v
		}
	}
	t.Fatalf("nothing is said about %T: every object of the cluster would be kept", obj)
	return cache.ByObject{}
}

// keeps says whether a cache with this configuration holds an object with these fields and labels.
func keeps(c cache.Config, f fields.Set, l labels.Set) bool {
	return (c.FieldSelector == nil || c.FieldSelector.Matches(f)) && (c.LabelSelector == nil || c.LabelSelector.Matches(l))
}

func TestCacheOfWorkloads(t *testing.T) {
	o := cacheOptions("networkstack-system")
	for _, obj := range []client.Object{&appsv1.Deployment{}, &appsv1.StatefulSet{}, &batchv1.Job{}} {
		selector := byType(t, o, obj).Label
		if !selector.Matches(labels.Set{networkstackv1alpha1.ComponentLabel: "cilium"}) || selector.Matches(labels.Set{"app": "x"}) {
			t.Errorf("%T: selector %q", obj, selector)
		}
	}
	// Facts look for agents of others, so no selector may hide a DaemonSet or a node.
	for _, obj := range []client.Object{&appsv1.DaemonSet{}, &corev1.Node{}} {
		b := byType(t, o, obj)
		if b.Label != nil || b.Field != nil || b.Namespaces != nil || b.Transform == nil {
			t.Errorf("%T: %+v", obj, b)
		}
	}
}

func TestCacheOfNamedObjects(t *testing.T) {
	type kept map[string]bool // "namespace/name"
	for _, tc := range []struct {
		namespace               string
		configMaps, configWrong []string
	}{
		{"networkstack-system",
			[]string{"kube-system/kubeadm-config", "kube-public/cluster-info", "networkstack-system/values"},
			[]string{"kube-system/other", "kube-public/other", "default/values"}},
		// The operator's own ConfigMaps may not hide kubeadm's, nor the other way round.
		{"kube-system",
			[]string{"kube-system/kubeadm-config", "kube-public/cluster-info", "kube-system/values"},
			[]string{"kube-public/other", "default/values"}},
		{"kube-public",
			[]string{"kube-system/kubeadm-config", "kube-public/cluster-info", "kube-public/values"},
			[]string{"kube-system/other", "default/values"}},
	} {
		t.Run(tc.namespace, func(t *testing.T) {
			o := cacheOptions(tc.namespace)
			configMaps := byType(t, o, &corev1.ConfigMap{}).Namespaces
			got := kept{}
			for _, name := range append(tc.configMaps, tc.configWrong...) {
				namespace, object, _ := strings.Cut(name, "/")
				c, ok := configMaps[namespace]
				got[name] = ok && keeps(c, fields.Set{metav1.ObjectNameField: object}, nil)
			}
			want := kept{}
			for _, name := range tc.configMaps {
				want[name] = true
			}
			for _, name := range tc.configWrong {
				want[name] = false
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("ConfigMaps (-want +got):\n%s", diff)
			}

			secrets := byType(t, o, &corev1.Secret{}).Namespaces
			if len(secrets) != 1 {
				t.Errorf("Secrets of %d namespaces are kept", len(secrets))
			}
			// Helm's releases are large, and read by the engine alone.
			c := secrets[tc.namespace]
			if !keeps(c, fields.Set{"type": "Opaque"}, nil) || keeps(c, fields.Set{"type": "helm.sh/release.v1"}, nil) {
				t.Errorf("Secrets: %v", c.FieldSelector)
			}
		})
	}
	o := cacheOptions("networkstack-system")
	services := byType(t, o, &corev1.Service{}).Namespaces
	for namespace, name := range map[string]string{"default": "kubernetes", "kube-system": "kube-dns"} {
		if c := services[namespace]; len(services) != 2 || !keeps(c, fields.Set{metav1.ObjectNameField: name}, nil) || keeps(c, fields.Set{metav1.ObjectNameField: "x"}, nil) {
			t.Errorf("Services: %v", services)
		}
	}
	slices := byType(t, o, &discoveryv1.EndpointSlice{}).Namespaces
	if c := slices["default"]; len(slices) != 1 || !keeps(c, nil, labels.Set{discoveryv1.LabelServiceName: "kubernetes"}) || keeps(c, nil, labels.Set{discoveryv1.LabelServiceName: "x"}) {
		t.Errorf("EndpointSlices: %v", slices)
	}
}

func TestTrimNode(t *testing.T) {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name: "a", UID: "1", ResourceVersion: "7", Labels: map[string]string{"a": "b", "kubernetes.azure.com/cluster": "x"},
		Annotations: map[string]string{networkstackv1alpha1.NodeMTUAnnotation: "1500", networkstackv1alpha1.NodeIPVSAnnotation: "2", "other": "x",
			"k3s.io/node-args": `["server","--flannel-backend","none","--token","secret"]`},
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubelet"}},
	}}
	n.Spec = corev1.NodeSpec{PodCIDR: "10.0.0.0/24", PodCIDRs: []string{"10.0.0.0/24"}, ProviderID: "azure:///subscriptions/x", Taints: []corev1.Taint{{Key: "x"}, {Key: "node.kubernetes.io/not-ready"}}}
	n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.0.2.1"}}
	n.Status.NodeInfo = corev1.NodeSystemInfo{KernelVersion: "6.1.0", OperatingSystem: "linux"}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionFalse},
		{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", LastHeartbeatTime: metav1.Now()}}
	n.Status.Images = []corev1.ContainerImage{{Names: []string{"x"}}}

	want := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "1", ResourceVersion: "7",
		Labels:      map[string]string{"a": "b", "kubernetes.azure.com/cluster": "x"},
		Annotations: map[string]string{networkstackv1alpha1.NodeMTUAnnotation: "1500", networkstackv1alpha1.NodeIPVSAnnotation: "2", "k3s.io/node-args": `["server","--flannel-backend","none"]`}}}
	want.Spec = corev1.NodeSpec{PodCIDR: "10.0.0.0/24", PodCIDRs: []string{"10.0.0.0/24"}, ProviderID: "azure://", Taints: []corev1.Taint{{Key: "x"}}}
	want.Status = corev1.NodeStatus{Addresses: n.Status.Addresses, NodeInfo: n.Status.NodeInfo,
		Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}}
	trims(t, trimNode, n, want)
}

func TestTrimMetadata(t *testing.T) {
	d := facts.Definition()
	d.ObjectMeta = metav1.ObjectMeta{Name: facts.PodMonitors, UID: "1", ResourceVersion: "7", Generation: 3,
		Labels: map[string]string{"a": "b"}, Annotations: map[string]string{corev1.LastAppliedConfigAnnotation: "{}"}}
	want := facts.Definition()
	want.ObjectMeta = metav1.ObjectMeta{Name: facts.PodMonitors, UID: "1", ResourceVersion: "7"}
	trims(t, trimMetadata, d, want)
}

func TestTrimDaemonSet(t *testing.T) {
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{
		Namespace: "kube-system", Name: "cilium", Generation: 3, ResourceVersion: "7", Labels: map[string]string{networkstackv1alpha1.ComponentLabel: "cilium"},
		// Managers leave their marks in annotations.
		Annotations:   map[string]string{"meta.helm.sh/release-name": "cilium", corev1.LastAppliedConfigAnnotation: "{}"},
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "helm", Operation: "Update", FieldsV1: &metav1.FieldsV1{}, Time: &metav1.Time{}}},
	}}
	pod := &ds.Spec.Template
	pod.Labels = map[string]string{"a": "b"}
	pod.Spec.HostNetwork = true
	pod.Spec.NodeSelector = map[string]string{corev1.LabelOSStable: "linux"}
	pod.Spec.Containers = []corev1.Container{{Name: "cilium-agent", Image: "cilium:1", Command: []string{"x"}, Env: []corev1.EnvVar{{Name: "TOKEN", Value: "secret"}},
		Ports: []corev1.ContainerPort{{Name: "health", HostPort: 9879, ContainerPort: 9879, Protocol: "TCP"}, {Name: "inside", ContainerPort: 80}}}}
	pod.Spec.InitContainers = []corev1.Container{{Name: "init"}}
	pod.Spec.Volumes = []corev1.Volume{{Name: "v"}}
	ds.Status = appsv1.DaemonSetStatus{ObservedGeneration: 3, DesiredNumberScheduled: 2, NumberAvailable: 1, UpdatedNumberScheduled: 2}

	want := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{
		Namespace: "kube-system", Name: "cilium", Generation: 3, ResourceVersion: "7", Labels: ds.Labels,
		Annotations: map[string]string{"meta.helm.sh/release-name": "cilium"},
		// Who wrote says whether somebody else looks after it.
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "helm", Operation: "Update"}}}}
	want.Spec.Template.Spec.NodeSelector, want.Spec.Template.Spec.HostNetwork = pod.Spec.NodeSelector, true
	want.Spec.Template.Spec.Containers = []corev1.Container{{Name: "cilium-agent", Image: "cilium:1", Ports: []corev1.ContainerPort{{HostPort: 9879, Protocol: "TCP"}}}}
	want.Status = ds.Status
	trims(t, trimDaemonSet, ds, want)
}

func trims(t *testing.T, trim func(any) (any, error), obj, want client.Object) {
	t.Helper()
	// A transformed object may come by again, and so may the mark of one that was deleted unseen.
	for range 2 {
		got, err := trim(obj)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(any(want), got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	if got, err := trim("something else"); err != nil || got != "something else" {
		t.Errorf("something else became %v, %v", got, err)
	}
}

func TestHelp(t *testing.T) {
	t.Setenv("POD_NAMESPACE", "")
	cmd := command()
	var out strings.Builder
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs([]string{"--help"})
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !strings.Contains(out.String(), "--"+f.Name) || f.Usage == "" {
			t.Errorf("the help says nothing about --%s", f.Name)
		}
	})
	for _, name := range []string{"charts", "chart-cache", "namespace", "metrics-bind-address", "webhook-bind-address", "health-probe-bind-address", "leader-elect", "kubeconfig", "zap-log-level"} {
		if cmd.Flags().Lookup(name) == nil {
			t.Errorf("there is no --%s", name)
		}
	}
	if !strings.Contains(out.String(), defaultNamespace) {
		t.Error("the help does not name the default namespace")
	}
}

func TestFlags(t *testing.T) {
	for _, tc := range []struct {
		name, pod string
		args      []string
		want      func(*options) bool
	}{
		{"namespace by default", "", nil, func(o *options) bool { return o.namespace == defaultNamespace }},
		{"namespace from the pod", "here", nil, func(o *options) bool { return o.namespace == "here" }},
		{"namespace from the flag", "here", []string{"--namespace=there"}, func(o *options) bool { return o.namespace == "there" }},
		{"several chart directories, in order", "", []string{"--charts=/b", "--charts=/a,c"},
			func(o *options) bool { return cmp.Equal(o.charts, []string{"/b", "/a,c"}) }},
		// Metrics have no authentication, so nobody gets them without asking.
		{"metrics are off by default", "", nil, func(o *options) bool { return o.metricsAddr == "0" && !o.leaderElect }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Setenv("POD_NAMESPACE", tc.pod)
			o, f := newOptions(), pflag.NewFlagSet("", pflag.ContinueOnError)
			o.addFlags(f)
			if err := f.Parse(tc.args); err != nil {
				t.Fatal(err)
			}
			if !tc.want(o) {
				t.Errorf("options %+v", o)
			}
		})
	}
}

// TestRefusals runs the whole command: it has to refuse before it looks for a cluster.
func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// A cluster that answers nothing, should the command get that far.
	t.Setenv("KUBECONFIG", filepath.Join(dir, "none"))
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"a chart directory that is not there", []string{"--charts", dir, "--charts", filepath.Join(dir, "missing")}, "--charts: stat " + filepath.Join(dir, "missing")},
		{"nowhere to keep charts", []string{"--chart-cache="}, "--chart-cache: "},
		{"a webhook without a port", []string{"--webhook-bind-address=127.0.0.1"}, "--webhook-bind-address: "},
		{"a webhook on no port", []string{"--webhook-bind-address=:70000"}, "--webhook-bind-address: "},
		{"an unknown flag", []string{"--chart", dir}, "unknown flag: --chart"},
		{"an argument", []string{"start"}, "unknown command"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cmd := command()
			cmd.SetArgs(tc.args)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := cmd.ExecuteContext(ctx); err == nil || !strings.HasPrefix(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
	// A bundle that is not in order ends no operator: see chart.Loader.
	if err := (&options{charts: []string{dir, file}, chartCache: dir}).validate(); err != nil {
		t.Errorf("a directory or a file is refused: %v", err)
	}
}
