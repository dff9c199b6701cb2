package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/chart"
	"github.com/networkstack/networkstack/internal/release"
)

// operatorRelease is the name of the operator's release.
const operatorRelease = "networkstack"

// The modes of the operator's chart.
const (
	modeBootstrap = "Bootstrap"
	modeOrdinary  = "Ordinary"
)

type installOptions struct {
	kube                          *genericclioptions.ConfigFlags
	mode, image, output           string
	values, set                   []string
	dryRun, wait, takeOver, reset bool
	timeout                       time.Duration
}

func (a *app) installCommand() *cobra.Command {
	o := installOptions{kube: newKubeFlags()}
	o.kube.WrapConfigFn = func(c *rest.Config) *rest.Config {
		c.WarningHandler = rest.NewWarningWriter(a.Err, rest.WarningWriterOptions{Deduplicate: true})
		return c
	}
	namespace := defaultNamespace
	o.kube.Namespace = &namespace
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Installs the operator into a cluster, or upgrades it",
		Long: `Installs the operator of this program's version into the cluster of the current kubeconfig, or upgrades the one
that is there, with its definitions. It is a Helm release as Helm's own tool makes them, of the chart that this program carries.
The network is not touched.

The namespace is made where there is none, with the Pod Security level that the mode needs. The values of an earlier installation go on
to hold, unless --reset-values forgets them.

A newer operator is not replaced by an older one, and neither is one that somebody else installed, unless --take-over says so.

Exit codes: 0 installed, 1 refused because of what is there, 2 the command could not do its work.`,
		Example: a.examples(`
# For a cluster that may have no network yet
{} install --image registry.example.com/networkstack-operator:v0.1.0
# For a cluster whose network works without the operator
{} install --mode Ordinary --image registry.example.com/networkstack-operator:v0.1.0 --wait
# What would be installed, without asking a cluster
{} install --dry-run
# With charts for a site without a network
{} install --set charts.hostPath.path=/opt/networkstack --set chartBundle=charts.tar.gz`),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.install(cmd.Context(), &o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.mode, "mode", "", "Bootstrap, for a cluster that may have no network yet (the default of the chart), or Ordinary")
	f.StringVar(&o.image, "image", "", "the operator's image, with a tag or a digest")
	f.StringArrayVar(&o.values, "values", nil, "file with values of the chart; may be given several times")
	f.StringArrayVar(&o.set, "set", nil, "value of the chart, such as apiServer.host=10.0.0.1; may be given several times")
	f.BoolVar(&o.reset, "reset-values", false, "forget the values of the installation that is there")
	f.BoolVar(&o.dryRun, "dry-run", false, "print the manifests, and ask no cluster")
	f.BoolVar(&o.wait, "wait", false, "wait until the operator runs")
	f.DurationVar(&o.timeout, "timeout", defaultInstallTimeout, "how long to wait at most")
	f.BoolVar(&o.takeOver, "take-over", false, "take over an operator that was installed in another way")
	f.StringVarP(&o.output, "output", "o", outputTable, "table, json or yaml")
	o.kube.AddFlags(f)
	a.complete(cmd, "mode", modeBootstrap, modeOrdinary)
	a.complete(cmd, "output", outputTable, outputJSON, outputYAML)
	return cmd
}

const defaultInstallTimeout = 5 * time.Minute

// installed is what has become of the operator, as programs read it.
type installed struct {
	Action     string `json:"action"`
	Release    string `json:"release"`
	Namespace  string `json:"namespace"`
	Revision   int    `json:"revision"`
	Chart      string `json:"chart"`
	AppVersion string `json:"appVersion"`
}

