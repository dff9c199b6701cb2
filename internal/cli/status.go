package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

type statusOptions struct {
	kube        *genericclioptions.ConfigFlags
	output      string
	watch, wait bool
	timeout     time.Duration
}

func (a *app) statusCommand() *cobra.Command {
	o := statusOptions{}
	cmd := &cobra.Command{
		Use:   "status [NAME]",
		Short: "Shows how a NetworkStack is in a cluster, and follows it",
		Long: `Shows how the NetworkStack of a cluster is: what is waited for, its components with phase, version and roll-out by node,
what drifted and who did it, address pools, baseline policies, and conditions.

With --watch it is followed: on a terminal the view is drawn anew in its place, until Ctrl-C; anywhere else there is a line for each
change. --wait follows it until it is Ready, or for as long as --timeout says.

Exit codes: 0 Ready, 1 not Ready, 2 there is no NetworkStack, or the command could not do its work.`,
		Example: a.examples(`
{} status
# Follow an installation
{} status --watch
# In CI: go on when the network is there
{} status --wait --timeout 15m
# For a program
{} status -o json`),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("name one NetworkStack, or none where there is only one")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			name := ""
			if len(args) == 1 {
				name = args[0]
			}
			return a.status(cmd.Context(), name, &o)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.output, "output", "o", outputTable, "table, json or yaml")
	f.BoolVarP(&o.watch, "watch", "w", false, "follow it until Ctrl-C")
	f.BoolVar(&o.wait, "wait", false, "follow it until it is Ready")
	f.DurationVar(&o.timeout, "timeout", 0, "how long to wait at most, such as 15m; 0 is without end")
	o.kube = newKubeFlags()
	o.kube.AddFlags(f)
	a.complete(cmd, "output", outputTable, outputJSON, outputYAML)
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		const patience = 3 * time.Second
		ctx, cancel := context.WithTimeout(cmd.Context(), patience)
		defer cancel()
		return stackNames(ctx, o.kube), cobra.ShellCompDirectiveNoFileComp
	}
	return cmd
}

// newKubeFlags are kubectl's flags of a cluster. Nothing here is about one namespace.
func newKubeFlags() *genericclioptions.ConfigFlags {
	flags := genericclioptions.NewConfigFlags(true)
	flags.Namespace, flags.Timeout = nil, nil
	return flags
}

func (a *app) status(ctx context.Context, name string, o *statusOptions) error {
	paint, err := a.painter()
	if err != nil {
		return err
	}
	if err := checkOutput(o.output, outputTable, outputJSON, outputYAML); err != nil {
		return err
	}
	structured := o.output == outputJSON || o.output == outputYAML
	switch {
	case structured && o.watch:
		return usagef("--watch shows a view, which -o %s is not: kubectl get netstack -w -o %s follows the object", o.output, o.output)
	case o.timeout < 0:
		return usagef("--timeout %s: write how long to wait, such as 15m", o.timeout)
	case o.timeout > 0 && !o.wait && !o.watch:
		return usagef("--timeout is for --wait and --watch")
	}
	c, err := newStatusClient(ctx, o.kube)
	if err != nil {
		return err
	}
	if !o.watch && !o.wait {
		return a.statusOnce(ctx, c, name, o, paint)
	}
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.timeout)
		defer cancel()
	}
	var show screen
	switch {
	case structured:
		show = silentScreen{}
	case a.terminal() != nil && a.Env("TERM") != "dumb":
		show = newTerminalScreen(a.terminal(), paint)
	default:
		show = &lineScreen{out: a.Out, now: time.Now}
	}
	last, err := c.follow(ctx, name, o.wait && !o.watch, show)
	show.end(last)
	if err != nil {
		return err
	}
	return a.followed(ctx, last, o)
}

