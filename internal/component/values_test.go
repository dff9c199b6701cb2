package component

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/catalog"
	"github.com/networkstack/networkstack/internal/intent"
)

const operatorNamespace = "networkstack-system"

func newClient(t *testing.T, objects ...client.Object) client.WithWatch {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, networkstackv1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithStatusSubresource(&networkstackv1alpha1.NetworkComponent{}).Build()
}

func configMap(name, key, text string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: name}, Data: map[string]string{key: text}}
}

func secret(name, key, text string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: name}, Data: map[string][]byte{key: []byte(text)}}
}

func raw(text string) *apiextensionsv1.JSON { return &apiextensionsv1.JSON{Raw: []byte(text)} }

func from(kind networkstackv1alpha1.ValuesKind, name string, key ...string) networkstackv1alpha1.ValuesReference {
	return networkstackv1alpha1.ValuesReference{Kind: kind, Name: name, Key: strings.Join(key, "")}
}

func TestValues(t *testing.T) {
	const (
		inConfigMap = networkstackv1alpha1.ValuesFromConfigMap
		inSecret    = networkstackv1alpha1.ValuesFromSecret
	)
	elsewhere := configMap("elsewhere", "values.yaml", "a: elsewhere")
	elsewhere.Namespace = "default"
	objects := []client.Object{
		configMap("first", "values.yaml", "a: first\nb: first\nmap: {first: x}\nlist: [first]\n"),
		configMap("keyed", "other.yaml", "a: keyed"),
		configMap("same-name", "values.yaml", "a: from the ConfigMap"),
		secret("same-name", "values.yaml", "a: from the Secret"),
		secret("second", "values.yaml", "b: second\nmap: {second: x}\nlist: [second]\nnothing: null\n"),
		configMap("empty", "values.yaml", ""),
		configMap("number", "values.yaml", "c: 10000000"),
		elsewhere,
	}
	type object = map[string]any
	for _, tc := range []struct {
		name            string
		derived, inline *apiextensionsv1.JSON
		refs            []networkstackv1alpha1.ValuesReference
		want            object
	}{
		{name: "none", want: object{}},
		{name: "derived", derived: raw(`{"a":"derived"}`), want: object{"a": "derived"}},
		{name: "inline over derived", derived: raw(`{"a":"derived","b":"derived"}`), inline: raw(`{"a":"inline"}`), want: object{"a": "inline", "b": "derived"}},
		{name: "derived, references in order, inline",
			derived: raw(`{"a":"derived","b":"derived","c":"derived","map":{"derived":"x"},"list":["derived"]}`),
			refs:    []networkstackv1alpha1.ValuesReference{from(inConfigMap, "first"), from(inSecret, "second")},
			inline:  raw(`{"map":{"inline":"x"}}`),
			want: object{"a": "first", "b": "second", "c": "derived", "list": []any{"second"}, "nothing": nil,
				"map": object{"derived": "x", "first": "x", "second": "x", "inline": "x"}}},
		{name: "references in the other order",
			refs: []networkstackv1alpha1.ValuesReference{from(inSecret, "second"), from(inConfigMap, "first")},
			want: object{"a": "first", "b": "first", "list": []any{"first"}, "nothing": nil, "map": object{"first": "x", "second": "x"}}},
		{name: "another key", refs: []networkstackv1alpha1.ValuesReference{from(inConfigMap, "keyed", "other.yaml")}, want: object{"a": "keyed"}},
		{name: "a Secret and a ConfigMap of one name", refs: []networkstackv1alpha1.ValuesReference{from(inSecret, "same-name")}, want: object{"a": "from the Secret"}},
		{name: "empty text", derived: raw(`{"a":"derived"}`), refs: []networkstackv1alpha1.ValuesReference{from(inConfigMap, "empty")}, want: object{"a": "derived"}},
		{name: "whole numbers stay whole", derived: raw(`{"a":10000000}`), inline: raw(`{"b":10000000}`),
			refs: []networkstackv1alpha1.ValuesReference{from(inConfigMap, "number")},
			want: object{"a": int64(10000000), "b": int64(10000000), "c": int64(10000000)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := &Reconciler{Client: newClient(t, objects...), Namespace: operatorNamespace}
			c := &networkstackv1alpha1.NetworkComponent{}
			c.Spec.DerivedValues, c.Spec.ValuesFrom, c.Spec.Values = tc.derived, tc.refs, tc.inline
			got, _, err := r.values(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestValuesProblems wants every problem of every reference at once, with its place and a remedy, and never a value:
// the message goes to a status that anybody may read.
func TestValuesProblems(t *testing.T) {
	const hidden = "hunter2"
	elsewhere := secret("elsewhere", "values.yaml", "a: "+hidden)
	elsewhere.Namespace = "default"
	objects := []client.Object{
		configMap("keyless", "other.yaml", "a: "+hidden),
		secret("broken", "values.yaml", "password: {"+hidden),
		secret("tabs", "values.yaml", "password:\n\t"+hidden),
		secret("list", "values.yaml", "- "+hidden),
		secret("text", "values.yaml", hidden),
		secret("controlled", "values.yaml", "ipam: {mode: "+hidden+"}\nk8sServiceHost: "+hidden+"\nfree: "+hidden),
		secret("above", "values.yaml", "ipam: "+hidden),
		elsewhere,
	}
	inSecret := func(name string) networkstackv1alpha1.ValuesReference {
		return from(networkstackv1alpha1.ValuesFromSecret, name)
	}
	for _, tc := range []struct {
		name   string
		refs   []networkstackv1alpha1.ValuesReference
		inline *apiextensionsv1.JSON
		want   string
	}{
		{"missing ConfigMap", []networkstackv1alpha1.ValuesReference{from(networkstackv1alpha1.ValuesFromConfigMap, "gone")}, nil,
			"ConfigMap networkstack-system/gone does not exist: create it, or remove it from valuesFrom"},
		{"missing Secret", []networkstackv1alpha1.ValuesReference{inSecret("gone")}, nil,
			"Secret networkstack-system/gone does not exist: create it, or remove it from valuesFrom"},
		// Values are read from the operator's namespace alone.
		{"a Secret of another namespace", []networkstackv1alpha1.ValuesReference{inSecret("elsewhere")}, nil,
			"Secret networkstack-system/elsewhere does not exist: create it, or remove it from valuesFrom"},
		{"missing default key", []networkstackv1alpha1.ValuesReference{from(networkstackv1alpha1.ValuesFromConfigMap, "keyless")}, nil,
			"ConfigMap networkstack-system/keyless has no key values.yaml: add it, or name another key in valuesFrom"},
		{"missing key", []networkstackv1alpha1.ValuesReference{from(networkstackv1alpha1.ValuesFromConfigMap, "keyless", "x")}, nil,
			"ConfigMap networkstack-system/keyless has no key x: add it, or name another key in valuesFrom"},
		{"no YAML", []networkstackv1alpha1.ValuesReference{inSecret("broken")}, nil, "Secret networkstack-system/broken does not hold a YAML mapping: correct it"},
		{"YAML with tabs", []networkstackv1alpha1.ValuesReference{inSecret("tabs")}, nil, "Secret networkstack-system/tabs does not hold a YAML mapping: correct it"},
		{"a list", []networkstackv1alpha1.ValuesReference{inSecret("list")}, nil, "Secret networkstack-system/list does not hold a YAML mapping: correct it"},
		{"a word", []networkstackv1alpha1.ValuesReference{inSecret("text")}, nil, "Secret networkstack-system/text does not hold a YAML mapping: correct it"},
		{"controlled values", []networkstackv1alpha1.ValuesReference{inSecret("controlled")}, nil,
			"Secret networkstack-system/controlled.ipam.mode is controlled by spec.ipPools; remove it; " +
				"Secret networkstack-system/controlled.k8sServiceHost is controlled by spec.cluster.apiServer; remove it"},
		{"something that hides a controlled value", []networkstackv1alpha1.ValuesReference{inSecret("above")}, nil,
			"Secret networkstack-system/above.ipam is controlled by spec.ipPools; remove it"},
		{"all problems at once", []networkstackv1alpha1.ValuesReference{inSecret("gone"), inSecret("broken"), inSecret("above")}, nil,
			"Secret networkstack-system/gone does not exist: create it, or remove it from valuesFrom; " +
				"Secret networkstack-system/broken does not hold a YAML mapping: correct it; " +
				"Secret networkstack-system/above.ipam is controlled by spec.ipPools; remove it"},
		{"inline values that are no mapping", nil, raw(`["` + hidden + `"]`), "spec.values: must be a map of Helm values, not a list"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := &Reconciler{Client: newClient(t, objects...), Namespace: operatorNamespace}
			c := &networkstackv1alpha1.NetworkComponent{}
			c.Spec.ValuesFrom, c.Spec.Values = tc.refs, tc.inline
			c.Spec.ControlledValues = []networkstackv1alpha1.ControlledValue{
				{Path: "ipam.mode", By: "spec.ipPools"}, {Path: "k8sServiceHost", By: "spec.cluster.apiServer"}}
			got, _, err := r.values(t.Context(), c)
			var problem *intent.ValuesError
			if !errors.As(err, &problem) || err.Error() != tc.want || got != nil {
				t.Errorf("got  %v, %v\nwant %s", got, err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), hidden) {
				t.Error("the message holds a value")
			}
		})
	}
}

// TestReadersOf wants a changed ConfigMap or Secret to wake those who read it, and nobody else.
func TestReadersOf(t *testing.T) {
	reader := func(name string, refs ...networkstackv1alpha1.ValuesReference) *networkstackv1alpha1.NetworkComponent {
		c := &networkstackv1alpha1.NetworkComponent{ObjectMeta: metav1.ObjectMeta{Name: name}}
		c.Spec.ValuesFrom = refs
		return c
	}
	cm, s := networkstackv1alpha1.ValuesFromConfigMap, networkstackv1alpha1.ValuesFromSecret
	r := &Reconciler{Catalog: &catalog.Source{}, Client: newClient(t,
		reader("none"), reader("config", from(cm, "x")), reader("secret", from(s, "x")),
		reader("both", from(cm, "other"), from(s, "x"), from(cm, "x"), from(cm, "x", "key")))}
	for _, tc := range []struct {
		name string
		obj  client.Object
		want []string
	}{
		{"ConfigMap", configMap("x", "", ""), []string{"both", "config"}},
		{"Secret", secret("x", "", ""), []string{"both", "secret"}},
		{"unread", secret("other", "", ""), nil},
	} {
		var want []reconcile.Request
		for _, name := range tc.want {
			want = append(want, reconcile.Request{NamespacedName: client.ObjectKey{Name: name}})
		}
		if diff := cmp.Diff(want, r.readersOf(t.Context(), tc.obj)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}
