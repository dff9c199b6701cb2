package compose

import (
	"testing"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
)

// TestOwnKeys wants a Secret to be looked at when it is the user's own, and where the agents read it.
func TestOwnKeys(t *testing.T) {
	elsewhere := func(in *Input) { in.Stack.Spec.CNI.Namespace = "cilium" }
	password := func(name string) func(*Input) {
		return func(in *Input) {
			in.Stack.Spec.CNI.Encryption = &EncryptionSpec{Type: EncryptionPassword, Password: &PasswordSpec{SecretName: name}}
		}
	}
	for name, tc := range map[string]struct {
		in   Input
		want facts.KeysAt
	}{
		"no encryption":           {cilium(), facts.KeysAt{}},
		"WireGuard":               {cilium(encryption(EncryptionWireGuard)), facts.KeysAt{}},
		"keys that are made":      {cilium(encryption(EncryptionIPsec)), facts.KeysAt{}},
		"own keys":                {cilium(ownIPsec), facts.KeysAt{Namespace: "kube-system", Name: "mine", Key: "keys", Kind: SecretIPsecKeys}},
		"own keys elsewhere":      {cilium(ownIPsec, elsewhere), facts.KeysAt{Namespace: "cilium", Name: "mine", Key: "keys", Kind: SecretIPsecKeys}},
		"a password":              {weave(password("mine")), facts.KeysAt{Namespace: "kube-system", Name: "mine", Key: "password", Kind: SecretPassword}},
		"a password that is made": {weave(encryption(EncryptionPassword)), facts.KeysAt{}},
		"Flannel":                 {flannel(encryption(EncryptionWireGuard)), facts.KeysAt{}},
		"what is refused":         {flannel(ownIPsec), facts.KeysAt{}},
	} {
		got, own := OwnKeys(tc.in)
		if own != (tc.want.Name != "") || own && got != tc.want {
			t.Errorf("%s: %+v %v", name, got, own)
		}
	}
}
