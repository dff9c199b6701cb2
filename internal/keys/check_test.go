package keys

import (
	"strings"
	"testing"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

func TestProblem(t *testing.T) {
	key := strings.Repeat("0123456789abcdef", 5) // 40 bytes
	line := "3+ rfc4106(gcm(aes)) " + key[:40] + " 128"
	const form = "line 1 under the key keys has another number of words than a key: write one such as \"3+ rfc4106(gcm(aes)) <40 hexadecimal digits> 128\""
	for _, tc := range []struct{ name, text, want string }{
		{"as it is documented", line, ""},
		{"with a line break", line + "\n", ""},
		{"from another system", line + "\r\n", ""},
		{"without the plus", strings.Replace(line, "+", "", 1), ""},
		{"with 0x", strings.Replace(line, key[:40], "0x"+key[:40], 1), ""},
		{"256 bits", "15+ rfc4106(gcm(aes)) " + key[:72] + " 128", ""},
		{"another algorithm of its family", "3+ rfc7539esp(chacha20,poly1305) " + key[:72] + " 128", ""},
		{"two algorithms", "3 hmac(sha256) " + key[:64] + " cbc(aes) " + key[:64], ""},
		{"nothing to encrypt with", `3 hmac(sha256) ` + key[:64] + ` cipher_null ""`, ""},
		{"two keys", line + "\n" + strings.Replace(line, "3+", "4+", 1), ""},
		{"nothing", "\n", "it has nothing under the key keys"},
		{"a password", "hunter2", "line 1 under the key keys does not begin with a number from 1 to 15"},
		{"no number", line[3:], "line 1 under the key keys does not begin with a number from 1 to 15"},
		{"number 0", "0" + line[1:], "line 1 under the key keys does not begin with a number from 1 to 15"},
		{"number 16", "16" + line[1:], "line 1 under the key keys does not begin with a number from 1 to 15"},
		{"no key", "3+ rfc4106(gcm(aes)) 128", form},
		{"too much", line + " 1 2 3", form},
		{"two blanks", strings.Replace(line, " ", "  ", 1), "line 1 under the key keys is empty, or has two blanks in a row"},
		{"an empty line", line + "\n\n" + line, "line 2 under the key keys is empty, or has two blanks in a row"},
		{"the same number twice", line + "\n" + line, "line 2 under the key keys has the number of another line"},
		{"no salt", strings.Replace(line, key[:40], key[:32], 1),
			"line 1 under the key keys has a key of another length than the 20, 28 or 36 bytes (40, 56 or 72 digits) of its algorithm"},
		{"no digits", strings.Replace(line, key[:40], strings.Repeat("x", 40), 1), "line 1 under the key keys has a key that is not written in hexadecimal digits"},
		{"another check", strings.Replace(line, " 128", " 64", 1), "line 1 under the key keys does not end with 96, 128 or 256"},
		{"another algorithm", strings.Replace(line, "rfc4106(gcm(aes))", "gcm(aes)", 1),
			"line 1 under the key keys has three words after its number, and the first is no algorithm such as rfc4106(gcm(aes))"},
		{"a short key of two", "3 hmac(sha256) " + key[:64] + " cbc(aes) " + key[:60],
			"line 1 under the key keys has a key of another length than the 16, 24 or 32 bytes (32, 48 or 64 digits) of its algorithm"},
	} {
		if got := Problem(map[string][]byte{"keys": []byte(tc.text)}, ipsec, "keys"); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
	if got := Problem(map[string][]byte{"password": []byte("hunter2")}, password, "password"); got != "" {
		t.Error(got)
	}
	if got := Problem(nil, password, "password"); got != "it has nothing under the key password" {
		t.Error(got)
	}
	if got := Problem(map[string][]byte{"keys": []byte(line)}, ipsec, "other"); got != "it has nothing under the key other" {
		t.Error(got)
	}
}

// TestOtherProblems are those of keys that Consul reads.
func TestOtherProblems(t *testing.T) {
	noGossip := "it has something else than 16, 24 or 32 bytes in base64 under the key " + gossipKey
	const noToken = "it has something else than a UUID under the key token"
	for _, tc := range []struct {
		text, want string
		kind       networkstackv1alpha1.GeneratedSecretKind
	}{
		{"pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s=", "", gossip},
		{"Luj2FZWwlt8475wD1WtwUQ==", "", gossip},
		{"hunter2", noGossip, gossip},
		{"aHVudGVyMg==", noGossip, gossip},
		{"B64161FD-A3DC-0C26-B3D2-2BB5BAC7A7A9", "", token},
		{"b64161fda3dc0c26b3d22bb5bac7a7a9", noToken, token},
		{"b64161fd-a3dc-0c26-b3d2-2bb5bac7a7a9\n", noToken, token},
	} {
		key := dataKey(tc.kind)
		if got := Problem(map[string][]byte{key: []byte(tc.text)}, tc.kind, key); got != tc.want {
			t.Errorf("%s %q: %q, want %q", tc.kind, tc.text, got, tc.want)
		}
	}
}

// TestProblemTellsNothing wants no word of what a Secret holds in what is said of it.
func TestProblemTellsNothing(t *testing.T) {
	for _, text := range []string{"hunter2", "3+ rfc4106(gcm(aes)) hunter2 128", "3+ hunter2 00 128", "3+ hunter2", "3+ a hunter2 b hunter2", "hunter2 a hunter2 b"} {
		if got := Problem(map[string][]byte{"keys": []byte(text)}, ipsec, "keys"); got == "" || strings.Contains(got, "hunter2") {
			t.Errorf("%q", got)
		}
	}
}
