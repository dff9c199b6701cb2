package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/networkstack/networkstack/internal/compose"
)

type explainOptions struct {
	world  worldOptions
	name   string
	output string
}

// explanation is what explain says of a stack, as programs read it.
type explanation struct {
	// Accepted says that the stack is not refused.
	Accepted bool `json:"accepted"`
	// Settings are the effective ones, with their reasons.
	Settings []explainedSetting `json:"settings"`
	// Findings are what is refused and warned of.
	Findings []finding `json:"findings"`
	// Rules are those that the findings cite.
	Rules []ruleRow `json:"rules"`
}

type explainedSetting struct {
	Setting string `json:"setting"`
	Value   string `json:"value"`
	Reason  string `json:"reason"`
}

// ruleRow is a row of the table of rules.
type ruleRow struct {
	ID       string `json:"id"`
	Area     string `json:"area"`
	Severity string `json:"severity"`
	// APIServer says that the API server refuses it too, and Cluster that it takes a cluster to judge it.
	APIServer bool   `json:"apiServer"`
	Cluster   bool   `json:"cluster"`
	When      string `json:"when"`
	Remedy    string `json:"remedy"`
	Source    string `json:"source"`
}

func rowOf(r compose.Rule) ruleRow {
	return ruleRow{r.ID, string(r.Area), string(r.Severity), r.APIServer, r.Cluster, r.When, r.Remedy, r.Source}
}

func (a *app) explainCommand() *cobra.Command {
	o := explainOptions{}
	cmd := &cobra.Command{
		Use:   "explain FILE [FIELD] | explain RULE",
		Short: "Says why a setting is what it is, or what a rule means",
		Long: `Says of the NetworkStack in a file which settings are in effect and why, or which rules refuse it. FIELD, such as
spec.mtu, shows that field and what is below it; the settings of a component's chart are named as in "cilium: MTU".

It is composed with the facts of the cluster of the current kubeconfig, or with those of --facts.

With the ID of a rule, such as POOL-OVERLAP, it says when the rule applies, what to do, and why; docs/refusals.md has them all.

Exit codes: 0 explained, 1 the stack is refused, 2 the command could not do its work.`,
		Example: a.examples(`
# All settings in effect
{} explain stack.yaml
# One of them
{} explain stack.yaml spec.mtu --facts facts.yaml
# A rule that a finding cites
{} explain MTU-EXCEEDS-NODES`),
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return usagef("name the file with the NetworkStack, or the ID of a rule")
			case len(args) > 2:
				return usagef("name a file and a field, and not %d things", len(args))
			}
			return nil
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 || prefix == "" {
				return nil, cobra.ShellCompDirectiveDefault
			}
			var ids []string
			for _, r := range rules() {
				if strings.HasPrefix(r.ID, prefix) {
					ids = append(ids, r.ID)
				}
			}
			return ids, cobra.ShellCompDirectiveDefault
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.explain(cmd.Context(), args, &o) },
	}
	f := cmd.Flags()
	o.world.addClusterFlags(f)
	f.StringVar(&o.name, "name", "", "name of the NetworkStack, when the file has several")
	f.StringVarP(&o.output, "output", "o", "", "json or yaml; left out, for people")
	a.complete(cmd, "output", outputJSON, outputYAML)
	return cmd
}

func (a *app) explain(ctx context.Context, args []string, o *explainOptions) error {
	paint, err := a.painter()
	if err != nil {
		return err
	}
	if err := checkOutput(o.output, outputJSON, outputYAML); err != nil {
		return err
	}
	if _, err := os.Stat(args[0]); err != nil && len(args) == 1 && args[0] != stdin {
		if done, err := a.explainRule(args[0], o, paint); done || err != nil {
			return err
		}
	}
	d, err := a.stackFile(args[0], o.name)
	if err != nil {
		return err
	}
	w, err := a.newWorld(ctx, &o.world)
	if err != nil {
		return err
	}
	j, err := w.judge(ctx, d)
	if err != nil {
		return err
	}
	field := ""
	if len(args) > 1 {
		field = args[1]
	}
	e := explanationOf(&j, field)
	if err := a.checkField(d, &e, field); err != nil {
		return err
	}
	if o.output != "" {
		err = a.encode(e, o.output)
	} else {
		a.showExplanation(d, &e, field, paint)
	}
	if err == nil && !e.Accepted {
		return codeError(ExitFound)
	}
	return err
}

