package release

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strconv"

	"github.com/Masterminds/semver/v3"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chartutil"
	kubefake "helm.sh/helm/v3/pkg/kube/fake"
	"helm.sh/helm/v3/pkg/storage"
	"helm.sh/helm/v3/pkg/storage/driver"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"

	"github.com/networkstack/networkstack/api/v1alpha1"
)

// Surroundings are what a chart is told of the cluster when it is rendered without one.
type Surroundings struct {
	// KubernetesVersion is the API server's, such as "v1.37.1".
	KubernetesVersion string
	// APIVersions are what charts can ask for as .Capabilities.APIVersions; nil means those that Kubernetes itself has.
	APIVersions []string
	// MoreAPIVersions are known beside them.
	MoreAPIVersions []string
}

// Rendered is what a release comes to, as it would be applied.
type Rendered struct {
	// Namespace is made first, when it is not there; nil when the release does not make it.
	Namespace *unstructured.Unstructured
	// CRDs are those under crds/ of the chart, which are applied before the rest.
	CRDs []*unstructured.Unstructured
	// Objects are in the order in which they are applied.
	Objects []*unstructured.Unstructured
	// Hooks run before or after, as their annotations say.
	Hooks []*unstructured.Unstructured
}

// All are all objects, in order, hooks last.
func (r *Rendered) All() []*unstructured.Unstructured {
	var out []*unstructured.Unstructured
	if r.Namespace != nil {
		out = append(out, r.Namespace)
	}
	return slices.Concat(out, r.CRDs, r.Objects, r.Hooks)
}

// Render gives what a first installation of a release would apply, without a cluster: what charts look up there is not found. The
// error is a *RenderError, or one that wraps the context's.
func Render(ctx context.Context, spec Spec, around Surroundings) (*Rendered, error) {
	e := &Engine{opts: Options{FieldManager: v1alpha1.FieldManager}}
	s := &session{
		engine: e, ctx: ctx, marks: marks{component: spec.Component, release: spec.Name, namespace: spec.Namespace},
		requests: &requestLog{}, parsed: map[string][]*unstructured.Unstructured{},
	}
	s.take(spec)
	out, err := s.renderOffline(spec, around)
	if err != nil {
		var render *RenderError
		if errors.As(s.typed, &render) {
			return nil, render
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &RenderError{Release: s.id(), Err: scrubValues(err, spec.Values)}
	}
	return out, nil
}

func (s *session) renderOffline(spec Spec, around Surroundings) (*Rendered, error) {
	if spec.Chart == nil || spec.Component == "" {
		return nil, errors.New("a chart and a component are required")
	}
	enabled, err := s.enabledChart(spec)
	if err != nil {
		return nil, s.fail(err)
	}
	s.sources = chartSources(enabled)
	out := &Rendered{Namespace: s.namespaceObject()}
	crds, rest, err := s.readCRDs(enabled)
	if err != nil {
		return nil, s.fail(err)
	}
	out.CRDs = slices.Concat(crds, rest)
	caps, err := around.capabilities()
	if err != nil {
		return nil, err
	}
	memory := driver.NewMemory()
	memory.SetNamespace(spec.Namespace)
	in := action.NewInstall(&action.Configuration{
		Capabilities: caps, Releases: storage.Init(memory), KubeClient: &kubefake.PrintingKubeClient{Out: io.Discard},
		Log: func(string, ...any) {},
	})
	in.ReleaseName, in.Namespace, in.DryRun, in.DryRunOption = spec.Name, spec.Namespace, true, "client"
	in.SkipCRDs, in.DisableOpenAPIValidation = true, true
	in.PostRenderer = offlineRenderer{s}
	chrt, _ := copyChart(spec.Chart)
	rel, err := in.RunWithContext(s.ctx, chrt, copyValues(spec.Values))
	if err != nil {
		return nil, err
	}
	if out.Objects, err = parseObjects(rel.Manifest); err != nil {
		return nil, err
	}
	for _, h := range rel.Hooks {
		objects, err := parseObjects(h.Manifest)
		if err != nil {
			return nil, err
		}
		for _, o := range objects {
			if err := normalize(o, s.marks, true); err != nil {
				return nil, err
			}
			s.moveImages(o)
		}
		out.Hooks = append(out.Hooks, objects...)
	}
	for _, u := range slices.Concat(out.Objects, out.Hooks) {
		if u.GetNamespace() == "" && namespaced(u) {
			u.SetNamespace(spec.Namespace)
		}
	}
	return out, nil
}

// offlineRenderer is the last step of rendering, without asking whose the objects are.
type offlineRenderer struct{ s *session }

// Run marks the objects as ours.
func (r offlineRenderer) Run(in *bytes.Buffer) (*bytes.Buffer, error) {
	out, err := r.s.finish(in)
	if err != nil {
		return nil, err
	}
	return format(out.docs)
}

// namespaceObject is the namespace as it is made where there is none.
func (s *session) namespaceObject() *unstructured.Unstructured {
	if s.namespaceLabels == nil {
		return nil
	}
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(namespaceGVK)
	u.SetName(s.marks.namespace)
	labels := map[string]string{v1alpha1.ComponentLabel: s.marks.component}
	for k, v := range s.namespaceLabels {
		labels[k] = v
	}
	u.SetLabels(labels)
	return u
}

func (a Surroundings) capabilities() (*chartutil.Capabilities, error) {
	caps := *chartutil.DefaultCapabilities
	if a.KubernetesVersion != "" {
		v, err := semver.NewVersion(a.KubernetesVersion)
		if err != nil {
			return nil, errors.New("the version of Kubernetes is not one: " + a.KubernetesVersion)
		}
		caps.KubeVersion = chartutil.KubeVersion{
			Version: a.KubernetesVersion, Major: strconv.FormatUint(v.Major(), 10), Minor: strconv.FormatUint(v.Minor(), 10),
		}
	}
	kinds := slices.Clone(caps.APIVersions)
	if a.APIVersions != nil {
		kinds = slices.Clone(chartutil.VersionSet(a.APIVersions))
	}
	kinds = append(kinds, a.MoreAPIVersions...)
	slices.Sort(kinds)
	caps.APIVersions = slices.Compact(kinds)
	return &caps, nil
}

// APIVersions are what a cluster tells charts as .Capabilities.APIVersions.
func APIVersions(d discovery.ServerResourcesInterface) ([]string, error) {
	kinds, err := action.GetVersionSet(d)
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) {
		return nil, err
	}
	return kinds, nil
}

