package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/plan"
	"github.com/networkstack/networkstack/internal/release"
	"github.com/networkstack/networkstack/internal/survey"
)

type diffOptions struct {
	world     worldOptions
	name      string
	output    string
	noObjects bool
}

// difference is what diff finds, as programs read it.
type difference struct {
	Settings []settingChange `json:"settings"`
	Steps    []stepChange    `json:"steps"`
	Objects  []objectChange  `json:"objects"`
}

func (d *difference) empty() bool { return len(d.Settings)+len(d.Steps)+len(d.Objects) == 0 }

// settingChange is an effective setting that comes out differently.
type settingChange struct {
	Setting string `json:"setting"`
	Change  string `json:"change"`
	From    string `json:"from,omitempty"`
	To      string `json:"to,omitempty"`
	// Reason is why it is as it is now; of one that is gone, why it was.
	Reason string `json:"reason"`
}

// Classes of steps.
const (
	classNew     = "new"
	classSafe    = "safe"
	classRollOut = "roll-out"
	classRemoval = "removal"
)

// stepChange is a step of the plan.
type stepChange struct {
	Component string `json:"component"`
	Action    string `json:"action"`
	// Class says what the step means to what runs: new, safe (no pod is replaced), roll-out (pods are replaced), removal. It is empty
	// when objects were not looked at.
	Class      string        `json:"class,omitempty"`
	Stage      int32         `json:"stage"`
	WaitingFor []string      `json:"waitingFor,omitempty"`
	Fields     []fieldChange `json:"fields,omitempty"`
}

func (a *app) diffCommand() *cobra.Command {
	o := diffOptions{}
	cmd := &cobra.Command{
		Use:   "diff FILE [FILE2]",
		Short: "Shows what a NetworkStack would change",
		Long: `Shows what the NetworkStack in FILE would change in the cluster of the current kubeconfig, or, with two files and
--facts, what the second would change where the first is installed: settings with their reasons, the steps of the plan and what each
means to what runs, and objects with their fields.

Nothing is changed. In a cluster, the API server is asked by dry run, for which it wants the permission to write all the same. Rules about
upgrades are judged too. Fields that a chart makes up anew each time, such as certificates, are no difference between two files, and
the data of Secrets is masked.

Exit codes, as those of diff: 0 there is no difference, 1 there is one, 2 a stack is refused or the command could not do its work.`,
		Example: a.examples(`
# What would change in the cluster
{} diff stack.yaml
# What the second file would change where the first is installed
{} diff stack.yaml new.yaml --facts facts.yaml
# The steps alone, for a program
{} diff stack.yaml new.yaml --facts facts.yaml --no-objects -o json`),
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return usagef("name the file with the NetworkStack, or two files")
			case len(args) > 2:
				return usagef("name one file, or two, and not %d", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.diff(cmd, args, &o) },
	}
	f := cmd.Flags()
	o.world.addFlags(f)
	f.StringVar(&o.name, "name", "", "name of the NetworkStack, when a file has several")
	f.StringVarP(&o.output, "output", "o", "", "json or yaml; left out, for people")
	f.BoolVar(&o.noObjects, "no-objects", false, "leave objects out, for which charts are needed")
	a.complete(cmd, "output", outputJSON, outputYAML)
	return cmd
}

func (a *app) diff(cmd *cobra.Command, args []string, o *diffOptions) error {
	paint, err := a.painter()
	if err != nil {
		return err
	}
	if err := checkOutput(o.output, outputJSON, outputYAML); err != nil {
		return err
	}
	switch {
	case len(args) == 1 && o.world.facts != "":
		return usagef("with --facts, name two files: there is no cluster to hold one against")
	case len(args) == 2 && args[0] == stdin && args[1] == stdin:
		return usagef("both stacks are to come from the standard input")
	}
	w, err := a.newWorld(cmd.Context(), &o.world)
	if err != nil {
		return err
	}
	var d *difference
	if len(args) == 2 {
		d, err = a.diffFiles(cmd.Context(), w, args[0], args[1], o)
	} else {
		d, err = a.diffCluster(cmd.Context(), w, args[0], o)
	}
	var code codeError
	if errors.As(err, &code) {
		return codeError(ExitTrouble) // 1 is for a difference
	}
	if d == nil {
		return err
	}
	if o.output != "" {
		if err := a.encode(d, o.output); err != nil {
			return err
		}
	} else {
		a.showDifference(d, paint)
	}
	switch {
	case err != nil:
		return err
	case d.empty():
		a.note("there is no difference")
		return nil
	default:
		return codeError(ExitFound)
	}
}

