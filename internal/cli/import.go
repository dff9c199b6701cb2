package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"
	kyaml "sigs.k8s.io/yaml"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/importer"
	"github.com/networkstack/networkstack/internal/manifest"
	"github.com/networkstack/networkstack/internal/release"
)

type importOptions struct {
	world         worldOptions
	name          string
	file, secrets string
	force         bool
	addons        map[string]string
	noCompare     bool
	output        string
}

func (a *app) importCommand() *cobra.Command {
	o := importOptions{}
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Writes the NetworkStack that describes a cluster",
		Long: `Reads the network that the cluster of the current kubeconfig has, with its Helm releases and what kubeadm made, and
writes the NetworkStack that describes it. Applied, that stack takes over what is there.

The stack is composed and compared with the cluster before it is shown, as "diff" does it: the report says for every component what
would change, and what of the cluster the stack does not say. Nothing is changed. The API server is asked by dry run, for which it wants
the permission to write all the same.

Of Secrets, Helm's records of releases are read, and nothing else. Values that look like secrets are not shown: the stack refers to a
Secret for them, which --secrets writes.

Exit codes: 0 nothing would change and nothing is left unexpressed, 1 something would or is, 2 the command could not do its work.`,
		Example: a.examples(`
# See what there is, and what taking it over would mean
{} import
# Keep it, to go on with it
{} import -f stack.yaml
# A Helm release whose chart is not known here
{} import --addon edge/my-gateway=https://charts.example.com`),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("import reads the cluster of the current kubeconfig, and takes no %q: -f FILE says where to write to", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return a.importCluster(cmd, &o) },
	}
	f := cmd.Flags()
	o.world.addFlags(f)
	f.StringVar(&o.name, "name", "cluster", "name of the NetworkStack that is written")
	f.StringVarP(&o.file, "file", "f", "", "write the NetworkStack to this file, and not to the standard output")
	f.StringVar(&o.secrets, "secrets", "", "write the Secrets that the NetworkStack refers to, with values that look like secrets, to this file")
	f.BoolVar(&o.force, "force", false, "overwrite files that are there")
	f.StringToStringVar(&o.addons, "addon", nil,
		"a Helm release, as NAMESPACE/NAME=REPOSITORY, that is described as an add-on with its chart from there; may be given several times")
	f.BoolVar(&o.noCompare, "no-compare", false, "do not compare the NetworkStack with the cluster, for which charts are needed")
	f.StringVarP(&o.output, "output", "o", "", "json or yaml: the report, with the NetworkStack, for programs; left out, for people")
	a.complete(cmd, "output", outputJSON, outputYAML)
	return cmd
}

func (o *importOptions) check() error {
	if err := checkOutput(o.output, outputJSON, outputYAML); err != nil {
		return err
	}
	if o.world.facts != "" {
		return usagef("import reads a cluster, and --facts stands for one that cannot be read: remove it")
	}
	if problems := validation.IsDNS1123Subdomain(o.name); len(problems) > 0 {
		return usagef("--name %q: %s", o.name, problems[0])
	}
	for id, repository := range o.addons {
		namespace, name, ok := strings.Cut(id, "/")
		scheme, _, hasScheme := strings.Cut(repository, "://")
		if !ok || namespace == "" || name == "" || !hasScheme || !slices.Contains([]string{"https", "http", "oci"}, scheme) {
			return usagef("--addon %s=%s: write NAMESPACE/NAME=REPOSITORY, such as edge/gateway=https://charts.example.com", id, repository)
		}
	}
	for _, file := range []string{o.file, o.secrets} {
		if file == "" || o.force {
			continue
		}
		if file == stdin {
			return usagef("-f - is not needed: without -f the standard output is written to")
		}
		if _, err := os.Lstat(file); err == nil {
			return fmt.Errorf("%s: is there already: --force overwrites it", file)
		}
	}
	return nil
}

// imported is what an import comes to, as programs read it.
type imported struct {
	// Exact says that nothing would change and nothing is left unexpressed.
	Exact      bool                `json:"exact"`
	Stack      any                 `json:"stack"`
	Described  []importer.Origin   `json:"described"`
	Remarks    []importer.Remark   `json:"remarks"`
	Components []importedComponent `json:"components"`
	// Others are Helm releases that are no part of the network.
	Others []string `json:"otherReleases,omitempty"`
}

