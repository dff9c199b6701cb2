package charts_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/networkstack/networkstack/test/testcharts"
)

func TestMultus(t *testing.T) {
	base := map[string]any{
		"binDir": "/opt/cni/bin", "chrootDir": "/hostroot", "cniConfigDir": "/host/etc/cni/net.d", "cniVersion": "0.3.1", "logLevel": "verbose",
		"logToStderr": true, "multusAutoconfigDir": "/host/etc/cni/net.d", "multusConfigFile": "auto", "socketDir": "/host/run/multus/",
	}
	with := func(over map[string]any) map[string]any {
		out := map[string]any{}
		for k, v := range base {
			out[k] = v
		}
		for k, v := range over {
			out[k] = v
		}
		return out
	}
	for file, test := range map[string]struct {
		values string
		config map[string]any
	}{
		"multus-default": {values: "{}", config: base},
		"multus-flannel": {
			values: `{config: {readinessIndicatorFile: 10-flannel.conflist, masterPlugin: 10-flannel.conflist}}`,
			config: with(map[string]any{"readinessindicatorfile": "/host/etc/cni/net.d/10-flannel.conflist", "multusMasterCNI": "10-flannel.conflist"}),
		},
		"multus-everything": {
			values: `{config: {cniVersion: 1.0.0, logLevel: error, namespaceIsolation: true, globalNamespaces: [shared, default], metricsPort: 9091}, ` +
				`cniConfDir: /var/lib/cni/net.d, cniBinDir: /var/lib/cni/bin, kubeletDir: /data/kubelet, kubeApi: {host: "[fd00::1]", port: 6443}, ` +
				`imagePullSecrets: [{name: pull}], nodeSelector: {pool: a}, resources: {requests: {memory: 64Mi}}}`,
			config: with(map[string]any{
				"binDir": "/var/lib/cni/bin", "cniConfigDir": "/host/var/lib/cni/net.d", "multusAutoconfigDir": "/host/var/lib/cni/net.d", "cniVersion": "1.0.0",
				"logLevel": "error", "namespaceIsolation": true, "globalNamespaces": "shared,default", "metricsPort": 9091.0,
			}),
		},
	} {
		t.Run(file, func(t *testing.T) {
			objects := golden(t, "multus", "kube-system", file, test.values)
			var got map[string]any
			if err := json.Unmarshal([]byte(find[*corev1.ConfigMap](t, objects).Data["daemon-config.json"]), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.config, got); diff != "" {
				t.Errorf("daemon-config.json (-want +got):\n%s", diff)
			}
			ds := find[*appsv1.DaemonSet](t, objects)
			pod := ds.Spec.Template.Spec
			// Who was there before, by upstream's manifest, is taken over by these names.
			if ds.Name != "kube-multus-ds" || !cmp.Equal(ds.Spec.Selector.MatchLabels, map[string]string{"name": "multus"}) || pod.Containers[0].Name != "kube-multus" {
				t.Errorf("DaemonSet %s, selector %v, container %s", ds.Name, ds.Spec.Selector, pod.Containers[0].Name)
			}
			volumes := map[string]string{}
			for _, v := range pod.Volumes {
				if v.HostPath != nil {
					volumes[v.Name] = v.HostPath.Path
				}
			}
			for _, m := range pod.Containers[0].VolumeMounts {
				if m.Name == "cni-bin" && (m.MountPath != got["binDir"] || volumes[m.Name] != got["binDir"]) {
					t.Errorf("plugins are at %s, mounted from %s, and the daemon looks in %v", m.MountPath, volumes[m.Name], got["binDir"])
				}
				if m.Name == "cni-conf" && (m.MountPath != got["cniConfigDir"] || "/host"+volumes[m.Name] != got["cniConfigDir"]) {
					t.Errorf("configuration is at %s, mounted from %s, and the daemon looks in %v", m.MountPath, volumes[m.Name], got["cniConfigDir"])
				}
				if m.Name == "host-root" && (m.MountPath != got["chrootDir"] || volumes[m.Name] != "/") {
					t.Errorf("the node's root %s is at %s, and the daemon goes to %v", volumes[m.Name], m.MountPath, got["chrootDir"])
				}
			}
			for _, rule := range find[*rbacv1.ClusterRole](t, objects).Rules {
				for _, verb := range rule.Verbs {
					if writes := verb != "get" && verb != "list" && verb != "watch"; writes && rule.Resources[0] != "pods/status" && rule.Resources[0] != "events" {
						t.Errorf("Multus may %s %v", verb, rule.Resources)
					}
				}
			}
		})
	}
}

