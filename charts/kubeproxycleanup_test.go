package charts_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
)

// TestKubeProxyCleanup wants nothing but the init container to have privileges, and nobody to have a token.
func TestKubeProxyCleanup(t *testing.T) {
	rendered, err := render(t, "kube-proxy-cleanup", "kube-system", `{image: "a/kube-proxy:v1", imagePullSecrets: [{name: pull}]}`)
	if err != nil {
		t.Fatal(err)
	}
	objects := decode(t, rendered)
	if len(objects) != 2 {
		t.Errorf("%d objects", len(objects))
	}
	pod := find[*appsv1.DaemonSet](t, objects).Spec.Template.Spec
	init, done := pod.InitContainers[0], pod.Containers[0]
	if !pod.HostNetwork || *pod.AutomountServiceAccountToken || pod.ImagePullSecrets[0].Name != "pull" {
		t.Errorf("pod: %+v", pod)
	}
	if diff := cmp.Diff([]string{"/usr/local/bin/kube-proxy", "--cleanup"}, init.Command); diff != "" || init.Image != "a/kube-proxy:v1" || !*init.SecurityContext.Privileged {
		t.Errorf("%s, image %s", diff, init.Image)
	}
	if *done.SecurityContext.Privileged || len(done.VolumeMounts) > 0 || !*done.SecurityContext.RunAsNonRoot {
		t.Errorf("what stays: %+v", done)
	}
	refuses(t, "kube-proxy-cleanup", "{}", "image")
}
