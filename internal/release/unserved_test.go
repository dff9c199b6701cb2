package release

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestUnserved(t *testing.T) {
	kind := schema.GroupVersionKind{Group: "cilium.io", Version: "v2", Kind: "CiliumNode"}
	missing := &ObjectError{Object: Object{GVK: kind, Name: "a"}, Verb: "find the resource of", Err: &meta.NoKindMatchError{GroupKind: kind.GroupKind()}}
	early := &ObjectError{Object: Object{GVK: kind, Name: "a"}, Verb: "apply", Reason: metav1.StatusReasonNotFound, Err: errors.New("not found")}
	inNamespace := &ObjectError{Object: Object{GVK: kind, Namespace: "away", Name: "a"}, Verb: "apply", Reason: metav1.StatusReasonNotFound, Err: errors.New("not found")}
	denied := &ObjectError{Object: Object{GVK: kind, Name: "a"}, Verb: "apply", Reason: metav1.StatusReasonForbidden, Err: errors.New("no")}
	for _, tc := range []struct {
		name      string
		err       error
		kinds     int
		untouched bool
	}{
		{"kinds that nobody serves", &ApplyError{Causes: []*ObjectError{missing, missing}}, 1, true},
		{"a kind that is defined and not served yet", &ApplyError{Causes: []*ObjectError{early}}, 1, false},
		{"a namespace that is not there", &ApplyError{Causes: []*ObjectError{inNamespace}}, 0, false},
		{"something else too", &ApplyError{Causes: []*ObjectError{missing, denied}}, 0, false},
		{"an error beside", &ApplyError{Causes: []*ObjectError{missing}, Err: errors.New("x")}, 0, false},
		{"another error", errors.New("x"), 0, false},
		{"none", nil, 0, false},
	} {
		kinds, untouched := Unserved(tc.err)
		if len(kinds) != tc.kinds || untouched != tc.untouched {
			t.Errorf("%s: %v, untouched: %v", tc.name, kinds, untouched)
		}
		if len(kinds) > 0 && !cmp.Equal(kinds[0], kind.GroupKind()) {
			t.Errorf("%s: %v", tc.name, kinds)
		}
	}
}
