package baseline

import (
	"cmp"
	"slices"
)

// mode is what becomes of what denies.
type mode int

const (
	// write has it as it is wanted.
	write mode = iota
	// keep leaves it as it is.
	keep
	// pull removes it at once.
	pull
)

// view is what is known of one namespace, or of what has no namespace.
type view struct {
	// known says that it is known what is wanted. Otherwise what there is stays, but for what belongs to nobody and what is pulled.
	known bool
	// covered says that what is wanted of a namespace is wanted of this one.
	covered bool
	wanted  []*form
	there   map[ref]record
	mode    mode
	// denies says that what denies may be written: what allows is there wherever else it has to be.
	denies bool
	// prunes says that what is not wanted any more may go: what takes its place is there.
	prunes bool
	// orphan says of a stack whether there is none of that name.
	orphan func(stack string) bool
}

// action on one object.
type action struct {
	ref
	// form is what to apply; nil to remove.
	form *form
	deny bool
	// was says what there was before; nil when there was nothing.
	was *record
}

// decision is what to do. Each step comes after all actions of the one before have succeeded.
type decision struct {
	steps [][]action
	// waits says that there is more to do when others have come as far.
	waits bool
}

// decide is pure. What denies and is pulled goes before all else. Otherwise: what allows, what denies, and then what is not wanted any
// more, what denies before what allows.
func decide(v view) decision {
	var pulled, allow, deny, pruneDeny, pruneAllow []action
	var d decision
	wanted := map[ref]*form{}
	if v.known && v.covered {
		for _, f := range v.wanted {
			wanted[f.ref] = f
		}
	}
	pruned := false
	for _, at := range sorted(v.there) {
		r := v.there[at]
		f := wanted[at]
		denies := r.deny || f != nil && f.deny
		remove := action{ref: at, deny: denies, was: &r}
		switch {
		case !r.ours && f == nil, r.leaving:
			// A copy of one of ours, which is somebody else's; and what is on its way out anyway.
		case denies && v.mode == pull:
			pulled = append(pulled, remove)
		case f != nil, !v.known && !v.orphan(r.stack):
		case v.known && v.covered && (!v.prunes || v.mode == keep):
			d.waits = d.waits || v.mode != keep
		case denies:
			pruneDeny, pruned = append(pruneDeny, remove), true
		default:
			pruneAllow, pruned = append(pruneAllow, remove), true
		}
	}
	if v.known && v.covered {
		for _, f := range v.wanted {
			a := action{ref: f.ref, form: f, deny: f.deny}
			if r, ok := v.there[f.ref]; ok {
				if f.right(r) && !r.leaving {
					continue
				}
				a.was = &r
			}
			switch {
			case a.was != nil && a.was.leaving:
				d.waits = true
			case !f.deny:
				allow = append(allow, a)
			case v.mode != write:
			case !v.denies:
				d.waits = true
			default:
				deny = append(deny, a)
			}
		}
	}
	if pruned {
		slices.Reverse(pruneAllow)
	}
	for _, step := range [][]action{pulled, allow, deny, pruneDeny, pruneAllow} {
		if len(step) > 0 {
			d.steps = append(d.steps, step)
		}
	}
	return d
}

// allowed says whether all that allows is there as it is wanted.
func allowed(wanted []*form, there map[ref]record) bool {
	for _, f := range wanted {
		if f.deny {
			continue
		}
		if r, ok := there[f.ref]; !ok || r.leaving || !f.right(r) {
			return false
		}
	}
	return true
}

// complete says whether all that is wanted is there, and nothing that denies unless that is to be.
func complete(wanted []*form, there map[ref]record, m mode) bool {
	if !allowed(wanted, there) {
		return false
	}
	for _, f := range wanted {
		r, ok := there[f.ref]
		if f.deny && m == write && (!ok || r.leaving || !f.right(r)) || f.deny && m == pull && ok {
			return false
		}
	}
	return true
}

// sorted are the references in the order of the kinds, so that a decision is always the same.
func sorted(of map[ref]record) []ref {
	out := make([]ref, 0, len(of))
	for at := range of {
		out = append(out, at)
	}
	slices.SortFunc(out, func(a, b ref) int {
		return cmp.Or(cmp.Compare(slices.Index(kinds, a.kind), slices.Index(kinds, b.kind)), cmp.Compare(a.name, b.name))
	})
	return out
}