// statusOnce shows a stack once.
func (a *app) statusOnce(ctx context.Context, c *statusClient, name string, o *statusOptions, paint painter) error {
	seen, err := c.observe(ctx, name)
	if err != nil {
		return err
	}
	if seen == nil {
		return noStack(name)
	}
	if o.output == outputJSON || o.output == outputYAML {
		err = a.encode(reportOf(seen), o.output)
	} else {
		width := wideOutput
		if f := a.terminal(); f != nil {
			width, _ = terminalSize(f)
		}
		for _, line := range statusLines(seen, width, paint, time.Now()) {
			fmt.Fprintln(a.Out, line)
		}
	}
	return errors.Join(err, verdictOf(seen))
}

// followed ends the following of a stack.
func (a *app) followed(ctx context.Context, last *observed, o *statusOptions) error {
	if last == nil {
		return errors.New("there was no NetworkStack in all that time: apply one, or see whether this is the right cluster")
	}
	if o.output == outputJSON || o.output == outputYAML {
		if err := a.encode(reportOf(last), o.output); err != nil {
			return err
		}
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && !isReady(last.stack) {
		a.note("NetworkStack %s is not Ready after %s", last.stack.Name, o.timeout)
		for _, w := range waitingFor(last.stack) {
			a.note("  %s", w)
		}
	}
	return verdictOf(last)
}

// verdictOf is how a command ends that has shown a stack.
func verdictOf(o *observed) error {
	if isReady(o.stack) {
		return nil
	}
	return codeError(ExitFound)
}

func noStack(name string) error {
	if name != "" {
		return fmt.Errorf("there is no NetworkStack %q: kubectl get netstack lists those there are", name)
	}
	return errors.New("there is no NetworkStack in this cluster: apply one, or follow with --watch until there is")
}

// wideOutput is the width of a view that no terminal bounds.
const wideOutput = 120

// terminal is the terminal that is written to; nil when it is none.
func (a *app) terminal() *os.File {
	if f, ok := a.Out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}

// statusReport is a stack as programs read it.
type statusReport struct {
	Name       string   `json:"name"`
	State      string   `json:"state"`
	Ready      bool     `json:"ready"`
	Generation int64    `json:"generation"`
	WaitingFor []string `json:"waitingFor,omitempty"`

	Components []componentReport                           `json:"components"`
	IPPools    []networkstackv1alpha1.IPPoolStatus         `json:"ipPools,omitempty"`
	Policies   *networkstackv1alpha1.PoliciesStatus        `json:"policies,omitempty"`
	Conditions []metav1.Condition                          `json:"conditions"`
	Warnings   []string                                    `json:"warnings,omitempty"`
	Drift      map[string]networkstackv1alpha1.DriftStatus `json:"drift,omitempty"`
}

type componentReport struct {
	networkstackv1alpha1.ComponentSummary `json:",inline"`

	Rollout *networkstackv1alpha1.RolloutStatus `json:"rollout,omitempty"`
	// Nodes on which the agent is not yet as it is wanted.
	Nodes []nodeReport `json:"nodes,omitempty"`
}

type nodeReport struct {
	Node   string `json:"node"`
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
}

func reportOf(o *observed) statusReport {
	word, _ := state(o.stack)
	r := statusReport{
		Name: o.stack.Name, State: word, Ready: isReady(o.stack), Generation: o.stack.Generation, WaitingFor: waitingFor(o.stack),
		Components: []componentReport{}, IPPools: o.stack.Status.IPPools, Policies: o.stack.Status.Policies,
		Conditions: o.stack.Status.Conditions, Warnings: o.stack.Status.Warnings,
	}
	for i := range o.stack.Status.Components {
		line := componentReport{ComponentSummary: o.stack.Status.Components[i]}
		if c := componentOf(o, line.Name); c != nil {
			line.Rollout = c.Status.Rollout
			if d := c.Status.Drift; d != nil {
				if r.Drift == nil {
					r.Drift = map[string]networkstackv1alpha1.DriftStatus{}
				}
				r.Drift[c.Name] = *d
			}
		}
		for _, p := range o.pods {
			if p.component == line.Name && p.state != agentUpdated {
				line.Nodes = append(line.Nodes, nodeReport{p.node, p.state, p.reason})
			}
		}
		r.Components = append(r.Components, line)
	}
	return r
}
