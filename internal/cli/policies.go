package cli

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/printers"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/exposure"
	"github.com/networkstack/networkstack/internal/policy"
	"github.com/networkstack/networkstack/internal/policy/analysis"
)

type policiesOptions struct {
	world   worldOptions
	name    string
	output  string
	objects []string
}

// cutsFound is what the policies of a stack would cut, as programs read it.
type cutsFound struct {
	Stack string                          `json:"stack"`
	Mode  networkstackv1alpha1.PolicyMode `json:"mode"`
	API   networkstackv1alpha1.PolicyAPI  `json:"api"`
	// Namespaces is how many are covered.
	Namespaces int `json:"namespaces"`
	// Dangerous is how many findings are dangerous and not acknowledged.
	Dangerous int   `json:"dangerous"`
	Findings  []cut `json:"findings"`
	// Unknown are names that are acknowledged, and that no finding has.
	Unknown []string `json:"unknown,omitempty"`
}

// cut is one way of traffic that is cut.
type cut struct {
	Name     string                              `json:"name"`
	Severity networkstackv1alpha1.PolicySeverity `json:"severity"`
	From     string                              `json:"from"`
	To       string                              `json:"to"`
	What     string                              `json:"what"`
	// Baselines would open it, and so would the exemption of a namespace.
	Baselines []networkstackv1alpha1.Baseline `json:"baselines,omitempty"`
	Exempt    string                          `json:"exempt,omitempty"`
	// Unjudged are policies of users that may open it already.
	Unjudged []string `json:"unjudged,omitempty"`
	// Acknowledged is where it is; empty where it is not.
	Acknowledged string `json:"acknowledged,omitempty"`

	entries []string
}

func (a *app) policiesCommand() *cobra.Command {
	o := policiesOptions{}
	cmd := &cobra.Command{
		Use:   "policies [FILE]",
		Short: "Shows what baseline policies would cut",
		Long: `Shows what spec.policies of the NetworkStack in FILE, or of the one in the cluster, would cut of what the cluster of the
current kubeconfig lives on, in whatever mode they are: each finding with what would open it, and where it is acknowledged. The operator
shows the first of these in status.policies.findings.

With --facts and --objects no cluster is asked: the objects of manifests stand for it, and workloads among them for their pods.

Exit codes: 0 nothing dangerous is cut, or all of it is acknowledged; 1 something dangerous is, or the stack is refused; 2 the command could
not do its work.`,
		Example: a.examples(`
# What the policies of the cluster's stack cut
{} policies
# What those of a file would cut there
{} policies stack.yaml
# In CI, of what is in a directory of manifests
{} policies stack.yaml --facts facts.yaml --objects manifests`),
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.policies(cmd.Context(), args, &o) },
	}
	f := cmd.Flags()
	o.world.addClusterFlags(f)
	f.StringArrayVar(&o.objects, "objects", nil, "file or directory of manifests that stand for the cluster's objects; may be given several times")
	f.StringVar(&o.name, "name", "", "name of the NetworkStack, when there are several")
	f.StringVarP(&o.output, "output", "o", "", "table, json or yaml; left out, for people")
	a.complete(cmd, "output", outputTable, outputJSON, outputYAML)
	return cmd
}

func (a *app) policies(ctx context.Context, args []string, o *policiesOptions) error {
	paint, err := a.painter()
	if err != nil {
		return err
	}
	if err := checkOutput(o.output, outputTable, outputJSON, outputYAML); err != nil {
		return err
	}
	switch {
	case (o.world.facts == "") != (len(o.objects) == 0):
		return usagef("--facts and --objects stand for a cluster together: give both, or neither")
	case o.world.facts != "" && len(args) == 0:
		return usagef("name the file with the NetworkStack: without a cluster there is no other")
	}
	w, err := a.newWorld(ctx, &o.world)
	if err != nil {
		return err
	}
	var reader client.Reader
	if w.cluster != nil {
		reader = w.cluster.client
	} else if reader, err = a.readManifests(o.objects); err != nil {
		return err
	}
	stack, acknowledged, err := a.stackOfPolicies(ctx, w, args, o.name)
	if err != nil {
		return err
	}
	found, err := a.findCuts(ctx, w, reader, stack, acknowledged)
	if err != nil {
		return err
	}
	if err := a.showCuts(found, o.output, paint); err != nil {
		return err
	}
	if found.Dangerous > 0 {
		return codeError(ExitFound)
	}
	return nil
}

