package catalog

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// ControllersKey is the key of an override that has fields which running controllers change. All others have one entry each.
const ControllersKey = "controllers.yaml"

// Set is all that is known of charts.
type Set struct {
	Catalog     Catalog
	Controllers Controllers
}

// DefaultSet is what the operator carries.
func DefaultSet() Set { return Set{Catalog: Default(), Controllers: DefaultControllers()} }

// Override is a set with what files, by their names, say otherwise or beside it. When anything is wrong it gives all Problems
// and nothing else. The set itself is not changed.
func Override(base Set, files map[string]string) (Set, error) {
	out := Set{Catalog: maps.Clone(base.Catalog), Controllers: slices.Clone(base.Controllers)}
	var problems Problems
	from := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		var d *document
		switch {
		case name == ControllersKey:
			var list Controllers
			list, d = readControllers(name, []byte(files[name]))
			for i := range list {
				if len(list[i].Managers) == 0 {
					d.at([]any{i}, "entry %d lets anybody change %s: name the managers that may", i+1, strings.Join(list[i].Paths, ", "))
				}
			}
			out.Controllers = append(out.Controllers, list...)
		case !strings.HasSuffix(name, ".yaml"):
			d = &document{file: name}
			d.add("is not read: name it after a component, such as cilium.yaml, or %s", ControllersKey)
		default:
			var entry Entry
			d = decode(name, []byte(files[name]), &entry)
			if entry.Type == "" && len(d.problems) > 0 {
				break // whatever it is about
			}
			if before, twice := from[entry.Type]; twice {
				d.at([]any{"type"}, "type %s is in %s as well: put both into one", entry.Type, before)
			} else {
				from[entry.Type] = name
				out.Catalog[entry.Type] = base.Catalog.override(entry, d)
			}
		}
		problems = append(problems, d.problems...)
	}
	problems = append(problems, calicoTogether(out.Catalog, from)...)
	if err := problems.sorted().orNil(); err != nil {
		return Set{}, err
	}
	return out, nil
}

// calicoTogether wants the two charts of Calico to come from one place: they are installed as one.
func calicoTogether(c Catalog, from map[string]string) Problems {
	const calico, definitions = "Calico", "CalicoCRDs"
	if c[calico].Repository == c[definitions].Repository {
		return nil
	}
	file := cmp.Or(from[calico], from[definitions])
	return Problems{{File: file, Message: "the charts of types Calico and CalicoCRDs come from one repository: set it in both"}}
}

// override is an entry with what another one says of it.
func (c Catalog) override(o Entry, d *document) Entry {
	e, known := c[o.Type]
	if !known {
		d.at([]any{"type"}, "%q is no type of component: use one of %s", o.Type, strings.Join(slices.Sorted(maps.Keys(c)), ", "))
		return o
	}
	for field, set := range map[string]bool{
		"releaseName": o.ReleaseName != "", "namespace": o.Namespace != "", "namespaceLabels": o.NamespaceLabels != nil,
	} {
		if set {
			d.at([]any{field}, "%s cannot be overridden: remove it (the NetworkStack can name another namespace)", field)
		}
	}
	for field, set := range map[string]bool{"awaits": o.Awaits != nil, "omits": o.Omits != nil, "transient": o.Transient != nil} {
		if set {
			d.at([]any{field}, "%s cannot be overridden: remove it", field)
		}
	}
	if o.Metrics != nil {
		e.Metrics = o.Metrics
	}
	if o.Flows != nil {
		e.Flows = o.Flows
	}
	repository := o.Repository
	if repository != "" && !validateRepository(repository, d) {
		repository = "there" // it is not shown: it may hold credentials
	}
	other := o.Repository != "" && o.Repository != e.Repository || o.Chart != "" && o.Chart != e.Chart
	carried := e.Repository == ""
	if carried && o.Chart != "" && o.Chart != e.Chart && o.Repository == "" {
		d.at([]any{"chart"}, "the operator carries no other chart than %s for %s: name the repository too", e.Chart, e.Type)
	}
	usual := e.Default()
	e.mergeVersions(o, other, d)
	if carried && o.Repository != "" || strings.HasPrefix(o.Repository, "http://") {
		e.requireDigests(repository, d)
	}
	e.mergeDefault(o, usual, d)
	e.Repository, e.Chart = cmp.Or(o.Repository, e.Repository), cmp.Or(o.Chart, e.Chart)
	if o.Upgrades != nil {
		e.Upgrades = o.Upgrades
	}
	o.validateRest(d)
	e.mergeReadiness(o.Readiness)
	return e
}

