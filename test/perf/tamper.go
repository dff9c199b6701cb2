package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// tampering is one way to change an object behind the operator's back.
type tampering struct {
	name string
	// patch is the JSON patch that does it; none means that the object is no subject for it. A deletion has a patch, too.
	patch func(u *unstructured.Unstructured) []operation
	// deletes says that the object is deleted instead.
	deletes bool
	// nameless says that managed fields cannot tell who did it: a field that is gone has no owner.
	nameless bool
}

// operation of a JSON patch.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

func replace(path string, value any) []operation {
	return []operation{{Op: "replace", Path: path, Value: value}}
}
func add(path string, value any) []operation {
	return []operation{{Op: "add", Path: path, Value: value}}
}

// tamperings are all ways to tamper that are tried.
var tamperings = []tampering{
	{name: "value of a ConfigMap changed", patch: func(u *unstructured.Unstructured) []operation {
		if key := firstKey(u, "ConfigMap", "data"); key != "" {
			return replace("/data/"+escape(key), "tampered")
		}
		return nil
	}},
	{name: "key added to a ConfigMap", patch: func(u *unstructured.Unstructured) []operation {
		if firstKey(u, "ConfigMap", "data") == "" {
			return nil
		}
		return add("/data/tampered", "yes")
	}},
	{name: "data of a Secret changed", patch: func(u *unstructured.Unstructured) []operation {
		// Certificates are held to their form by the API server.
		if t, _, _ := unstructured.NestedString(u.Object, "type"); t == "kubernetes.io/tls" {
			return nil
		}
		if key := firstKey(u, "Secret", "data"); key != "" {
			return replace("/data/"+escape(key), base64.StdEncoding.EncodeToString([]byte("tampered")))
		}
		return nil
	}},
	{name: "image changed", patch: func(u *unstructured.Unstructured) []operation {
		if !hasContainers(u) {
			return nil
		}
		return replace("/spec/template/spec/containers/0/image", "example.com/tampered:1")
	}},
	{name: "environment variable added", patch: func(u *unstructured.Unstructured) []operation {
		if !hasContainers(u) {
			return nil
		}
		variable := map[string]any{"name": "TAMPERED", "value": "yes"}
		if _, ok := container(u)["env"]; !ok {
			return add("/spec/template/spec/containers/0/env", []any{variable})
		}
		return add("/spec/template/spec/containers/0/env/-", variable)
	}},
	{name: "container added", patch: func(u *unstructured.Unstructured) []operation {
		if !hasContainers(u) {
			return nil
		}
		return add("/spec/template/spec/containers/-", map[string]any{"name": "tampered", "image": "example.com/tampered:1"})
	}},
	{name: "replicas changed", patch: func(u *unstructured.Unstructured) []operation {
		if !slices.Contains([]string{"Deployment", "StatefulSet"}, u.GetKind()) || !owns(u, "f:spec", "f:replicas") {
			return nil
		}
		return replace("/spec/replicas", 5)
	}},
	{name: "rules of a role changed", patch: func(u *unstructured.Unstructured) []operation {
		if k := u.GetKind(); k != "Role" && k != "ClusterRole" || u.Object["rules"] == nil {
			return nil
		}
		return add("/rules/-", map[string]any{"apiGroups": []any{""}, "resources": []any{"secrets"}, "verbs": []any{"get"}})
	}},
	{name: "subjects of a binding changed", patch: func(u *unstructured.Unstructured) []operation {
		if !strings.HasSuffix(u.GetKind(), "RoleBinding") {
			return nil
		}
		return add("/subjects/-", map[string]any{"kind": "ServiceAccount", "name": "tampered", "namespace": "default"})
	}},
	{name: "port of a Service changed", patch: func(u *unstructured.Unstructured) []operation {
		if ports, _, _ := unstructured.NestedSlice(u.Object, "spec", "ports"); u.GetKind() != "Service" || len(ports) == 0 {
			return nil
		}
		return replace("/spec/ports/0/port", 4321)
	}},
	{name: "webhook's timeout changed", patch: func(u *unstructured.Unstructured) []operation {
		if !strings.HasSuffix(u.GetKind(), "WebhookConfiguration") || !strings.Contains(ourFields(u), "f:timeoutSeconds") {
			return nil
		}
		return replace("/webhooks/0/timeoutSeconds", 7)
	}},
	{name: "schema of a CRD changed", patch: func(u *unstructured.Unstructured) []operation {
		versions, _, _ := unstructured.NestedSlice(u.Object, "spec", "versions")
		if u.GetKind() != "CustomResourceDefinition" || len(versions) == 0 {
			return nil
		}
		first, _ := versions[0].(map[string]any)
		if d, _, _ := unstructured.NestedString(first, "schema", "openAPIV3Schema", "description"); d == "" {
			return nil
		}
		return replace("/spec/versions/0/schema/openAPIV3Schema/description", "tampered")
	}},
	{name: "component label stripped", nameless: true, patch: func(*unstructured.Unstructured) []operation {
		return []operation{{Op: "remove", Path: "/metadata/labels/" + escape(networkstackv1alpha1.ComponentLabel)}}
	}},
	{name: "annotation removed", nameless: true, patch: func(u *unstructured.Unstructured) []operation {
		if u.GetAnnotations()[releaseName] == "" {
			return nil
		}
		return []operation{{Op: "remove", Path: "/metadata/annotations/" + escape(releaseName)}}
	}},
	{name: "object deleted", deletes: true, nameless: true, patch: func(u *unstructured.Unstructured) []operation {
		switch u.GetKind() {
		case "ConfigMap", "Secret", "ServiceAccount", "Service", "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding",
			"DaemonSet", "Deployment":
			return []operation{{Op: "delete"}}
		}
		return nil
	}},
}