// stackOfPolicies is the stack whose policies are judged, and what says where it acknowledges a finding.
func (a *app) stackOfPolicies(ctx context.Context, w *world, args []string, name string) (
	stack *networkstackv1alpha1.NetworkStack, acknowledged func(i int) string, err error,
) {
	field := func(i int) string { return fmt.Sprintf("spec.policies.acknowledgedFindings[%d]", i) }
	if len(args) == 1 {
		j, err := a.composed(ctx, w, args[0], name)
		if err != nil {
			return nil, nil, err
		}
		return j.stack, func(i int) string { return fmt.Sprintf("%s:%d", j.document.file, j.document.Place(field(i)).Line) }, nil
	}
	stacks, err := w.cluster.stacks(ctx)
	if err != nil {
		return nil, nil, err
	}
	if name == "" && len(stacks) > 0 {
		if name, err = w.cluster.olderStack(ctx, ""); err != nil {
			return nil, nil, err
		}
	}
	i := slices.IndexFunc(stacks, func(s networkstackv1alpha1.NetworkStack) bool { return s.Name == name })
	switch {
	case len(stacks) == 0:
		return nil, nil, fmt.Errorf("the cluster has no NetworkStack: name a file with one")
	case i < 0:
		return nil, nil, usagef("the cluster has no NetworkStack %q", name)
	}
	return &stacks[i], field, nil
}

// findCuts composes the policies of a stack, as if they were not Off, and looks for what they cut.
func (a *app) findCuts(
	ctx context.Context, w *world, reader client.Reader, stack *networkstackv1alpha1.NetworkStack, acknowledged func(i int) string,
) (*cutsFound, error) {
	if stack.Spec.Policies == nil {
		return nil, fmt.Errorf("NetworkStack %s has no spec.policies: there is nothing to judge", stack.Name)
	}
	mode := stack.Spec.Policies.Mode
	tried := stack.DeepCopy()
	if mode == networkstackv1alpha1.PolicyOff {
		tried.Spec.Policies.Mode = networkstackv1alpha1.PolicyAudit
	}
	in, err := w.input(ctx, tried)
	if err != nil {
		return nil, err
	}
	var set *policy.Set
	var known analysis.Known
	in.Cuts = func(s *policy.Set, k analysis.Known) (*analysis.Report, error) {
		set, known = s, k
		return nil, nil
	}
	result := compose.Compose(in)
	for _, f := range result.Errors {
		fmt.Fprintf(a.Err, "error: %s\n", f)
	}
	if len(result.Errors) > 0 || set == nil {
		a.note("NetworkStack %s is refused", stack.Name)
		return nil, codeError(ExitFound)
	}
	objects, err := exposure.Collect(ctx, reader, known)
	if err != nil {
		return nil, err
	}
	completeAPIServer(objects, in)
	report := analysis.Analyse(set, objects)
	return foundOf(stack, set, &report, objects, mode, acknowledged), nil
}

// completeAPIServer says where the API server is by the facts, where no object does.
func completeAPIServer(objects *analysis.Cluster, in compose.Input) {
	if len(objects.APIServer) > 0 || in.Facts == nil {
		return
	}
	for _, a := range in.Facts.APIServers {
		objects.APIServer, objects.APIServerPort = append(objects.APIServer, a.Addr()), int32(a.Port())
	}
	if ip, err := netip.ParseAddr(in.Facts.APIServer.Host); err == nil && len(objects.APIServer) == 0 {
		objects.APIServer, objects.APIServerPort = []netip.Addr{ip}, in.Facts.APIServer.Port
	}
}

