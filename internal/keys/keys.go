// Package keys makes Secrets with random content, such as passwords and IPsec keys, and makes them anew on request. What is
// to be done with a Secret is decided from what it holds and says of itself alone.
package keys

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"

	"k8s.io/apimachinery/pkg/util/uuid"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// Keys of the data of Secrets.
const (
	passwordKey = "password"
	ipsecKey    = "keys"
	gossipKey   = "key"
	tokenKey    = "token"
)

const (
	// passwordBytes of randomness; in the text they are written in base64.
	passwordBytes = 32
	// ipsecBytes are a key of AES with 128 bits and its salt of 32.
	ipsecBytes = 20
	// gossipBytes are a key of AES with 256 bits.
	gossipBytes = 32
	// firstKeyID is the one that Cilium's documentation begins with, and lastKeyID the largest that fits its four bits.
	firstKeyID = 3
	lastKeyID  = 15
)

// The contents that are made, and no others.
var (
	passwordForm = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)
	ipsecForm    = regexp.MustCompile(`^([1-9]|1[0-5])\+ rfc4106\(gcm\(aes\)\) [0-9a-f]{40} 128$`)
	gossipForm   = regexp.MustCompile(`^[A-Za-z0-9+/]{43}=$`)
	tokenForm    = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
)

// contents are where the content of each kind is in a Secret, and the form that it is made in.
var contents = map[networkstackv1alpha1.GeneratedSecretKind]struct {
	key  string
	form *regexp.Regexp
}{
	networkstackv1alpha1.SecretPassword:  {passwordKey, passwordForm},
	networkstackv1alpha1.SecretIPsecKeys: {ipsecKey, ipsecForm},
	networkstackv1alpha1.SecretGossipKey: {gossipKey, gossipForm},
	networkstackv1alpha1.SecretToken:     {tokenKey, tokenForm},
}

// Action is what to do about a Secret.
type Action string

// The actions.
const (
	// Keep the Secret as it is.
	Keep Action = "Keep"
	// Create the content, or make it anew because it is not what the operator made.
	Create Action = "Create"
	// Rotate makes the content anew because that was asked for.
	Rotate Action = "Rotate"
	// Mark puts back labels and annotations and keeps the content.
	Mark Action = "Mark"
)

// Found is what there is of a Secret that is the operator's. Data is nil if there is none.
type Found struct {
	Data map[string][]byte
	// Kind is what its label says; Revision and Rotation what its annotations say.
	Kind               networkstackv1alpha1.GeneratedSecretKind
	Revision, Rotation string
	// Labelled says that its labels are those of the component.
	Labelled bool
}

// Verdict is what to do about a Secret, and why.
type Verdict struct {
	Action Action
	// Reason never holds anything of the content.
	Reason string
}

// Judge decides about a Secret that is the operator's, or that is not there.
func Judge(found Found, wanted networkstackv1alpha1.GeneratedSecret) Verdict {
	switch {
	case found.Data == nil:
		return Verdict{Create, "there is none"}
	case !wellFormed(found.Data, wanted.Kind):
		return Verdict{Create, "it does not hold what the operator makes"}
	case found.Revision != "" && found.Revision != Revision(found.Data, wanted.Kind):
		return Verdict{Create, "somebody else wrote its content"}
	case wanted.Rotation != "" && found.Revision != "" && wanted.Rotation != found.Rotation:
		return Verdict{Rotate, "another rotation is asked for"}
	case found.Revision == "" || found.Kind != wanted.Kind || !found.Labelled:
		return Verdict{Mark, "its labels or annotations were changed"}
	}
	return Verdict{Action: Keep}
}

// Make makes content of a kind. The key of IPsec has the number that follows last, or the first one after 0.
func Make(kind networkstackv1alpha1.GeneratedSecretKind, last int32) (map[string][]byte, error) {
	switch kind {
	case networkstackv1alpha1.SecretPassword:
		return map[string][]byte{passwordKey: []byte(base64.RawURLEncoding.EncodeToString(random(passwordBytes)))}, nil
	case networkstackv1alpha1.SecretIPsecKeys:
		text := fmt.Sprintf("%d+ rfc4106(gcm(aes)) %s 128", nextKeyID(last), hex.EncodeToString(random(ipsecBytes)))
		return map[string][]byte{ipsecKey: []byte(text)}, nil
	case networkstackv1alpha1.SecretGossipKey:
		return map[string][]byte{gossipKey: []byte(base64.StdEncoding.EncodeToString(random(gossipBytes)))}, nil
	case networkstackv1alpha1.SecretToken:
		return map[string][]byte{tokenKey: []byte(uuid.NewUUID())}, nil
	}
	return nil, fmt.Errorf("nobody knows how to make a Secret of kind %q", kind)
}

// Revision identifies content that the operator made: the first 8 bytes of its SHA-256, which tell nothing of so much randomness.
func Revision(data map[string][]byte, kind networkstackv1alpha1.GeneratedSecretKind) string {
	sum := sha256.Sum256(data[dataKey(kind)])
	return hex.EncodeToString(sum[:8])
}

// wellFormed says whether data is of the form that Make makes. What is not may be guessed, so that nothing is told of it.
func wellFormed(data map[string][]byte, kind networkstackv1alpha1.GeneratedSecretKind) bool {
	c, known := contents[kind]
	return known && c.form.Match(data[c.key])
}

func dataKey(kind networkstackv1alpha1.GeneratedSecretKind) string { return contents[kind].key }

// KeyID is the number of the key of IPsec that data holds; 0 of anything else.
func KeyID(data map[string][]byte) int32 {
	match := ipsecForm.FindSubmatch(data[ipsecKey])
	if match == nil {
		return 0
	}
	id, err := strconv.ParseInt(string(match[1]), 10, 32)
	if err != nil {
		return 0
	}
	return int32(id)
}

// nextKeyID is the number of the key that follows another one. Cilium tells keys by it, so it has to differ.
func nextKeyID(last int32) int32 {
	if last < 1 {
		return firstKeyID
	}
	return last%lastKeyID + 1
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // it never fails
	return b
}
