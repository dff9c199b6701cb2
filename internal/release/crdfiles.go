package release

import (
	"bytes"
	"path"
	"regexp"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
)

// crdFile is a file under a chart's crds/.
type crdFile struct {
	name, source string
	data         []byte
}

// crdFiles are the files under crds/ of a chart and of the charts in it, each with the chart it belongs to.
func crdFiles(c *chart.Chart) []crdFile {
	var out []crdFile
	for _, f := range c.Files {
		if strings.HasPrefix(f.Name, "crds/") && slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(f.Name)) {
			out = append(out, crdFile{name: path.Join(c.ChartFullPath(), f.Name), source: sourceName(c), data: f.Data})
		}
	}
	for _, d := range c.Dependencies() {
		out = append(out, crdFiles(d)...)
	}
	return out
}

// sourceName is a chart as CRDSourceAnnotation names it.
func sourceName(c *chart.Chart) string {
	if c.Metadata == nil {
		return ""
	}
	return c.Metadata.Name + "/" + c.Metadata.Version
}

// chartSources are the names of a chart and of the charts in it by their path, which is how rendered templates are named.
func chartSources(c *chart.Chart) map[string]string {
	out := map[string]string{c.ChartFullPath(): sourceName(c)}
	for _, d := range c.Dependencies() {
		for k, v := range chartSources(d) {
			out[k] = v
		}
	}
	return out
}

// sourceOfTemplate finds the chart of a template, "chart/charts/sub/templates/file".
func sourceOfTemplate(sources map[string]string, template string) string {
	for dir := path.Dir(template); dir != "." && dir != "/"; dir = path.Dir(dir) {
		if s, ok := sources[dir]; ok {
			return s
		}
	}
	return ""
}

var topLevelKey = regexp.MustCompile(`^([A-Za-z]+):`)

// separate puts a separator where one object follows another without: where the first key of a document comes again. YAML
// readers take such a document for one object, and the last one in it silently wins.
func separate(data []byte) []byte {
	var out bytes.Buffer
	first := ""
	for line := range bytes.Lines(data) {
		if bytes.HasPrefix(line, []byte("---")) {
			first = ""
		} else if m := topLevelKey.FindSubmatch(line); m != nil {
			switch key := string(m[1]); {
			case first == "":
				first = key
			case key == first:
				out.WriteString("---\n")
			}
		}
		out.Write(line)
	}
	return out.Bytes()
}
