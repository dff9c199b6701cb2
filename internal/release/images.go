package release

import (
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// injectedImage is what Istio's charts write where their injection webhook fills in the image. It
// is no reference to anything.
const injectedImage = "auto"

// podSpecPaths says where the kinds that make pods keep the pod's spec.
var podSpecPaths = map[string][]string{
	"Pod":                   {"spec"},
	"PodTemplate":           {"template", "spec"},
	"Deployment":            {"spec", "template", "spec"},
	"DaemonSet":             {"spec", "template", "spec"},
	"StatefulSet":           {"spec", "template", "spec"},
	"ReplicaSet":            {"spec", "template", "spec"},
	"ReplicationController": {"spec", "template", "spec"},
	"Job":                   {"spec", "template", "spec"},
	"CronJob":               {"spec", "jobTemplate", "spec", "template", "spec"},
}

// rewriteImages replaces the registry host of all images in u's pod template. It returns the
// references it could not read; those are left alone.
func rewriteImages(u *unstructured.Unstructured, registry string) (unread []string) {
	if registry == "" {
		return nil
	}
	switch u.GroupVersionKind().Group {
	case "", "apps", "batch":
	default:
		return nil
	}
	path, ok := podSpecPaths[u.GetKind()]
	if !ok {
		return nil
	}
	spec, ok := child(u.Object, path...)
	if !ok {
		return nil
	}
	rewrite := func(holder map[string]any, field string) {
		image, ok := holder[field].(string)
		if !ok || image == "" || image == injectedImage {
			return
		}
		moved, err := moveImage(image, registry)
		if err != nil {
			unread = append(unread, image)
			return
		}
		holder[field] = moved
	}
	for _, list := range []string{"initContainers", "containers", "ephemeralContainers"} {
		for _, c := range children(spec, list) {
			rewrite(c, "image")
		}
	}
	for _, v := range children(spec, "volumes") {
		if image, ok := v["image"].(map[string]any); ok {
			rewrite(image, "reference")
		}
	}
	return unread
}

// moveImage is image with its registry replaced. Short names are spelt out ("nginx" is
// docker.io/library/nginx), tag and digest stay. The registry may have a path.
func moveImage(image, registry string) (string, error) {
	ref, err := name.ParseReference(image)
	if err != nil {
		return "", fmt.Errorf("image %q: %w", image, err)
	}
	registry = strings.TrimRight(registry, "/")
	repository := ref.Context().RepositoryStr()
	if strings.HasPrefix(registry, ref.Context().RegistryStr()+"/") || registry == ref.Context().RegistryStr() {
		// Moved before: a registry with a path must not be put in front a second time.
		if rest, ok := strings.CutPrefix(ref.Context().Name()+"/", registry+"/"); ok {
			repository = strings.TrimSuffix(rest, "/")
		}
	}
	// The parser forgets the tag of a reference that also has a digest, and invents "latest".
	rest, digest, pinned := strings.Cut(image, "@")
	moved := registry + "/" + repository
	if colon := strings.LastIndexByte(rest, ':'); colon > strings.LastIndexByte(rest, '/') {
		moved += rest[colon:]
	}
	if pinned {
		moved += "@" + digest
	}
	return moved, nil
}

func child(m map[string]any, path ...string) (map[string]any, bool) {
	for _, p := range path {
		next, ok := m[p].(map[string]any)
		if !ok {
			return nil, false
		}
		m = next
	}
	return m, true
}

func children(m map[string]any, field string) []map[string]any {
	list, _ := m[field].([]any)
	out := make([]map[string]any, 0, len(list))
	for _, e := range list {
		if c, ok := e.(map[string]any); ok {
			out = append(out, c)
		}
	}
	return out
}
