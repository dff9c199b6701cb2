package main

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/networkstack/networkstack/test/operator"
)

const (
	bundleDir  = "bundle"
	dockerfile = "bundle.Dockerfile"
	csvFile    = bundleDir + "/manifests/networkstack.clusterserviceversion.yaml"
	container  = "operator"
	// channel is named as the Operator Framework's conventions have it: candidate, fast or stable, and the major version.
	channel = "candidate-v0"

	scorecardDir = "tests/scorecard/"
)

type options struct {
	version, image string
}

// input is what config/ has to say.
type input struct {
	csv             *unstructured.Unstructured
	deployment      *unstructured.Unstructured
	definitions     []*unstructured.Unstructured
	roles, bindings []*unstructured.Unstructured
}

// generate returns the files of the bundle by their path from the root.
func generate(root string, o options) (map[string][]byte, error) {
	in, err := load(filepath.Join(root, "config", "manifests"))
	if err != nil {
		return nil, err
	}
	if err := in.complete(root, o); err != nil {
		return nil, err
	}
	annotations := bundleAnnotations()
	contents := map[string]any{
		csvFile:                                  in.csv.Object,
		bundleDir + "/metadata/annotations.yaml": map[string]any{"annotations": annotations},
	}
	for _, definition := range in.definitions {
		plural, group, _ := strings.Cut(definition.GetName(), ".")
		contents[path.Join(bundleDir, "manifests", group+"_"+plural+".yaml")] = definition.Object
	}
	for _, r := range in.userRoles() {
		contents[path.Join(bundleDir, "manifests", r.GetName()+"_clusterrole.yaml")] = r.Object
	}
	tests, err := operator.Build(filepath.Join(root, "config", "scorecard"))
	if err != nil {
		return nil, err
	}
	if len(tests) != 1 {
		return nil, fmt.Errorf("config/scorecard has %d objects", len(tests))
	}
	contents[path.Join(bundleDir, scorecardDir, "config.yaml")] = tests[0].Object
	files := map[string][]byte{dockerfile: dockerfileFor(annotations)}
	for name, content := range contents {
		if files[name], err = yaml.Marshal(content); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return files, nil
}

// load builds the kustomization and sorts what comes out by its use.
func load(dir string) (*input, error) {
	objects, err := operator.Build(dir)
	if err != nil {
		return nil, err
	}
	in := &input{}
	for _, object := range objects {
		switch object.GetKind() {
		case "ClusterServiceVersion":
			in.csv = object
		case "Deployment":
			in.deployment = object
		case "CustomResourceDefinition":
			in.definitions = append(in.definitions, object)
		case "Role", "ClusterRole":
			in.roles = append(in.roles, object)
		case "RoleBinding", "ClusterRoleBinding":
			in.bindings = append(in.bindings, object)
		case "Namespace", "ServiceAccount", "ResourceQuota":
			// OLM creates the account; namespace and quota are the business of whoever installs the bundle.
		case "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding":
			// OLM takes none of these in a bundle: docs/install.md says how to add them.
		default:
			return nil, fmt.Errorf("config/manifests has a %s, and the bundle no place for it", object.GetKind())
		}
	}
	if in.csv == nil || in.deployment == nil || len(in.definitions) == 0 {
		return nil, errors.New("config/manifests lacks a ClusterServiceVersion, a Deployment or a CustomResourceDefinition")
	}
	return in, nil
}

// complete fills the ClusterServiceVersion.
func (in *input) complete(root string, o options) error {
	examples, err := samples(filepath.Join(root, "config", "samples"))
	if err != nil {
		return err
	}
	icon, err := os.ReadFile(filepath.Join(root, "config", "manifests", "icon.svg"))
	if err != nil {
		return err
	}
	in.csv.SetName("networkstack.v" + o.version)
	annotations := in.csv.GetAnnotations()
	annotations["alm-examples"] = examples
	annotations["containerImage"] = o.image
	in.csv.SetAnnotations(annotations)

	strategy, err := in.installStrategy(o.image)
	if err != nil {
		return err
	}
	if err := in.describe(); err != nil {
		return err
	}
	for field, value := range map[string]any{
		"version":       o.version,
		"icon":          []any{map[string]any{"mediatype": "image/svg+xml", "base64data": base64.StdEncoding.EncodeToString(icon)}},
		"install":       map[string]any{"strategy": "deployment", "spec": strategy},
		"relatedImages": []any{map[string]any{"name": container, "image": o.image}},
	} {
		if err := unstructured.SetNestedField(in.csv.Object, value, "spec", field); err != nil {
			return err
		}
	}
	return nil
}

// firstSample is the one that the kustomization of config/samples has.
const firstSample = "networkstack_flannel.yaml"

// samples are config/samples as a JSON list.
func samples(dir string) (string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "networkstack_*.yaml"))
	if err != nil {
		return "", err
	}
	var all []any
	// The sample that most begin with first: consoles offer that one.
	first := func(file string) int {
		if filepath.Base(file) == firstSample {
			return 0
		}
		return 1
	}
	slices.SortFunc(files, func(a, b string) int { return cmp.Or(first(a)-first(b), strings.Compare(a, b)) })
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		var sample map[string]any
		if err := yaml.UnmarshalStrict(data, &sample); err != nil {
			return "", fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, sample)
	}
	out, err := json.MarshalIndent(all, "", "  ")
	return string(out), err
}

