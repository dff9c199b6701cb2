package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/networkstack/networkstack/internal/catalog"
	"github.com/networkstack/networkstack/internal/compose"
)

type validateOptions struct {
	facts, output                string
	recursive, strict, allowNone bool
}

// verdict is the result of validate, as programs read it.
type verdict struct {
	// Valid says that nothing is refused; with --strict, nor warned of.
	Valid    bool          `json:"valid"`
	Stacks   []judgedStack `json:"stacks"`
	Findings []finding     `json:"findings"`
	// NotJudged are the rules that take a cluster, when no facts of one were given.
	NotJudged []string `json:"notJudged,omitempty"`
}

type judgedStack struct {
	File     string `json:"file"`
	Line     int    `json:"line"`
	Document int    `json:"document"`
	Name     string `json:"name"`
	Errors   int    `json:"errors"`
	Warnings int    `json:"warnings"`
	// Incomplete says that values of wrong types kept the operator's rules from being judged.
	Incomplete bool `json:"incomplete,omitempty"`
}

func (a *app) validateCommand() *cobra.Command {
	o := validateOptions{}
	cmd := &cobra.Command{
		Use:   "validate FILE...",
		Short: "Checks NetworkStacks in files, without a cluster",
		Long: `Checks every NetworkStack in the files, without a cluster: the YAML, all that the API server would refuse (the schema of the
definition, and its CEL rules), and the operator's own rules. All findings are shown at once, each with its place, its field, its
rule and what to do.

FILE is a file, a directory (its .yaml, .yml and .json files) or - for the standard input. Documents of other kinds are passed over.

Some rules need to know the cluster. With --facts, a file that "facts" has written, they are judged too; what an upgrade of an
installed stack may not change is judged by "diff".

Exit codes: 0 nothing is refused, 1 something is (with --strict: or warned of), 2 the command could not do its work.`,
		Example: a.examples(`
# A file, and a directory with all below it
{} validate stack.yaml
{} validate -R clusters/
# What kustomize or Helm makes of it
kustomize build overlays/prod | {} validate -
# With the facts of the cluster that it is for, as JSON, warnings counted
{} validate stack.yaml --facts prod-facts.yaml -o json --strict`),
		Args: atLeastOne("the files to check, or - for the standard input"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.validate(cmd.Context(), args, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.facts, "facts", "", "file with the facts of the cluster that the stacks are for")
	f.StringVarP(&o.output, "output", "o", "", "table, json or yaml; left out, a line for each finding")
	f.BoolVarP(&o.recursive, "recursive", "R", false, "go into the directories below a directory")
	f.BoolVar(&o.strict, "strict", false, "exit with 1 for warnings too")
	f.BoolVar(&o.allowNone, "allow-none", false, "it is no error when the files hold no NetworkStack, as before a commit of other files")
	a.complete(cmd, "output", outputTable, outputJSON, outputYAML)
	return cmd
}

// Output formats.
const (
	outputTable = "table"
	outputJSON  = "json"
	outputYAML  = "yaml"
)

func checkOutput(format string, allowed ...string) error {
	if format != "" && !slices.Contains(allowed, format) {
		return usagef("--output %q: write %s", format, strings.Join(allowed, " or "))
	}
	return nil
}

func (a *app) validate(ctx context.Context, args []string, o validateOptions) error {
	paint, err := a.painter()
	if err != nil {
		return err
	}
	if err := checkOutput(o.output, outputTable, outputJSON, outputYAML); err != nil {
		return err
	}
	in := compose.Input{}
	if o.facts != "" {
		if o.facts == stdin && slices.Contains(args, stdin) {
			return usagef("both the facts and a stack are to come from the standard input")
		}
		if in.Facts, err = a.readFacts(o.facts); err != nil {
			return err
		}
		in.Catalog = catalog.DefaultSet().Catalog
	}
	files, err := expand(args, o.recursive)
	if err != nil {
		return err
	}
	v := verdict{Stacks: []judgedStack{}, Findings: []finding{}}
	for _, file := range files {
		documents, err := a.read(file)
		if err != nil {
			return err
		}
		if len(documents) == 0 && a.verbose {
			a.note("%s: is empty", shown(file))
		}
		for i := range documents {
			if err := a.validateOne(ctx, &v, &documents[i], in); err != nil {
				return err
			}
		}
	}
	if len(v.Stacks) == 0 && len(v.Findings) == 0 && !o.allowNone {
		return fmt.Errorf("there is no NetworkStack in %s (-v says what there is; --allow-none makes it no error)", filesText(files))
	}
	if o.facts == "" {
		for _, r := range compose.Rules() {
			if r.Cluster {
				v.NotJudged = append(v.NotJudged, r.ID)
			}
		}
	}
	errs, warnings := count(v.Findings, severityError), count(v.Findings, severityWarning)
	v.Valid = errs == 0 && (warnings == 0 || !o.strict)
	if err := a.showVerdict(&v, o, paint, len(files)); err != nil {
		return err
	}
	if !v.Valid {
		return codeError(ExitFound)
	}
	return nil
}

func filesText(files []string) string {
	if len(files) == 1 {
		return shown(files[0])
	}
	return fmt.Sprintf("these %d files", len(files))
}

// validateOne judges one document.
func (a *app) validateOne(ctx context.Context, v *verdict, d *located, in compose.Input) error {
	switch is, _ := kindOf(d); is {
	case unreadable:
		v.Findings = append(v.Findings, textFindings(d)...)
		return nil
	case other:
		if a.verbose {
			a.note("%s:%d: passed over: %s", d.file, d.Line, described(d))
		}
		return nil
	case stackDocument:
	}
	j, err := judge(ctx, d, in, nil)
	if err != nil {
		return err
	}
	v.Findings = append(v.Findings, j.findings...)
	v.Stacks = append(v.Stacks, judgedStack{
		File: d.file, Line: d.Line, Document: d.number, Name: nameOf(d), Incomplete: j.half,
		Errors: count(j.findings, severityError), Warnings: count(j.findings, severityWarning),
	})
	return nil
}

func (a *app) showVerdict(v *verdict, o validateOptions, paint painter, files int) error {
	switch o.output {
	case outputJSON, outputYAML:
		return a.encode(v, o.output)
	case outputTable:
		if len(v.Findings) > 0 {
			if err := findingTable(a.Out, v.Findings); err != nil {
				return err
			}
		}
	default:
		for _, f := range v.Findings {
			fmt.Fprintln(a.Out, f.text(paint))
		}
	}
	errs, warnings := count(v.Findings, severityError), count(v.Findings, severityWarning)
	summary := plural(errs, "error") + ", " + plural(warnings, "warning")
	if errs+warnings == 0 {
		summary = paint.paint(green, "nothing is wrong")
	}
	fmt.Fprintf(a.Out, "%s in %s: %s\n", plural(len(v.Stacks), "NetworkStack"), plural(files, "file"), summary)
	for _, s := range v.Stacks {
		if s.Incomplete {
			a.note("%s:%d: values of wrong types keep the operator's rules from being judged: correct them first", s.File, s.Line)
		}
	}
	if len(v.NotJudged) > 0 && len(v.Stacks) > 0 {
		if a.verbose {
			a.note("not judged without the facts of a cluster: %s", strings.Join(v.NotJudged, ", "))
		} else {
			a.note("rules that take the facts of a cluster were not judged: give --facts FILE (-v names them)")
		}
	}
	return nil
}

// encode prints a value for programs.
func (a *app) encode(v any, format string) error {
	if format == outputYAML {
		data, err := yaml.Marshal(v)
		if err != nil {
			return err
		}
		_, err = a.Out.Write(data)
		return err
	}
	enc := json.NewEncoder(a.Out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
