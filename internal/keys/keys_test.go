package keys

import (
	"regexp"
	"strings"
	"testing"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

const (
	password = networkstackv1alpha1.SecretPassword
	ipsec    = networkstackv1alpha1.SecretIPsecKeys
	gossip   = networkstackv1alpha1.SecretGossipKey
	token    = networkstackv1alpha1.SecretToken
)

func made(t *testing.T, kind networkstackv1alpha1.GeneratedSecretKind, before map[string][]byte) map[string][]byte {
	t.Helper()
	data, err := Make(kind, KeyID(before))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestJudge(t *testing.T) {
	t.Parallel()
	for _, kind := range []networkstackv1alpha1.GeneratedSecretKind{password, ipsec, gossip, token} {
		data := made(t, kind, nil)
		as := func(change func(*Found)) Found {
			f := Found{Data: data, Kind: kind, Revision: Revision(data, kind), Rotation: "1", Labelled: true}
			change(&f)
			return f
		}
		for _, tc := range []struct {
			name     string
			found    Found
			rotation string
			want     Action
		}{
			{"none", Found{}, "", Create},
			{"none, with a rotation", Found{}, "1", Create},
			{"as made", as(func(*Found) {}), "1", Keep},
			{"another rotation", as(func(*Found) {}), "2", Rotate},
			{"the first rotation", as(func(f *Found) { f.Rotation = "" }), "1", Rotate},
			{"a rotation that is asked for no longer", as(func(*Found) {}), "", Keep},
			{"other content of the same form", as(func(f *Found) { f.Data = made(t, kind, nil) }), "1", Create},
			{"content that can be guessed", as(func(f *Found) {
				f.Data = map[string][]byte{"password": []byte("hunter2"), "keys": []byte("hunter2"), "key": []byte("hunter2"), "token": []byte("hunter2")}
			}), "1", Create},
			{"no content", as(func(f *Found) { f.Data = map[string][]byte{} }), "1", Create},
			{"no revision: the content is kept, and taken to be of the rotation that is asked for", as(func(f *Found) { f.Revision, f.Rotation = "", "" }), "2", Mark},
			{"another revision", as(func(f *Found) { f.Revision = "0123456789abcdef" }), "1", Create},
			{"no labels", as(func(f *Found) { f.Labelled = false }), "1", Mark},
			{"labelled as another kind", as(func(f *Found) { f.Kind = "Other" }), "1", Mark},
		} {
			v := Judge(tc.found, networkstackv1alpha1.GeneratedSecret{SecretName: "x", Kind: kind, Rotation: tc.rotation})
			if v.Action != tc.want || (v.Reason == "") != (v.Action == Keep) || strings.Contains(v.Reason, "hunter2") {
				t.Errorf("%s, %s: %+v, want %s", kind, tc.name, v, tc.want)
			}
		}
	}
}

func TestMake(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 20 {
		p := string(made(t, password, nil)["password"])
		if !regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`).MatchString(p) || seen[p] {
			t.Fatal("not 32 random bytes in base64, or twice the same")
		}
		seen[p] = true
	}
	if _, err := Make("Other", 0); err == nil {
		t.Error("an unknown kind was made")
	}
}

// TestIPsecKeys wants Cilium's form, another key with each rotation, and numbers from 1 to 15 that never stay the same.
func TestIPsecKeys(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^(\d+)\+ rfc4106\(gcm\(aes\)\) ([0-9a-f]{40}) 128$`)
	var data map[string][]byte
	var ids, hex []string
	for range 14 {
		data = made(t, ipsec, data)
		m := form.FindSubmatch(data["keys"])
		if m == nil || len(data) != 1 {
			t.Fatalf("%d keys, not in Cilium's form", len(data))
		}
		ids = append(ids, string(m[1]))
		for _, before := range hex {
			if before == string(m[2]) {
				t.Fatal("the same key twice")
			}
		}
		hex = append(hex, string(m[2]))
	}
	if got := strings.Join(ids, " "); got != "3 4 5 6 7 8 9 10 11 12 13 14 15 1" {
		t.Errorf("numbers %s", got)
	}
	for _, broken := range []string{"", "x", "16+ rfc4106(gcm(aes)) " + strings.Repeat("a", 40) + " 128", "3 rfc4106(gcm(aes)) ab 128"} {
		if id := nextKeyID(KeyID(map[string][]byte{"keys": []byte(broken)})); id != 3 {
			t.Errorf("after %q comes %d", broken, id)
		}
	}
}