func (a *app) install(ctx context.Context, o *installOptions) error {
	if err := checkOutput(o.output, outputTable, outputJSON, outputYAML); err != nil {
		return err
	}
	operatorChart, err := chart.Operator()
	if err != nil {
		return err
	}
	values, err := o.chartValues()
	if err != nil {
		return err
	}
	namespace := *o.kube.Namespace
	if o.dryRun {
		manifest, err := release.RenderOperator(ctx, operatorRelease, namespace, operatorChart, values)
		if err != nil {
			return chartError(err)
		}
		first, err := yaml.Marshal(namespaceFor(namespace, values))
		if err != nil {
			return err
		}
		fmt.Fprintf(a.Out, "---\n%s%s", first, manifest)
		return nil
	}
	c, err := newStatusClient(ctx, o.kube)
	if err != nil {
		return err
	}
	op := &release.Operator{Getter: o.kube, Name: operatorRelease, Namespace: namespace}
	current, err := op.Current()
	if err != nil {
		return statusError(c.host, err)
	}
	others, err := c.operators(ctx)
	if err != nil {
		return err
	}
	level, err := c.enforced(ctx, namespace)
	if err != nil {
		return err
	}
	reasons := refuseInstall(current, others, namespace, operatorChart.Metadata.Version, o.takeOver, a.display)
	if mode, given := values["mode"]; given || current == nil {
		reasons = append(reasons, refuseLevel(namespace, level, mode)...)
	}
	if len(reasons) > 0 {
		for _, r := range reasons {
			a.note("refused: %s", r)
		}
		return codeError(ExitFound)
	}
	if err := c.ensureNamespace(ctx, namespaceFor(namespace, values)); err != nil {
		return statusError(c.host, err)
	}
	made, err := op.Apply(ctx, release.OperatorChange{
		Chart: operatorChart, Values: values, TakeOver: o.takeOver, ResetValues: o.reset, Wait: o.wait, Timeout: o.timeout,
	})
	if err != nil {
		return chartError(err)
	}
	out := installed{"installed", operatorRelease, namespace, made.Revision, made.Chart + "-" + made.Version, made.AppVersion}
	if current != nil {
		out.Action = "upgraded"
	}
	if o.output == outputJSON || o.output == outputYAML {
		return a.encode(out, o.output)
	}
	fmt.Fprintf(a.Out, "the operator %s is %s in %s (release %s, revision %d)\n", out.AppVersion, out.Action, namespace, out.Release, out.Revision)
	if current == nil {
		a.note("next: kubectl apply -f a NetworkStack, then %s status --watch", a.display)
	}
	return nil
}

// chartValues are the values that the flags give.
func (o *installOptions) chartValues() (map[string]any, error) {
	own := map[string]any{}
	switch o.mode {
	case "":
	case modeBootstrap, modeOrdinary:
		own["mode"] = o.mode
	default:
		return nil, usagef("--mode %q: write %s or %s", o.mode, modeBootstrap, modeOrdinary)
	}
	if o.image != "" {
		image, err := imageValues(o.image)
		if err != nil {
			return nil, err
		}
		own["image"] = image
	}
	var files [][]byte
	for _, name := range o.values {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, readError(name, err)
		}
		if err := yaml.Unmarshal(data, &map[string]any{}); err != nil {
			return nil, fmt.Errorf("--values %s: %w", name, err)
		}
		files = append(files, data)
	}
	values, err := release.MergeValues(files, o.set, own)
	if err != nil {
		return nil, usagef("--set %w", err)
	}
	return values, nil
}

// imageValues takes the name of an image apart, as the chart wants it.
func imageValues(image string) (map[string]any, error) {
	rest, digest, _ := strings.Cut(image, "@")
	tag := ""
	if colon := strings.LastIndexByte(rest, ':'); colon > strings.LastIndexByte(rest, '/') {
		rest, tag = rest[:colon], rest[colon+1:]
	}
	if rest == "" || strings.ContainsAny(image, " \t") || strings.Contains(image, "://") {
		return nil, usagef("--image %q: write it as registry.example.com/networkstack-operator:v0.1.0", image)
	}
	// All three are given, so that none of an earlier installation is left beside them.
	return map[string]any{"repository": rest, "tag": tag, "digest": digest}, nil
}

// chartError shortens what Helm says of values.
func chartError(err error) error {
	text := strings.TrimSpace(err.Error())
	if _, reason, found := strings.Cut(text, "error calling fail: "); found {
		return errors.New(reason)
	}
	if strings.Contains(text, "invalid ownership metadata") {
		return fmt.Errorf("%s: somebody else installed it: --take-over takes it over", text)
	}
	return errors.New(text)
}

// otherOperator is a Deployment of the operator, and the release that has it.
type otherOperator struct {
	namespace, name, release string
}

