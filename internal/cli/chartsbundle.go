package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/networkstack/networkstack/internal/chart"
)

func (a *app) chartsPullCommand() *cobra.Command {
	o := chartsOptions{}
	cmd := &cobra.Command{
		Use:   "pull FILE... --to DIR",
		Short: "Fetches the chart archives of NetworkStacks into a directory",
		Long: `Fetches the archives of all charts that the NetworkStacks in files need into a directory, which --charts of the
operator and of this program read. Charts that the operator carries are not among them.

An archive whose digest is not the one that the catalogue or the stack names is not written, and neither is one in whose place
another archive is. One that fails does not keep the others from being fetched.

Exit codes: 0 all are there, 1 a stack is refused, 2 the command could not do its work, or one was not fetched.`,
		Example: a.examples(`
{} charts pull stack.yaml --facts facts.yaml --to charts/
# What the operator would make of them
{} render stack.yaml --facts facts.yaml --charts charts/ --offline`),
		Args: atLeastOne(stackFiles),
		RunE: func(cmd *cobra.Command, args []string) error { return a.chartsPull(cmd.Context(), args, &o) },
	}
	o.addFlags(cmd.Flags())
	cmd.Flags().StringVar(&o.to, "to", "", "the directory, which is made")
	a.addSupplyOutput(cmd, &o)
	return cmd
}

func (a *app) chartsBundleCommand() *cobra.Command {
	o := chartsOptions{}
	cmd := &cobra.Command{
		Use:   "bundle FILE... --to FILE",
		Short: "Writes the charts of NetworkStacks into one archive",
		Long: `Writes the archives of all charts that the NetworkStacks in files need into one archive, with an index of
versions and digests and the list of images, for sites without a network. --charts of the operator and of this program read the
bundle itself; unpacked, it is a directory that they read as well.

The same charts and images give the same bytes. Nothing is written when a chart cannot be had, or is not the one that is pinned; all
that is missing is said.

Exit codes: 0 written, 1 a stack is refused, 2 the command could not do its work.`,
		Example: a.examples(`
{} charts bundle stack.yaml --facts facts.yaml --to charts.tar.gz
# Is it all there? What would be installed from it?
{} render stack.yaml --facts facts.yaml --charts charts.tar.gz --offline
# One for all clusters
{} charts bundle clusters/*.yaml --facts facts.yaml --to charts.tar.gz`),
		Args: atLeastOne(stackFiles),
		RunE: func(cmd *cobra.Command, args []string) error { return a.chartsBundle(cmd.Context(), args, &o) },
	}
	o.addFlags(cmd.Flags())
	cmd.Flags().StringVar(&o.to, "to", "", "the file to write, such as charts.tar.gz")
	a.addSupplyOutput(cmd, &o)
	return cmd
}

func (a *app) addSupplyOutput(cmd *cobra.Command, o *chartsOptions) {
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "table, json or yaml: all charts and images, once they are written; left out, the files")
	a.complete(cmd, "output", outputTable, outputJSON, outputYAML)
}

// supply finds what is to be written.
func (a *app) supply(ctx context.Context, files []string, o *chartsOptions) (*supplies, error) {
	if err := checkOutput(o.output, outputTable, outputJSON, outputYAML); err != nil {
		return nil, err
	}
	if o.to == "" {
		return nil, usagef("--to: name where to write to")
	}
	return a.needs(ctx, files, o)
}

// supplied says what was written.
func (a *app) supplied(n *supplies, o *chartsOptions) error {
	switch o.output {
	case outputJSON, outputYAML:
		return a.encode(n, o.output)
	case outputTable:
		return n.table(a)
	}
	return nil
}

func (a *app) chartsPull(ctx context.Context, files []string, o *chartsOptions) error {
	n, failed := a.supply(ctx, files, o)
	if n == nil {
		return failed
	}
	if err := os.MkdirAll(o.to, 0o755); err != nil {
		return readError(o.to, err)
	}
	archives, carried := n.archives()
	for _, c := range archives {
		c.File = filepath.Join(o.to, c.archive.File)
		if err := writeArchive(c.File, c.archive.Archive); err != nil {
			c.Problem, c.File = err.Error(), ""
			failed = errors.Join(failed, err)
			continue
		}
		if o.output == "" {
			fmt.Fprintln(a.Out, c.File)
		}
	}
	n.unpinned(a)
	n.tell(a)
	if carried > 0 {
		a.note("%s of these stacks are in the operator itself", plural(carried, "chart"))
	}
	return errors.Join(a.supplied(n, o), failed)
}

// writeArchive writes an archive as a whole. Another one in its place stays.
func writeArchive(name string, data []byte) error {
	there, err := os.ReadFile(name)
	switch {
	case err == nil && bytes.Equal(there, data):
		return nil
	case err == nil:
		return fmt.Errorf("%s: is another archive, with digest sha256:%x, and is left: remove it, or name another directory",
			name, sha256.Sum256(there))
	case !errors.Is(err, fs.ErrNotExist):
		return readError(name, err)
	}
	return writeWhole(name, data)
}

// writeWhole replaces a file, or leaves what is there.
func writeWhole(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".writing-*")
	if err != nil {
		return readError(filepath.Dir(name), err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // is there no more when all went well
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return readError(name, err)
	}
	return nil
}

func (a *app) chartsBundle(ctx context.Context, files []string, o *chartsOptions) error {
	n, failed := a.supply(ctx, files, o)
	switch {
	case n == nil:
		return failed
	case failed != nil:
		return fmt.Errorf("%s is not written:\n%w", o.to, failed)
	}
	archives, carried := n.archives()
	list := make([]chart.BundledChart, len(archives))
	for i, c := range archives {
		list[i] = *c.archive
		c.File = c.archive.File
	}
	images := make([]string, len(n.Images))
	for i := range n.Images {
		images[i] = n.Images[i].Image
	}
	var out bytes.Buffer
	if err := chart.WriteBundle(&out, list, images); err != nil {
		return fmt.Errorf("%s is not written: %w", o.to, err)
	}
	if err := writeWhole(o.to, out.Bytes()); err != nil {
		return err
	}
	if o.output == "" {
		fmt.Fprintf(a.Out, "%s: %s and the names of %s, sha256:%x\n", o.to, plural(len(list), "chart"), plural(len(images), "image"),
			sha256.Sum256(out.Bytes()))
	}
	n.unpinned(a)
	n.tell(a)
	if carried > 0 {
		a.note("%s of these stacks are in the operator itself", plural(carried, "chart"))
	}
	return a.supplied(n, o)
}
