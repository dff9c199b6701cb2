package release

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"helm.sh/helm/v3/pkg/kube"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/networkstack/networkstack/api/v1alpha1"
)

// Helm's marks of ownership.
const (
	managedByLabel             = "app.kubernetes.io/managed-by"
	managedByHelm              = "Helm"
	releaseNameAnnotation      = "meta.helm.sh/release-name"
	releaseNamespaceAnnotation = "meta.helm.sh/release-namespace"
)

// key identifies an object whatever version of its API it is written in.
type key struct {
	schema.GroupKind
	Namespace, Name string
}

// document is one YAML document: the comment that says which template it comes from, and its objects.
type document struct {
	source  string
	objects []*unstructured.Unstructured
}

// parse reads a stream of YAML documents. Lists are taken apart.
func parse(r io.Reader) ([]document, error) {
	var docs []document
	reader := utilyaml.NewYAMLReader(bufio.NewReader(r))
	for {
		raw, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return nil, err
		}
		doc := document{source: sourceOf(raw)}
		js, err := yaml.YAMLToJSON(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", doc.where(), err)
		}
		if js = bytes.TrimSpace(js); len(js) == 0 || bytes.Equal(js, []byte("null")) || bytes.Equal(js, []byte("{}")) {
			continue
		}
		obj, _, err := unstructured.UnstructuredJSONScheme.Decode(js, nil, nil)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", doc.where(), err)
		}
		switch o := obj.(type) {
		case *unstructured.Unstructured:
			doc.objects = append(doc.objects, o)
		case *unstructured.UnstructuredList:
			for i := range o.Items {
				doc.objects = append(doc.objects, &o.Items[i])
			}
		}
		docs = append(docs, doc)
	}
}

func (d document) where() string {
	if d.source == "" {
		return "manifest"
	}
	return strings.TrimPrefix(d.source, "# Source: ")
}

// sourceOf finds the comment that Helm puts above every document.
func sourceOf(raw []byte) string {
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "# Source: ") {
			return line
		}
		if line != "" && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "---") {
			return ""
		}
	}
	return ""
}

// parseObjects is parse without the documents.
func parseObjects(manifest string) ([]*unstructured.Unstructured, error) {
	docs, err := parse(strings.NewReader(manifest))
	if err != nil {
		return nil, err
	}
	var out []*unstructured.Unstructured
	for _, d := range docs {
		out = append(out, d.objects...)
	}
	return out, nil
}

// format writes documents as Helm does.
func format(docs []document) (*bytes.Buffer, error) {
	var b bytes.Buffer
	for _, d := range docs {
		for _, o := range d.objects {
			out, err := yaml.Marshal(o.Object)
			if err != nil {
				return nil, err
			}
			b.WriteString("---\n")
			if d.source != "" {
				b.WriteString(d.source + "\n")
			}
			b.Write(out)
		}
	}
	return &b, nil
}

// marks are what the engine puts on objects to say whose they are.
type marks struct {
	component, release, namespace string
}

// normalize makes u what is applied: our label on it, Helm's marks too unless it is a hook, and
// nothing in it that server-side apply would stumble over. Doing it twice changes nothing.
func normalize(u *unstructured.Unstructured, m marks, hook bool) error {
	meta, ok := u.Object["metadata"].(map[string]any)
	if !ok {
		return fmt.Errorf("%s without metadata", u.GetKind())
	}
	if name, ok := meta["name"].(string); (!ok || name == "") && (!hook || u.GetGenerateName() == "") {
		return fmt.Errorf("%s without a name (metadata.name must be a string)", u.GetKind())
	}
	// The server sets these; a chart that was made from a live object may still have them.
	for _, f := range []string{"creationTimestamp", "resourceVersion", "uid", "generation", "managedFields", "selfLink"} {
		delete(meta, f)
	}
	labels, err := stringMap(u, meta, "labels")
	if err != nil {
		return err
	}
	annotations, err := stringMap(u, meta, "annotations")
	if err != nil {
		return err
	}
	labels[v1alpha1.ComponentLabel] = m.component
	if !hook {
		labels[managedByLabel] = managedByHelm
		annotations[releaseNameAnnotation] = m.release
		annotations[releaseNamespaceAnnotation] = m.namespace
		meta["annotations"] = annotations
	} else if len(annotations) > 0 {
		meta["annotations"] = annotations
	}
	meta["labels"] = labels
	switch gvk := u.GroupVersionKind(); {
	case gvk.Group == "" && gvk.Kind == "Secret":
		return convertStringData(u)
	case gvk.Group == "rbac.authorization.k8s.io" && gvk.Kind == "ClusterRole" && u.Object["aggregationRule"] != nil:
		// A controller fills them in; charts write an empty list, which would be ours.
		delete(u.Object, "rules")
	}
	return nil
}