// installStrategy is the Deployment and the rules of the roles bound to its account.
func (in *input) installStrategy(image string) (map[string]any, error) {
	spec, _, err := unstructured.NestedMap(in.deployment.Object, "spec")
	if err != nil {
		return nil, err
	}
	containers, _, err := unstructured.NestedSlice(spec, "template", "spec", "containers")
	if err != nil {
		return nil, err
	}
	for _, c := range containers {
		if c, ok := c.(map[string]any); ok && c["name"] == container {
			c["image"] = image
		}
	}
	if err := unstructured.SetNestedSlice(spec, containers, "template", "spec", "containers"); err != nil {
		return nil, err
	}
	account, _, err := unstructured.NestedString(spec, "template", "spec", "serviceAccountName")
	if err != nil {
		return nil, err
	}
	strategy := map[string]any{
		"deployments": []any{map[string]any{
			"name": in.deployment.GetName(), "label": stringsToAny(in.deployment.GetLabels()), "spec": spec,
		}},
	}
	for kind, field := range map[string]string{"Role": "permissions", "ClusterRole": "clusterPermissions"} {
		rules, err := in.rulesOf(account, kind)
		if err != nil {
			return nil, err
		}
		strategy[field] = []any{map[string]any{"serviceAccountName": account, "rules": rules}}
	}
	return strategy, nil
}

// rulesOf are the rules of the Roles, or ClusterRoles, that are bound to a ServiceAccount.
func (in *input) rulesOf(account, kind string) ([]any, error) {
	var rules []any
	for _, binding := range in.boundTo(account) {
		if binding.RoleRef.Kind != kind {
			continue
		}
		at := slices.IndexFunc(in.roles, func(r *unstructured.Unstructured) bool {
			return r.GetKind() == kind && r.GetName() == binding.RoleRef.Name
		})
		if at < 0 {
			return nil, fmt.Errorf("%s binds %s %s, which config/rbac does not have", binding.Name, kind, binding.RoleRef.Name)
		}
		more, _, err := unstructured.NestedSlice(in.roles[at].Object, "rules")
		if err != nil {
			return nil, err
		}
		rules = append(rules, more...)
	}
	if len(rules) == 0 {
		return nil, fmt.Errorf("no %s is bound to %s", kind, account)
	}
	return rules, nil
}

// boundTo are the bindings of a ServiceAccount, ordered by name.
func (in *input) boundTo(account string) []rbacv1.ClusterRoleBinding {
	var bound []rbacv1.ClusterRoleBinding
	for _, object := range in.bindings {
		var b rbacv1.ClusterRoleBinding // a RoleBinding looks the same
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &b); err != nil {
			continue
		}
		if slices.ContainsFunc(b.Subjects, func(s rbacv1.Subject) bool { return s.Name == account }) {
			bound = append(bound, b)
		}
	}
	slices.SortFunc(bound, func(a, b rbacv1.ClusterRoleBinding) int { return strings.Compare(a.Name, b.Name) })
	return bound
}

// userRoles are the ClusterRoles that no binding of ours names: those for people.
func (in *input) userRoles() []*unstructured.Unstructured {
	return slices.DeleteFunc(slices.Clone(in.roles), func(role *unstructured.Unstructured) bool {
		return slices.ContainsFunc(in.bindings, func(binding *unstructured.Unstructured) bool {
			name, _, _ := unstructured.NestedString(binding.Object, "roleRef", "name")
			return name == role.GetName()
		})
	})
}