// refuseInstall says why the operator cannot be installed over what is there, each with what to do.
func refuseInstall(
	current *release.OperatorRecord, others []otherOperator, namespace, version string, takeOver bool, display string,
) []string {
	var out []string
	for _, d := range others {
		switch own := namespace + "/" + operatorRelease; {
		case d.namespace != namespace:
			out = append(out, fmt.Sprintf("Deployment %s in namespace %s is an operator already, and two would work against one another: "+
				"name its namespace with --namespace, or remove it first", d.name, d.namespace))
		case d.release == own || takeOver && d.release == "":
		case d.release == "":
			out = append(out, fmt.Sprintf("Deployment %s/%s is of no Helm release: it was installed from a file, by kustomize or by OLM. "+
				"Upgrade it in that way, or hand it over with --take-over", d.namespace, d.name))
		default:
			out = append(out, fmt.Sprintf("Deployment %s/%s is of the Helm release %s: upgrade that one with Helm", d.namespace, d.name, d.release))
		}
	}
	if current == nil {
		return out
	}
	switch {
	case current.Chart != operatorRelease:
		return append(out, fmt.Sprintf("the release %s/%s is of the chart %s, and not the operator's: choose another namespace with --namespace",
			namespace, operatorRelease, current.Chart))
	case current.Pending:
		out = append(out, fmt.Sprintf("the release %s/%s is %s: somebody is at work on it, or was interrupted. Wait, or put it back with "+
			"\"helm rollback %s -n %s\"; an installation that never came about is removed by \"%s uninstall --take-over\"",
			namespace, operatorRelease, current.Status, operatorRelease, namespace, display))
	case !current.Ours && !takeOver:
		out = append(out, fmt.Sprintf("the release %s/%s was not made by this command: upgrade it with the tool that made it, such as "+
			"\"helm upgrade\", or hand it over with --take-over", namespace, operatorRelease))
	}
	if newer(current.Version, version) {
		out = append(out, fmt.Sprintf("the operator that is there is newer (chart %s, and this is %s), and what its definitions know of would be lost: "+
			"use the plugin of its version", current.Version, version))
	}
	return out
}

// refuseLevel says that a namespace would not let the operator's pod in; level is the Pod Security level that it enforces.
func refuseLevel(namespace, level string, mode any) []string {
	if mode == modeOrdinary || level == "" || level == levelPrivileged {
		return nil
	}
	return []string{fmt.Sprintf("the namespace %s enforces the Pod Security level %s, which the mode Bootstrap is not fit for: "+
		"--mode Ordinary is, where the network works without the operator; or \"kubectl label --overwrite namespace %s %s=%s\"",
		namespace, level, namespace, enforceLabel, levelPrivileged)}
}

// newer says whether a version is newer than another one.
func newer(a, b string) bool {
	va, errA := semver.NewVersion(a)
	vb, errB := semver.NewVersion(b)
	return errA == nil && errB == nil && va.GreaterThan(vb)
}

type uninstallOptions struct {
	kube                *genericclioptions.ConfigFlags
	output              string
	yes, wait, takeOver bool
	timeout             time.Duration
}

func (a *app) uninstallCommand() *cobra.Command {
	o := uninstallOptions{kube: newKubeFlags()}
	namespace := defaultNamespace
	o.kube.Namespace = &namespace
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Removes the operator from a cluster, and says what stays",
		Long: `Removes the operator from the cluster of the current kubeconfig. The network stays as it is, and so do the
definitions, NetworkStacks and NetworkComponents: nobody looks after them any more, until an operator is installed again.

To remove the network as well, delete the NetworkStack first, with deletionPolicy Delete: only a running operator can carry that out.

While there are NetworkStacks, --yes is asked for.

Exit codes: 0 removed, 1 refused because of what is there, 2 the command could not do its work.`,
		Example: a.examples(`
{} uninstall
# With the network left as it is
{} uninstall --yes`),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.uninstall(cmd.Context(), &o) },
	}
	f := cmd.Flags()
	f.BoolVarP(&o.yes, "yes", "y", false, "remove it although there are NetworkStacks")
	f.BoolVar(&o.wait, "wait", false, "wait until its pods are gone")
	f.DurationVar(&o.timeout, "timeout", defaultInstallTimeout, "how long to wait at most")
	f.BoolVar(&o.takeOver, "take-over", false, "remove a release that another tool made")
	f.StringVarP(&o.output, "output", "o", outputTable, "table, json or yaml")
	o.kube.AddFlags(f)
	a.complete(cmd, "output", outputTable, outputJSON, outputYAML)
	return cmd
}

// goneOperator is what has become of the operator when it goes.
type goneOperator struct {
	Action    string   `json:"action"`
	Release   string   `json:"release"`
	Namespace string   `json:"namespace"`
	Stays     []string `json:"stays"`
}