// stringMap returns a copy of a map under metadata without its nulls. Anything but a string is refused here, because
// reading such a map through the usual helpers silently loses all of it.
func stringMap(u *unstructured.Unstructured, meta map[string]any, field string) (map[string]any, error) {
	out := map[string]any{}
	if meta[field] == nil {
		return out, nil
	}
	in, ok := meta[field].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s %s: metadata.%s is not a map", u.GetKind(), u.GetName(), field)
	}
	for k, v := range in {
		switch v := v.(type) {
		case nil:
		case string:
			out[k] = v
		default:
			return nil, fmt.Errorf("%s %s: metadata.%s[%s] is not a string", u.GetKind(), u.GetName(), field, k)
		}
	}
	return out, nil
}

// convertStringData moves a Secret's stringData to data. The server does the same, but records the
// ownership of stringData, so that a change of data would go unseen and removed keys would stay.
func convertStringData(u *unstructured.Unstructured) error {
	from, ok := u.Object["stringData"].(map[string]any)
	delete(u.Object, "stringData")
	if !ok || len(from) == 0 {
		return nil
	}
	data, _ := u.Object["data"].(map[string]any)
	if data == nil {
		data = map[string]any{}
	}
	for k, v := range from {
		switch v := v.(type) {
		case nil:
		case string:
			data[k] = base64.StdEncoding.EncodeToString([]byte(v))
		default:
			return fmt.Errorf("stringData[%s] of Secret %s is not a string", k, u.GetName())
		}
	}
	u.Object["data"] = data
	return nil
}

func objectOf(u *unstructured.Unstructured) Object {
	return Object{GVK: u.GroupVersionKind(), Namespace: u.GetNamespace(), Name: u.GetName()}
}

// keyOf is u's key before its namespace is filled in: objects without one get the release's.
func keyOf(u *unstructured.Unstructured, namespace string) key {
	if ns := u.GetNamespace(); ns != "" {
		namespace = ns
	}
	return key{u.GroupVersionKind().GroupKind(), namespace, u.GetName()}
}

// isKept says whether the chart wants the object to outlive the release.
func isKept(u *unstructured.Unstructured) bool { return keeps(u.GetAnnotations()) }

func keeps(annotations map[string]string) bool {
	return strings.EqualFold(strings.TrimSpace(annotations[kube.ResourcePolicyAnno]), kube.KeepPolicy)
}

func isCRD(gk schema.GroupKind) bool {
	return gk.Group == "apiextensions.k8s.io" && gk.Kind == "CustomResourceDefinition"
}

func isNamespace(gk schema.GroupKind) bool { return gk.Group == "" && gk.Kind == "Namespace" }

// Transient says whether an object is removed once it has done its work: by the cluster, as with a Job that has
// ttlSecondsAfterFinished, or by the chart itself, as is known of some Jobs. One that is gone is done: it is not missing, and
// making it anew would do the work again.
func Transient(u *unstructured.Unstructured) bool {
	gk := u.GroupVersionKind().GroupKind()
	if gk.Group != "batch" || gk.Kind != "Job" {
		return false
	}
	if u.GetAnnotations()[v1alpha1.TransientAnnotation] == "true" {
		return true
	}
	ttl, ok, err := unstructured.NestedFieldNoCopy(u.Object, "spec", "ttlSecondsAfterFinished")
	return ok && err == nil && ttl != nil
}