// explainRule prints the row of a rule, and says whether that was asked for.
func (a *app) explainRule(id string, o *explainOptions, paint painter) (bool, error) {
	all := rules()
	i := slices.IndexFunc(all, func(r compose.Rule) bool { return strings.EqualFold(r.ID, id) })
	if i < 0 {
		if strings.ContainsAny(id, "./\\") || id != strings.ToUpper(id) {
			return false, nil // a file
		}
		var near []string
		first, _, _ := strings.Cut(id, "-")
		for _, r := range all {
			if strings.HasPrefix(r.ID, first+"-") {
				near = append(near, r.ID)
			}
		}
		if len(near) == 0 {
			return true, fmt.Errorf("%s: there is no such rule and no such file: docs/refusals.md has all rules", id)
		}
		return true, fmt.Errorf("%s: there is no such rule and no such file: there are %s", id, strings.Join(near, ", "))
	}
	row := rowOf(all[i])
	if o.output != "" {
		return true, a.encode(row, o.output)
	}
	a.showRule(row, paint)
	return true, nil
}

func (a *app) showRule(r ruleRow, paint painter) {
	fmt.Fprintf(a.Out, "%s (%s): %s\n", paint.paint(bold, r.ID), r.Severity, r.When)
	fmt.Fprintf(a.Out, "  What to do: %s\n", r.Remedy)
	fmt.Fprintf(a.Out, "  Why:        %s\n", r.Source)
	fmt.Fprintf(a.Out, "  Area:       %s\n", r.Area)
	var by []string
	if r.APIServer {
		by = append(by, "by the API server too, in whole or in part")
	}
	if r.Cluster {
		by = append(by, "only with the facts of a cluster")
	}
	fmt.Fprintf(a.Out, "  Judged:     %s\n", cmp.Or(strings.Join(by, "; "), "without a cluster as well"))
}

// concerns says whether a field is the one that is asked about, or below it, or for findings above it.
func concerns(name, field string) bool {
	below := func(a, b string) bool {
		rest, ok := strings.CutPrefix(a, b)
		return ok && (rest == "" || rest[0] == '.' || rest[0] == '[' || rest[0] == ':')
	}
	return field == "" || below(name, field) || below(name, "spec."+field)
}

func explanationOf(j *judgement, field string) explanation {
	e := explanation{Settings: []explainedSetting{}, Findings: []finding{}, Rules: []ruleRow{}}
	e.Accepted = count(j.findings, severityError) == 0
	if j.result != nil {
		for _, s := range j.result.Effective {
			if concerns(s.Setting, field) {
				e.Settings = append(e.Settings, explainedSetting{s.Setting, s.Value, s.Reason})
			}
		}
	}
	cited := map[string]bool{}
	for _, f := range j.findings {
		// What refuses the stack is said whatever was asked.
		if f.Severity == severityError || concerns(f.Field, field) {
			e.Findings = append(e.Findings, f)
			cited[f.Rule] = true
		}
	}
	for _, r := range rules() {
		if cited[r.ID] {
			e.Rules = append(e.Rules, rowOf(r))
		}
	}
	return e
}

// checkField says when there is nothing to say of a field.
func (a *app) checkField(d *located, e *explanation, field string) error {
	if field == "" || len(e.Settings) > 0 || !e.Accepted {
		return nil
	}
	if _, _, there := statedAt(d, field); there {
		return nil
	}
	return errors.Join(fmt.Errorf("%s: nothing is stated and nothing is derived for it", field),
		fmt.Errorf("without a field, explain shows all settings; docs/api.md has all fields"))
}

// statedAt is what the file itself says of a field.
func statedAt(d *located, field string) (path string, value any, there bool) {
	for _, path := range []string{field, "spec." + field} {
		if v, ok := d.Value(path); ok {
			return path, v, true
		}
	}
	return "", nil, false
}

func (a *app) showExplanation(d *located, e *explanation, field string, paint painter) {
	if field != "" {
		if path, v, there := statedAt(d, field); there {
			fmt.Fprintf(a.Out, "%s: %s\n    stated in %s:%d\n", paint.paint(bold, path), shortValue(v), d.file, d.Place(path).Line)
		}
	}
	for _, s := range e.Settings {
		fmt.Fprintf(a.Out, "%s: %s\n    %s\n", paint.paint(bold, s.Setting), s.Value, s.Reason)
	}
	for _, f := range e.Findings {
		fmt.Fprintln(a.Out, f.text(paint))
	}
	for _, r := range e.Rules {
		a.showRule(r, paint)
	}
	if !e.Accepted {
		a.note("NetworkStack %s is refused, so no setting is in effect", nameOf(d))
	}
}
