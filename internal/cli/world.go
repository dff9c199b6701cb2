package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/catalog"
	"github.com/networkstack/networkstack/internal/chart"
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/internal/intent"
	"github.com/networkstack/networkstack/internal/release"
	"github.com/networkstack/networkstack/internal/survey"
)

// worldOptions say of which cluster a stack is judged, and where charts come from.
type worldOptions struct {
	facts         string
	charts        []string
	offline       bool
	apiVersions   []string
	namespace     string
	operatorImage string
	kube          *genericclioptions.ConfigFlags
}

// defaultNamespace is where the installation manifests put the operator.
const defaultNamespace = "networkstack-system"

func (o *worldOptions) addFlags(f *pflag.FlagSet) {
	o.addClusterFlags(f)
	f.StringArrayVar(&o.charts, "charts", nil, chartsUsage)
	f.BoolVar(&o.offline, "offline", false, "fetch no chart: only directories, what this program carries and what was fetched before")
	f.StringArrayVar(&o.apiVersions, "api-versions", nil,
		"kinds that charts are told the cluster has, such as monitoring.coreos.com/v1/ServiceMonitor; with --facts, beside Kubernetes' own")
}

const chartsUsage = "directory of chart archives (NAME-VERSION.tgz), or a bundle of them, that are taken before any repository; " +
	"may be given several times"

// addClusterFlags are those of a cluster, or of what stands for one.
func (o *worldOptions) addClusterFlags(f *pflag.FlagSet) {
	f.StringVar(&o.facts, "facts", "", "file with the facts of a cluster, as \"facts\" writes it; no cluster is asked then")
	f.StringVar(&o.namespace, "operator-namespace", defaultNamespace, "namespace of the operator, and of what valuesFrom names")
	f.StringVar(&o.operatorImage, "operator-image", "", "the operator's image, which agents of its own run (default that of its Deployment)")
	o.kube = genericclioptions.NewConfigFlags(true)
	// Nothing here is about one namespace.
	o.kube.Namespace = nil
	o.kube.AddFlags(f)
}

// world is what a stack is composed and rendered with.
type world struct {
	catalog       catalog.Set
	operatorImage string
	// facts are those of a file; nil in a cluster, where they are gathered for each stack.
	facts *facts.Snapshot
	// cluster is nil without one.
	cluster *cluster
	// existing are the components there are, by name.
	existing map[string]networkstackv1alpha1.NetworkComponentSpec
	// before is the stack that is changed; nil when there is none, or it is the cluster's.
	before map[string]any

	around release.Surroundings
	charts *chart.Loader
	dirs   []string
	// namespace of the operator.
	namespace string
	// given are the texts of Secrets that are yet to be applied, by name; they take the place of those in the cluster.
	given map[string]string
}

func (a *app) newWorld(ctx context.Context, o *worldOptions) (*world, error) {
	w := &world{catalog: catalog.DefaultSet(), operatorImage: o.operatorImage, dirs: o.charts, namespace: o.namespace}
	for _, dir := range o.charts {
		if err := chart.CheckPlace(dir); err != nil {
			return nil, usagef("--charts: %w", err)
		}
	}
	options := chart.Options{}
	if o.offline {
		options.HTTPClient = &http.Client{Transport: noNetwork{}}
	}
	w.charts = chart.NewLoader(options)
	var err error
	if o.facts != "" {
		if w.facts, err = a.readFacts(o.facts); err != nil {
			return nil, err
		}
		w.around = release.Surroundings{
			KubernetesVersion: w.facts.KubernetesVersion, MoreAPIVersions: slices.Concat(w.facts.APIVersions(), o.apiVersions),
		}
		return w, nil
	}
	if w.cluster, err = newCluster(ctx, o); err != nil {
		return nil, err
	}
	w.around = w.cluster.around
	w.around.MoreAPIVersions = o.apiVersions
	w.catalog, w.existing = w.cluster.catalog, w.cluster.existing()
	if w.operatorImage == "" {
		w.operatorImage = w.cluster.operatorImage(ctx, o.namespace)
	}
	return w, nil
}

// noNetwork is a way into no network.
type noNetwork struct{}

// RoundTrip refuses.
func (noNetwork) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("not fetched, because of --offline: put the archive into a directory and name that with --charts")
}

// input is what a stack is composed from.
func (w *world) input(ctx context.Context, stack *networkstackv1alpha1.NetworkStack) (compose.Input, error) {
	in := compose.Input{
		Stack: stack, Facts: w.facts, Catalog: w.catalog.Catalog, OperatorImage: w.operatorImage, Existing: w.existing,
		OperatorNamespace: w.namespace,
	}
	if w.cluster != nil {
		survey.Components(&in, w.cluster.components)
		var err error
		if in.OtherStack, err = w.cluster.olderStack(ctx, stack.Name); err != nil {
			return in, err
		}
		if in.Facts, err = w.cluster.gather(ctx, in); err != nil {
			return in, err
		}
	}
	return in, nil
}

// referenced reads what valuesFrom names. Without a cluster there is nothing to read.
func (w *world) referenced(ctx context.Context) intent.Referenced {
	if w.cluster != nil {
		there := w.cluster.referenced(ctx, w.namespace)
		return func(ref networkstackv1alpha1.ValuesReference, key string) (string, string, error) {
			if text, ok := w.given[ref.Name]; ok && ref.Kind == networkstackv1alpha1.ValuesFromSecret {
				return text, "", nil
			}
			return there(ref, key)
		}
	}
	return func(networkstackv1alpha1.ValuesReference, string) (string, string, error) { return "{}", "", nil }
}