// namespacedKinds are the kinds of Kubernetes' own that belong to a namespace; of others it is not known without a cluster.
var namespacedKinds = map[string][]string{
	"": {
		"ConfigMap", "Endpoints", "LimitRange", "PersistentVolumeClaim", "Pod", "PodTemplate", "ReplicationController", "ResourceQuota",
		"Secret", "Service", "ServiceAccount",
	},
	"apps":                      {"ControllerRevision", "DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"},
	"autoscaling":               {"HorizontalPodAutoscaler"},
	"batch":                     {"CronJob", "Job"},
	"coordination.k8s.io":       {"Lease"},
	"discovery.k8s.io":          {"EndpointSlice"},
	"networking.k8s.io":         {"Ingress", "NetworkPolicy"},
	"policy":                    {"PodDisruptionBudget"},
	"rbac.authorization.k8s.io": {"Role", "RoleBinding"},
}

func namespaced(u *unstructured.Unstructured) bool {
	gvk := u.GroupVersionKind()
	return slices.Contains(namespacedKinds[gvk.Group], gvk.Kind)
}

// DefinedKinds are the kinds that definitions among objects bring, as charts can ask for them.
func DefinedKinds(objects []*unstructured.Unstructured) []string {
	var out []string
	for _, u := range objects {
		if !isCRD(u.GroupVersionKind().GroupKind()) {
			continue
		}
		// A definition of another form brings no kind.
		group, _, _ := unstructured.NestedString(u.Object, "spec", "group")
		kind, _, _ := unstructured.NestedString(u.Object, "spec", "names", "kind")
		versions, _, _ := unstructured.NestedSlice(u.Object, "spec", "versions")
		for _, v := range versions {
			version, _ := v.(map[string]any)
			if name, _ := version["name"].(string); version["served"] == true {
				out = append(out, group+"/"+name, group+"/"+name+"/"+kind)
			}
		}
	}
	return out
}
