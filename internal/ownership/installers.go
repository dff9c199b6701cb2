package ownership

import (
	"bytes"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// installers are the field managers of programs that a person runs to install or change something, and that go away
// afterwards. When an object becomes ours, what they wrote becomes ours too, so that it disappears when it is no longer
// rendered. Everybody else's fields stay: those of controllers, autoscalers and certificate injectors.
//
// Left out on purpose:
//   - kubectl-rollout: it leaves the time of the last restart in the pod template. Taking that away restarts all pods.
//   - kubectl-label, kubectl-annotate, kubectl-taint, kubectl-scale, kubectl-autoscale: a decision of somebody's about this
//     cluster, beside the manifest and not in place of it.
//   - Terraform, Pulumi and their like: they come back and apply again.
var installers = map[string]string{
	"kubectl-client-side-apply": "kubectl",
	"kubectl-create":            "kubectl",
	"kubectl-replace":           "kubectl",
	"kubectl-edit":              "kubectl",
	"kubectl-patch":             "kubectl",
	"kubectl-set":               "kubectl",
	"kubectl":                   "kubectl", // kubectl apply --server-side, and kubectl before 1.18
	"kubeadm":                   "kubeadm",
	"helm":                      "Helm",
	"cilium":                    "cilium install", // the command line, not the agent (cilium-agent) or the operator
	// The API server's own name for what was there before the first server-side apply of an object that had no managed
	// fields.
	"before-first-apply": "",
}

// telltales are annotations that only the program that installs an object writes. A program that embeds Helm has a field
// manager named after itself.
var telltales = [][]byte{
	[]byte(`"f:` + ReleaseNameAnnotation + `"`),
	[]byte(`"f:` + corev1.LastAppliedConfigAnnotation + `"`),
}

// IsInstaller says whether a managed fields entry is what somebody who installs things wrote to the object itself.
func IsInstaller(f *metav1.ManagedFieldsEntry) bool {
	if f.Subresource != "" {
		return false
	}
	if _, known := installers[f.Manager]; known {
		return true
	}
	return f.FieldsV1 != nil && slices.ContainsFunc(telltales, func(mark []byte) bool {
		return bytes.Contains(f.FieldsV1.GetRawBytes(), mark)
	})
}

// installerOf is who made an object. Of several the one that creates counts, not the one that changed something later.
func installerOf(obj metav1.Object) string {
	var found []string
	for _, f := range obj.GetManagedFields() {
		if f.Subresource != "" {
			continue
		}
		if who := installers[f.Manager]; who != "" && !slices.Contains(found, who) {
			found = append(found, who)
		}
	}
	for _, who := range []string{"kubeadm", "Helm", "cilium install", "kubectl"} {
		if slices.Contains(found, who) {
			return who
		}
	}
	return ""
}