// diffFiles compares two stacks. The second is judged as an upgrade of the first.
func (a *app) diffFiles(ctx context.Context, w *world, first, second string, o *diffOptions) (*difference, error) {
	before := *w
	before.existing = nil // what is in the cluster is in neither file
	from, err := a.composed(ctx, &before, first, o.name)
	if err != nil {
		return nil, err
	}
	old, err := runtime.DefaultUnstructuredConverter.ToUnstructured(from.stack)
	if err != nil {
		return nil, err
	}
	installed := asInstalled(from.result.Releases)
	after := *w
	after.existing, after.before = survey.Existing(installed), old
	to, err := a.composed(ctx, &after, second, o.name)
	if err != nil {
		return nil, err
	}
	d := newDifference(from.settings(), to.settings())
	steps := plan.Make(to.result.Releases, installed)
	if o.noObjects {
		d.addSteps(steps, installed)
		return d, nil
	}
	was, errWas := before.renderAll(ctx, from.result.Releases)
	is, errIs := after.renderAll(ctx, to.result.Releases)
	if err := errors.Join(errWas, errIs); err != nil {
		return nil, err
	}
	if d.Objects, err = before.compareRendered(ctx, was, is); err != nil {
		return nil, err
	}
	d.addSteps(steps, installed)
	d.classify()
	return d, nil
}

// asInstalled are the components of a stack that is installed and Ready.
func asInstalled(releases []compose.Release) []networkstackv1alpha1.NetworkComponent {
	var out []networkstackv1alpha1.NetworkComponent
	for _, r := range releases {
		c := networkstackv1alpha1.NetworkComponent{Spec: r.Spec}
		c.Name = r.Name
		c.Status.Conditions = []metav1.Condition{{Type: networkstackv1alpha1.ConditionReady, Status: metav1.ConditionTrue}}
		out = append(out, c)
	}
	return out
}

func newDifference(from, to []networkstackv1alpha1.EffectiveSetting) *difference {
	d := &difference{Settings: []settingChange{}, Steps: []stepChange{}, Objects: []objectChange{}}
	was := map[string]networkstackv1alpha1.EffectiveSetting{}
	for _, e := range slices.Backward(from) { // of two, the first counts
		was[e.Setting] = e
	}
	seen := map[string]bool{}
	for _, e := range to {
		if seen[e.Setting] {
			continue // stated, and not derived
		}
		seen[e.Setting] = true
		old, there := was[e.Setting]
		delete(was, e.Setting)
		switch {
		case !there:
			d.Settings = append(d.Settings, settingChange{Setting: e.Setting, Change: added, To: e.Value, Reason: e.Reason})
		case old.Value != e.Value:
			d.Settings = append(d.Settings, settingChange{
				Setting: e.Setting, Change: changed, From: old.Value, To: e.Value, Reason: e.Reason,
			})
		}
	}
	for _, e := range was {
		d.Settings = append(d.Settings, settingChange{Setting: e.Setting, Change: removed, From: e.Value, Reason: e.Reason})
	}
	slices.SortFunc(d.Settings, func(a, b settingChange) int { return strings.Compare(a.Setting, b.Setting) })
	return d
}

func (d *difference) addSteps(steps []plan.Step, installed []networkstackv1alpha1.NetworkComponent) {
	for _, s := range steps {
		if s.Action == plan.Keep {
			continue
		}
		step := stepChange{Component: s.Name, Action: string(s.Action), Stage: s.Stage, WaitingFor: s.WaitingFor}
		i := slices.IndexFunc(installed, func(c networkstackv1alpha1.NetworkComponent) bool { return c.Name == s.Name })
		if s.Action == plan.Upgrade && i >= 0 {
			step.Fields = compareSpecs(&installed[i].Spec, s.Wanted)
		}
		d.Steps = append(d.Steps, step)
	}
}

