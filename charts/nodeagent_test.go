package charts_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
)

// TestNodeAgent wants the agent to be able to do what it is for, and nothing else.
func TestNodeAgent(t *testing.T) {
	rendered, err := render(t, "node-agent", "kube-system", `{image: "a/b:1", apiServer: {host: "[fd00::1]", port: 6443}, imagePullSecrets: [{name: pull}]}`)
	if err != nil {
		t.Fatal(err)
	}
	objects := decode(t, rendered)
	if diff := cmp.Diff([]rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"nodes"}, Verbs: []string{"patch"}}},
		find[*rbacv1.ClusterRole](t, objects).Rules); diff != "" {
		t.Error(diff)
	}
	pod := find[*appsv1.DaemonSet](t, objects).Spec.Template.Spec
	c := pod.Containers[0]
	if !pod.HostNetwork || pod.HostPID || pod.HostIPC || len(pod.Volumes) > 0 || !*pod.SecurityContext.RunAsNonRoot || *pod.SecurityContext.RunAsUser == 0 ||
		pod.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Errorf("pod: %+v", pod.SecurityContext)
	}
	s := c.SecurityContext
	if *s.Privileged || *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || !cmp.Equal(s.Capabilities, &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}) {
		t.Errorf("container: %+v", s)
	}
	if diff := cmp.Diff([]corev1.Toleration{{Operator: corev1.TolerationOpExists}}, pod.Tolerations); diff != "" {
		t.Error(diff)
	}
	env := map[string]string{}
	for _, e := range c.Env {
		env[e.Name] = e.Value
	}
	if env["KUBERNETES_SERVICE_HOST"] != "fd00::1" || env["KUBERNETES_SERVICE_PORT"] != "6443" || c.Image != "a/b:1" || pod.ImagePullSecrets[0].Name != "pull" {
		t.Errorf("%v, image %s, secrets %v", env, c.Image, pod.ImagePullSecrets)
	}
	if c.ReadinessProbe.HTTPGet.Host != "127.0.0.1" || c.Args[1] != "--health-probe-bind-address=127.0.0.1:9813" {
		t.Errorf("probe %+v, args %v", c.ReadinessProbe.HTTPGet, c.Args)
	}
	refuses(t, "node-agent", "{}", "image")
	refuses(t, "node-agent", `{image: a, colour: red}`, "colour")
}
