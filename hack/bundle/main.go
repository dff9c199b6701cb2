// Command bundle writes the bundle for the Operator Lifecycle Manager, bundle/ and bundle.Dockerfile, from config/.
// It is run from the root of the repository.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// semantic is a version without a leading v.
var semantic = regexp.MustCompile(`^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`)

func main() {
	var (
		o     options
		check bool
	)
	flag.StringVar(&o.version, "version", "", "version of the operator, without a v")
	flag.StringVar(&o.image, "image", "", "image of the operator")
	flag.BoolVar(&check, "check", false, "write nothing; fail when config/ gives another bundle at the version and image that it has")
	flag.Parse()
	if err := run(".", o, check); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(root string, o options, check bool) error {
	if check {
		return checkCurrent(root)
	}
	if !semantic.MatchString(o.version) || o.image == "" {
		return fmt.Errorf("-version %q and -image %q: want a version such as 0.1.0, and an image", o.version, o.image)
	}
	files, err := generate(root, o)
	if err != nil {
		return err
	}
	return write(root, files)
}

// write replaces the bundle by files. What the bundle had beside them goes.
func write(root string, files map[string][]byte) error {
	if err := os.RemoveAll(filepath.Join(root, bundleDir)); err != nil {
		return err
	}
	for name, data := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}
