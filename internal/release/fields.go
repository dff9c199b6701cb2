package release

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// FieldsHash is a digest of what manager owns in obj by server-side apply: the entry's API
// version, its fields and the time it last changed. It reads nothing but metadata.managedFields.
// Whoever changes, removes or takes over one of the fields changes the hash; so does another apply
// by the same manager that changes something. The second result is false when there is no such
// entry.
func FieldsHash(obj metav1.Object, manager string) (string, bool) {
	entry := applyEntry(obj, manager)
	if entry == nil {
		return "", false
	}
	h := sha256.New()
	h.Write([]byte(entry.Manager + "\n" + entry.APIVersion + "\n"))
	if entry.Time != nil {
		// The zone depends on how the object was decoded, the instant does not.
		h.Write([]byte(entry.Time.UTC().Format(time.RFC3339)))
	}
	h.Write([]byte("\n"))
	if entry.FieldsV1 != nil {
		h.Write(canonical(entry.FieldsV1.GetRawBytes()))
	}
	const length = 16 // bytes
	return hex.EncodeToString(h.Sum(nil)[:length]), true
}

// Fingerprint is FieldsHash together with what others own in obj: as long as a watched object has the fingerprint it had
// when it was applied, nobody has taken one of our fields away or added one of his own. Statuses don't count, and neither
// does when others wrote: somebody who renews a field of his own, such as a leader's annotation, changes nothing.
func Fingerprint(obj metav1.Object, manager string) string {
	ours, _ := FieldsHash(obj, manager)
	return ours + "/" + othersHash(obj, manager, false)
}

// Traces is Fingerprint with the times at which others wrote.
func Traces(obj metav1.Object, manager string) string {
	ours, _ := FieldsHash(obj, manager)
	return ours + "/" + othersHash(obj, manager, true)
}

func othersHash(obj metav1.Object, manager string, times bool) string {
	h := sha256.New()
	for _, e := range obj.GetManagedFields() {
		if !isOthers(e, manager) || isControlPlane(e.Manager) {
			continue
		}
		h.Write([]byte(e.Manager + "\n" + string(e.Operation) + "\n" + e.APIVersion + "\n" + e.Subresource + "\n"))
		if times && e.Time != nil {
			h.Write([]byte(e.Time.UTC().Format(time.RFC3339) + "\n"))
		}
		h.Write(canonical(e.FieldsV1.GetRawBytes()))
	}
	const length = 8 // bytes
	return hex.EncodeToString(h.Sum(nil)[:length])
}

// canonical orders the keys of JSON: the server writes them in an order of its own, which does not
// survive decoding into generic maps.
func canonical(raw []byte) []byte {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return raw
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	if enc.Encode(v) != nil {
		return raw
	}
	return b.Bytes()
}

func applyEntry(obj metav1.Object, manager string) *metav1.ManagedFieldsEntry {
	list := obj.GetManagedFields()
	for i := range list {
		if f := &list[i]; isOurs(*f, manager) {
			return f
		}
	}
	return nil
}
