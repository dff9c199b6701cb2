package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/compose"
)

// errInvalid says that files were read and found wanting; the findings are printed already.
var errInvalid = errors.New("not valid")

func validateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "validate FILE...",
		Short: "Checks NetworkStacks in files, without a cluster",
		Long: `Checks every NetworkStack in the files ("-" is standard input) as far as that needs no cluster, with the checks that the
operator makes itself; other kinds are passed over. It prints all errors with their field paths and rules (docs/refusals.md)
and exits with 1 when there is one. What needs a cluster (overlaps with its ranges, kernels, what is installed) is checked by
the operator only.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			found, invalid := 0, 0
			for _, file := range files {
				n, bad, err := validateFile(cmd.InOrStdin(), cmd.OutOrStdout(), file)
				if err != nil {
					return fmt.Errorf("%s: %w", file, err)
				}
				found, invalid = found+n, invalid+bad
			}
			switch {
			case invalid > 0:
				return fmt.Errorf("%d of %d NetworkStacks are %w", invalid, found, errInvalid)
			case found == 0:
				return errors.New("there is no NetworkStack in these files")
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d NetworkStacks are valid, as far as that can be told without a cluster\n", found)
			return nil
		},
	}
}

// validateFile prints what is wrong with the NetworkStacks of one file, and counts them and the invalid ones.
func validateFile(stdin io.Reader, out io.Writer, file string) (found, invalid int, err error) {
	in := stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return 0, 0, err
		}
		defer f.Close()
		in = f
	}
	documents := utilyaml.NewYAMLReader(bufio.NewReader(in))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return found, invalid, nil
		}
		if err != nil {
			return found, invalid, err
		}
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal(document, &kind); err != nil {
			return found, invalid, err
		}
		if kind.Kind != "NetworkStack" || kind.APIVersion != networkstackv1alpha1.GroupVersion.String() {
			continue
		}
		found++
		if !validateDocument(out, file, document) {
			invalid++
		}
	}
}

func validateDocument(out io.Writer, file string, document []byte) bool {
	var stack networkstackv1alpha1.NetworkStack
	if err := yaml.UnmarshalStrict(document, &stack); err != nil {
		fmt.Fprintf(out, "%s: %v\n", file, err)
		return false
	}
	errs, warnings := compose.ValidateObject(&stack)
	for _, w := range warnings {
		fmt.Fprintf(out, "%s: NetworkStack %s: warning: %s\n", file, stack.Name, w)
	}
	for _, e := range errs {
		fmt.Fprintf(out, "%s: NetworkStack %s: %s\n", file, stack.Name, e)
	}
	return len(errs) == 0
}
