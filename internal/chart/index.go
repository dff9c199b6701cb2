package chart

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"sigs.k8s.io/yaml"
)

// index is what is needed of a Helm repository's index.yaml.
type index struct {
	APIVersion string                  `json:"apiVersion"`
	Entries    map[string][]indexEntry `json:"entries"`
}

type indexEntry struct {
	Version string   `json:"version"`
	URLs    []string `json:"urls"`
	Digest  string   `json:"digest"`
}

// digest in our spelling; empty when the index has none that can be verified.
func (e *indexEntry) digest() string {
	d := "sha256:" + strings.TrimPrefix(strings.ToLower(e.Digest), "sha256:")
	if !digestPattern.MatchString(d) {
		return ""
	}
	return d
}

// parseIndex reads the entries of one chart. Indexes of many charts have tens of megabytes and take
// ten times that when parsed, so the lines of the other charts are left out where that is possible.
func parseIndex(raw []byte, name string) (*index, error) {
	if excerpt := excerptIndex(raw, name); excerpt != nil {
		if parsed, err := decodeIndex(excerpt); err == nil && len(parsed.Entries[name]) > 0 {
			return parsed, nil
		}
	}
	return decodeIndex(raw)
}

func decodeIndex(raw []byte) (*index, error) {
	var parsed index
	if err := yaml.Unmarshal(raw, &parsed); err != nil {
		// The parser's message quotes the content, which can be a whole page.
		return nil, errors.New("the content is not YAML of that form")
	}
	if parsed.APIVersion == "" && parsed.Entries == nil {
		return nil, errors.New("it has neither apiVersion nor entries")
	}
	return &parsed, nil
}

// excerptIndex cuts the lines of one chart out of an index in YAML's block style, which is how Helm
// writes it: "entries:", its charts' names indented, their versions below each. It gives nothing when
// the index looks different.
func excerptIndex(raw []byte, name string) []byte {
	var out bytes.Buffer
	out.WriteString("apiVersion: v1\nentries:\n")
	inEntries, inChart, indent := false, false, -1
	for line := range bytes.Lines(raw) {
		text := bytes.TrimLeft(line, " ")
		depth := len(line) - len(text)
		text = bytes.TrimRight(text, " \r\n")
		if len(text) == 0 || text[0] == '#' {
			if inChart {
				out.Write(line)
			}
			continue
		}
		if depth == 0 {
			if inEntries && text[0] != '-' {
				break
			}
			inEntries = inEntries || bytes.Equal(text, []byte("entries:"))
			continue
		}
		if !inEntries {
			continue
		}
		if indent < 0 {
			indent = depth
		}
		if depth == indent && text[0] != '-' {
			if inChart {
				break
			}
			inChart = string(bytes.Trim(bytes.TrimSuffix(text, []byte(":")), `"'`)) == name
		}
		if inChart {
			out.Write(line)
		}
	}
	if !inChart {
		return nil
	}
	return out.Bytes()
}

// find gives the entry of the reference's version, or the reason why there is none, with what there
// is instead.
func (x *index) find(ref Ref) (*indexEntry, string) {
	entries, ok := x.Entries[ref.Name]
	if !ok {
		names := slices.Sorted(maps.Keys(x.Entries))
		const most = 10
		if len(names) > most {
			names = append(names[:most], fmt.Sprintf("… (%d more)", len(names)-most))
		}
		return nil, fmt.Sprintf("the repository has no chart %s; it has: %s", ref.Name, orNone(names))
	}
	versions := make([]string, 0, len(entries))
	var found *indexEntry
	for i := range entries {
		e := &entries[i]
		versions = append(versions, e.Version)
		// The exact spelling goes before the one that differs by a "v".
		if e.Version == ref.Version || found == nil && sameVersion(e.Version, ref.Version) {
			found = e
		}
	}
	switch {
	case found == nil:
		return nil, noVersion(ref, versions)
	case len(found.URLs) == 0 || found.URLs[0] == "":
		return nil, fmt.Sprintf("the index names no archive for chart %s %s", ref.Name, ref.Version)
	}
	return found, ""
}

// noVersion says that the version is not there, and which near ones are.
func noVersion(ref Ref, versions []string) string {
	return fmt.Sprintf("there is no version %s of chart %s; nearest: %s", ref.Version, ref.Name, orNone(nearest(ref.Version, versions)))
}

// nearest gives the versions around the one asked for, newest first.
func nearest(version string, versions []string) []string {
	const above, below = 2, 3
	want, err := semver.NewVersion(version)
	if err != nil {
		return nil
	}
	var known []*semver.Version
	for _, v := range versions {
		if parsed, err := semver.NewVersion(v); err == nil {
			known = append(known, parsed)
		}
	}
	slices.SortFunc(known, func(a, b *semver.Version) int { return b.Compare(a) })
	at, _ := slices.BinarySearchFunc(known, want, func(a, b *semver.Version) int { return b.Compare(a) })
	known = known[max(0, at-above):min(len(known), at+below)]
	near := make([]string, len(known))
	for i, v := range known {
		near[i] = v.Original()
	}
	return near
}

func orNone(words []string) string {
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
}