// classify says of each step what it means, by the objects it changes.
func (d *difference) classify() {
	for i := range d.Steps {
		s := &d.Steps[i]
		switch plan.Action(s.Action) {
		case plan.Install:
			s.Class = classNew
		case plan.Remove:
			s.Class = classRemoval
		case plan.Upgrade, plan.Keep:
			s.Class = classSafe
			for _, o := range d.Objects {
				if o.Component == s.Component && o.Restarts {
					s.Class = classRollOut
				}
			}
		}
	}
}

// diffCluster compares a stack with what is in a cluster.
func (a *app) diffCluster(ctx context.Context, w *world, file string, o *diffOptions) (*difference, error) {
	to, err := a.composed(ctx, w, file, o.name)
	if err != nil {
		return nil, err
	}
	settings, err := w.cluster.settings(ctx, to.stack.Name)
	if err != nil {
		return nil, err
	}
	d := newDifference(settings, to.settings())
	steps := plan.Make(to.result.Releases, w.cluster.components)
	d.addSteps(steps, w.cluster.components)
	if o.noObjects {
		return d, nil
	}
	engine, err := release.NewEngine(w.cluster.config, release.Options{})
	if err != nil {
		return nil, clusterError(w.cluster.config.Host, err)
	}
	var failed []error
	for _, s := range steps {
		if s.Action == plan.Keep {
			continue
		}
		changes, err := w.inspect(ctx, engine, s)
		if err != nil {
			failed = append(failed, fmt.Errorf("component %s: %w", s.Name, err))
			continue
		}
		d.Objects = append(d.Objects, changes...)
	}
	d.classify()
	return d, errors.Join(failed...)
}

func (a *app) showDifference(d *difference, p painter) {
	if len(d.Settings) > 0 {
		fmt.Fprintln(a.Out, p.paint(bold, "Settings"))
	}
	for _, s := range d.Settings {
		switch s.Change {
		case added:
			fmt.Fprintf(a.Out, "  %s\n", p.paint(green, "+ "+s.Setting+": "+s.To))
		case removed:
			fmt.Fprintf(a.Out, "  %s\n", p.paint(red, "- "+s.Setting+": "+s.From))
		default:
			fmt.Fprintf(a.Out, "  ~ %s: %s -> %s\n", s.Setting, p.paint(red, s.From), p.paint(green, s.To))
		}
		fmt.Fprintf(a.Out, "      %s\n", p.paint(faint, s.Reason))
	}
	if len(d.Steps) > 0 {
		fmt.Fprintln(a.Out, p.paint(bold, "Steps"))
	}
	for _, s := range d.Steps {
		fmt.Fprintf(a.Out, "  %s\n", stepLine(s))
		for _, f := range s.Fields {
			for _, line := range f.text(p) {
				fmt.Fprintf(a.Out, "      %s\n", line)
			}
		}
	}
	component := ""
	for _, o := range d.Objects {
		if component == "" {
			fmt.Fprintln(a.Out, p.paint(bold, "Objects"))
		}
		if o.Component != component {
			component = o.Component
			fmt.Fprintf(a.Out, "  %s\n", component)
		}
		a.showObject(o, p)
	}
}

func stepLine(s stepChange) string {
	line := s.Action + " " + s.Component
	if s.Class != "" && s.Class != classNew && s.Class != classRemoval {
		line += map[string]string{classSafe: " (safe: no pod is replaced)", classRollOut: " (roll-out: pods are replaced)"}[s.Class]
	}
	if len(s.WaitingFor) > 0 {
		line += ", after " + strings.Join(s.WaitingFor, ", ")
	}
	return line
}

func (a *app) showObject(o objectChange, p painter) {
	name := o.Kind + " " + strings.TrimPrefix(o.Namespace+"/"+o.Name, "/")
	switch o.Change {
	case added:
		fmt.Fprintf(a.Out, "    %s\n", p.paint(green, "+ "+name))
	case removed:
		fmt.Fprintf(a.Out, "    %s\n", p.paint(red, "- "+name))
	default:
		if o.Restarts {
			name += " (pods are replaced)"
		}
		fmt.Fprintf(a.Out, "    ~ %s\n", name)
	}
	if o.Problem != "" {
		fmt.Fprintf(a.Out, "        %s\n", p.paint(red, o.Problem))
	}
	for _, f := range o.Fields {
		for _, line := range f.text(p) {
			fmt.Fprintf(a.Out, "        %s\n", line)
		}
	}
}
