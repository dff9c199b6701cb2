package chart

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// fromPlace looks into a directory, or a bundle, which is a file.
func (l *Loader) fromPlace(place string, ref Ref) (*Chart, error) {
	if info, err := os.Stat(place); err == nil && !info.IsDir() {
		return l.fromBundle(place, info, ref)
	}
	return l.fromDirectory(place, ref)
}

// fromDirectory looks for NAME-VERSION.tgz, with and without a "v" before the version. It gives
// nothing when there is no such file; a file that is there but not right is an error, because going on
// to the next place would hide what the administrator put there.
func (l *Loader) fromDirectory(dir string, ref Ref) (*Chart, error) {
	if dir == "" {
		return nil, nil
	}
	plain := plainVersion(ref.Version)
	for _, version := range []string{plain, "v" + plain} {
		file := filepath.Join(dir, ArchiveName(ref.Name, version))
		source := "directory " + file
		data, err := readFile(file, l.options.MaxArchiveSize)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, &SourceError{URL: source, Reason: pathReason(err)}
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
