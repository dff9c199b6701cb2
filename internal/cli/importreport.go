package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"k8s.io/cli-runtime/pkg/printers"

	"github.com/networkstack/networkstack/internal/importer"
)

// showImport writes the stack and the report, and says by the exit code whether there is anything in the latter.
func (a *app) showImport(r *importer.Result, components []importedComponent, o *importOptions, paint painter) error {
	text, err := r.YAML()
	if err != nil {
		return err
	}
	exact := !o.noCompare && len(components) > 0 &&
		!slices.ContainsFunc(components, func(c importedComponent) bool { return !c.exact() }) &&
		!slices.ContainsFunc(r.Remarks, func(m importer.Remark) bool { return m.Severity != importer.Note })
	if o.file != "" {
		if err := writeNew(o.file, text, 0o644, o.force); err != nil {
			return err
		}
	}
	if o.output != "" {
		stack, err := stackObject(r.Stack)
		if err != nil {
			return err
		}
		report := imported{
			Exact: exact, Stack: stack, Described: r.Origins, Remarks: r.Remarks, Components: components, Others: r.Others,
		}
		if report.Remarks == nil {
			report.Remarks = []importer.Remark{}
		}
		if report.Components == nil {
			report.Components = []importedComponent{}
		}
		if err := a.encode(report, o.output); err != nil {
			return err
		}
	} else {
		if o.file == "" {
			fmt.Fprintf(a.Out, "%s", text)
		}
		a.importReport(a.Err, r, components, o, paint)
	}
	if !exact {
		return codeError(ExitFound)
	}
	return nil
}

// importReport is the report as people read it.
func (a *app) importReport(out io.Writer, r *importer.Result, components []importedComponent, o *importOptions, p painter) {
	if len(r.Origins) > 0 {
		fmt.Fprintln(out, p.paint(bold, "Described"))
		w := printers.GetNewTabWriter(out)
		for _, origin := range r.Origins {
			fmt.Fprintf(w, "  %s\t%s\n", origin.Field, origin.What)
		}
		_ = w.Flush()
	}
	if len(r.Remarks) > 0 {
		fmt.Fprintln(out, p.paint(bold, "Remarks"))
	}
	for _, m := range r.Remarks {
		color := map[importer.Severity]string{importer.Decide: red, importer.Unexpressed: yellow, importer.Note: faint}[m.Severity]
		where := strings.Join(slices.DeleteFunc([]string{m.Field, m.Object}, func(s string) bool { return s == "" }), ", ")
		fmt.Fprintf(out, "  %s %s: %s\n", p.paint(color, string(m.Severity)+":"), where, m.What)
		if m.Remedy != "" {
			fmt.Fprintf(out, "      %s\n", m.Remedy)
		}
	}
	if len(components) > 0 {
		fmt.Fprintln(out, p.paint(bold, "If it is applied"))
	}
	changing, restarting, unknown := 0, 0, 0
	for i := range components {
		c := &components[i]
		line := fmt.Sprintf("%s: %s stay as they are", c.Name, plural(c.Same, "object"))
		switch {
		case c.Problem != "":
			line = c.Name + ": " + p.paint(red, c.Problem)
		case c.Restarts:
			line += fmt.Sprintf(", %d would change; %s", len(c.Changes), p.paint(red, "pods are replaced"))
		case len(c.Changes) > 0:
			line += fmt.Sprintf(", %d would change; no pod is replaced", len(c.Changes))
		}
		fmt.Fprintf(out, "  %s\n", line)
		if c.Problem != "" {
			unknown++
		} else if !c.exact() {
			changing++
		}
		if c.Restarts {
			restarting++
		}
		for _, change := range c.Changes {
			(&app{Options: Options{Out: out}}).showObject(change, p)
		}
	}
	if len(r.Others) > 0 && a.verbose {
		fmt.Fprintf(out, "no part of the network: Helm releases %s\n", strings.Join(r.Others, ", "))
	}
	if o.file != "" {
		fmt.Fprintf(out, "written: %s\n", o.file)
	}
	if o.secrets != "" && len(r.Secrets) > 0 {
		fmt.Fprintf(out, "written: %s, which holds secrets\n", o.secrets)
	}
	decide, unexpressed := 0, 0
	for _, m := range r.Remarks {
		switch m.Severity {
		case importer.Decide:
			decide++
		case importer.Unexpressed:
			unexpressed++
		case importer.Note:
		}
	}
	switch {
	case o.noCompare:
		fmt.Fprintf(out, "%s to be decided, %s unexpressed; what would change was not looked at\n", plural(decide, "thing"), plural(unexpressed, "thing"))
	case decide+unexpressed+changing+unknown == 0 && len(components) > 0:
		fmt.Fprintln(out, "nothing would change, and nothing is left unexpressed")
	default:
		more := ""
		if restarting > 0 {
			more += fmt.Sprintf(", pods of %d are replaced", restarting)
		}
		if unknown > 0 {
			more += fmt.Sprintf(", and %d cannot be told", unknown)
		}
		fmt.Fprintf(out, "%s to be decided, %s unexpressed; %s would change%s\n",
			plural(decide, "thing"), plural(unexpressed, "thing"), plural(changing, "component"), more)
	}
}
