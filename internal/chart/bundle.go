package chart

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// The files of a bundle beside its archives.
const (
	BundleIndexFile  = "bundle.json"
	BundleImagesFile = "images.txt"
)

const (
	// bundleFormat is the version of the index. A reader refuses one that it does not know.
	bundleFormat = 1
	// maxBundleEntries and maxBundleSize bound what a bundle may unpack to, and maxBundleIndex its index.
	maxBundleEntries = 4096
	maxBundleSize    = 1 << 30
	maxBundleIndex   = 4 << 20
)

// BundledChart is a chart archive in a bundle.
type BundledChart struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// Repository it was fetched for, without credentials.
	Repository string `json:"repository,omitempty"`
	// File is the archive's name in the bundle, and in a directory of charts: NAME-VERSION.tgz.
	File string `json:"file"`
	// Digest is the SHA-256 of the archive, "sha256:…".
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
	// Archive is its content; it is not read back with the index.
	Archive []byte `json:"-"`
}

// Bundle is what a bundle holds. It is an archive of files that lie side by side, so that an unpacked one is a directory of charts.
type Bundle struct {
	FormatVersion int            `json:"formatVersion"`
	Charts        []BundledChart `json:"charts"`
	// Images that pods of these charts pull.
	Images []string `json:"images"`
}

// ArchiveName is how the archive of a chart is called in a directory of charts.
func ArchiveName(name, version string) string { return name + "-" + version + ".tgz" }

// Bundled is an archive that was loaded, as a bundle has it.
func Bundled(ref Ref, c *Chart) BundledChart {
	version := c.Chart.Metadata.Version
	return BundledChart{
		Name: ref.Name, Version: version, Repository: redact(ref.Repository), File: ArchiveName(ref.Name, version),
		Digest: c.Digest, Size: int64(len(c.Archive)), Archive: c.Archive,
	}
}

// BundleError is a bundle that is not right. Nothing of it is used.
type BundleError struct {
	Path string
	// Problems are all that is wrong, each with the entry that it is about.
	Problems []string
}

func (e *BundleError) Error() string {
	return fmt.Sprintf("the bundle %s cannot be used:\n  %s\nmake it anew, or copy it again",
		e.Path, strings.Join(e.Problems, "\n  "))
}

// WriteBundle writes a bundle. The same charts and images give the same bytes, whenever and by whomever it is written: entries are
// sorted, and have neither times nor owners. Nothing is packed, because archives are already.
func WriteBundle(w io.Writer, charts []BundledChart, images []string) error {
	b := Bundle{FormatVersion: bundleFormat, Charts: slices.Clone(charts), Images: slices.Compact(slices.Sorted(slices.Values(images)))}
	if b.Charts == nil {
		b.Charts = []BundledChart{}
	}
	if b.Images == nil {
		b.Images = []string{}
	}
	slices.SortFunc(b.Charts, func(a, b BundledChart) int { return cmp.Compare(a.File, b.File) })
	for i := range b.Charts {
		if i > 0 && b.Charts[i].File == b.Charts[i-1].File {
			return fmt.Errorf("two archives are to be called %s: a directory of charts, and a bundle, has one of each name and version", b.Charts[i].File)
		}
	}
	index, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return err
	}
	z, err := gzip.NewWriterLevel(w, gzip.NoCompression)
	if err != nil {
		return err
	}
	t := tar.NewWriter(z)
	add := func(name string, data []byte) error {
		if err := t.WriteHeader(&tar.Header{
			Name: name, Mode: 0o644, Size: int64(len(data)), Typeflag: tar.TypeReg, Format: tar.FormatUSTAR,
		}); err != nil {
			return err
		}
		_, err := t.Write(data)
		return err
	}
	var lines bytes.Buffer
	for _, image := range b.Images {
		fmt.Fprintln(&lines, image)
	}
	err = errors.Join(add(BundleIndexFile, append(index, '\n')), add(BundleImagesFile, lines.Bytes()))
	for i := range b.Charts {
		err = errors.Join(err, add(b.Charts[i].File, b.Charts[i].Archive))
	}
	return errors.Join(err, t.Close(), z.Close())
}