func TestMultusDetails(t *testing.T) {
	pod := func(values string) corev1.PodTemplateSpec {
		t.Helper()
		out, err := render(t, "multus", "kube-system", values)
		if err != nil {
			t.Fatal(err)
		}
		return find[*appsv1.DaemonSet](t, decode(t, out)).Spec.Template
	}
	base := pod("{}")
	if pod(`{config: {logLevel: debug}}`).Annotations["checksum/config"] == base.Annotations["checksum/config"] {
		t.Error("a changed log level does not change the checksum")
	}
	if limits := base.Spec.Containers[0].Resources.Limits; len(limits) > 0 {
		t.Errorf("the daemon has limits: %v", limits)
	}
	if got := *base.Spec.TerminationGracePeriodSeconds; got < 20 {
		t.Errorf("the daemon has %d s to take its configuration away", got)
	}
	env := pod(`{kubeApi: {host: "[fd00::1]", port: 6443}}`).Spec.Containers[0].Env
	if last := env[len(env)-2:]; last[0].Value != "fd00::1" || last[1].Value != "6443" {
		t.Errorf("%v", last)
	}
}

// TestMultusKept wants a daemon that leaves its configuration to its successor to be there until that one serves, where two of them find
// room, and neither file to go with it.
func TestMultusKept(t *testing.T) {
	for values, want := range map[string]appsv1.RollingUpdateDaemonSet{
		"{}":                        pace("10%", 0),
		"{keepConfiguration: true}": pace(0, "10%"),
		"{keepConfiguration: true, config: {metricsPort: 9091}}":                                   pace("10%", 0),
		"{keepConfiguration: true, updateStrategy: {rollingUpdate: {maxUnavailable: 2}}}":          {MaxUnavailable: ptr.To(intstr.FromInt32(2))},
		"{keepConfiguration: true, cleanup: {image: a}}":                                           pace("10%", 0),
		"{cleanup: {image: a}, updateStrategy: {type: OnDelete}}":                                  pace("10%", 0),
		"{cleanup: {image: a}, updateStrategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}}": pace("10%", 0),
	} {
		rendered, err := render(t, "multus", "kube-system", values)
		if err != nil {
			t.Fatal(err)
		}
		ds := find[*appsv1.DaemonSet](t, decode(t, rendered))
		if diff := cmp.Diff(&want, ds.Spec.UpdateStrategy.RollingUpdate); diff != "" {
			t.Errorf("%s: %s", values, diff)
		}
		if surges := want.MaxSurge != nil && want.MaxSurge.StrVal != ""; surges != (ds.Spec.MinReadySeconds > 0) {
			t.Errorf("%s: a successor is waited for %d s", values, ds.Spec.MinReadySeconds)
		}
	}
	rendered, err := render(t, "multus", "kube-system", `{keepConfiguration: true, cniConfDir: /var/lib/cni/net.d}`)
	if err != nil {
		t.Fatal(err)
	}
	daemon := find[*appsv1.DaemonSet](t, decode(t, rendered)).Spec.Template.Spec.Containers[0]
	if daemon.Lifecycle == nil || daemon.LivenessProbe == nil || daemon.StartupProbe == nil {
		t.Fatalf("%+v", daemon)
	}
	hook, mounts := strings.Join(daemon.Lifecycle.PreStop.Exec.Command, " "), map[string]bool{}
	for _, m := range daemon.VolumeMounts {
		mounts[m.MountPath] = true
	}
	for _, dir := range []string{"/host/var/lib/cni/net.d", "/host/run"} {
		if !mounts[dir] || !strings.Contains(hook, dir) {
			t.Errorf("%s is no volume, or is not kept: %s", dir, hook)
		}
	}
}

func pace(unavailable, surge any) appsv1.RollingUpdateDaemonSet {
	value := func(v any) *intstr.IntOrString {
		if n, ok := v.(int); ok {
			return ptr.To(intstr.FromInt(n))
		}
		return ptr.To(intstr.FromString(v.(string)))
	}
	return appsv1.RollingUpdateDaemonSet{MaxUnavailable: value(unavailable), MaxSurge: value(surge)}
}

