package compose

import (
	"cmp"
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/facts"
)

// The keys of a Secret's data under which network plugins look for theirs.
const ipsecDataKey, passwordDataKey = "keys", "password"

// OwnKeys says where the user's own keys are to be that the stack encrypts by; false when it has none.
func OwnKeys(in Input) (facts.KeysAt, bool) {
	s := newState(in, true)
	s.validateComponentSettings()
	s.deriveType()
	if !s.installsCNI() || s.spec.CNI.Encryption == nil {
		return facts.KeysAt{}, false
	}
	s.encryption = s.spec.CNI.Encryption.Type
	return s.ownKeys()
}

// ownKeys is where the user's own keys are to be.
func (s *state) ownKeys() (facts.KeysAt, bool) {
	at := facts.KeysAt{}
	if in := s.inherit(string(s.cni)); in != nil {
		at.Namespace = in.namespace
	}
	at.Namespace = cmp.Or(s.spec.CNI.Namespace, at.Namespace, s.catalog[string(s.cni)].Namespace, sharedNamespace)
	switch {
	default:
	case s.cni == networkstackv1alpha1.CNICilium && s.encryption == networkstackv1alpha1.EncryptionIPsec:
		at.Kind, at.Name = networkstackv1alpha1.SecretIPsecKeys, s.ipsecSecret()
		at.Key = cmp.Or(text(s.userValues[cniPath.String()], ciliumKeyFile), ipsecDataKey)
	case s.cni == networkstackv1alpha1.CNIWeaveNet:
		name, made := s.weaveSecret()
		if made {
			return facts.KeysAt{}, false
		}
		at.Kind, at.Name, at.Key = networkstackv1alpha1.SecretPassword, name, passwordDataKey
	}
	return at, at.Name != ""
}

// validateOwnKeys refuses keys that the agents would stop on.
func (s *state) validateOwnKeys() {
	at, own := s.ownKeys()
	found := s.facts.OwnKeys
	if !own || found == nil || found.KeysAt != at || found.Problem == "" || s.spec.CNI.Encryption == nil {
		return
	}
	path := cniPath.Child("encryption", "ipsec", "secretName")
	if at.Kind == networkstackv1alpha1.SecretPassword {
		path = cniPath.Child("encryption", "password", "secretName")
	}
	s.refuse(ruleCNIOwnKeys, field.Invalid(path, at.Name, fmt.Sprintf(
		"Secret %s/%s cannot be used: %s; correct it, or remove secretName to have one made", at.Namespace, at.Name, found.Problem)))
}