// ReadBundle reads the index of a bundle, having verified all of it. The error is a *BundleError, or why the file cannot be read.
func ReadBundle(name string) (*Bundle, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	check := bundleCheck{digests: map[string]string{}}
	if err := check.walk(f); err != nil {
		check.problem("it cannot be read to its end: %s", plainArchiveError(err))
	}
	check.compare()
	if len(check.problems) > 0 {
		return nil, &BundleError{Path: name, Problems: check.problems}
	}
	return check.index, nil
}

// plainArchiveError says in plain words why an archive cannot be read on.
func plainArchiveError(err error) string {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "the file was cut off"
	case errors.Is(err, gzip.ErrHeader):
		return "it is not packed by gzip"
	default:
		return err.Error()
	}
}

// bundleCheck is what is found in a bundle while it is read once.
type bundleCheck struct {
	index *Bundle
	// digests of the files there are, by name.
	digests  map[string]string
	names    []string
	problems []string
	broken   bool
}

func (c *bundleCheck) problem(format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

// walk reads all entries. The error is that of the archive; what is wrong with entries is noted.
func (c *bundleCheck) walk(r io.Reader) (err error) {
	defer func() { c.broken = err != nil }()
	return walkBundle(r, func(h *tar.Header, content io.Reader) error {
		switch {
		case !plainName(h.Name):
			c.problem("%q: leads out of the bundle: entries are plain file names", h.Name)
			return nil
		case h.Typeflag != tar.TypeReg:
			c.problem("%s: is no regular file", h.Name)
			return nil
		}
		if _, twice := c.digests[h.Name]; twice {
			c.problem("%s: is there twice", h.Name)
			return nil
		}
		if h.Name == BundleIndexFile {
			data, err := readLimited(content, maxBundleIndex)
			if err != nil {
				return err
			}
			c.digests[h.Name] = ""
			c.readIndex(data)
			return nil
		}
		sum := sha256.New()
		if _, err := io.Copy(sum, content); err != nil {
			return err
		}
		c.digests[h.Name] = "sha256:" + hex.EncodeToString(sum.Sum(nil))
		c.names = append(c.names, h.Name)
		return nil
	})
}

// walkBundle gives the entries of a bundle one by one.
func walkBundle(r io.Reader, yield func(*tar.Header, io.Reader) error) (err error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return err
	}
	left := &io.LimitedReader{R: z, N: maxBundleSize}
	defer func() {
		if err != nil && left.N <= 0 {
			err = &sizeError{maxBundleSize}
		}
	}()
	t := tar.NewReader(left)
	for n := 0; ; n++ {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			// The checksum of the whole comes behind the last entry.
			_, err = io.Copy(io.Discard, left)
			return err
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return err
		}
		if n == maxBundleEntries {
			return fmt.Errorf("it has more than %d entries", maxBundleEntries)
		}
		if err := yield(h, t); err != nil {
			return err
		}
	}
}

// plainName says whether a name is that of a file beside the index.
func plainName(name string) bool {
	return name != "" && name != "." && name != ".." && path.Base(name) == name && !strings.ContainsAny(name, `\/`)
}

func (c *bundleCheck) readIndex(data []byte) {
	var b Bundle
	if err := json.Unmarshal(data, &b); err != nil {
		c.problem("%s: is not the index of a bundle: %v", BundleIndexFile, err)
		return
	}
	if b.FormatVersion != bundleFormat {
		c.problem("%s: has format version %d, and this program reads %d: make the bundle with the program of the operator's version",
			BundleIndexFile, b.FormatVersion, bundleFormat)
		return
	}
	c.index = &b
}