// TestMultusCleanup wants what cleans nodes to take the place of the daemons, with no more than it needs.
func TestMultusCleanup(t *testing.T) {
	rendered, err := render(t, "multus", "kube-system",
		`{keepConfiguration: true, cniConfDir: /etc/other, cniBinDir: /opt/other, cleanup: {image: "a/operator:v1"}, imagePullSecrets: [{name: pull}]}`)
	if err != nil {
		t.Fatal(err)
	}
	objects := decode(t, rendered)
	ds := find[*appsv1.DaemonSet](t, objects)
	pod := ds.Spec.Template.Spec
	if ds.Name != "kube-multus-ds" || !cmp.Equal(ds.Spec.Selector.MatchLabels, map[string]string{"name": "multus"}) {
		t.Errorf("it does not take the place of the daemons: %s, %v", ds.Name, ds.Spec.Selector)
	}
	if !pod.HostNetwork || pod.HostPID || *pod.AutomountServiceAccountToken || len(pod.ImagePullSecrets) != 1 {
		t.Errorf("pod: %+v", pod)
	}
	paths := map[string]string{}
	for _, v := range pod.Volumes {
		paths[v.Name] = v.HostPath.Path
	}
	clean := pod.InitContainers[0]
	for _, m := range clean.VolumeMounts {
		paths[m.MountPath] = paths[m.Name]
	}
	if paths["/etc/cni/net.d"] != "/etc/other" || paths["/opt/cni/bin"] != "/opt/other" || paths["/run/multus"] != "/run/multus" {
		t.Errorf("it cleans %v", paths)
	}
	for _, c := range []corev1.Container{clean, pod.Containers[0]} {
		if s := c.SecurityContext; *s.Privileged || !*s.ReadOnlyRootFilesystem || s.Capabilities.Drop[0] != "ALL" || c.Image != "a/operator:v1" {
			t.Errorf("%s: %+v", c.Name, c)
		}
	}
	// Daemons that are still there on other nodes go on as they are.
	find[*rbacv1.ClusterRoleBinding](t, objects)
	find[*corev1.ConfigMap](t, objects)
}

func TestMultusRefuses(t *testing.T) {
	refuses(t, "multus", `{kubeApi: {host: 10.0.0.1}}`, "kubeApi.port")
	refuses(t, "multus", `{kubeApi: {port: 6443}}`, "kubeApi.host")
	refuses(t, "multus", `{config: {cniVersion: 2.0.0}}`, "cniVersion", "'0.3.1'")
	refuses(t, "multus", `{config: {globalNamespaces: [a]}}`, "namespaceIsolation")
	refuses(t, "multus", `{config: {readinessIndicatorFile: /etc/cni/net.d/x}}`, "readinessIndicatorFile")
	refuses(t, "multus", `{cniBinDir: opt/cni}`, "cniBinDir")
	refuses(t, "multus", `{colour: red}`, "colour")
}

// TestMultusDefinition holds the definition to the names and the version that the specification gives.
func TestMultusDefinition(t *testing.T) {
	crds := testcharts.Embedded(t, "multus").CRDObjects()
	if len(crds) != 1 {
		t.Fatalf("%d definitions", len(crds))
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(crds[0].File.Data, &crd); err != nil {
		t.Fatal(err)
	}
	s := crd.Spec
	if crd.Name != "network-attachment-definitions.k8s.cni.cncf.io" || s.Names.Plural+"."+s.Group != crd.Name || s.Names.Kind != "NetworkAttachmentDefinition" ||
		s.Scope != apiextensionsv1.NamespaceScoped || len(s.Versions) != 1 || s.Versions[0].Name != "v1" || !s.Versions[0].Served || !s.Versions[0].Storage {
		t.Errorf("%+v", s)
	}
	if got := s.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"].Properties["config"].Type; got != "string" {
		t.Errorf("spec.config is a %s", got)
	}
}

func TestNetworkAttachments(t *testing.T) {
	const values = `
attachments:
- {namespace: default, name: lan, config: '{"cniVersion":"0.3.1","name":"default.lan","type":"macvlan"}'}
- {namespace: media, name: fast, resourceName: example.com/sriov_a, config: '{"plugins":[{"type":"sriov"}]}'}
`
	out, err := render(t, "network-attachments", "kube-system", values)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for doc := range strings.SplitSeq(out, "---\n") {
		var u unstructured.Unstructured
		if err := yaml.UnmarshalStrict([]byte(doc), &u.Object); err != nil {
			t.Fatalf("%v in:\n%s", err, doc)
		}
		if u.Object == nil {
			continue
		}
		config, _, _ := unstructured.NestedString(u.Object, "spec", "config")
		if !json.Valid([]byte(config)) {
			t.Errorf("%s holds no JSON: %s", u.GetName(), config)
		}
		got = append(got, strings.Join([]string{u.GetAPIVersion(), u.GetKind(), u.GetNamespace(), u.GetName(), u.GetAnnotations()["k8s.v1.cni.cncf.io/resourceName"], config}, " "))
	}
	want := []string{
		`k8s.cni.cncf.io/v1 NetworkAttachmentDefinition default lan  {"cniVersion":"0.3.1","name":"default.lan","type":"macvlan"}`,
		`k8s.cni.cncf.io/v1 NetworkAttachmentDefinition media fast example.com/sriov_a {"plugins":[{"type":"sriov"}]}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
	refuses(t, "network-attachments", `{attachments: [{namespace: a, name: b, config: "{x"}]}`, "not a JSON object")
	refuses(t, "network-attachments", `{attachments: [{namespace: a, name: b, config: "{}"}]}`, "a/b names no CNI plugin")
	refuses(t, "network-attachments", `{attachments: [{name: b, config: "{}"}]}`, "namespace")
	refuses(t, "network-attachments", `{attachments: [{namespace: a, name: a/b, config: "{}"}]}`, "name")
}
