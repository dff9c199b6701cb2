package lifecycle

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/cli"
	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/operator"
	"github.com/networkstack/networkstack/test/preinstalled"
	"github.com/networkstack/networkstack/test/testcharts"
)

// importReport is what import says to programs, as far as the test reads it.
type importReport struct {
	Exact   bool
	Remarks []struct{ Severity, Field, Object, What string }
	// Components are what applying the stack would do.
	Components []struct {
		Name    string
		Same    int
		Changes []struct{ Kind, Name string }
		Problem string
	}
}

// TestImport describes a cluster with a Cilium and a Traefik of Helm's own tool, and kubeadm's kube-proxy and CoreDNS, as a
// NetworkStack, and applies that: nothing changes but whose the objects are.
func TestImport(t *testing.T) {
	t.Parallel()
	charts := testcharts.PinnedDir(t, "cilium", "1.20.0")
	testcharts.UpstreamDir(t, "traefik", "41.3.0")
	e := bareCluster(t, controlplane.Options{ServiceCIDRs: []string{"10.96.0.0/16"}}, "--charts", charts)
	e.nodesTellNothing()
	if out := e.callPlugin(cli.ExitTrouble, "import"); !strings.Contains(out, "error: there is no network plugin, no kube-proxy and no CoreDNS") {
		t.Errorf("import of an empty cluster says: %s", out)
	}
	kubeadm := preinstalled.Manifest("kube-proxy", e.kubernetesVersion()) + "---\n" + preinstalled.Manifest("coredns", "")
	e.check(preinstalled.Create(t.Context(), e.client, "kubeadm", kubeadm))
	e.helm("install", "cilium", filepath.Join(charts, "cilium-1.20.0.tgz"), "-n", "kube-system",
		"--set", "ipam.operator.clusterPoolIPv4PodCIDRList={10.244.0.0/16}", "--set", "hubble.relay.enabled=true",
		"--set", "updateStrategy.rollingUpdate.maxUnavailable=1")
	e.helm("install", "traefik", filepath.Join(charts, "traefik-41.3.0.tgz"), "-n", "traefik", "--create-namespace",
		"--set", "deployment.replicas=2", "--set", "service.spec.type=NodePort", "--set", "ingressClass.isDefaultClass=true")
	e.workloadsRun()

	file := filepath.Join(t.TempDir(), "stack.yaml")
	report := e.imports(cli.ExitFine, "-f", file, "--charts", charts)
	text, err := os.ReadFile(file)
	e.check(err)
	t.Logf("import writes:\n%s", text)
	if !report.Exact {
		t.Errorf("not exact: %s", toJSON(report))
	}
	var names []string
	for _, c := range report.Components {
		names = append(names, c.Name)
	}
	if want := []string{"kube-proxy", "cilium", "coredns", "addon-traefik"}; !slices.Equal(names, want) {
		t.Errorf("components %v, not %v", names, want)
	}

	objects := preinstalled.Objects(kubeadm)
	for _, release := range [][]string{{"cilium", "kube-system"}, {"traefik", "traefik"}} {
		objects = append(objects, preinstalled.Objects(e.helm("get", "manifest", release[0], "-n", release[1]))...)
	}
	objects = append(objects, e.definitions()...)
	before, pods := e.asTheyAre(objects), e.podsAsTheyAre()

	e.importsWithoutSecrets(charts)
	if diff := cmp.Diff(before, e.asTheyAre(objects)); diff != "" {
		t.Fatalf("import itself changed something: %s", diff)
	}

	e.check(operator.Install(t.Context(), e.cp.RESTConfig()))
	e.check(operator.Kubeconfig(t.Context(), e.admin, e.account))
	e.mayInstallAnyChart()
	e.startOperator()
	e.check(e.kubectl("apply", "--server-side", "-f", file))
	e.waitReady("cluster")
	if diff := cmp.Diff(pods, e.podsAsTheyAre()); diff != "" {
		t.Errorf("pods are others: %s", diff)
	}
	if diff := cmp.Diff(before, e.asTheyAre(objects)); diff != "" {
		t.Errorf("objects changed: %s", diff)
	}
	for _, name := range names {
		c := e.component(name)
		if a := c.Status.Adoption; a == nil || a.State != networkstackv1alpha1.AdoptionAdopted || a.Differs+a.New+a.Unknown > 0 || a.Restarts {
			t.Errorf("the adoption of %s: %s", name, toJSON(a))
		}
		if d := c.Status.Drift; d != nil && d.Count > 0 {
			t.Errorf("drift of %s: %s", name, toJSON(d))
		}
	}
	t.Logf("%d objects and %d pods are as they were", len(before), len(pods))

	// There is a stack now, and nothing to describe.
	if out := e.callPlugin(cli.ExitTrouble, "import"); !strings.Contains(out, `the cluster has NetworkStack "cluster"`) {
		t.Errorf("import where there is a stack says: %s", out)
	}
	e.callPlugin(cli.ExitFine, "diff", file, "--charts", charts)
}