// component is what a component comes to.
type component struct {
	compose.Release
	// source says where the chart came from.
	source   string
	digest   string
	rendered *release.Rendered
	// secrets are texts that must not be shown.
	secrets []string
	// notes say what a render cannot know.
	notes []string
}

// render renders one component.
func (w *world) render(ctx context.Context, r compose.Release, kinds []string) (*component, error) {
	return w.renderLoaded(ctx, r, kinds, nil)
}

// renderLoaded renders one component of a chart; nil to load it.
func (w *world) renderLoaded(ctx context.Context, r compose.Release, kinds []string, loaded *chart.Chart) (*component, error) {
	out := &component{Release: r}
	values, secrets, err := intent.Values(&r.Spec, w.namespace, w.referenced(ctx))
	if err != nil {
		return nil, fmt.Errorf("component %s: %w", r.Name, err)
	}
	out.secrets = secrets
	if w.cluster == nil {
		for _, ref := range r.Spec.ValuesFrom {
			out.notes = append(out.notes, fmt.Sprintf("the values in %s %s/%s are not known without its cluster", ref.Kind, w.namespace, ref.Name))
		}
	}
	for i := range r.Spec.Certificates {
		out.notes = append(out.notes, fmt.Sprintf("the operator makes Secret %s/%s: a certificate", r.Spec.Namespace,
			r.Spec.Certificates[i].SecretName))
	}
	for i := range r.Spec.GeneratedSecrets {
		out.notes = append(out.notes, fmt.Sprintf("the operator makes Secret %s/%s: %s", r.Spec.Namespace,
			r.Spec.GeneratedSecrets[i].SecretName, r.Spec.GeneratedSecrets[i].Kind))
	}
	if loaded == nil {
		if loaded, err = w.charts.Load(ctx, intent.Chart(&r.Spec, w.dirs)); err != nil {
			return nil, fmt.Errorf("component %s: %w", r.Name, err)
		}
	}
	out.source, out.digest = loaded.Source, loaded.Digest
	spec := w.releaseSpec(r, values, loaded)
	around := w.around
	around.MoreAPIVersions = slices.Concat(around.MoreAPIVersions, kinds)
	if out.rendered, err = release.Render(ctx, spec, around); err != nil {
		return nil, fmt.Errorf("component %s: %w", r.Name, err)
	}
	return out, nil
}

func (w *world) releaseSpec(r compose.Release, values map[string]any, loaded *chart.Chart) release.Spec {
	spec := intent.Release(r.Name, &r.Spec, values)
	entry := w.catalog.Catalog[r.Spec.Type]
	spec.Omit, spec.Transient = intent.ObjectNames(entry.Omits), intent.ObjectNames(entry.Transient)
	spec.Chart, spec.ChartDigest = loaded.Chart, loaded.Digest
	return spec
}

// renderAll renders components in order; each knows the kinds that those before it define. The errors are those of all.
func (w *world) renderAll(ctx context.Context, releases []compose.Release) ([]*component, error) {
	var out []*component
	var failed []error
	var kinds []string
	for _, r := range releases {
		c, err := w.render(ctx, r, kinds)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			failed = append(failed, err)
			continue
		}
		out = append(out, c)
		kinds = append(kinds, release.DefinedKinds(c.rendered.All())...)
	}
	return out, errors.Join(failed...)
}

// stackFile reads the one NetworkStack of a file.
func (a *app) stackFile(file, name string) (*located, error) {
	documents, err := a.read(file)
	if err != nil {
		return nil, err
	}
	var found []*located
	var names []string
	for i := range documents {
		d := &documents[i]
		switch is, _ := kindOf(d); is {
		case stackDocument:
			names = append(names, nameOf(d))
			if name == "" || nameOf(d) == name {
				found = append(found, d)
			}
		case unreadable:
			for _, f := range textFindings(d) {
				fmt.Fprintln(a.Err, f.text(false))
			}
			return nil, codeError(ExitTrouble)
		case other:
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(names) == 0:
		return nil, fmt.Errorf("there is no NetworkStack in %s", shown(file))
	case len(found) == 0:
		return nil, fmt.Errorf("there is no NetworkStack %q in %s, only %s", name, shown(file), strings.Join(names, ", "))
	default:
		return nil, usagef("there are several NetworkStacks in %s (%s): choose one with --name", shown(file), strings.Join(names, ", "))
	}
}

// composed judges and composes the stack of a file. What is refused or warned of goes to the error output; a stack that is refused
// gives a codeError.
func (a *app) composed(ctx context.Context, w *world, file, name string) (*judgement, error) {
	d, err := a.stackFile(file, name)
	if err != nil {
		return nil, err
	}
	j, err := w.judge(ctx, d)
	if err != nil {
		return nil, err
	}
	for _, f := range j.findings {
		fmt.Fprintln(a.Err, f.text(false))
	}
	if count(j.findings, severityError) > 0 {
		a.note("%s: NetworkStack %s is refused", d.file, nameOf(d))
		return nil, codeError(ExitFound)
	}
	return &j, nil
}

// judge judges a document with all that is known.
func (w *world) judge(ctx context.Context, d *located) (judgement, error) {
	in := compose.Input{}
	// Facts are gathered for a stack, so it has to be readable first.
	j, err := judge(ctx, d, in, nil)
	if err != nil || j.stack == nil {
		return j, err
	}
	if in, err = w.input(ctx, j.stack); err != nil {
		return j, err
	}
	old := w.before
	if w.cluster != nil && old == nil {
		if old, err = w.cluster.stored(ctx, j.stack.Name); err != nil {
			return j, err
		}
	}
	return judge(ctx, d, in, old)
}