func (a *app) uninstall(ctx context.Context, o *uninstallOptions) error {
	if err := checkOutput(o.output, outputTable, outputJSON, outputYAML); err != nil {
		return err
	}
	namespace := *o.kube.Namespace
	c, err := newStatusClient(ctx, o.kube)
	if err != nil {
		return err
	}
	op := &release.Operator{Getter: o.kube, Name: operatorRelease, Namespace: namespace}
	current, err := op.Current()
	if err != nil {
		return statusError(c.host, err)
	}
	if current == nil {
		return fmt.Errorf("there is no release %s in the namespace %s: --namespace names another one; what was installed from a file is removed "+
			"by \"kubectl delete -f\"", operatorRelease, namespace)
	}
	stacks, err := c.stacks(ctx)
	if err != nil {
		return err
	}
	if reasons := refuseUninstall(current, stacks, namespace, o.yes, o.takeOver); len(reasons) > 0 {
		for _, r := range reasons {
			a.note("refused: %s", r)
		}
		return codeError(ExitFound)
	}
	if err := op.Remove(o.wait, o.timeout); err != nil {
		return fmt.Errorf("removing the release %s/%s: %w", namespace, operatorRelease, err)
	}
	out := goneOperator{"uninstalled", operatorRelease, namespace, whatStays(stacks, namespace)}
	if o.output == outputJSON || o.output == outputYAML {
		return a.encode(out, o.output)
	}
	fmt.Fprintf(a.Out, "the operator is removed from %s. What stays:\n", namespace)
	for _, s := range out.Stays {
		fmt.Fprintf(a.Out, "  %s\n", s)
	}
	return nil
}

// refuseUninstall says why the operator is not to be removed, each with what to do.
func refuseUninstall(
	current *release.OperatorRecord, stacks []networkstackv1alpha1.NetworkStack, namespace string, yes, takeOver bool,
) []string {
	var out []string
	switch {
	case current.Chart != operatorRelease:
		out = append(out, fmt.Sprintf("the release %s/%s is of the chart %s, and not the operator's: name its namespace with --namespace",
			namespace, operatorRelease, current.Chart))
	case !current.Ours && !takeOver:
		out = append(out, fmt.Sprintf("the release %s/%s was not made by this command: remove it with the tool that made it, such as "+
			"\"helm uninstall %s -n %s\", or with --take-over", namespace, operatorRelease, operatorRelease, namespace))
	}
	for i := range stacks {
		s := &stacks[i]
		switch {
		case s.DeletionTimestamp != nil:
			out = append(out, fmt.Sprintf("NetworkStack %s is being deleted, which only the operator can carry out: wait for it with "+
				"\"kubectl wait --for=delete netstack/%s\"", s.Name, s.Name))
		case !yes:
			out = append(out, fmt.Sprintf("there is the NetworkStack %s: %s. --yes removes the operator and leaves the network as it is; "+
				"to remove the network, set deletionPolicy to Delete, delete the stack, and come back", s.Name, policyText(s)))
		}
	}
	return out
}

// policyText says what the deletion of a stack would mean.
func policyText(s *networkstackv1alpha1.NetworkStack) string {
	n := plural(len(s.Status.Components), "component")
	if s.Spec.DeletionPolicy == networkstackv1alpha1.DeletionDelete {
		return fmt.Sprintf("its %s would be removed with it (deletionPolicy Delete), and without an operator nothing removes them", n)
	}
	return fmt.Sprintf("its %s go on running (deletionPolicy Orphan), and nobody looks after them without an operator", n)
}

// whatStays is told when the operator is gone.
func whatStays(stacks []networkstackv1alpha1.NetworkStack, namespace string) []string {
	var out []string
	for i := range stacks {
		s := &stacks[i]
		out = append(out, fmt.Sprintf("NetworkStack %s (deletionPolicy %s) and its %s, which go on running as Helm releases; a deletion waits for an operator",
			s.Name, cmp.Or(s.Spec.DeletionPolicy, networkstackv1alpha1.DeletionOrphan), plural(len(s.Status.Components), "component")))
	}
	definitions := "the definitions of NetworkStacks and NetworkComponents"
	if len(stacks) == 0 {
		definitions += ": kubectl delete crd networkstacks.networkstack.io networkcomponents.networkstack.io"
	}
	return append(out, definitions, "the namespace "+namespace)
}