// foundOf is a report as it is shown: what is dangerous and not acknowledged first.
func foundOf(
	stack *networkstackv1alpha1.NetworkStack, set *policy.Set, report *analysis.Report, objects *analysis.Cluster,
	mode networkstackv1alpha1.PolicyMode, acknowledged func(i int) string,
) *cutsFound {
	names := stack.Spec.Policies.AcknowledgedFindings
	shown := report.Show(names, len(report.Findings))
	out := &cutsFound{
		Stack: stack.Name, Mode: mode, API: set.API, Findings: []cut{}, Dangerous: len(shown.Dangerous), Unknown: shown.Unknown,
		Namespaces: analysis.Covered(set, objects),
	}
	for _, s := range shown.Findings {
		i := slices.IndexFunc(report.Findings, func(f analysis.Finding) bool { return f.Name == s.Name })
		f := &report.Findings[i]
		c := cut{
			Name: f.Name, Severity: f.Severity, From: f.From, To: f.To, What: f.What, Baselines: f.Openings, Exempt: f.Exempt,
			Unjudged: f.Unjudged, entries: f.Entries(),
		}
		if at := slices.Index(names, f.Name); at >= 0 {
			c.Acknowledged = acknowledged(at)
		}
		out.Findings = append(out.Findings, c)
	}
	return out
}

func (a *app) showCuts(found *cutsFound, output string, paint painter) error {
	switch output {
	case outputJSON, outputYAML:
		return a.encode(found, output)
	case outputTable:
		w := printers.GetNewTabWriter(a.Out)
		fmt.Fprintln(w, "NAME\tSEVERITY\tACKNOWLEDGED\tFROM\tTO\tOPENED BY")
		for _, c := range found.Findings {
			var by []string
			if len(c.entries) > 0 {
				by = append(by, strings.Join(c.entries, " and "))
			}
			if c.Exempt != "" {
				by = append(by, "exempt: "+c.Exempt)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", c.Name, c.Severity, cmp.Or(c.Acknowledged, "<none>"), c.From, c.To,
				cmp.Or(strings.Join(by, " or "), "<none>"))
		}
		return w.Flush()
	}
	for _, c := range found.Findings {
		color := yellow
		if c.Severity == networkstackv1alpha1.SeverityDanger && c.Acknowledged == "" {
			color = red
		}
		fmt.Fprintf(a.Out, "%s %s\n", paint.paint(color, string(c.Severity)+":"), paint.paint(bold, c.Name))
		fmt.Fprintf(a.Out, "    %s → %s: %s\n", c.From, c.To, c.What)
		for i, e := range c.entries {
			by := "opened by"
			if i > 0 {
				by = "and by"
			}
			fmt.Fprintf(a.Out, "    %-10s %s in spec.policies.baselines\n", by, e)
		}
		if c.Exempt != "" {
			fmt.Fprintf(a.Out, "    or by      %s in spec.policies.namespaces.exempt\n", c.Exempt)
		}
		if len(c.Unjudged) > 0 {
			fmt.Fprintf(a.Out, "    not judged, and may open it already: %s\n", strings.Join(c.Unjudged, ", "))
		}
		if c.Acknowledged != "" {
			fmt.Fprintf(a.Out, "    acknowledged in %s\n", c.Acknowledged)
		}
	}
	for _, name := range found.Unknown {
		a.note("acknowledged, and no finding has this name: %s", name)
	}
	summary := plural(len(found.Findings), "finding") + fmt.Sprintf(", %d dangerous and not acknowledged", found.Dangerous)
	if len(found.Findings) == 0 {
		summary = paint.paint(green, "nothing is cut that is in use")
	}
	fmt.Fprintf(a.Out, "NetworkStack %s (%s, %s), %s covered: %s\n", found.Stack, found.Mode, found.API, plural(found.Namespaces, "namespace"), summary)
	return nil
}
