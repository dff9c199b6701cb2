package release

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

const (
	// none stands for a field that is not there.
	none = "(none)"
	// longest a value is shown; of longer text, its length and digest tell whether it is the same.
	longest = 80
)

// masker decides how values are shown to people: those of Secrets, and those that look like or hold a secret, not at all.
type masker struct{ secrets []string }

// newMasker hides the given texts wherever they occur, beside what looks like a secret by its name.
func newMasker(secrets []string) masker {
	const shortest = 4 // shorter ones are words that occur everywhere
	m := masker{}
	for _, s := range secrets {
		if len(s) < shortest {
			continue
		}
		m.secrets = append(m.secrets, s)
		// As it is shown: quotes and backslashes are escaped.
		if escaped := literal(s); escaped != `"`+s+`"` {
			m.secrets = append(m.secrets, escaped[1:len(escaped)-1])
		}
	}
	return m
}

// show is a value in a few words.
func (m masker) show(gvk schema.GroupVersionKind, path fieldpath.Path, v any, present bool) string {
	if !present {
		return none
	}
	if m.isSecret(gvk, path) {
		return redacted
	}
	text := literal(v)
	for _, s := range m.secrets {
		if strings.Contains(text, s) {
			return redacted
		}
	}
	if holdsSensitive(v) {
		return redacted
	}
	if len(text) <= longest {
		return text
	}
	sum := sha256.Sum256([]byte(text))
	return fmt.Sprintf("%s… (%d characters, sha256 %s)", cut(text, longest/2), utf8.RuneCountInString(text), hex.EncodeToString(sum[:4]))
}

// isSecret goes by the kind and by the names on the way: a field's, or that of an environment variable.
func (m masker) isSecret(gvk schema.GroupVersionKind, path fieldpath.Path) bool {
	if gvk.Group == "" && gvk.Kind == "Secret" && len(path) > 0 && path[0].FieldName != nil && *path[0].FieldName != "metadata" {
		return true
	}
	for i, e := range path {
		switch {
		case e.FieldName != nil:
			// Only the last name speaks of the value: "secretKeyRef" and "volumes" of kind secret hold names.
			if i == len(path)-1 && isSensitiveName(*e.FieldName) {
				return true
			}
		case e.Key != nil:
			for _, k := range *e.Key {
				if k.Name == "name" && k.Value.IsString() && isEnv(path[:i]) && sensitiveKey.MatchString(k.Value.AsString()) {
					return true
				}
			}
		}
	}
	return false
}

// publicNames match the pattern of secrets but are known to hold none.
var publicNames = map[string]bool{
	"caBundle": true, "secretName": true, "key": true, "topologyKey": true, "secretKeyRef": true, "automountServiceAccountToken": true,
	"secretRef": true, "certificates": true, "serviceAccountToken": true, "imagePullSecrets": true, "secrets": true,
}

// SensitiveName says whether a field of this name may hold what is not to be shown.
func SensitiveName(name string) bool { return isSensitiveName(name) }

// HoldsSensitive says whether something below a value looks like a secret, such as an environment variable in a list.
func HoldsSensitive(v any) bool { return holdsSensitive(v) }

func isSensitiveName(name string) bool { return sensitiveKey.MatchString(name) && !publicNames[name] }

func isEnv(path fieldpath.Path) bool {
	return len(path) > 0 && path[len(path)-1].FieldName != nil && *path[len(path)-1].FieldName == "env"
}

// holdsSensitive says whether something below a value looks like a secret: an environment variable, say, in a container
// that was added.
func holdsSensitive(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		name, _ := v["name"].(string)
		if _, ok := v["value"].(string); ok && sensitiveKey.MatchString(name) {
			return true
		}
		for k, e := range v {
			if s, ok := e.(string); ok && s != "" && isSensitiveName(k) || holdsSensitive(e) {
				return true
			}
		}
	case []any:
		for _, e := range v {
			if holdsSensitive(e) {
				return true
			}
		}
	}
	return false
}

func literal(v any) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// cut shortens text to at most n bytes without cutting a character.
func cut(text string, n int) string {
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}
