package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/chart"
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/intent"
	"github.com/networkstack/networkstack/internal/release"
)

// outputImages is a line for each image, as tools that copy images read it.
const outputImages = "images"

type chartsOptions struct {
	world            worldOptions
	name, output, to string
}

func (o *chartsOptions) addFlags(f *pflag.FlagSet) {
	o.world.addFlags(f)
	f.StringVar(&o.name, "name", "", "name of the NetworkStack, when a file has several")
}

func (a *app) chartsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "charts list|pull|bundle",
		Short: "Lists, fetches and bundles the charts and images of NetworkStacks",
		Long: `Lists the charts and images that NetworkStacks need, fetches the charts, and bundles them for sites without a network.

All of it is found by composing and rendering the stacks as the operator does.`,
		Example: a.examples(`
# The images of a stack, an image in each line
{} charts list stack.yaml -o images
# One file with all charts, for a site without a network
{} charts bundle stack.yaml --to charts.tar.gz`),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("charts %s: there is no such command: write list, pull or bundle", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.chartsListCommand(), a.chartsPullCommand(), a.chartsBundleCommand())
	return cmd
}

const stackFiles = "the files with the NetworkStacks, or - for the standard input"

func (a *app) chartsListCommand() *cobra.Command {
	o := chartsOptions{}
	cmd := &cobra.Command{
		Use:   "list FILE...",
		Short: "Lists the charts and images that NetworkStacks need",
		Long: `Lists every chart and every image that the NetworkStacks in files need.

Images are found in what the charts come to: in pods, in custom resources, and in what controllers are told to put into pods of their
own. What an operator among the components decides by itself when it runs is in no object; a note says so. Images are named as
upstream does, whatever spec.sources.imageRegistry says; -o json has where they are pulled from as well.

Exit codes: 0 listed, 1 a stack is refused, 2 the command could not do its work, or could not see all.`,
		Example: a.examples(`
{} charts list stack.yaml --facts facts.yaml
# An image in each line
{} charts list stack.yaml --facts facts.yaml -o images
# Of all clusters together
{} charts list clusters/*.yaml --facts facts.yaml -o images`),
		Args: atLeastOne(stackFiles),
		RunE: func(cmd *cobra.Command, args []string) error { return a.chartsList(cmd.Context(), args, &o) },
	}
	o.addFlags(cmd.Flags())
	cmd.Flags().StringVarP(&o.output, "output", "o", outputTable, "table, json, yaml, or images: an image in each line")
	a.complete(cmd, "output", outputTable, outputJSON, outputYAML, outputImages)
	return cmd
}

// chartLine is a chart that is needed.
type chartLine struct {
	Components []string `json:"components"`
	Name       string   `json:"name"`
	Version    string   `json:"version"`
	// Repository is empty for a chart that the operator carries.
	Repository string `json:"repository,omitempty"`
	Source     string `json:"source,omitempty"`
	Digest     string `json:"digest,omitempty"`
	// Pinned says that the catalogue or the stack names the digest.
	Pinned bool  `json:"pinned"`
	Size   int64 `json:"size,omitempty"`
	// File is where the archive was written to.
	File    string `json:"file,omitempty"`
	Problem string `json:"problem,omitempty"`

	archive *chart.BundledChart
}

// imageLine is an image that is needed.
type imageLine struct {
	Image      string   `json:"image"`
	Components []string `json:"components"`
	// PulledAs is where spec.sources.imageRegistry has it pulled from.
	PulledAs string `json:"pulledAs,omitempty"`
}

// supplies are what stacks need.
type supplies struct {
	Charts []*chartLine `json:"charts"`
	Images []*imageLine `json:"images"`
	Notes  []string     `json:"notes,omitempty"`
}

