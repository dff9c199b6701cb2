package release

import (
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/kube"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/resource"
)

// TestGuards wants policies of admission to be there for as long as what they guard.
func TestGuards(t *testing.T) {
	const admission = "admissionregistration.k8s.io"
	var list kube.ResourceList
	// Helm's own order of installation, in which kinds that it does not know come last.
	for _, kind := range []schema.GroupKind{
		{Kind: "Namespace"}, {Kind: "ServiceAccount"}, {Group: "rbac.authorization.k8s.io", Kind: "ClusterRole"},
		{Group: "rbac.authorization.k8s.io", Kind: "ClusterRoleBinding"}, {Group: "apps", Kind: "DaemonSet"},
		{Group: "cilium.io", Kind: "CiliumPodIPPool"}, {Group: "example.com", Kind: "ValidatingAdmissionPolicy"},
		{Group: admission, Kind: "ValidatingAdmissionPolicy"}, {Group: admission, Kind: "ValidatingAdmissionPolicyBinding"},
		{Group: admission, Kind: "ValidatingWebhookConfiguration"},
	} {
		list = append(list, &resource.Info{Name: "x", Mapping: &meta.RESTMapping{GroupVersionKind: kind.WithVersion("v1")}})
	}
	kinds := func(list kube.ResourceList) string {
		var out []string
		for _, i := range list {
			kind := i.Mapping.GroupVersionKind.Kind
			if i.Mapping.GroupVersionKind.Group == "example.com" {
				kind = "Custom" + kind
			}
			out = append(out, kind)
		}
		return strings.Join(out, " ")
	}
	before := kinds(list)
	for _, tc := range []struct{ name, got, want string }{
		{"applied", kinds(guardsFirst(list)), "ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding Namespace ServiceAccount ClusterRole " +
			"ClusterRoleBinding DaemonSet CiliumPodIPPool CustomValidatingAdmissionPolicy ValidatingWebhookConfiguration"},
		{"restored", kinds(inInstallOrder(list)), "ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding Namespace ServiceAccount ClusterRole " +
			"ClusterRoleBinding DaemonSet ValidatingWebhookConfiguration CiliumPodIPPool CustomValidatingAdmissionPolicy"},
		{"removed", kinds(inRemovalOrder(list)), "ValidatingWebhookConfiguration CiliumPodIPPool CustomValidatingAdmissionPolicy DaemonSet " +
			"ClusterRoleBinding ClusterRole ServiceAccount Namespace ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding"},
	} {
		if tc.got != tc.want {
			t.Errorf("%s:\n%s\nwant\n%s", tc.name, tc.got, tc.want)
		}
	}
	if kinds(list) != before {
		t.Error("a list was sorted in place")
	}
}
