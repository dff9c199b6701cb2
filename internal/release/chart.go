package release

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"maps"
	"net/url"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
)

// renderVersion is part of every inputs digest. It is raised when the engine changes what a release
// becomes, so that existing releases are brought up to date.
const renderVersion = "1"

// copyChart copies what Helm changes while rendering (metadata, values, the tree of dependencies) and
// shares the files. Schemas that would have Helm fetch something are left out; the names of the
// charts they belong to are returned.
func copyChart(c *chart.Chart) (*chart.Chart, []string) {
	var remote []string
	out := &chart.Chart{
		Metadata:  copyMetadata(c.Metadata),
		Lock:      c.Lock,
		Templates: c.Templates,
		Values:    copyValues(c.Values),
		Schema:    c.Schema,
		Files:     c.Files,
	}
	if refersElsewhere(c.Schema) {
		out.Schema = nil
		remote = append(remote, c.Name())
	}
	deps := make([]*chart.Chart, 0, len(c.Dependencies()))
	for _, d := range c.Dependencies() {
		dep, r := copyChart(d)
		deps = append(deps, dep)
		remote = append(remote, r...)
	}
	out.SetDependencies(deps...)
	return out, remote
}

func copyMetadata(m *chart.Metadata) *chart.Metadata {
	if m == nil {
		return nil
	}
	out := *m
	if m.Dependencies != nil {
		out.Dependencies = make([]*chart.Dependency, 0, len(m.Dependencies))
		for _, d := range m.Dependencies {
			if d == nil {
				continue
			}
			dep := *d
			dep.Tags = slices.Clone(d.Tags)
			dep.ImportValues = slices.Clone(d.ImportValues)
			out.Dependencies = append(out.Dependencies, &dep)
		}
	}
	out.Annotations = maps.Clone(m.Annotations)
	return &out
}

// copyValues copies values with the maps and slices in them; nil maps become empty ones.
func copyValues(values map[string]any) map[string]any {
	out := make(map[string]any, len(values))
	for k, v := range values {
		out[k] = copyValue(v)
	}
	return out
}

func copyValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		return copyValues(v)
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = copyValue(e)
		}
		return out
	default:
		return v
	}
}

// schemaMaps are the keywords of JSON schema below which keys are names, each with a schema of its own.
var schemaMaps = []string{"properties", "patternProperties", "definitions", "$defs", "dependentSchemas"}

// refersElsewhere says whether validating against a JSON schema would fetch something: over the
// network or from the local disk. Helm does so without asking.
func refersElsewhere(schema []byte) bool {
	if len(schema) == 0 {
		return false
	}
	var doc any
	if json.Unmarshal(schema, &doc) != nil {
		return false // Helm will say what is wrong with it
	}
	ids := map[string]bool{}
	var refs []string
	var walk func(v any, named bool)
	// named: the keys of v are names the schema's author chose (under "properties" and the like),
	// not keywords, so "$ref" there is just a name.
	walk = func(v any, named bool) {
		switch v := v.(type) {
		case map[string]any:
			for k, e := range v {
				if s, ok := e.(string); ok && !named {
					switch k {
					case "$ref", "$dynamicRef", "$recursiveRef", "$schema":
						refs = append(refs, s)
					case "$id", "id":
						ids[strings.TrimSuffix(s, "#")] = true
					}
				}
				switch k {
				case "enum", "const", "default", "examples":
					if !named {
						continue // data, not schema
					}
				}
				walk(e, !named && slices.Contains(schemaMaps, k))
			}
		case []any:
			for _, e := range v {
				walk(e, false)
			}
		}
	}
	walk(doc, false)
	for _, ref := range refs {
		base, _, _ := strings.Cut(ref, "#")
		if base == "" || ids[base] {
			continue
		}
		// The meta-schemas are built into the validator.
		if u, err := url.Parse(base); err == nil && u.Host == "json-schema.org" {
			continue
		}
		return true
	}
	return false
}

// Inputs is a digest over everything a release is rendered from: chart, values, names, image
// registry, the engine's own way of rendering and the cluster's minor version. As long as it stays
// the same there is no reason to render again. The digest is safe as a label's value.
func (e *Engine) Inputs(s Spec) string {
	// A version that could not be asked for again is kept, so there is nothing to report.
	_ = e.cluster.refreshVersion(versionAge)
	return inputs(s, e.cluster.minor())
}

func inputs(s Spec, kubeMinor string) string {
	digest := s.ChartDigest
	if digest == "" {
		digest = chartDigest(s.Chart)
	}
	h := sha256.New()
	for _, part := range []any{
		renderVersion, kubeMinor, s.Component, s.Name, s.Namespace, s.NamespaceLabels, digest, s.ImageRegistry,
		// Helm does not tell absent values from empty ones.
		copyValues(s.Values),
	} {
		writeJSON(h, part)
	}
	if len(s.Omit) > 0 {
		writeJSON(h, s.Omit)
	}
	if len(s.Transient) > 0 {
		writeJSON(h, map[string]any{"transient": s.Transient})
	}
	const length = 20 // bytes; 40 characters leave room within the 63 of a label
	return hex.EncodeToString(h.Sum(nil)[:length])
}

// chartDigest identifies a chart that has no archive.
func chartDigest(c *chart.Chart) string {
	h := sha256.New()
	hashChart(h, c)
	return hex.EncodeToString(h.Sum(nil))
}

func hashChart(h hash.Hash, c *chart.Chart) {
	if c == nil {
		return
	}
	writeJSON(h, c.Metadata)
	writeJSON(h, c.Values)
	writeJSON(h, c.Schema)
	for _, files := range [][]*chart.File{c.Templates, c.Files} {
		sorted := slices.SortedFunc(slices.Values(files), func(a, b *chart.File) int { return strings.Compare(a.Name, b.Name) })
		for _, f := range sorted {
			writeJSON(h, f)
		}
	}
	for _, d := range slices.SortedFunc(slices.Values(c.Dependencies()), func(a, b *chart.Chart) int {
		return strings.Compare(a.Name(), b.Name())
	}) {
		hashChart(h, d)
	}
	h.Write([]byte{0})
}

// writeJSON is injective over the parts it is called with: each ends with a newline, which JSON
// does not contain, and maps are written in the order of their keys.
func writeJSON(h hash.Hash, v any) {
	js, err := json.Marshal(v)
	if err != nil {
		// Only values that are no JSON end here, such as maps keyed by something else than
		// strings; fmt prints those in order, too.
		js = fmt.Appendf(nil, "%v", v)
	}
	h.Write(bytes.ReplaceAll(js, []byte("\n"), []byte(" ")))
	h.Write([]byte("\n"))
}