// importedComponent is what applying the stack would do to a component.
type importedComponent struct {
	Name    string `json:"name"`
	Release string `json:"release"`
	// Same is the number of objects that stay as they are.
	Same int `json:"same"`
	// Restarts says that pods are replaced.
	Restarts bool           `json:"restarts,omitempty"`
	Changes  []objectChange `json:"changes,omitempty"`
	// Problem is why it cannot be taken over, or could not be compared.
	Problem string `json:"problem,omitempty"`
	// refused says that the problem is somebody else who looks after it.
	refused string
}

func (c *importedComponent) exact() bool { return len(c.Changes) == 0 && c.Problem == "" }

func (a *app) importCluster(cmd *cobra.Command, o *importOptions) error {
	paint, err := a.painter()
	if err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	ctx := cmd.Context()
	w, err := a.newWorld(ctx, &o.world)
	if err != nil {
		return err
	}
	in, remarks, err := w.observe(ctx, o)
	if err != nil {
		return err
	}
	r, components, err := w.imports(ctx, in, o)
	if err != nil {
		return err
	}
	r.Remarks = append(r.Remarks, remarks...)
	importer.SortRemarks(r.Remarks)
	if o.secrets != "" && len(r.Secrets) > 0 {
		data, err := r.SecretsYAML(w.namespace)
		if err != nil {
			return err
		}
		if err := writeNew(o.secrets, data, 0o600, o.force); err != nil {
			return err
		}
	}
	return a.showImport(r, components, o, paint)
}

// observe reads what there is. A cluster that has a stack needs no import.
func (w *world) observe(ctx context.Context, o *importOptions) (importer.Input, []importer.Remark, error) {
	in := importer.Input{
		Name: o.name, Catalog: w.catalog.Catalog, OperatorImage: w.operatorImage, OperatorNamespace: w.namespace, Addons: o.addons,
	}
	stacks, err := w.cluster.stacks(ctx)
	if err != nil {
		return in, nil, err
	}
	if len(stacks) > 0 {
		return in, nil, fmt.Errorf("the cluster has NetworkStack %q, which says what its network is: kubectl get netstack %s -o yaml shows it, and diff what another one would change",
			stacks[0].Name, stacks[0].Name)
	}
	d := w.cluster.discoverer
	if in.Facts, err = d.Discover(ctx); err != nil {
		return in, nil, clusterError(w.cluster.config.Host, err)
	}
	if err := d.ExamineDNS(ctx, in.Facts); err != nil {
		return in, nil, clusterError(w.cluster.config.Host, err)
	}
	for n := range in.Facts.Installed {
		if err := d.Examine(ctx, &in.Facts.Installed[n]); err != nil {
			return in, nil, clusterError(w.cluster.config.Host, err)
		}
	}
	var remarks []importer.Remark
	if in.Releases, in.Objects, remarks, err = importer.Read(ctx, w.cluster.config); err != nil {
		return in, nil, clusterError(w.cluster.config.Host, err)
	}
	for id := range o.addons {
		if !slices.ContainsFunc(in.Releases, func(r importer.Release) bool { return r.ID() == id }) {
			return in, nil, fmt.Errorf("--addon %s: there is no such Helm release that is deployed", id)
		}
	}
	return in, remarks, nil
}

// imports describes the cluster and holds the result against it. What turns out to belong to somebody else is left to him.
func (w *world) imports(ctx context.Context, in importer.Input, o *importOptions) (*importer.Result, []importedComponent, error) {
	in.Leave = map[string]string{}
	for {
		r, err := importer.Import(in)
		if err != nil || o.noCompare {
			return r, nil, err
		}
		components, err := w.held(ctx, r)
		if err != nil {
			return nil, nil, err
		}
		again := false
		for _, c := range components {
			if strings.HasPrefix(c.Name, "addon-") && c.refused != "" && in.Leave[c.Release] == "" {
				in.Leave[c.Release], again = "belongs to "+c.refused, true
			}
		}
		if again {
			continue
		}
		r.Remarks = slices.DeleteFunc(r.Remarks, func(m importer.Remark) bool {
			unchanged := func(c importedComponent) bool { return c.Release == m.Unless && c.exact() }
			return m.Unless != "" && slices.ContainsFunc(components, unchanged)
		})
		return r, components, nil
	}
}

