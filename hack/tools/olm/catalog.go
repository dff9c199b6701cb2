package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/blang/semver/v4"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"github.com/operator-framework/operator-registry/alpha/declcfg"
	"github.com/operator-framework/operator-registry/alpha/property"
	"github.com/operator-framework/operator-registry/pkg/image"
	"github.com/operator-framework/operator-registry/pkg/lib/config"
	"github.com/operator-framework/operator-registry/pkg/registry"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// Where things are, from the root.
const (
	releasesFile = "config/catalog/releases.yaml"
	bundleDir    = "bundle"
	catalogDir   = "catalog/networkstack"
	graphFile    = "catalog.yaml"
)

// releases are what was released, as a person writes it down.
type releases struct {
	Package        string    `json:"package"`
	DefaultChannel string    `json:"defaultChannel"`
	Description    string    `json:"description"`
	Channels       []channel `json:"channels"`
}

type channel struct {
	Name string `json:"name"`
	// Versions in the order in which they came.
	Versions []string `json:"versions"`
}

// graph is the package with its channels. In a channel each version replaces the one before it, and also every older one, so that
// nobody has to go through all of them.
func (r releases) graph(icon *declcfg.Icon) (*declcfg.DeclarativeConfig, error) {
	out := &declcfg.DeclarativeConfig{Packages: []declcfg.Package{{
		Schema: declcfg.SchemaPackage, Name: r.Package, DefaultChannel: r.DefaultChannel, Description: r.Description, Icon: icon,
	}}}
	var all []error
	for _, c := range r.Channels {
		ch := declcfg.Channel{Schema: declcfg.SchemaChannel, Name: c.Name, Package: r.Package}
		var last semver.Version
		for i, text := range c.Versions {
			v, err := semver.Parse(text)
			if err != nil {
				all = append(all, fmt.Errorf("%s: channel %s: %q: %w", releasesFile, c.Name, text, err))
				continue
			}
			e := declcfg.ChannelEntry{Name: r.bundle(text)}
			if i > 0 {
				if !v.GT(last) {
					all = append(all, fmt.Errorf("%s: channel %s: %s comes after %s and is not newer: put it where it belongs", releasesFile, c.Name, v, last))
				}
				e.Replaces = r.bundle(c.Versions[i-1])
				e.SkipRange = fmt.Sprintf(">=%s <%s", c.Versions[0], text)
			}
			last = v
			ch.Entries = append(ch.Entries, e)
		}
		out.Channels = append(out.Channels, ch)
	}
	return out, errors.Join(all...)
}

func (r releases) bundle(version string) string { return r.Package + ".v" + version }

// render is a bundle's directory as an entry of a catalogue. For its ClusterServiceVersion it has what consoles show, rather than the
// whole, as opm does with --migrate-level=bundle-object-to-csv-metadata.
func render(dir, reference string) (*declcfg.Bundle, error) {
	in, err := registry.NewImageInput(image.SimpleReference(reference), dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	_, properties, err := registry.ObjectsAndPropertiesFromBundle(in.Bundle)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	properties = slices.DeleteFunc(properties, func(p property.Property) bool { return p.Type == property.TypeBundleObject })
	var csv v1alpha1.ClusterServiceVersion
	at := slices.IndexFunc(in.Bundle.Objects, func(o *unstructured.Unstructured) bool { return o.GetKind() == v1alpha1.ClusterServiceVersionKind })
	if at < 0 {
		return nil, fmt.Errorf("%s has no ClusterServiceVersion", dir)
	}
	data, err := json.Marshal(in.Bundle.Objects[at])
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &csv); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	out := &declcfg.Bundle{
		Schema: declcfg.SchemaBundle, Name: in.Bundle.Name, Package: in.Bundle.Package, Image: reference,
		Properties: append(properties, property.MustBuildCSVMetadata(csv)),
		// The name is empty, as in what opm renders.
		RelatedImages: []declcfg.RelatedImage{{Image: reference}},
	}
	for _, i := range csv.Spec.RelatedImages {
		out.RelatedImages = append(out.RelatedImages, declcfg.RelatedImage{Name: i.Name, Image: i.Image})
	}
	return out, nil
}

// generate returns the files of the catalogue that come of the releases and of the bundle as it is, by name. Bundles of older releases
// are files that were written when they were the bundle.
func generate(root, reference string) (map[string][]byte, error) {
	var r releases
	data, err := os.ReadFile(filepath.Join(root, releasesFile))
	if err != nil {
		return nil, err
	}
	if err := yaml.UnmarshalStrict(data, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", releasesFile, err)
	}
	icon, err := os.ReadFile(filepath.Join(root, "config", "manifests", "icon.svg"))
	if err != nil {
		return nil, err
	}
	graph, err := r.graph(&declcfg.Icon{Data: icon, MediaType: "image/svg+xml"})
	if err != nil {
		return nil, err
	}
	bundle, err := render(filepath.Join(root, bundleDir), reference)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(graph.Channels, func(c declcfg.Channel) bool {
		return slices.ContainsFunc(c.Entries, func(e declcfg.ChannelEntry) bool { return e.Name == bundle.Name })
	}) {
		return nil, fmt.Errorf("%s has no channel with %s: add its version", releasesFile, bundle.Name)
	}
	files := map[string][]byte{}
	for name, part := range map[string]*declcfg.DeclarativeConfig{
		graphFile: graph, bundle.Name + ".yaml": {Bundles: []declcfg.Bundle{*bundle}},
	} {
		var out bytes.Buffer
		if err := declcfg.WriteYAML(*part, &out); err != nil {
			return nil, err
		}
		files[name] = out.Bytes()
	}
	return files, nil
}

func writeCatalog(ctx context.Context, root, reference string) error {
	if reference == "" {
		return errors.New("-image: the image of the bundle is needed")
	}
	files, err := generate(root, reference)
	if err != nil {
		return err
	}
	dir := filepath.Join(root, catalogDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	return config.Validate(ctx, os.DirFS(dir))
}

// checkCatalog takes the image that the catalogue names for the bundle as it is.
func checkCatalog(ctx context.Context, root string) error {
	dir := filepath.Join(root, catalogDir)
	have, err := declcfg.LoadFS(ctx, os.DirFS(dir))
	if err != nil {
		return err
	}
	now, err := render(filepath.Join(root, bundleDir), "")
	if err != nil {
		return err
	}
	at := slices.IndexFunc(have.Bundles, func(b declcfg.Bundle) bool { return b.Name == now.Name })
	if at < 0 {
		return fmt.Errorf("%s has no %s: run make catalog", catalogDir, now.Name)
	}
	want, err := generate(root, have.Bundles[at].Image)
	if err != nil {
		return err
	}
	var stale []error
	for name, data := range want {
		if file, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(file, data) {
			stale = append(stale, fmt.Errorf("%s/%s is not up to date: run make catalog", catalogDir, name))
		}
	}
	// What opm validate does.
	return errors.Join(errors.Join(stale...), config.Validate(ctx, os.DirFS(dir)))
}
