package ignore

import (
	"path"
	"slices"
)

// Rule says that some fields of some objects may be changed by others. What is left out matches everything.
type Rule struct {
	// Kind, Namespace and Name of the objects. Name may hold * and ?.
	Kind, Namespace, Name string
	// Paths of the fields; what is below them is meant, too.
	Paths []Path
	// Managers are the field managers that may change them, with * and ?. None means anybody.
	Managers []string
	// Reason says why, for users.
	Reason string
}

// Rules are rules of which any may match.
type Rules []Rule

// For are the rules about one object.
func (r Rules) For(kind, namespace, name string) Rules {
	var out Rules
	for _, rule := range r {
		if (rule.Kind == "" || rule.Kind == kind) && (rule.Namespace == "" || rule.Namespace == namespace) && glob(rule.Name, name) {
			out = append(out, rule)
		}
	}
	return out
}

// Match finds the rule by which a manager may change a field. The rules are those of the object, see For. A change
// that nobody can be named for is only covered by rules for anybody.
func (r Rules) Match(field Path, manager string) (Rule, bool) {
	for _, rule := range r {
		if len(rule.Managers) > 0 && !slices.ContainsFunc(rule.Managers, func(m string) bool { return glob(m, manager) }) {
			continue
		}
		if slices.ContainsFunc(rule.Paths, func(p Path) bool { return p.Covers(field) }) {
			return rule, true
		}
	}
	return Rule{}, false
}

// ValidGlob says whether a pattern of a name or manager can be read.
func ValidGlob(pattern string) bool {
	_, err := path.Match(pattern, "")
	return err == nil
}

func glob(pattern, name string) bool {
	if pattern == "" {
		return true
	}
	// Names of RBAC objects and field managers may hold slashes, which path.Match would take for separators.
	ok, err := path.Match(noSlash(pattern), noSlash(name))
	return err == nil && ok
}

func noSlash(s string) string {
	b := []byte(s)
	for i := range b {
		if b[i] == '/' {
			b[i] = 0
		}
	}
	return string(b)
}