// importsWithoutSecrets imports as somebody who may read all but Secrets, and may write nothing.
func (e *env) importsWithoutSecrets(charts string) {
	e.t.Helper()
	const name = "import-reader"
	read := []string{"get", "list"}
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"nodes", "services", "configmaps", "namespaces"}, Verbs: read},
		{APIGroups: []string{"apps", "networking.k8s.io", "discovery.k8s.io", "apiextensions.k8s.io", "admissionregistration.k8s.io",
			"rbac.authorization.k8s.io", "cilium.io", "metallb.io"}, Resources: []string{"*"}, Verbs: read},
	}}
	e.check(e.client.Create(e.t.Context(), role))
	e.check(e.client.Create(e.t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "ClusterRole", Name: name},
		Subjects: []rbacv1.Subject{{APIGroup: "rbac.authorization.k8s.io", Kind: "User", Name: name}},
	}))
	out := e.callPlugin(cli.ExitFound, "import", "--as", name, "--charts", charts)
	for _, want := range []string{
		"Helm's releases may not be read, so nothing that Helm has installed is described",
		"is of Helm release kube-system/cilium, whose record could not be read: External leaves it in place",
		"kube-proxy: it could not be compared: ",
	} {
		if !strings.Contains(out, want) {
			e.t.Errorf("import without the permission to read Secrets does not say %q:\n%s", want, out)
		}
	}
	e.t.Logf("without the permission to read Secrets:\n%s", out)
	if out := e.callPlugin(cli.ExitTrouble, "import", "--as", "nobody"); !strings.Contains(out, "forbidden") {
		e.t.Errorf("import by somebody who may do nothing says: %s", out)
	}
}

// callPlugin calls kubectl networkstack against the cluster, and gives what it prints.
func (e *env) callPlugin(want int, args ...string) string {
	e.t.Helper()
	var out bytes.Buffer
	code := cli.Run(e.t.Context(), cli.Options{
		Name: "kubectl-networkstack", Args: append(args, "--kubeconfig", e.admin), Env: os.Getenv, In: strings.NewReader(""), Out: &out, Err: &out,
	})
	if code != want {
		e.t.Fatalf("%v exits with %d, not %d:\n%s", args, code, want, &out)
	}
	return out.String()
}

// imports calls import and reads its report.
func (e *env) imports(want int, args ...string) importReport {
	e.t.Helper()
	var out importReport
	text := e.callPlugin(want, append([]string{"import", "-o", "json"}, args...)...)
	e.check(json.Unmarshal([]byte(text), &out))
	return out
}

// nodesTellNothing takes away from nodes what an agent of ours would tell of them: there is none yet.
func (e *env) nodesTellNothing() {
	e.t.Helper()
	var nodes corev1.NodeList
	e.check(e.client.List(e.t.Context(), &nodes))
	for i := range nodes.Items {
		e.check(e.client.Patch(e.t.Context(), &nodes.Items[i], client.RawPatch("application/merge-patch+json",
			[]byte(`{"metadata":{"annotations":{"`+networkstackv1alpha1.NodeMTUAnnotation+`":null}}}`))))
	}
}

func (e *env) kubernetesVersion() string {
	e.t.Helper()
	var nodes corev1.NodeList
	e.check(e.client.List(e.t.Context(), &nodes))
	return nodes.Items[0].Status.NodeInfo.KubeletVersion
}

// workloadsRun waits until every workload of the cluster has its pods.
func (e *env) workloadsRun() {
	e.t.Helper()
	e.eventually("all workloads to run", func(ctx context.Context) (bool, string) {
		var daemons appsv1.DaemonSetList
		var deployments appsv1.DeploymentList
		e.check(e.client.List(ctx, &daemons))
		e.check(e.client.List(ctx, &deployments))
		for _, d := range daemons.Items {
			if d.Status.NumberAvailable != 3 {
				return false, d.Name + toJSON(d.Status)
			}
		}
		for _, d := range deployments.Items {
			if d.Status.AvailableReplicas != *d.Spec.Replicas || d.Status.Replicas != *d.Spec.Replicas {
				return false, d.Name + toJSON(d.Status)
			}
		}
		return len(daemons.Items) > 0 && len(deployments.Items) > 0, "no workloads"
	})
}

