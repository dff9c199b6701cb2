package chart

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// fromDirectory looks for NAME-VERSION.tgz, with and without a "v" before the version. It gives
// nothing when there is no such file; a file that is there but not right is an error, because going on
// to the next place would hide what the administrator put there.
func (l *Loader) fromDirectory(dir string, ref Ref) (*Chart, error) {
	if dir == "" {
		return nil, nil
	}
	plain := plainVersion(ref.Version)
	for _, version := range []string{plain, "v" + plain} {
		file := filepath.Join(dir, ref.Name+"-"+version+".tgz")
		source := "directory " + file
		data, err := readFile(file, l.options.MaxArchiveSize)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			var pathError *fs.PathError
			if errors.As(err, &pathError) {
				err = pathError.Err
			}
			return nil, &SourceError{URL: source, Reason: err.Error()}
		}
		return l.open(data, source, ref)
	}
	return nil, nil
}

// readFile reads a file of at most limit bytes.
func readFile(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readLimited(f, limit)
}
