package release

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// Images are the images that pods of these objects pull, sorted: those of pods; those that custom resources name; and those that
// controllers put into pods of their own, as far as arguments, variables and the configurations of injectors name them.
func Images(objects []*unstructured.Unstructured) []string {
	found := map[string]bool{}
	for _, u := range objects {
		if u.GetKind() == "CustomResourceDefinition" || onlyTest(u) {
			continue
		}
		s := imageSearch{found: found}
		if u.GetKind() == "ConfigMap" && u.GroupVersionKind().Group == "" {
			s.configuration(u)
			continue
		}
		s.value("", u.Object)
	}
	return slices.Sorted(maps.Keys(found))
}

// onlyTest says whether an object is a hook of "helm test" alone, which nobody runs here.
func onlyTest(u *unstructured.Unstructured) bool {
	events := strings.Split(u.GetAnnotations()["helm.sh/hook"], ",")
	return !slices.ContainsFunc(events, func(e string) bool {
		e = strings.TrimSpace(e)
		return e != "test" && e != "test-success" && e != "test-failure"
	})
}

// MovedImage is where an image is pulled from when a registry replaces its own.
func MovedImage(image, registry string) string {
	if moved, err := moveImage(image, registry); err == nil {
		return moved
	}
	return image
}

// imageSearch finds references to images in an object.
type imageSearch struct{ found map[string]bool }

// fullReference is a reference in a text that is nothing else: with a host, a path, and a tag or a digest.
var fullReference = regexp.MustCompile(`^([a-z0-9-]+\.)+[a-z]{2,}(:[0-9]+)?(/[a-z0-9._-]+)+(:[A-Za-z0-9._-]+)?(@sha256:[0-9a-f]{64})?$`)

func (s imageSearch) add(image string) {
	if image == "" || image == injectedImage {
		return
	}
	if _, err := name.ParseReference(image); err == nil {
		s.found[image] = true
	}
}

// value looks at a value that stands under a key.
func (s imageSearch) value(key string, v any) {
	switch v := v.(type) {
	case map[string]any:
		if key == "image" {
			s.add(joined(v))
		}
		for k, below := range v {
			s.value(k, below)
		}
	case []any:
		for _, below := range v {
			s.value(key, below)
		}
	case string:
		switch key {
		case "image", "reference":
			s.add(v)
		case "args", "command", "value":
			s.argument(v)
		}
	}
}

// joined is an image that is written in parts, as custom resources of some controllers have it.
func joined(m map[string]any) string {
	text := func(key string) string { t, _ := m[key].(string); return t }
	repository, tag := text("repository"), text("tag")
	if repository == "" || tag == "" {
		return ""
	}
	if registry := text("registry"); registry != "" {
		repository = registry + "/" + repository
	}
	return repository + ":" + tag
}

// argument looks for a reference in an argument or a variable: alone, or behind the name of a flag.
func (s imageSearch) argument(text string) {
	_, behind, flag := strings.Cut(text, "=")
	if !flag {
		behind = text
	}
	behind = strings.Trim(behind, `"'`)
	named := flag && strings.Contains(strings.ToLower(strings.TrimSuffix(text, behind)), "image")
	if !fullReference.MatchString(behind) && !named {
		return
	}
	slash := strings.LastIndexByte(behind, '/')
	if strings.ContainsAny(behind[slash+1:], ":@") {
		s.add(behind)
	}
}

// configuration looks into ConfigMaps: for images that a configuration names whole, and for those of injectors, for which the values of
// the chart are under a key.
func (s imageSearch) configuration(u *unstructured.Unstructured) {
	data, _, err := unstructured.NestedStringMap(u.Object, "data")
	if err != nil {
		return
	}
	for key, text := range data {
		var values map[string]any
		if !strings.Contains(text, "image") && key != "values" ||
			json.Unmarshal([]byte(text), &values) != nil && yaml.Unmarshal([]byte(text), &values) != nil {
			continue
		}
		if key != "values" {
			s.named("", values)
			continue
		}
		s.istio(values)
		s.linkerd(values)
	}
}

// named looks for images in a configuration, which may speak of other images as well: only a whole reference counts.
func (s imageSearch) named(key string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, below := range v {
			s.named(k, below)
		}
	case []any:
		for _, below := range v {
			s.named(key, below)
		}
	case string:
		if key == "image" && fullReference.MatchString(v) {
			s.argument(v)
		}
	}
}

// istio adds the proxy that istiod puts into pods, gateways among them.
func (s imageSearch) istio(values map[string]any) {
	global, _ := values["global"].(map[string]any)
	proxy, _ := global["proxy"].(map[string]any)
	image, _ := proxy["image"].(string)
	hub, _ := global["hub"].(string)
	tag, _ := global["tag"].(string)
	variant, _ := proxy["variant"].(string)
	if variant == "" {
		variant, _ = global["variant"].(string)
	}
	if variant != "" && variant != "default" && !strings.HasSuffix(tag, "-"+variant) && tag != "" {
		tag += "-" + variant
	}
	switch {
	case image == "" || strings.Contains(image, "/"):
		s.add(image)
	case hub != "" && tag != "":
		s.add(hub + "/" + image + ":" + tag)
	}
}

// linkerd adds the proxy that Linkerd's injector puts into pods, and what sets their network up.
func (s imageSearch) linkerd(values map[string]any) {
	version, _ := values["linkerdVersion"].(string)
	for _, part := range []string{"proxy", "proxyInit"} {
		holder, _ := values[part].(map[string]any)
		image, _ := holder["image"].(map[string]any)
		repository, _ := image["name"].(string)
		tag, _ := image["version"].(string)
		if tag == "" {
			tag = version
		}
		if repository != "" && tag != "" {
			s.add(repository + ":" + tag)
		}
	}
}