// podsAsTheyAre are all pods, with how often their containers were restarted.
func (e *env) podsAsTheyAre() map[string]int32 {
	e.t.Helper()
	var pods corev1.PodList
	e.check(e.client.List(e.t.Context(), &pods))
	out := map[string]int32{}
	for _, p := range pods.Items {
		n := int32(0)
		for _, c := range p.Status.ContainerStatuses {
			n += c.RestartCount
		}
		out[p.Namespace+"/"+p.Name+" "+string(p.UID)] = n
	}
	return out
}

// definitions are all CustomResourceDefinitions of the cluster but ours.
func (e *env) definitions() []*unstructured.Unstructured {
	e.t.Helper()
	var list unstructured.UnstructuredList
	list.SetAPIVersion("apiextensions.k8s.io/v1")
	list.SetKind("CustomResourceDefinitionList")
	e.check(e.client.List(e.t.Context(), &list))
	var out []*unstructured.Unstructured
	for i := range list.Items {
		if !strings.HasSuffix(list.Items[i].GetName(), networkstackv1alpha1.GroupVersion.Group) {
			out = append(out, &list.Items[i])
		}
	}
	return out
}

// asTheyAre are live objects without their status, and without what says whose they are: that is all that a take-over writes.
func (e *env) asTheyAre(list []*unstructured.Unstructured) map[string]map[string]any {
	e.t.Helper()
	labels := []string{networkstackv1alpha1.ComponentLabel, "app.kubernetes.io/managed-by"}
	annotations := []string{
		"meta.helm.sh/release-name", "meta.helm.sh/release-namespace", networkstackv1alpha1.LayoutAnnotation,
		networkstackv1alpha1.CRDSourceAnnotation,
		"kubeadm.kubernetes.io/component-config.hash", // by which kubeadm tells its own ConfigMap; it goes
	}
	out := map[string]map[string]any{}
	for _, o := range list {
		live := &unstructured.Unstructured{}
		live.SetGroupVersionKind(o.GroupVersionKind())
		key := client.ObjectKeyFromObject(o)
		if key.Namespace == "" && o.GetKind() != "Namespace" {
			mapping, err := e.client.RESTMapper().RESTMapping(o.GroupVersionKind().GroupKind(), o.GroupVersionKind().Version)
			e.check(err)
			if mapping.Scope.Name() == "namespace" {
				e.t.Fatalf("%s %s has no namespace", o.GetKind(), o.GetName())
			}
		}
		e.check(e.client.Get(e.t.Context(), key, live))
		delete(live.Object, "status")
		live.SetManagedFields(nil)
		live.SetResourceVersion("")
		if o.GetKind() == "Deployment" && key.Name == "coredns" {
			live.SetGeneration(0) // that of a Deployment counts its annotations too; its spec is compared
		}
		for _, l := range labels {
			unstructured.RemoveNestedField(live.Object, "metadata", "labels", l)
		}
		for _, a := range annotations {
			unstructured.RemoveNestedField(live.Object, "metadata", "annotations", a)
		}
		for _, m := range []string{"labels", "annotations"} {
			if values, _, _ := unstructured.NestedMap(live.Object, "metadata", m); len(values) == 0 {
				unstructured.RemoveNestedField(live.Object, "metadata", m)
			}
		}
		out[o.GetKind()+" "+key.String()] = live.Object
	}
	return out
}

// mayInstallAnyChart grants what an add-on takes.
func (e *env) mayInstallAnyChart() {
	e.t.Helper()
	data, err := os.ReadFile(filepath.Join(operator.Root(), "config", "components", "any-chart", "role_binding.yaml"))
	e.check(err)
	var binding rbacv1.ClusterRoleBinding
	e.check(yaml.UnmarshalStrict(data, &binding))
	e.check(e.client.Create(e.t.Context(), &binding))
}

func (e *env) kubectl(args ...string) error {
	e.t.Helper()
	cmd := exec.CommandContext(e.t.Context(), e.cp.Binaries().Kubectl, append([]string{"--kubeconfig", e.admin}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		e.t.Logf("kubectl %s: %s", strings.Join(args, " "), out)
	}
	return err
}