// compare holds what is there against the index.
func (c *bundleCheck) compare() {
	if c.index == nil {
		if _, there := c.digests[BundleIndexFile]; !there && !c.broken {
			c.problem("%s: is missing: this is no bundle", BundleIndexFile)
		}
		return
	}
	named := map[string]bool{BundleImagesFile: true}
	for i := range c.index.Charts {
		e := &c.index.Charts[i]
		named[e.File] = true
		ref := Ref{Name: e.Name, Version: e.Version, Digest: e.Digest}
		got, there := c.digests[e.File]
		switch err := ref.validate(); {
		case err != nil:
			c.problem("%s: %v", BundleIndexFile, err)
		case e.Digest == "":
			c.problem("%s: the index has no digest of it", e.File)
		case e.File != ArchiveName(e.Name, e.Version):
			c.problem("%q: the archive of %s %s is called %s", e.File, e.Name, e.Version, ArchiveName(e.Name, e.Version))
		case !there && c.broken:
			c.problem("%s: is not in the part that can be read", e.File)
		case !there:
			c.problem("%s: is missing, and the index names it", e.File)
		case got != e.Digest:
			c.problem("%s: has digest %s, and the index says %s", e.File, got, e.Digest)
		}
	}
	for _, name := range c.names {
		if !named[name] {
			c.problem("%s: the index does not name it", name)
		}
	}
}

// openedBundle is a bundle that was read, as long as its file stays the same.
type openedBundle struct {
	info   fs.FileInfo
	bundle *Bundle
	err    error
}

// fromBundle takes a chart from a bundle. It gives nothing when the bundle is in order and has no such chart.
func (l *Loader) fromBundle(name string, info fs.FileInfo, ref Ref) (*Chart, error) {
	b, err := l.openBundle(name, info)
	if err != nil {
		return nil, &SourceError{URL: "bundle " + name, Reason: bundleReason(err)}
	}
	i := slices.IndexFunc(b.Charts, func(e BundledChart) bool { return e.Name == ref.Name && sameVersion(e.Version, ref.Version) })
	if i < 0 {
		return nil, nil
	}
	entry := b.Charts[i]
	source := "bundle " + name + ": " + entry.File
	if ref.Digest != "" && ref.Digest != entry.Digest {
		return nil, &DigestError{Want: ref.Digest, Got: entry.Digest, Source: source}
	}
	pinned := ref
	pinned.Digest = entry.Digest
	data, err := readBundled(name, entry.File, l.options.MaxArchiveSize)
	if err != nil {
		return nil, &SourceError{URL: source, Reason: err.Error()}
	}
	return l.open(data, source, pinned)
}

// openBundle reads the index of a bundle when the file is another one than it was.
func (l *Loader) openBundle(name string, info fs.FileInfo) (*Bundle, error) {
	l.bundlesMu.Lock()
	defer l.bundlesMu.Unlock()
	if b := l.bundles[name]; b != nil && sameFile(b.info, info) {
		return b.bundle, b.err
	}
	b, err := ReadBundle(name)
	l.bundles[name] = &openedBundle{info: info, bundle: b, err: err}
	return b, err
}

// sameFile says whether a file is the one that it was, with the same content as far as that shows.
func sameFile(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// bundleReason is what is wrong with a bundle, in one line.
func bundleReason(err error) string {
	var bad *BundleError
	if errors.As(err, &bad) {
		return strings.Join(bad.Problems, "; ")
	}
	return pathReason(err)
}

// readBundled reads one file of a bundle.
func readBundled(name, file string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, errors.New(pathReason(err))
	}
	defer f.Close()
	var data []byte
	found := errors.New("found")
	err = walkBundle(f, func(h *tar.Header, content io.Reader) error {
		if h.Name != file {
			return nil
		}
		var err error
		if data, err = readLimited(content, limit); err != nil {
			return err
		}
		return found
	})
	switch {
	case errors.Is(err, found):
		return data, nil
	case err == nil:
		return nil, errors.New("it is there no more: the bundle was replaced while it was read")
	default:
		return nil, errors.New(plainArchiveError(err))
	}
}

// pathReason is why a file cannot be read, without its name.
func pathReason(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

// CheckPlace says what is wrong with a directory of charts, or with a bundle, that a flag names. The error is a *BundleError for a
// bundle that is not right.
func CheckPlace(name string) error {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: there is no such directory or bundle", name)
	case err != nil:
		return fmt.Errorf("%s: %s", name, pathReason(err))
	case info.IsDir():
		return nil
	}
	_, err = ReadBundle(name)
	return err
}
