package cli

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/networkstack/networkstack/internal/compose"
)

type renderOptions struct {
	world             worldOptions
	name              string
	components        []string
	output, directory string
	showSecrets       bool
}

func (a *app) renderCommand() *cobra.Command {
	o := renderOptions{}
	cmd := &cobra.Command{
		Use:   "render FILE",
		Short: "Shows what would be applied for a NetworkStack",
		Long: `Shows the objects that would be applied for the NetworkStack in a file, component by component, in the order of their stages.

They are rendered as the operator does, marks and order included, for a first installation. With --facts no cluster is asked; else the
facts are gathered in the cluster of the current kubeconfig, where nothing is changed. Charts come from --charts, from this program,
or from where the catalogue or the stack says, and are kept for the next time.

What only a running cluster decides is not in it: what charts look up there is not found, and Secrets that the operator makes itself
are named in comments. The data of Secrets is masked.

Exit codes: 0 rendered, 1 the stack is refused, 2 the command could not do its work.`,
		Example: a.examples(`
# With the facts of the current cluster
{} render stack.yaml
# With facts from a file, and charts from a directory, and no network
{} render stack.yaml --facts facts.yaml --charts charts/ --offline
# One component, as JSON
{} render stack.yaml --facts facts.yaml --component cilium -o json
# A file for each component
{} render stack.yaml --facts facts.yaml --output-dir rendered/`),
		Args: exactlyOne("the file with the NetworkStack, or - for the standard input"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.render(cmd, args[0], &o) },
	}
	f := cmd.Flags()
	o.world.addFlags(f)
	f.StringVar(&o.name, "name", "", "name of the NetworkStack, when the file has several")
	f.StringSliceVar(&o.components, "component", nil, "show this component alone; may be given several times")
	f.StringVarP(&o.output, "output", "o", outputYAML, "yaml or json")
	f.StringVar(&o.directory, "output-dir", "", "write a file for each component into this directory, which is made")
	f.BoolVar(&o.showSecrets, "show-secrets", false, "show the data of Secrets")
	a.complete(cmd, "output", outputYAML, outputJSON)
	return cmd
}

// exactlyOne wants one argument, and says what it is.
func exactlyOne(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch len(args) {
		case 0:
			return usagef("name %s", what)
		case 1:
			return nil
		default:
			return usagef("name one thing, %s, and not %d", what, len(args))
		}
	}
}

func (a *app) render(cmd *cobra.Command, file string, o *renderOptions) error {
	if err := checkOutput(o.output, outputYAML, outputJSON); err != nil {
		return err
	}
	if o.world.facts == stdin && file == stdin {
		return usagef("both the facts and the stack are to come from the standard input")
	}
	w, err := a.newWorld(cmd.Context(), &o.world)
	if err != nil {
		return err
	}
	j, err := a.composed(cmd.Context(), w, file, o.name)
	if err != nil {
		return err
	}
	releases, err := chosen(j.result.Releases, o.components)
	if err != nil {
		return err
	}
	if len(releases) == 0 {
		a.note("nothing is to be installed: the network is managed elsewhere")
	}
	// Those before may define kinds that a chosen one asks for.
	all, failed := w.renderAll(cmd.Context(), upTo(j.result.Releases, releases))
	if all == nil && failed != nil && cmd.Context().Err() != nil {
		return failed
	}
	shownNow := slices.DeleteFunc(all, func(c *component) bool {
		return !slices.ContainsFunc(releases, func(r compose.Release) bool { return r.Name == c.Name })
	})
	if !o.showSecrets {
		for _, c := range shownNow {
			c.mask()
		}
	}
	switch {
	case o.directory != "":
		err = a.writeComponents(shownNow, o)
	case o.output == outputJSON:
		err = a.encode(describeAll(shownNow), outputJSON)
	default:
		for _, c := range shownNow {
			text, marshalErr := c.yaml()
			if marshalErr != nil {
				return marshalErr
			}
			fmt.Fprint(a.Out, text)
		}
	}
	if err != nil {
		return err
	}
	return failed
}

// chosen are the releases with the given names; all without any.
func chosen(releases []compose.Release, names []string) ([]compose.Release, error) {
	if len(names) == 0 {
		return releases, nil
	}
	var out []compose.Release
	var there []string
	for _, r := range releases {
		there = append(there, r.Name)
		if slices.Contains(names, r.Name) {
			out = append(out, r)
		}
	}
	for _, n := range names {
		if !slices.Contains(there, n) {
			return nil, usagef("there is no component %q: there are %s", n, strings.Join(there, ", "))
		}
	}
	return out, nil
}

// upTo are the releases until the last of those chosen.
func upTo(all, chosen []compose.Release) []compose.Release {
	if len(chosen) == 0 {
		return nil
	}
	last := chosen[len(chosen)-1].Name
	i := slices.IndexFunc(all, func(r compose.Release) bool { return r.Name == last })
	return all[:i+1]
}