func (a *app) chartsList(ctx context.Context, files []string, o *chartsOptions) error {
	if err := checkOutput(o.output, outputTable, outputJSON, outputYAML, outputImages); err != nil {
		return err
	}
	n, failed := a.needs(ctx, files, o)
	if n == nil {
		return failed
	}
	switch o.output {
	case outputImages:
		for _, i := range n.Images {
			fmt.Fprintln(a.Out, i.Image)
		}
		n.tell(a)
	case outputJSON, outputYAML:
		if err := a.encode(n, o.output); err != nil {
			return err
		}
	default:
		if err := n.table(a); err != nil {
			return err
		}
		n.tell(a)
	}
	return failed
}

// tell says on the error output what a list has no place for.
func (n *supplies) tell(a *app) {
	for _, note := range n.Notes {
		a.note("note: %s", note)
	}
}

// table prints charts, then images.
func (n *supplies) table(a *app) error {
	const gap = 2
	w := tabwriter.NewWriter(a.Out, 0, 0, gap, ' ', 0)
	fmt.Fprintln(w, "CHART\tVERSION\tCOMPONENTS\tREPOSITORY\tDIGEST\tSIZE")
	for _, c := range n.Charts {
		repository, size := "(in the operator)", "-"
		switch {
		case c.Repository != "":
			repository = c.Repository
		case c.archive != nil:
			repository = "(an archive of --charts)"
		}
		if c.Size > 0 {
			size = sizeText(c.Size)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", c.Name, c.Version, strings.Join(c.Components, ","), repository, shortDigest(c), size)
	}
	fmt.Fprintln(w)
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w, "IMAGE\tCOMPONENTS")
	for _, i := range n.Images {
		fmt.Fprintf(w, "%s\t%s\n", i.Image, strings.Join(i.Components, ","))
	}
	return w.Flush()
}

// shortDigest is as much of a digest as a table has place for.
func shortDigest(c *chartLine) string {
	const digits = len("sha256:") + 12
	switch {
	case c.Repository == "":
		return "-"
	case c.Digest == "":
		return "(not known)"
	case len(c.Digest) < digits:
		return c.Digest
	case !c.Pinned:
		return c.Digest[:digits] + " (not pinned)"
	default:
		return c.Digest[:digits]
	}
}

// sizeText is a size for people.
func sizeText(n int64) string {
	const kib = 1 << 10
	if n < kib*kib {
		return fmt.Sprintf("%d KiB", (n+kib-1)/kib)
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(kib*kib))
}

// needs finds what the stacks in files need. What was found is there beside an error, too; it is nil when nothing can be said.
func (a *app) needs(ctx context.Context, files []string, o *chartsOptions) (*supplies, error) {
	for i, file := range files {
		if file == stdin && (o.world.facts == stdin || slices.Contains(files[:i], stdin)) {
			return nil, usagef("the standard input is named twice")
		}
	}
	w, err := a.newWorld(ctx, &o.world)
	if err != nil {
		return nil, err
	}
	found := collector{images: map[string]*imageLine{}, charts: map[string]*chartLine{}}
	for _, file := range files {
		j, err := a.composed(ctx, w, file, o.name)
		if err != nil {
			return nil, err
		}
		if err := found.add(ctx, w, j.result.Releases); err != nil {
			return nil, err
		}
	}
	return found.needs()
}

// collector gathers what releases need, each thing once.
type collector struct {
	charts map[string]*chartLine
	images map[string]*imageLine
	notes  []string
	failed []error
}

// add looks at the releases of one stack. The error is the context's alone.
func (c *collector) add(ctx context.Context, w *world, releases []compose.Release) error {
	var kinds []string
	for _, r := range releases {
		registry := ""
		if s := r.Spec.Sources; s != nil && s.ImageRegistry != "" {
			registry = s.ImageRegistry
			r.Spec = *r.Spec.DeepCopy()
			r.Spec.Sources.ImageRegistry = ""
		}
		loaded := c.chart(ctx, w, r)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if loaded == nil {
			continue
		}
		rendered, err := w.renderLoaded(ctx, r, kinds, loaded)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			c.failed = append(c.failed, fmt.Errorf("%w: its images are not known", err))
			continue
		}
		kinds = append(kinds, release.DefinedKinds(rendered.rendered.All())...)
		c.pulls(r, rendered, registry)
	}
	return nil
}