// validateRepository refuses what is no address of a chart repository, and says whether it is one that may be shown.
func validateRepository(repository string, d *document) bool {
	at := []any{"repository"}
	u, err := url.Parse(repository)
	switch {
	case err != nil || u.Host == "" || !slices.Contains([]string{"https", "http", "oci"}, u.Scheme):
		d.at(at, "must be an https:// (or http://) Helm repository or an oci:// registry path: correct it")
	case u.User != nil:
		d.at(at, "must not hold credentials: remove them, and change them, for many may read this")
	default:
		return true
	}
	return false
}

// mergeVersions adds versions and changes those there are. A digest stands for what was looked at before: it is replaced only
// when the archive is another one, and never taken away.
func (e *Entry) mergeVersions(o Entry, otherArchives bool, d *document) {
	e.Versions = slices.Clone(e.Versions)
	seen := map[string]bool{}
	for i, v := range o.Versions {
		if v.validate(d, i) == nil {
			continue
		}
		if seen[v.Version] {
			d.at([]any{"versions", i, "version"}, "version %s is there twice: remove one", v.Version)
		}
		seen[v.Version] = true
		n := slices.IndexFunc(e.Versions, func(k Version) bool { return k.Version == v.Version })
		if n < 0 {
			e.Versions = append(e.Versions, v)
			continue
		}
		was := &e.Versions[n]
		if v.Digest != "" && was.Digest != "" && v.Digest != was.Digest && !otherArchives {
			d.at([]any{"versions", i, "digest"}, "the archive of %s %s at %s has digest %s, and another one is not taken: "+
				"remove the digest, or name the repository that has the other archive", e.Chart, v.Version, e.Repository, was.Digest)
		}
		was.Digest = cmp.Or(v.Digest, was.Digest)
		was.Provides = cmp.Or(v.Provides, was.Provides)
		if v.KubernetesMin != "" {
			was.KubernetesMin, was.KubernetesMax = v.KubernetesMin, v.KubernetesMax
		}
	}
	slices.SortStableFunc(e.Versions, func(a, b Version) int {
		va, err1 := semver.NewVersion(a.Version)
		vb, err2 := semver.NewVersion(b.Version)
		if err1 != nil || err2 != nil {
			return 0 // it was refused
		}
		return vb.Compare(va)
	})
}

// requireDigests refuses versions that nothing would vouch for any more.
func (e *Entry) requireDigests(repository string, d *document) {
	for _, v := range e.Versions {
		if v.Digest == "" {
			d.at([]any{"repository"}, "version %s of %s would be taken from %s unchecked: add it to versions with the digest of its archive there",
				v.Version, e.Type, repository)
		}
	}
}

// mergeDefault keeps the default unless the override names one: a version that is merely added changes nothing.
func (e *Entry) mergeDefault(o Entry, was Version, d *document) {
	if o.DefaultVersion == "" {
		e.DefaultVersion = was.Version
		return
	}
	at := []any{"defaultVersion"}
	v, known := e.Version(o.DefaultVersion)
	switch {
	case !known:
		d.at(at, "%s is not among the versions: add it there", o.DefaultVersion)
	case v.Digest == "" && was.Digest != "":
		d.at(at, "version %s has no digest, and what was the default had one: add the digest of its archive to versions", v.Version)
	}
	e.DefaultVersion = v.Version
}

// mergeReadiness replaces what is known of an object and adds the rest.
func (e *Entry) mergeReadiness(list []Readiness) {
	e.Readiness = slices.Clone(e.Readiness)
	for _, r := range list {
		i := slices.IndexFunc(e.Readiness, func(k Readiness) bool {
			return k.Group == r.Group && k.Of == r.Of && k.Kind == r.Kind && k.Name == r.Name
		})
		if i < 0 {
			e.Readiness = append(e.Readiness, r)
			continue
		}
		e.Readiness[i] = r
	}
}
