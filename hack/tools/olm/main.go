// Command olm checks what the Operator Lifecycle Manager is given, with the Operator Framework's own libraries, and writes the
// file-based catalogue. It is a module of its own for what these libraries need.
//
//	olm bundle DIR                           validate a bundle by every validator there is
//	olm catalog -root DIR -image REFERENCE   write the catalogue of the bundle in DIR
//	olm catalog -root DIR -check             fail when the catalogue is not as it would be written, or not valid
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/sirupsen/logrus"
)

func main() {
	// The library tells of every annotation that it does not find.
	logrus.SetOutput(io.Discard)
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return errors.New("usage: olm bundle DIR | olm catalog [-root DIR] [-image REFERENCE | -check]")
	}
	switch args[0] {
	case "bundle":
		if len(args) != 2 {
			return errors.New("usage: olm bundle DIR")
		}
		return validateBundle(args[1], out)
	case "catalog":
		flags := flag.NewFlagSet("catalog", flag.ContinueOnError)
		flags.SetOutput(io.Discard) // the error says it
		root := flags.String("root", ".", "root of the repository")
		image := flags.String("image", "", "image of the bundle")
		check := flags.Bool("check", false, "write nothing; fail when the catalogue is not as it would be written, or not valid")
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		if *check {
			return checkCatalog(ctx, *root)
		}
		return writeCatalog(ctx, *root, *image)
	default:
		return fmt.Errorf("there is no command %s", args[0])
	}
}
