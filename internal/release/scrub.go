package release

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"sort"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const redacted = "[redacted]"

// sensitiveKey matches names of values whose content must not show up in an error. Charts quote
// values in their own refusals, and schema validation quotes what did not match.
var sensitiveKey = regexp.MustCompile(`(?i)(passw|secret|token|credential|private|passphrase|psk|apikey|api_key|accesskey|key$|cert|pem$|auth|license)`)

// scrubbed is an error whose text has been cleaned. It deliberately does not unwrap: the original
// text must not be reachable by printing the cause.
type scrubbed string

func (s scrubbed) Error() string { return string(s) }

// Sensitive are the values that must not show up anywhere, by their names.
func Sensitive(values map[string]any) []string {
	var out []string
	collectSensitive(values, false, &out)
	return out
}

// AllText are all texts in values, for values that come from a Secret.
func AllText(values map[string]any) []string {
	var out []string
	collectSensitive(values, true, &out)
	return out
}

// scrubValues removes the content of sensitive values from err's text.
func scrubValues(err error, values map[string]any) error {
	if err == nil {
		return nil
	}
	text, secrets := err.Error(), Sensitive(values)
	// Longest first, so that a secret containing another one is removed whole.
	sort.Slice(secrets, func(i, j int) bool { return len(secrets[i]) > len(secrets[j]) })
	for _, s := range secrets {
		text = strings.ReplaceAll(text, s, redacted)
		text = strings.ReplaceAll(text, base64.StdEncoding.EncodeToString([]byte(s)), redacted)
	}
	return scrubbed(text)
}

func collectSensitive(v any, sensitive bool, out *[]string) {
	// Shorter strings are words like "true" that occur everywhere.
	const shortest = 4
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			collectSensitive(e, sensitive || sensitiveKey.MatchString(k), out)
		}
	case []any:
		for _, e := range v {
			collectSensitive(e, sensitive, out)
		}
	case string:
		if !sensitive {
			return
		}
		if len(v) >= shortest {
			*out = append(*out, v)
		}
		// Multi-line values are quoted line by line.
		if lines := strings.Split(v, "\n"); len(lines) > 1 {
			for _, l := range lines {
				if l = strings.TrimSpace(l); len(l) >= shortest {
					*out = append(*out, l)
				}
			}
		}
	case nil, bool:
	default:
		if s := fmt.Sprint(v); sensitive && len(s) >= shortest {
			*out = append(*out, s)
		}
	}
}

// forbidden finds verb, resource, group and namespace in the API server's refusal.
var forbidden = regexp.MustCompile(`cannot (\S+) resource "([^"]+)" in API group "([^"]*)"(?: in the namespace "([^"]*)")?`)

// objectError describes what went wrong with o. Messages about Secrets are reduced to the reason
// and the names of the fields, because the API server quotes what it did not understand.
func objectError(verb string, o Object, err error) *ObjectError {
	var known *ObjectError
	if errors.As(err, &known) {
		return known
	}
	out := &ObjectError{Object: o, Verb: verb, Reason: apierrors.ReasonForError(err), Err: err}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return out
	}
	if apierrors.IsForbidden(err) {
		if m := forbidden.FindStringSubmatch(err.Error()); m != nil {
			out.Permission = m[1] + " " + m[2]
			if m[3] != "" {
				out.Permission += "." + m[3]
			}
			if m[4] != "" {
				out.Permission += " in namespace " + m[4]
			}
		}
	}
	if o.GVK.Group == "" && o.GVK.Kind == "Secret" {
		text := fmt.Sprintf("%s (%d)", status.Status().Reason, status.Status().Code)
		if d := status.Status().Details; d != nil {
			for _, c := range d.Causes {
				text += fmt.Sprintf(" %s: %s", c.Field, c.Type)
			}
		}
		if strings.Contains(err.Error(), "Too long") {
			text += " (larger than a Secret may be)"
		}
		// Only what was composed here survives; errors.As still finds the reason and the code.
		out.Err = &apierrors.StatusError{ErrStatus: metav1.Status{
			Status: metav1.StatusFailure, Reason: status.Status().Reason, Code: status.Status().Code, Message: text,
		}}
	}
	return out
}
