package importer

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kyaml "sigs.k8s.io/yaml"
)

// YAML is the stack as a person goes on writing it: fields in the order of the API, with comments where somebody has to decide, and
// where parts come from.
func (r *Result) YAML() ([]byte, error) {
	data, err := json.Marshal(r.Stack)
	if err != nil {
		return nil, err
	}
	var document yaml.Node
	// JSON is YAML, and this keeps the order of fields.
	if err := yaml.Unmarshal(data, &document); err != nil {
		return nil, err
	}
	root := document.Content[0]
	plain(root)
	remove(root, "status")
	first(root, "apiVersion")
	comments := map[*yaml.Node][]string{}
	var order []*yaml.Node
	say := func(field, text string) {
		n := keyOf(root, field)
		if n == nil {
			return
		}
		if comments[n] == nil {
			order = append(order, n)
		}
		comments[n] = append(comments[n], wrapped(text)...)
	}
	for _, o := range r.Origins {
		say(o.Field, "From "+o.What+".")
	}
	for _, m := range r.Remarks {
		text := strings.TrimSuffix(m.What, ".") + "."
		if m.Remedy != "" {
			text += " To do: " + strings.TrimSuffix(m.Remedy, ".") + "."
		}
		if m.Severity == Decide {
			say(m.Field, "DECIDE: "+text)
		}
	}
	for _, n := range order {
		n.HeadComment = strings.Join(comments[n], "\n")
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(&document); err != nil {
		return nil, err
	}
	return out.Bytes(), enc.Close()
}

// wrapped is a text in comment lines of bearable length.
func wrapped(text string) []string {
	const width = 110
	var out []string
	line := "#"
	for _, w := range strings.Fields(text) {
		if len(line)+1+len(w) > width && line != "#" {
			out, line = append(out, line), "#"
		}
		line += " " + w
	}
	return append(out, line)
}

// plain gives nodes that were read of JSON the form that people write.
func plain(n *yaml.Node) {
	n.Style = 0
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" && strings.Contains(n.Value, "\n") {
		n.Style = yaml.LiteralStyle
	}
	for _, c := range n.Content {
		plain(c)
	}
}

// remove takes a key out of a mapping.
func remove(m *yaml.Node, key string) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			m.Content = append(m.Content[:i], m.Content[i+2:]...)
			return
		}
	}
}

// first puts a key before the others of a mapping.
func first(m *yaml.Node, key string) {
	for i := 2; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			k, v := m.Content[i], m.Content[i+1]
			m.Content = slices.Insert(slices.Delete(m.Content, i, i+2), 0, k, v)
			return
		}
	}
}

var step = regexp.MustCompile(`[A-Za-z0-9]+`)

// keyOf is the node to comment on for a field: its key, or that of the nearest field above that is there, but not the spec itself.
func keyOf(root *yaml.Node, field string) *yaml.Node {
	var found *yaml.Node
	at := root
	for depth, name := range step.FindAllString(field, -1) {
		switch at.Kind {
		case yaml.MappingNode:
			next := -1
			for i := 0; i+1 < len(at.Content); i += 2 {
				if at.Content[i].Value == name {
					next = i
				}
			}
			if next < 0 {
				return found
			}
			if depth > 0 {
				found = at.Content[next]
			}
			at = at.Content[next+1]
		case yaml.SequenceNode:
			index := 0
			for _, c := range name {
				index = index*10 + int(c-'0')
			}
			if index < 0 || index >= len(at.Content) {
				return found
			}
			at = at.Content[index]
			found = at
		default:
			return found
		}
	}
	return found
}

// SecretsYAML are the Secrets that the stack refers to; empty when there are none.
func (r *Result) SecretsYAML(namespace string) ([]byte, error) {
	var out bytes.Buffer
	for _, name := range sortedKeys(r.Secrets) {
		values, err := kyaml.Marshal(r.Secrets[name])
		if err != nil {
			return nil, err
		}
		s := corev1.Secret{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
			StringData: map[string]string{"values.yaml": string(values)},
		}
		data, err := kyaml.Marshal(s)
		if err != nil {
			return nil, err
		}
		out.WriteString("---\n")
		out.Write(data)
	}
	return out.Bytes(), nil
}