// describe gives each owned definition, and each descriptor, the description that the schema has for it.
func (in *input) describe() error {
	owned, _, err := unstructured.NestedSlice(in.csv.Object, "spec", "customresourcedefinitions", "owned")
	if err != nil {
		return err
	}
	if len(owned) != len(in.definitions) {
		return fmt.Errorf("the base describes %d definitions, and there are %d", len(owned), len(in.definitions))
	}
	for _, entry := range owned {
		entry, ok := entry.(map[string]any)
		if !ok {
			return errors.New("an entry of owned is not an object")
		}
		name, _ := entry["name"].(string)
		version, _ := entry["version"].(string)
		schema, err := in.schema(name, version)
		if err != nil {
			return err
		}
		entry["description"] = oneLine(schema["description"])
		for field, part := range map[string]string{"specDescriptors": "spec", "statusDescriptors": "status"} {
			descriptors, _ := entry[field].([]any)
			for _, d := range descriptors {
				d, ok := d.(map[string]any)
				if !ok {
					return fmt.Errorf("%s: an entry of %s is not an object", name, field)
				}
				fieldPath, _ := d["path"].(string)
				about, err := fieldOf(schema, part+"."+fieldPath)
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				d["description"] = oneLine(about["description"])
				if d["x-descriptors"] == nil && part == "spec" {
					if input := inputFor(about); len(input) > 0 {
						d["x-descriptors"] = input
					}
				}
			}
		}
	}
	return unstructured.SetNestedSlice(in.csv.Object, owned, "spec", "customresourcedefinitions", "owned")
}

// schema is that of a definition's version.
func (in *input) schema(name, version string) (map[string]any, error) {
	for _, definition := range in.definitions {
		if definition.GetName() != name {
			continue
		}
		versions, _, err := unstructured.NestedSlice(definition.Object, "spec", "versions")
		if err != nil {
			return nil, err
		}
		for _, v := range versions {
			if v, ok := v.(map[string]any); ok && v["name"] == version {
				schema, _, err := unstructured.NestedMap(v, "schema", "openAPIV3Schema")
				return schema, err
			}
		}
	}
	return nil, fmt.Errorf("there is no definition %s with version %s", name, version)
}

// fieldOf is the schema of a field, given as names with dots between.
func fieldOf(schema map[string]any, fieldPath string) (map[string]any, error) {
	for name := range strings.SplitSeq(fieldPath, ".") {
		next, found, err := unstructured.NestedMap(schema, "properties", name)
		if err != nil || !found {
			return nil, fmt.Errorf("the definition has no field %s", fieldPath)
		}
		schema = next
	}
	return schema, nil
}

// inputFor is what a console offers to set a field with: a choice, a switch, or a number.
func inputFor(schema map[string]any) []any {
	const ui = "urn:alm:descriptor:com.tectonic.ui:"
	var out []any
	if choices, ok := schema["enum"].([]any); ok {
		for _, c := range choices {
			out = append(out, fmt.Sprint(ui, "select:", c))
		}
		return out
	}
	switch schema["type"] {
	case "boolean":
		return []any{ui + "booleanSwitch"}
	case "integer":
		return []any{ui + "number"}
	}
	return nil
}

func oneLine(description any) string {
	text, _ := description.(string)
	return strings.Join(strings.Fields(text), " ")
}

func stringsToAny(in map[string]string) map[string]any {
	out := make(map[string]any, len(in))
	for k, v := range in {
		out[k] = v
	}
	return out
}

func bundleAnnotations() map[string]string {
	return map[string]string{
		"operators.operatorframework.io.bundle.mediatype.v1":       "registry+v1",
		"operators.operatorframework.io.bundle.manifests.v1":       "manifests/",
		"operators.operatorframework.io.bundle.metadata.v1":        "metadata/",
		"operators.operatorframework.io.bundle.package.v1":         "networkstack",
		"operators.operatorframework.io.bundle.channels.v1":        channel,
		"operators.operatorframework.io.bundle.channel.default.v1": channel,
		"operators.operatorframework.io.test.mediatype.v1":         "scorecard+v1",
		"operators.operatorframework.io.test.config.v1":            scorecardDir,
	}
}

// dockerfileFor is the image of the bundle: the files, and the annotations as labels.
func dockerfileFor(annotations map[string]string) []byte {
	var b strings.Builder
	b.WriteString("# Generated by make bundle.\nFROM scratch\n\n")
	for _, name := range slices.Sorted(maps.Keys(annotations)) {
		fmt.Fprintf(&b, "LABEL %s=%s\n", name, annotations[name])
	}
	b.WriteString("\nCOPY bundle/manifests /manifests/\nCOPY bundle/metadata /metadata/\nCOPY bundle/tests/scorecard /tests/scorecard/\n")
	return []byte(b.String())
}
