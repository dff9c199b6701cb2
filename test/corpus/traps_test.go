package corpus

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/testbed"
	"github.com/networkstack/networkstack/test/testcharts"
)

// TestTraps is what charts in the wild do to whoever installs them.
func TestTraps(t *testing.T) {
	traps := []struct {
		name  string
		chart testcharts.Real
		check func(*cluster, testcharts.Real)
	}{
		{
			"a record of more than a Secret can hold",
			testcharts.Real{Name: "gateway-crds-helm", Version: "1.9.0", Release: "gateway-crds", Namespace: "gateway-crds", Values: map[string]any{
				"crds": map[string]any{"gatewayAPI": map[string]any{"enabled": true}, "envoyGateway": map[string]any{"enabled": true}},
			}},
			(*cluster).largeRecord,
		},
		{
			"definitions in the crds directory of a subchart",
			testcharts.Real{Name: "kube-prometheus-stack", Version: "88.5.3", Release: "monitoring", Namespace: "monitoring"},
			(*cluster).nestedCRDs,
		},
		{
			"a schema of values that refers to another host",
			testcharts.Real{Name: "nginx-ingress", Version: "2.6.4", Release: "nginx-ingress", Namespace: "nginx-ingress"},
			(*cluster).remoteSchema,
		},
		{
			"a leftover webhook keeps the pods of a hook out",
			testcharts.Real{Name: "ingress-nginx", Version: "4.15.1", Release: "ingress-nginx", Namespace: "ingress-nginx", Values: map[string]any{
				"controller": map[string]any{"ingressClassResource": map[string]any{"name": "other"}},
			}},
			(*cluster).leftoverWebhook,
		},
	}
	var c *cluster
	for _, trap := range traps {
		if _, err := trap.chart.Archive(); err == nil && c == nil {
			c = start(t)
		}
		t.Run(trap.name, func(t *testing.T) {
			_, err := trap.chart.Archive()
			if errors.Is(err, fs.ErrNotExist) {
				t.Skipf("the archive of %s is not in the chart cache: see CONTRIBUTING.md", trap.chart)
			}
			check(t, err)
			trap.check(c.in(t), trap.chart)
		})
	}
}

// in is the same cluster in a subtest.
func (c *cluster) in(t *testing.T) *cluster {
	out := *c
	out.t = t
	return &out
}

func (c *cluster) create(r testcharts.Real) {
	c.t.Helper()
	component, err := testbed.Component(r)
	check(c.t, err)
	check(c.t, c.Client.Create(c.t.Context(), component))
}

// largeRecord: Helm itself cannot record this release, because it puts the whole chart into a Secret.
func (c *cluster) largeRecord(r testcharts.Real) {
	archive, err := r.Archive()
	check(c.t, err)
	c.create(r)
	check(c.t, c.WaitReady(c.t.Context(), r.Release))
	var record corev1.Secret
	check(c.t, c.Client.Get(c.t.Context(), client.ObjectKey{Namespace: r.Namespace, Name: "sh.helm.release.v1." + r.Release + ".v1"}, &record))
	size := len(record.Data["release"])
	component, err := c.Get(c.t.Context(), r.Release)
	check(c.t, err)
	c.t.Logf("%s: %d objects, recorded in %d KiB", r, component.Status.Objects, size>>10)

	helm, err := controlplane.Helm(c.t.Context(), os.Stderr)
	check(c.t, err)
	run := func(args ...string) (string, error) {
		out, err := exec.CommandContext(c.t.Context(), helm, append(args, "--kubeconfig", c.ControlPlane.Kubeconfig())...).CombinedOutput()
		return string(out), err
	}
	out, err := run("get", "manifest", r.Release, "-n", r.Namespace)
	if err != nil || strings.Count(out, "kind: CustomResourceDefinition") < int(component.Status.Objects)/2 {
		c.t.Errorf("helm get manifest: %v, %d characters", err, len(out))
	}
	// The limit is real: the same release by Helm's own hands, as a dry run would not find out.
	out, err = run("install", "by-helm", archive, "-n", "by-helm", "--create-namespace")
	if err == nil || !strings.Contains(out, "Too long") {
		c.t.Errorf("Helm can record this chart by now, so it shows nothing any more: %v %s", err, short(out))
	}
}

func (c *cluster) nestedCRDs(r testcharts.Real) {
	c.create(r)
	check(c.t, c.WaitReady(c.t.Context(), r.Release))
	for _, name := range []string{"prometheuses.monitoring.coreos.com", "servicemonitors.monitoring.coreos.com"} {
		crd := &metav1.PartialObjectMetadata{}
		crd.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
		check(c.t, c.Client.Get(c.t.Context(), client.ObjectKey{Name: name}, crd))
	}
}

// remoteSchema: Helm fetches what the schema refers to. The operator neither does that nor keeps it to itself.
func (c *cluster) remoteSchema(r testcharts.Real) {
	c.create(r)
	check(c.t, c.WaitReady(c.t.Context(), r.Release))
	log, err := os.ReadFile(c.log.Name())
	check(c.t, err)
	if !strings.Contains(string(log), "schemas that refer to other documents") {
		c.t.Error("the log does not say that the values were not checked")
	}
}

// leftoverWebhook: nobody answers a webhook for pods any more, so the hook of a release cannot run. Others go on, nothing
// is undone, and when the webhook is removed everything comes right by itself.
func (c *cluster) leftoverWebhook(r testcharts.Real) {
	webhook := &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "leftover"},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: "pods.leftover.example.com",
			ClientConfig: admissionregistrationv1.WebhookClientConfig{
				Service: &admissionregistrationv1.ServiceReference{Namespace: "gone", Name: "gone"},
			},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
			}},
			NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": r.Namespace}},
			FailurePolicy:           ptr.To(admissionregistrationv1.Fail),
			SideEffects:             ptr.To(admissionregistrationv1.SideEffectClassNone),
			AdmissionReviewVersions: []string{"v1"},
		}},
	}
	check(c.t, c.Client.Create(c.t.Context(), webhook))
	c.create(r)
	check(c.t, c.Eventually(c.t.Context(), "the hook to be kept out", func(ctx context.Context) (bool, string, error) {
		var events corev1.EventList
		if err := c.Client.List(ctx, &events, client.InNamespace(r.Namespace)); err != nil {
			return false, "", err
		}
		for i := range events.Items {
			if e := &events.Items[i]; e.InvolvedObject.Kind == "Job" && e.Reason == "FailedCreate" {
				return true, "", nil
			}
		}
		var jobs batchv1.JobList
		err := c.Client.List(ctx, &jobs, client.InNamespace(r.Namespace))
		return false, fmt.Sprintf("%d Jobs", len(jobs.Items)), err
	}))
	other := testcharts.Real{Name: "flannel", Version: "0.28.9", Embedded: true, Release: "flannel", Namespace: "kube-flannel",
		Values: map[string]any{"podCidr": "10.244.0.0/16"}}
	c.create(other)
	check(c.t, c.WaitReady(c.t.Context(), other.Release))
	component, err := c.Get(c.t.Context(), r.Release)
	check(c.t, err)
	if testbed.Ready(component) {
		c.t.Errorf("Ready without its hook: %s", testbed.Describe(component))
	}
	check(c.t, c.Client.Delete(c.t.Context(), webhook))
	check(c.t, c.WaitReady(c.t.Context(), r.Release))
	component, err = c.Get(c.t.Context(), r.Release)
	check(c.t, err)
	if component.Status.Release.Revision != 1 {
		c.t.Errorf("revision %d: the release was made anew", component.Status.Release.Revision)
	}
}
