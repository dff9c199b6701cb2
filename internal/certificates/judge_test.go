package certificates

import (
	"crypto/x509"
	"maps"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const day = 24 * time.Hour

var (
	start    = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	caSpec   = Spec{CommonName: "Test CA", Validity: 300 * day}
	leafSpec = Spec{CommonName: "*.a.example.com", DNSNames: []string{"*.a.example.com", "b.example.com"}, IPs: []net.IP{net.ParseIP("192.0.2.1")},
		Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, Validity: 30 * day}
)

func authority(t *testing.T, at time.Time) map[string][]byte {
	t.Helper()
	return carryOut(t, Create, nil, at)
}

func carryOut(t *testing.T, action Action, data map[string][]byte, at time.Time) map[string][]byte {
	t.Helper()
	out, err := CarryOut(action, data, caSpec, at)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func parsed(t *testing.T, data map[string][]byte) *Authority {
	t.Helper()
	a, ok := ParseAuthority(data)
	if !ok {
		t.Fatal("no authority")
	}
	return a
}

func issue(t *testing.T, action Action, data map[string][]byte, want Spec, a *Authority, at time.Time) map[string][]byte {
	t.Helper()
	out, err := Issue(action, data, want, a, at)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func with(data map[string][]byte, key, value string) map[string][]byte {
	out := maps.Clone(data)
	out[key] = []byte(value)
	return out
}

func TestJudgeLeaf(t *testing.T) {
	ca := parsed(t, authority(t, start))
	other := parsed(t, authority(t, start))
	good := issue(t, Create, nil, leafSpec, ca, start)
	end := start.Add(30 * day)
	// Two thirds of 30 days and what they were dated back.
	due := start.Add(-backdate).Add((30*day + backdate) / 3 * 2)
	change := func(edit func(*Spec)) Spec {
		s := leafSpec
		edit(&s)
		return s
	}
	for _, tc := range []struct {
		name string
		data map[string][]byte
		want Spec
		ca   *Authority
		at   time.Time
		is   Verdict
	}{
		{"none", nil, leafSpec, ca, start, Verdict{Action: Create, Reason: "there is none"}},
		{"fresh", good, leafSpec, ca, start, Verdict{Action: Keep, NotAfter: end, RenewAt: due}},
		{"names in another order", good, change(func(s *Spec) { s.DNSNames = []string{"b.example.com", "*.a.example.com"} }), ca, start,
			Verdict{Action: Keep, NotAfter: end, RenewAt: due}},
		{"just before two thirds", good, leafSpec, ca, due.Add(-time.Second), Verdict{Action: Keep, NotAfter: end, RenewAt: due}},
		{"two thirds", good, leafSpec, ca, due, Verdict{Action: Renew, Reason: "two thirds of its time are over"}},
		{"expired", good, leafSpec, ca, end.Add(time.Second), Verdict{Action: Create, Reason: "it has expired or is signed by another authority"}},
		{"another authority", good, leafSpec, other, start, Verdict{Action: Create, Reason: "it has expired or is signed by another authority"}},
		{"another subject", good, change(func(s *Spec) { s.CommonName = "x" }), ca, start, Verdict{Action: Create, Reason: "it was made for other names"}},
		{"a name more", good, change(func(s *Spec) { s.DNSNames = append([]string{"c.example.com"}, s.DNSNames...) }), ca, start,
			Verdict{Action: Create, Reason: "it was made for other names"}},
		{"a name less", good, change(func(s *Spec) { s.DNSNames = s.DNSNames[:1] }), ca, start, Verdict{Action: Create, Reason: "it was made for other names"}},
		{"another address", good, change(func(s *Spec) { s.IPs = []net.IP{net.ParseIP("192.0.2.2")} }), ca, start, Verdict{Action: Create, Reason: "it was made for other names"}},
		{"another usage", good, change(func(s *Spec) { s.Usages = s.Usages[:1] }), ca, start, Verdict{Action: Create, Reason: "it was made for other usages"}},
		{"a shorter time is wanted", good, change(func(s *Spec) { s.Validity = day }), ca, start, Verdict{Action: Renew, Reason: "it is valid for longer than it should be"}},
		{"a longer time is wanted, in its turn", good, change(func(s *Spec) { s.Validity = 60 * day }), ca, start, Verdict{Action: Keep, NotAfter: end, RenewAt: due}},
		{"no key", with(good, "tls.key", ""), leafSpec, ca, start, Verdict{Action: Create, Reason: "there is no certificate or no key"}},
		{"rubbish", with(good, "tls.crt", "rubbish"), leafSpec, ca, start, Verdict{Action: Create, Reason: "the certificate cannot be read or its key is another one's"}},
		{"another one's key", with(good, "tls.key", string(issue(t, Create, nil, leafSpec, ca, start)["tls.key"])), leafSpec, ca, start,
			Verdict{Action: Create, Reason: "the certificate cannot be read or its key is another one's"}},
		{"no bundle", with(good, "ca.crt", ""), leafSpec, ca, start, Verdict{Action: Rebundle, Reason: "the authorities to trust have changed"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := JudgeLeaf(tc.data, tc.want, tc.ca, tc.at)
			if diff := cmp.Diff(tc.is, got); diff != "" {
				t.Fatalf("-want +got:\n%s", diff)
			}
			if got.Action == Keep {
				return
			}
			// Whatever is wrong is right after the action, and a key is only kept when nothing but the bundle was wrong.
			after := issue(t, got.Action, tc.data, tc.want, tc.ca, tc.at)
			if again := JudgeLeaf(after, tc.want, tc.ca, tc.at); again.Action != Keep {
				t.Errorf("after %s: %+v", got.Action, again)
			}
			if same := string(after["tls.key"]) == string(tc.data["tls.key"]); same != (got.Action == Rebundle) {
				t.Errorf("%s keeps the key: %v", got.Action, same)
			}
		})
	}
}

func TestJudgeAuthority(t *testing.T) {
	ca := authority(t, start)
	leaf := issue(t, Create, nil, leafSpec, parsed(t, ca), start)
	due := start.Add(-backdate).Add((300*day + backdate) / 3 * 2)
	introduced := carryOut(t, Introduce, ca, due)
	end := start.Add(300 * day)
	renamed := caSpec
	renamed.CommonName = "x"
	shorter := caSpec
	shorter.Validity = 100 * day
	for _, tc := range []struct {
		name string
		data map[string][]byte
		want Spec
		at   time.Time
		is   Verdict
	}{
		{"none", nil, caSpec, start, Verdict{Action: Create, Reason: "there is none"}},
		{"fresh", ca, caSpec, start, Verdict{Action: Keep, NotAfter: end, RenewAt: due}},
		{"two thirds", ca, caSpec, due, Verdict{Action: Introduce, Reason: "two thirds of its time are over"}},
		{"its successor is trusted, and does not sign yet", introduced, caSpec, due, Verdict{Action: Keep, NotAfter: end, RenewAt: due.Add(maxOverlap)}},
		{"its successor signs", introduced, caSpec, due.Add(maxOverlap), Verdict{Action: Promote, Reason: "its successor is known everywhere by now"}},
		{"its successor is not trusted", with(introduced, "ca.crt", string(ca["ca.crt"])), caSpec, due,
			Verdict{Action: Rebundle, Reason: "the authorities to trust are not complete"}},
		{"its successor cannot be read", with(introduced, "next.key", "x"), caSpec, due, Verdict{Action: Introduce, Reason: "two thirds of its time are over"}},
		{"expired", ca, caSpec, end, Verdict{Action: Create, Reason: "it has expired"}},
		{"another name", ca, renamed, start, Verdict{Action: Create, Reason: "it has another name"}},
		{"a shorter time is wanted", ca, shorter, start, Verdict{Action: Introduce, Reason: "it is valid for longer than it should be"}},
		{"no authority", leaf, caSpec, start, Verdict{Action: Create, Reason: "the certificate is no authority's"}},
		{"rubbish", with(ca, "tls.key", "x"), caSpec, start, Verdict{Action: Create, Reason: "the certificate cannot be read or its key is another one's"}},
		{"not trusted", with(ca, "ca.crt", ""), caSpec, start, Verdict{Action: Rebundle, Reason: "the authorities to trust are not complete"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := JudgeAuthority(tc.data, tc.want, tc.at)
			if diff := cmp.Diff(tc.is, got); diff != "" {
				t.Fatalf("-want +got:\n%s", diff)
			}
			if got.Action == Keep {
				return
			}
			after, err := CarryOut(got.Action, tc.data, tc.want, tc.at)
			if err != nil {
				t.Fatal(err)
			}
			if again := JudgeAuthority(after, tc.want, tc.at); again.Action != Keep {
				t.Errorf("after %s: %+v", got.Action, again)
			}
		})
	}
}

// TestRotation goes through many lives of certificates, hours at a time: at every moment each side trusts what the other one shows, although it
// reads its own Secret some hours later than the other one does.
func TestRotation(t *testing.T) {
	const days, step, behind = 101, 6 * time.Hour, 3
	caSpec, leafSpec := caSpec, leafSpec
	caSpec.Validity, leafSpec.Validity = 30*day, day
	var ca, server map[string][]byte
	seen, signers := map[string]int{}, map[string]bool{}
	var bundles [][]byte // what the other side trusts, as it reads it
	for now := start; now.Before(start.Add(days * day)); now = now.Add(step) {
		if v := JudgeAuthority(ca, caSpec, now); v.Action != Keep {
			seen["authority "+string(v.Action)]++
			var err error
			if ca, err = CarryOut(v.Action, ca, caSpec, now); err != nil {
				t.Fatal(err)
			}
		}
		a := parsed(t, ca)
		signers[string(a.cert.Raw)] = true
		if v := JudgeLeaf(server, leafSpec, a, now); v.Action != Keep {
			seen["leaf "+string(v.Action)]++
			server = issue(t, v.Action, server, leafSpec, a, now)
		}
		shown, problem := parsePair(server["tls.crt"], server["tls.key"])
		if problem != "" {
			t.Fatal(problem)
		}
		bundles = append(bundles, server["ca.crt"])
		if !(&Authority{Bundle: bundles[max(len(bundles)-1-behind, 0)]}).trusts(shown.cert, now) {
			t.Fatalf("%s: the certificate is not trusted by who read the authorities a while ago", now)
		}
		if n := len(parseBundle(server["ca.crt"])); n > 2 {
			t.Fatalf("%s: %d authorities are trusted", now, n)
		}
	}
	t.Logf("in %d days: %v", days, seen)
	if seen["authority Create"] != 1 || seen["leaf Create"] != 1 {
		t.Errorf("made anew: %v", seen)
	}
	// A new authority after 20 days and then every 21, of which one is the overlap, and a new certificate every
	// 16 hours, which is every third look.
	if len(signers) != 5 || seen["leaf Renew"] < 130 || seen["leaf Renew"] > 140 || seen["authority Promote"] != len(signers)-1 {
		t.Errorf("%d authorities, %v", len(signers), seen)
	}
}

// TestShortAuthority wants a certificate never to outlive the authority that signed it.
func TestShortAuthority(t *testing.T) {
	ca := authority(t, start)
	long := leafSpec
	long.Validity = 1000 * day
	leaf := issue(t, Create, nil, long, parsed(t, ca), start.Add(100*day))
	if v := JudgeLeaf(leaf, long, parsed(t, ca), start.Add(100*day)); v.Action != Keep || !v.NotAfter.Equal(start.Add(300*day)) {
		t.Errorf("%+v", v)
	}
}
