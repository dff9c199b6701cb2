package keys

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// Lengths of keys in bytes, and of checks in bits, that Cilium's agents and the kernel take.
var (
	gcmLengths   = []int{20, 28, 36} // AES of 128, 192 or 256 bits, and its salt of 32
	cbcLengths   = []int{16, 24, 32}
	checkLengths = []string{"96", "128", "256"}
	// gossipLengths are those that Consul's servers take.
	gossipLengths = []int{16, 24, 32}
)

// anyUUID is what Consul takes for a token, of whatever version.
var anyUUID = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)

// Problem says what is wrong with content that somebody else made, under a key of a Secret's data; empty when nothing is known to be.
// It never holds anything of the content.
func Problem(data map[string][]byte, kind networkstackv1alpha1.GeneratedSecretKind, key string) string {
	text := string(data[key])
	switch {
	case strings.TrimSpace(text) == "":
		return "it has nothing under the key " + key
	case kind == networkstackv1alpha1.SecretGossipKey:
		if raw, err := base64.StdEncoding.DecodeString(text); err != nil || !slices.Contains(gossipLengths, len(raw)) {
			return "it has something else than 16, 24 or 32 bytes in base64 under the key " + key
		}
		return ""
	case kind == networkstackv1alpha1.SecretToken:
		if !anyUUID.MatchString(text) {
			return "it has something else than a UUID under the key " + key
		}
		return ""
	case kind != networkstackv1alpha1.SecretIPsecKeys:
		return ""
	}
	numbers := map[string]bool{}
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		number, problem := ipsecProblem(strings.Split(strings.TrimSuffix(line, "\r"), " "))
		if problem == "" && numbers[number] {
			problem = "has the number of another line"
		}
		if problem != "" {
			return fmt.Sprintf("line %d under the key %s %s", i+1, key, problem)
		}
		numbers[number] = true
	}
	return ""
}

// ipsecProblem is what is wrong with the words of a line: the key's number, and an algorithm with its key and the length of its check,
// or two algorithms, each with its key.
func ipsecProblem(words []string) (number, problem string) {
	if slices.Contains(words, "") {
		return "", "is empty, or has two blanks in a row"
	}
	number = strings.TrimSuffix(words[0], "+")
	if id, err := strconv.Atoi(number); err != nil || id < 1 || id > lastKeyID {
		return "", fmt.Sprintf("does not begin with a number from 1 to %d", lastKeyID)
	}
	switch len(words) {
	case 4:
		if !strings.HasPrefix(words[1], "rfc") {
			return "", "has three words after its number, and the first is no algorithm such as rfc4106(gcm(aes))"
		}
		size, ok := keyLength(words[2])
		switch {
		case !ok:
			return "", "has a key that is not written in hexadecimal digits"
		case strings.HasPrefix(words[1], "rfc4106(gcm(aes))") && !slices.Contains(gcmLengths, size):
			return "", "has a key of another length than the 20, 28 or 36 bytes (40, 56 or 72 digits) of its algorithm"
		case !slices.Contains(checkLengths, words[3]):
			return "", "does not end with 96, 128 or 256"
		}
	case 5:
		_, ok := keyLength(words[2])
		size, also := keyLength(words[4])
		switch {
		case !ok || !also:
			return "", "has a key that is not written in hexadecimal digits"
		case words[3] == "cbc(aes)" && !slices.Contains(cbcLengths, size):
			return "", "has a key of another length than the 16, 24 or 32 bytes (32, 48 or 64 digits) of its algorithm"
		}
	default:
		return "", "has another number of words than a key: write one such as \"3+ rfc4106(gcm(aes)) <40 hexadecimal digits> 128\""
	}
	return number, ""
}

// keyLength is that of a key in bytes, and whether it is one. Two quotation marks are none at all, which goes with a cipher of nothing.
func keyLength(text string) (int, bool) {
	if text == `""` {
		return 0, true
	}
	raw, err := hex.DecodeString(strings.TrimPrefix(text, "0x"))
	return len(raw), err == nil && len(raw) > 0
}
