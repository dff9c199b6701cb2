package drift

import (
	"cmp"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/ignore"
	"github.com/networkstack/networkstack/internal/release"
)

const (
	// fightLimit corrections of one field against one manager within fightWindow are enough: the field is left to him.
	fightLimit  = 3
	fightWindow = 10 * time.Minute
	// peace is how long such a field is left alone before it is corrected again.
	peace = time.Hour
)

// Contests knows the fields of one component that somebody keeps putting back. The zero value is ready for use.
type Contests struct{ fields map[contestKey]*contest }

// contestKey names a field and who changes it. The object is named as users see it, so that a status can be read back.
type contestKey struct{ object, path, manager string }

type contest struct {
	corrected []time.Time
	kind      string
	namespace string
	name      string
	field     ignore.Path
	// since is when the field was given up; zero until then.
	since time.Time
}

// Corrected notes that a finding was put right, and returns the fields that are given up because of it.
func (c *Contests) Corrected(f release.Finding, now time.Time) []networkstackv1alpha1.ContestedField {
	var out []networkstackv1alpha1.ContestedField
	for _, field := range f.Fields {
		k := contestKey{f.Object.String(), field.Path.String(), field.Manager}
		one := c.fields[k]
		if one == nil {
			one = &contest{kind: f.Object.GVK.Kind, namespace: f.Object.Namespace, name: f.Object.Name, field: field.Path}
			if c.fields == nil {
				c.fields = map[contestKey]*contest{}
			}
			c.fields[k] = one
		}
		one.corrected = slices.DeleteFunc(append(one.corrected, now), func(t time.Time) bool { return now.Sub(t) > fightWindow })
		if len(one.corrected) >= fightLimit && one.since.IsZero() {
			one.since = now
			out = append(out, one.status(k))
		}
	}
	c.clean(now)
	return out
}

// clean forgets what is too long ago to matter.
func (c *Contests) clean(now time.Time) {
	for k, one := range c.fields {
		if one.since.IsZero() && now.Sub(one.corrected[len(one.corrected)-1]) > fightWindow {
			delete(c.fields, k)
		}
	}
}

// Expire ends the contests whose time is over, and says whether there were any: the fields are to be looked at again.
func (c *Contests) Expire(now time.Time) bool {
	ended := false
	for k, one := range c.fields {
		if !one.since.IsZero() && !now.Before(one.since.Add(peace)) {
			delete(c.fields, k)
			ended = true
		}
	}
	return ended
}

// Next is when the next contest ends; zero when there is none.
func (c *Contests) Next() time.Time {
	var next time.Time
	for _, one := range c.fields {
		if end := one.since.Add(peace); !one.since.IsZero() && (next.IsZero() || end.Before(next)) {
			next = end
		}
	}
	return next
}

// Rules leave the contested fields to those who took them.
func (c *Contests) Rules() ignore.Rules {
	var out ignore.Rules
	for k, one := range c.fields {
		if !one.since.IsZero() {
			out = append(out, ignore.Rule{
				Kind: one.kind, Namespace: one.namespace, Name: one.name, Paths: []ignore.Path{one.field}, Managers: []string{k.manager},
				Reason: "contested",
			})
		}
	}
	return out
}

// Status are the contested fields, in order.
func (c *Contests) Status() []networkstackv1alpha1.ContestedField {
	var out []networkstackv1alpha1.ContestedField
	for k, one := range c.fields {
		if !one.since.IsZero() {
			out = append(out, one.status(k))
		}
	}
	slices.SortFunc(out, func(a, b networkstackv1alpha1.ContestedField) int {
		return cmp.Or(cmp.Compare(a.Object, b.Object), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Manager, b.Manager))
	})
	return out
}

func (one *contest) status(k contestKey) networkstackv1alpha1.ContestedField {
	since, retry := metav1.NewTime(one.since.Truncate(time.Second)), metav1.NewTime(one.since.Add(peace).Truncate(time.Second))
	return networkstackv1alpha1.ContestedField{Object: k.object, Path: k.path, Manager: k.manager, Since: &since, RetryAt: &retry}
}

// Restore takes over what an earlier process has written into the status.
func (c *Contests) Restore(fields []networkstackv1alpha1.ContestedField) {
	for _, f := range fields {
		path, err := ignore.Parse(f.Path)
		kind, namespace, name, ok := parseObject(f.Object)
		if err != nil || !ok || f.Since == nil {
			continue
		}
		if c.fields == nil {
			c.fields = map[contestKey]*contest{}
		}
		c.fields[contestKey{f.Object, f.Path, f.Manager}] = &contest{
			kind: kind, namespace: namespace, name: name, field: path, since: f.Since.Time, corrected: []time.Time{f.Since.Time},
		}
	}
}
