package nodes

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// file is one of an image: a copy of a file of this machine, a link, or a text.
type file struct {
	source, link, text string
	mode               int64
}

// fileSet are an image's files by their absolute paths.
type fileSet map[string]file

// program adds a statically linked program under the given path.
func (s fileSet) program(path, source string) { s[path] = file{source: source, mode: 0o755} }

// listing are the names of the files, each with its text if it is one, or where it leads if it is a link, in the order of names.
func (s fileSet) listing() []string {
	var listing []string
	for _, name := range slices.Sorted(maps.Keys(s)) {
		listing = append(listing, name, s[name].text+s[name].link)
	}
	return listing
}

// fromTree adds files of a tree with all that they need: links on the way, and libraries.
func (s fileSet) fromTree(tree string, paths ...string) error {
	for _, wanted := range paths {
		at, err := s.resolve(tree, wanted)
		if err != nil {
			return err
		}
		if _, ok := s[at]; ok {
			continue
		}
		info, err := os.Stat(filepath.Join(tree, at))
		if err != nil {
			return err
		}
		if info.IsDir() {
			entries, err := os.ReadDir(filepath.Join(tree, at))
			if err != nil {
				return err
			}
			for _, entry := range entries {
				if err := s.fromTree(tree, path.Join(at, entry.Name())); err != nil {
					return err
				}
			}
			continue
		}
		s[at] = file{source: filepath.Join(tree, at), mode: int64(info.Mode().Perm())}
		needed, err := libraries(tree, filepath.Join(tree, at))
		if err != nil {
			return err
		}
		if err := s.fromTree(tree, needed...); err != nil {
			return err
		}
	}
	return nil
}

// resolve follows links within a tree, adds them, and returns where they lead.
func (s fileSet) resolve(tree, wanted string) (string, error) {
	resolved := "/"
	parts := strings.Split(strings.Trim(wanted, "/"), "/")
	for followed := 0; len(parts) > 0; {
		next := path.Join(resolved, parts[0])
		parts = parts[1:]
		info, err := os.Lstat(filepath.Join(tree, next))
		if err != nil {
			return "", err
		}
		if info.Mode().Type() != fs.ModeSymlink {
			resolved = next
			continue
		}
		if followed++; followed > 40 {
			return "", fmt.Errorf("%s: links lead round in circles", wanted)
		}
		target, err := os.Readlink(filepath.Join(tree, next))
		if err != nil {
			return "", err
		}
		s[next] = file{link: target}
		if path.IsAbs(target) {
			resolved = "/"
		}
		parts = append(strings.Split(strings.Trim(target, "/"), "/"), parts...)
	}
	return resolved, nil
}

// libraries are those that a program or library names, and its loader; none for what is no such file.
func libraries(tree, path string) ([]string, error) {
	binary, _ := elf.Open(path)
	if binary == nil { // a script, or a text
		return nil, nil
	}
	defer func() { _ = binary.Close() }()
	var needed []string
	for _, program := range binary.Progs {
		if program.Type == elf.PT_INTERP {
			name := make([]byte, program.Filesz)
			if _, err := program.ReadAt(name, 0); err != nil {
				return nil, err
			}
			needed = append(needed, strings.TrimRight(string(name), "\x00"))
		}
	}
	names, err := binary.ImportedLibraries()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		found, err := filepath.Glob(filepath.Join(tree, "usr", "lib", "*-linux-gnu*", name))
		if err != nil || len(found) == 0 {
			return nil, fmt.Errorf("%s needs the library %s, which is not in %s", path, name, tree)
		}
		needed = append(needed, strings.TrimPrefix(found[0], tree))
	}
	return needed, nil
}

// tarball is the set as an archive, always the same for the same files.
func (s fileSet) tarball() ([]byte, error) {
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	made := map[string]bool{"/": true}
	var directory func(string) error
	directory = func(dir string) error {
		if made[dir] || s[dir].link != "" {
			return nil
		}
		if err := directory(path.Dir(dir)); err != nil {
			return err
		}
		made[dir] = true
		mode := int64(0o755)
		if dir == "/tmp" {
			mode = 0o1777
		}
		return w.WriteHeader(&tar.Header{Name: strings.TrimPrefix(dir, "/") + "/", Typeflag: tar.TypeDir, Mode: mode})
	}
	names := make([]string, 0, len(s))
	for name := range s {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := directory(path.Dir(name)); err != nil {
			return nil, err
		}
		f := s[name]
		header := &tar.Header{Name: strings.TrimPrefix(name, "/"), Mode: f.mode, Linkname: f.link, Typeflag: tar.TypeReg}
		content := []byte(f.text)
		var err error
		switch {
		case f.link != "":
			header.Typeflag, header.Mode = tar.TypeSymlink, 0o777
		case f.source != "":
			if content, err = os.ReadFile(f.source); err != nil {
				return nil, err
			}
		}
		header.Size = int64(len(content))
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(content); err != nil {
			return nil, err
		}
	}
	return buffer.Bytes(), w.Close()
}

func digest(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintln(h, part)
	}
	return hex.EncodeToString(h.Sum(nil))[:8]
}
