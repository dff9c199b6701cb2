package charts_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// TestNodeCleanup wants the pods to have what cleaning takes, each container no more than its own part, and nobody a token.
func TestNodeCleanup(t *testing.T) {
	rendered, err := render(t, "node-cleanup", "kube-system",
		`{image: "a/operator:v1", flannel: {image: "a/flannel:v1", cniConfDir: /etc/other}, kubeProxy: {image: "a/kube-proxy:v1"}, `+
			`multus: {enabled: true, books: true, networks: [default.a], cniBinDir: /opt/other}, nodeLocalDNS: {image: "a/cache:v1", addresses: [169.254.20.10]}}`)
	if err != nil {
		t.Fatal(err)
	}
	objects := decode(t, rendered)
	if len(objects) != 2 {
		t.Errorf("%d objects", len(objects))
	}
	pod := find[*appsv1.DaemonSet](t, objects).Spec.Template.Spec
	if !pod.HostNetwork || pod.HostPID || *pod.AutomountServiceAccountToken || !cmp.Equal(pod.Tolerations, []corev1.Toleration{{Operator: "Exists"}}) {
		t.Errorf("pod: %+v", pod)
	}
	if c := pod.SecurityContext; c == nil || c.SeccompProfile == nil || c.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Errorf("its security context: %+v", c)
	}
	type container struct {
		Image      string
		Privileged bool
		Added      []corev1.Capability
		Paths      []string
	}
	paths := map[string]string{}
	for _, v := range pod.Volumes {
		if v.HostPath != nil {
			paths[v.Name] = v.HostPath.Path
		}
	}
	got := map[string]container{}
	for _, c := range append(pod.InitContainers, pod.Containers...) {
		out := container{Image: c.Image, Privileged: *c.SecurityContext.Privileged}
		if !out.Privileged && ptr.Deref(c.SecurityContext.AllowPrivilegeEscalation, true) {
			t.Errorf("%s can get more privileges", c.Name)
		}
		if c.SecurityContext.Capabilities != nil {
			out.Added = c.SecurityContext.Capabilities.Add
			if !cmp.Equal(c.SecurityContext.Capabilities.Drop, []corev1.Capability{"ALL"}) {
				t.Errorf("%s drops %v", c.Name, c.SecurityContext.Capabilities.Drop)
			}
		}
		for _, m := range c.VolumeMounts {
			if path := paths[m.Name]; path != "" {
				out.Paths = append(out.Paths, path)
			}
		}
		got[c.Name] = out
	}
	if diff := cmp.Diff(map[string]container{
		"program": {Image: "a/operator:v1"},
		"flannel": {
			Image: "a/flannel:v1", Added: []corev1.Capability{"NET_ADMIN", "NET_RAW", "DAC_OVERRIDE"},
			Paths: []string{"/etc/other", "/opt/cni/bin", "/var/lib/cni", "/run/flannel", "/run/xtables.lock"},
		},
		"multus": {
			Image: "a/operator:v1", Added: []corev1.Capability{"DAC_OVERRIDE"}, Paths: []string{"/etc/cni/net.d", "/opt/other", "/var/lib/cni", "/run/multus"},
		},
		"node-local-dns": {Image: "a/cache:v1", Added: []corev1.Capability{"NET_ADMIN", "NET_RAW"}, Paths: []string{"/run/xtables.lock"}},
		"kube-proxy":     {Image: "a/kube-proxy:v1", Privileged: true, Paths: []string{"/run/xtables.lock", "/lib/modules"}},
		"done":           {Image: "a/operator:v1"},
	}, got); diff != "" {
		t.Error(diff)
	}
	for i, want := range []string{"clean-node multus --books --network=default.a", "", "clean-node node-local-dns --address=169.254.20.10"} {
		if got := strings.Join(pod.InitContainers[i].Args, " "); want != "" && got != want {
			t.Errorf("runs %q", got)
		}
	}
	for values, want := range map[string]int{`{image: a}`: 0, `{image: a, flannel: {image: b}}`: 2, `{image: a, kubeProxy: {image: b}}`: 1,
		`{image: a, multus: {enabled: true}}`: 1, `{image: a, nodeLocalDNS: {image: b}}`: 2} {
		rendered, err := render(t, "node-cleanup", "kube-system", values)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(find[*appsv1.DaemonSet](t, decode(t, rendered)).Spec.Template.Spec.InitContainers); n != want {
			t.Errorf("%s: %d init containers", values, n)
		}
	}
	refuses(t, "node-cleanup", "{}", "image")
	refuses(t, "node-cleanup", `{image: a, flannel: {cniConfDir: relative}}`, "cniConfDir")
}