// held judges and composes the stack that was written, by the same code as diff, and compares what it comes to with the cluster.
func (w *world) held(ctx context.Context, r *importer.Result) ([]importedComponent, error) {
	text, err := r.YAML()
	if err != nil {
		return nil, err
	}
	documents, err := manifest.Read(bytes.NewReader(text))
	if err != nil || len(documents) != 1 {
		return nil, fmt.Errorf("reading what was written: %w", err)
	}
	w.given = map[string]string{}
	for name, values := range r.Secrets {
		data, err := json.Marshal(values)
		if err != nil {
			return nil, err
		}
		w.given[name] = string(data)
	}
	j, err := w.judge(ctx, &located{documents[0], "the NetworkStack", 1})
	if err != nil {
		return nil, err
	}
	for _, f := range j.findings {
		said := func(m importer.Remark) bool { return m.Field == f.Field && strings.Contains(m.What, f.Message) }
		if slices.ContainsFunc(r.Remarks, said) {
			continue
		}
		m := importer.Remark{Severity: importer.Note, Field: f.Field, What: f.Message + " [" + f.Rule + "]"}
		if f.Severity == severityError {
			m.Severity, m.What = importer.Decide, "the stack is refused as it is: "+m.What
		}
		r.Remarks = append(r.Remarks, m)
	}
	if j.result == nil || len(j.result.Errors) > 0 {
		return nil, nil
	}
	engine, err := release.NewEngine(w.cluster.config, release.Options{})
	if err != nil {
		return nil, clusterError(w.cluster.config.Host, err)
	}
	var out []importedComponent
	for _, rel := range j.result.Releases {
		c := w.heldComponent(ctx, engine, rel)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		out = append(out, c)
	}
	return out, nil
}

func (w *world) heldComponent(ctx context.Context, engine *release.Engine, rel compose.Release) importedComponent {
	c := importedComponent{Name: rel.Name, Release: rel.Spec.Namespace + "/" + rel.Spec.ReleaseName}
	report, secrets, err := w.compare(ctx, engine, rel.Name, &rel.Spec)
	if err != nil {
		var conflict *release.ConflictError
		if errors.As(err, &conflict) {
			c.refused = conflict.Owner
		}
		c.Problem = "it could not be compared: " + err.Error()
		return c
	}
	if len(report.Refused) > 0 {
		c.refused, c.Problem = report.Refused[0].Owner, report.Refused[0].Error()
	}
	c.Same, c.Restarts = report.Count(release.ObjectSame), report.Restarts()
	if slices.ContainsFunc(report.Objects, func(o release.ObjectReport) bool { return strings.Contains(o.Problem, "(Forbidden)") }) {
		c.Problem = "it could not be compared: the API server does not let you try what would be written, not even by dry run"
		c.Restarts = false
		return c
	}
	c.Changes = changesOf(rel.Name, &report, secrets)
	return c
}

// writeNew writes a file that is not there, or may be overwritten.
func writeNew(name string, data []byte, mode os.FileMode, force bool) error {
	flags := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	if !force {
		flags = os.O_WRONLY | os.O_CREATE | os.O_EXCL
	}
	f, err := os.OpenFile(filepath.Clean(name), flags, mode)
	if err != nil {
		return readError(name, err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		return readError(name, err)
	}
	return nil
}

// stackObject is a stack as an object, without its status.
func stackObject(stack *networkstackv1alpha1.NetworkStack) (map[string]any, error) {
	data, err := kyaml.Marshal(stack)
	if err != nil {
		return nil, err
	}
	var out map[string]any
	if err := kyaml.Unmarshal(data, &out); err != nil {
		return nil, err
	}
	delete(out, "status")
	return out, nil
}