// releaseName is Helm's annotation.
const releaseName = "meta.helm.sh/release-name"

func escape(key string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(key) }

func firstKey(u *unstructured.Unstructured, kind, field string) string {
	if u.GetKind() != kind {
		return ""
	}
	data, _, _ := unstructured.NestedMap(u.Object, field)
	keys := slices.Sorted(maps.Keys(data))
	if len(keys) == 0 {
		return ""
	}
	return keys[0]
}

func hasContainers(u *unstructured.Unstructured) bool {
	switch u.GetKind() {
	case "DaemonSet", "Deployment", "StatefulSet":
		return container(u) != nil
	}
	return false
}

func container(u *unstructured.Unstructured) map[string]any {
	list, _, _ := unstructured.NestedSlice(u.Object, "spec", "template", "spec", "containers")
	if len(list) == 0 {
		return nil
	}
	first, _ := list[0].(map[string]any)
	return first
}

// ourFields is what the operator applied, as managed fields say it.
func ourFields(u *unstructured.Unstructured) string {
	for _, e := range u.GetManagedFields() {
		if e.Manager == networkstackv1alpha1.FieldManager && e.Operation == "Apply" && e.FieldsV1 != nil {
			return e.FieldsV1.GetRawString()
		}
	}
	return ""
}

// owns says whether the operator applied a field of an object.
func owns(u *unstructured.Unstructured, path ...string) bool {
	var fields map[string]any
	if json.Unmarshal([]byte(ourFields(u)), &fields) != nil {
		return false
	}
	_, found, _ := unstructured.NestedFieldNoCopy(fields, path...)
	return found
}

// right says whether an object is again what it was: whatever the API server and controllers keep account of aside.
func right(was, is *unstructured.Unstructured) bool {
	return is != nil && is.GetDeletionTimestamp() == nil && equality.Semantic.DeepEqual(essence(was), essence(is))
}

func essence(u *unstructured.Unstructured) map[string]any {
	c := u.DeepCopy()
	for _, field := range []string{"managedFields", "resourceVersion", "generation", "uid", "creationTimestamp"} {
		unstructured.RemoveNestedField(c.Object, "metadata", field)
	}
	delete(c.Object, "status")
	annotations := c.GetAnnotations()
	delete(annotations, "deployment.kubernetes.io/revision")
	delete(annotations, "deprecated.daemonset.template.generation")
	c.SetAnnotations(annotations)
	if c.GetKind() == "Service" {
		// A Service that is made anew gets another address.
		for _, field := range []string{"clusterIP", "clusterIPs", "healthCheckNodePort"} {
			unstructured.RemoveNestedField(c.Object, "spec", field)
		}
		ports, _, _ := unstructured.NestedSlice(c.Object, "spec", "ports")
		for _, p := range ports {
			if p, ok := p.(map[string]any); ok {
				delete(p, "nodePort")
			}
		}
		if len(ports) > 0 {
			_ = unstructured.SetNestedSlice(c.Object, ports, "spec", "ports")
		}
	}
	return c.Object
}

// body is the JSON of a patch.
func body(operations []operation) ([]byte, types.PatchType, error) {
	data, err := json.Marshal(operations)
	if err != nil {
		return nil, "", fmt.Errorf("patch: %w", err)
	}
	return data, types.JSONPatchType, nil
}