// chart loads the chart of a release, and notes it.
func (c *collector) chart(ctx context.Context, w *world, r compose.Release) *chart.Chart {
	spec := r.Spec.Chart
	key := strings.Join([]string{spec.Repository, spec.Name, spec.Version, spec.Digest}, "\x00")
	line := c.charts[key]
	if line == nil {
		line = &chartLine{
			Name: spec.Name, Version: spec.Version, Repository: spec.Repository, Digest: spec.Digest,
			Pinned: spec.Digest != "" || spec.Repository == "",
		}
		c.charts[key] = line
	}
	seen := len(line.Components) > 0
	line.Components = addOnce(line.Components, r.Name)
	req := intent.Chart(&r.Spec, w.dirs)
	req.KeepArchive = true
	loaded, err := w.charts.Load(ctx, req)
	if err != nil {
		line.Problem = err.Error()
		if !seen && ctx.Err() == nil {
			c.failed = append(c.failed, fmt.Errorf("component %s: %w", r.Name, err))
		}
		return nil
	}
	line.Source, line.Digest, line.Size = loaded.Source, loaded.Digest, int64(len(loaded.Archive))
	if loaded.Archive != nil {
		bundled := chart.Bundled(req.Ref, loaded)
		line.archive, line.Version = &bundled, bundled.Version
	}
	return loaded
}

// pulls notes the images of a release.
func (c *collector) pulls(r compose.Release, rendered *component, registry string) {
	for _, image := range release.Images(rendered.rendered.All()) {
		line := c.images[image]
		if line == nil {
			line = &imageLine{Image: image}
			c.images[image] = line
		}
		line.Components = addOnce(line.Components, r.Name)
		if registry != "" {
			line.PulledAs = release.MovedImage(image, registry)
		}
	}
	if note := ownImages[r.Spec.Type]; note != "" {
		c.notes = addOnce(c.notes, r.Name+": "+note)
	}
	if len(r.Spec.ValuesFrom) > 0 {
		for _, n := range rendered.notes {
			if strings.Contains(n, "not known without its cluster") {
				c.notes = addOnce(c.notes, r.Name+": "+n+", and may name other images")
			}
		}
	}
}

// ownImages says of the components whose images their own operator chooses when it runs where these are listed.
var ownImages = map[string]string{
	string(networkstackv1alpha1.IngressEnvoyGateway): "its controller runs a proxy for each Gateway, of an image that it knows by itself " +
		"(docker.io/envoyproxy/envoy, with the tag of its release), unless an EnvoyProxy names one",
	string(networkstackv1alpha1.CNICalico): "its operator runs images that no object names: its own image lists them when it is run with --print-images=list",
}

func addOnce(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// needs are what was gathered, in order.
func (c *collector) needs() (*supplies, error) {
	n := &supplies{Charts: []*chartLine{}, Images: []*imageLine{}, Notes: c.notes}
	for _, line := range c.charts {
		slices.Sort(line.Components)
		n.Charts = append(n.Charts, line)
	}
	for _, line := range c.images {
		slices.Sort(line.Components)
		n.Images = append(n.Images, line)
	}
	slices.SortFunc(n.Charts, func(a, b *chartLine) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Repository, b.Repository),
			cmp.Compare(a.Digest, b.Digest))
	})
	slices.SortFunc(n.Images, func(a, b *imageLine) int { return cmp.Compare(a.Image, b.Image) })
	return n, errors.Join(c.failed...)
}

// archives are the charts that the operator does not carry.
func (n *supplies) archives() (list []*chartLine, carried int) {
	for _, c := range n.Charts {
		switch {
		case c.archive != nil:
			list = append(list, c)
		case c.Repository == "":
			carried++
		}
	}
	return list, carried
}

// unpinned notes charts whose digest nobody names.
func (n *supplies) unpinned(a *app) {
	for _, c := range n.Charts {
		if !c.Pinned && c.Digest != "" {
			a.note("note: %s %s is pinned by nobody: what %s has is %s, which chart.digest can name", c.Name, c.Version, c.Source, c.Digest)
		}
	}
}
