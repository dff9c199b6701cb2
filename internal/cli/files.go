package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/networkstack/networkstack/internal/manifest"
)

// stdin is what names the standard input.
const stdin = "-"

// located is a document and the file it is in.
type located struct {
	manifest.Document
	file string
	// number of the document in the file, from 1.
	number int
}

// expand gives the files that arguments name; those of a directory are its YAML and JSON files.
func expand(args []string, recursive bool) ([]string, error) {
	var out []string
	for i, arg := range args {
		if arg == stdin {
			if slices.Contains(args[:i], stdin) {
				return nil, usagef("- is named twice, and there is one standard input")
			}
			out = append(out, arg)
			continue
		}
		info, err := os.Stat(arg)
		if err != nil {
			return nil, readError(arg, err)
		}
		if !info.IsDir() {
			out = append(out, arg)
			continue
		}
		found, below, err := inDirectory(arg, recursive)
		if err != nil {
			return nil, readError(arg, err)
		}
		if len(found) == 0 {
			hint := ""
			if below {
				hint = ": -R goes into the directories below it"
			}
			return nil, fmt.Errorf("%s: the directory has no file that ends in .yaml, .yml or .json%s", arg, hint)
		}
		out = append(out, found...)
	}
	return out, nil
}

// inDirectory gives the manifests of a directory, in order, and says whether there are directories below it that were left out.
func inDirectory(dir string, recursive bool) (found []string, below bool, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != dir && (!recursive || strings.HasPrefix(d.Name(), ".")):
			below = true
			return filepath.SkipDir
		case d.IsDir():
		case slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)):
			found = append(found, path)
		}
		return nil
	})
	return found, below, err
}

// read takes a file apart.
func (a *app) read(file string) ([]located, error) {
	in := a.In
	if file != stdin {
		f, err := os.Open(file)
		if err != nil {
			return nil, readError(file, err)
		}
		defer f.Close()
		in = f
	}
	documents, err := manifest.Read(in)
	if err != nil {
		return nil, readError(file, err)
	}
	out := make([]located, 0, len(documents))
	for i, d := range documents {
		out = append(out, located{d, shown(file), i + 1})
	}
	return out, nil
}

// shown is a file's name in messages.
func shown(file string) string {
	if file == stdin {
		return "<stdin>"
	}
	return file
}

// readError says in plain words why a file cannot be read.
func readError(file string, err error) error {
	var path *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: there is no such file", shown(file))
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: may not be read", shown(file))
	case errors.As(err, &path):
		return fmt.Errorf("%s: %w", shown(file), path.Err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%s: ends too soon", shown(file))
	default:
		return fmt.Errorf("%s: %w", shown(file), err)
	}
}