// masked stands for the data of Secrets. It is no base64, so that nobody applies it by mistake.
const masked = "(masked)"

// mask hides the data of Secrets, and what values from Secrets have put elsewhere.
func (c *component) mask() {
	for _, u := range c.rendered.All() {
		maskObject(u)
		if m, ok := maskTexts(u.Object, c.secrets).(map[string]any); ok {
			u.Object = m
		}
	}
}

// maskTexts hides texts wherever they occur.
func maskTexts(v any, texts []string) any {
	if len(texts) == 0 {
		return v
	}
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = maskTexts(v[k], texts)
		}
	case []any:
		for i := range v {
			v[i] = maskTexts(v[i], texts)
		}
	case string:
		for _, t := range texts {
			if strings.Contains(v, t) || strings.Contains(v, base64.StdEncoding.EncodeToString([]byte(t))) {
				return masked
			}
		}
	}
	return v
}

func maskObject(u *unstructured.Unstructured) {
	if gvk := u.GroupVersionKind(); gvk.Group != "" || gvk.Kind != "Secret" {
		return
	}
	for _, field := range []string{"data", "stringData"} {
		data, ok := u.Object[field].(map[string]any)
		if !ok {
			continue
		}
		hidden := make(map[string]any, len(data))
		for k := range data {
			hidden[k] = masked
		}
		u.Object[field] = hidden
	}
}

// description is a component as programs read it.
type description struct {
	Name      string           `json:"name"`
	Type      string           `json:"type"`
	Stage     int32            `json:"stage"`
	Release   string           `json:"release"`
	Namespace string           `json:"namespace"`
	Chart     chartDescription `json:"chart"`
	Notes     []string         `json:"notes,omitempty"`
	Objects   []map[string]any `json:"objects"`
	Hooks     []map[string]any `json:"hooks,omitempty"`
}

type chartDescription struct {
	Name       string `json:"name"`
	Version    string `json:"version"`
	Repository string `json:"repository,omitempty"`
	Source     string `json:"source"`
	Digest     string `json:"digest"`
}

func describeAll(list []*component) any {
	out := struct {
		Components []description `json:"components"`
	}{Components: []description{}}
	for _, c := range list {
		d := description{
			Name: c.Name, Type: c.Spec.Type, Stage: c.Spec.Stage, Release: c.Spec.ReleaseName, Namespace: c.Spec.Namespace, Notes: c.notes,
			Chart: chartDescription{c.Spec.Chart.Name, c.Spec.Chart.Version, c.Spec.Chart.Repository, c.source, c.digest},
		}
		for _, u := range c.rendered.All() {
			if slices.Contains(c.rendered.Hooks, u) {
				d.Hooks = append(d.Hooks, u.Object)
			} else {
				d.Objects = append(d.Objects, u.Object)
			}
		}
		out.Components = append(out.Components, d)
	}
	return out
}

// yaml is a component as a stream of documents, with what is known of it above.
func (c *component) yaml() (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "# Component %s (%s), stage %d: release %s/%s\n",
		c.Name, c.Spec.Type, c.Spec.Stage, c.Spec.Namespace, c.Spec.ReleaseName)
	fmt.Fprintf(&b, "# Chart %s %s, %s\n", c.Spec.Chart.Name, c.Spec.Chart.Version, c.source)
	for _, n := range c.notes {
		fmt.Fprintf(&b, "# Note: %s\n", n)
	}
	for _, u := range c.rendered.All() {
		data, err := yaml.Marshal(u.Object)
		if err != nil {
			return "", err
		}
		b.WriteString("---\n")
		if slices.Contains(c.rendered.Hooks, u) {
			fmt.Fprintf(&b, "# Hook: %s\n", u.GetAnnotations()["helm.sh/hook"])
		}
		b.Write(data)
	}
	return b.String(), nil
}

// writeComponents writes a file for each component, named so that they are in order.
func (a *app) writeComponents(list []*component, o *renderOptions) error {
	if err := os.MkdirAll(o.directory, 0o755); err != nil {
		return readError(o.directory, err)
	}
	for _, c := range list {
		name := filepath.Join(o.directory, fmt.Sprintf("%03d-%s.%s", c.Spec.Stage, c.Name, o.output))
		var text string
		var err error
		if o.output == outputJSON {
			b := &strings.Builder{}
			err = (&app{Options: Options{Out: b}}).encode(describeAll([]*component{c}), outputJSON)
			text = b.String()
		} else {
			text, err = c.yaml()
		}
		if err != nil {
			return err
		}
		mode := os.FileMode(0o644)
		if o.showSecrets {
			mode = 0o600
		}
		if err := os.WriteFile(name, []byte(text), mode); err != nil {
			return readError(name, err)
		}
		fmt.Fprintln(a.Out, name)
	}
	return nil
}
