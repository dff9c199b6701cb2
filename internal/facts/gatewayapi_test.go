package facts

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	metadatafake "k8s.io/client-go/metadata/fake"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// gatewayDefinition is one of a bundle.
func gatewayDefinition(name, version, channel string, edits ...func(*metav1.PartialObjectMetadata)) *metav1.PartialObjectMetadata {
	d := definition(name)
	d.Annotations = map[string]string{}
	if version != "" {
		d.Annotations["gateway.networking.k8s.io/bundle-version"], d.Annotations["gateway.networking.k8s.io/channel"] = version, channel
	}
	d.Labels = map[string]string{}
	for _, edit := range edits {
		edit(d)
	}
	return d
}

func TestDiscoverGatewayAPI(t *testing.T) {
	const classes, routes, meshes = "gatewayclasses.gateway.networking.k8s.io", "httproutes.gateway.networking.k8s.io", "xmeshes.gateway.networking.x-k8s.io"
	ours := func(d *metav1.PartialObjectMetadata) { d.Labels[networkstackv1alpha1.ComponentLabel] = "gateway-api" }
	gke := func(d *metav1.PartialObjectMetadata) { d.Labels["addonmanager.kubernetes.io/mode"] = "Reconcile" }
	helm := func(d *metav1.PartialObjectMetadata) {
		d.Labels["app.kubernetes.io/managed-by"] = "Helm"
		d.Annotations["meta.helm.sh/release-name"], d.Annotations["meta.helm.sh/release-namespace"] = "eg", "envoy"
	}
	going := func(d *metav1.PartialObjectMetadata) {
		d.DeletionTimestamp, d.Finalizers = &metav1.Time{Time: time.Now()}, []string{"customresourcecleanup.apiextensions.k8s.io"}
	}
	for _, tc := range []struct {
		name    string
		objects []client.Object
		want    GatewayAPI
	}{
		{"none", []client.Object{definition("gateways.networking.istio.io")}, GatewayAPI{}},
		{"nobody's", []client.Object{gatewayDefinition(routes, "v1.5.1", "standard"), gatewayDefinition(classes, "v1.5.1", "standard")}, GatewayAPI{
			Definitions: []string{classes, routes}, Version: "v1.5.1", Newest: "v1.5.1", Channel: "standard",
		}},
		{"one that says nothing", []client.Object{gatewayDefinition(classes, "", "")}, GatewayAPI{Definitions: []string{classes}}},
		{"ours", []client.Object{gatewayDefinition(classes, "v1.5.1", "standard", ours, helm)}, GatewayAPI{
			Definitions: []string{classes}, Version: "v1.5.1", Newest: "v1.5.1", Channel: "standard", Component: "gateway-api",
		}},
		{"a cloud's", []client.Object{gatewayDefinition(classes, "v1.5.1", "standard", gke)}, GatewayAPI{
			Definitions: []string{classes}, Version: "v1.5.1", Newest: "v1.5.1", Channel: "standard", Manager: "the cloud's add-on manager",
		}},
		{"Helm's", []client.Object{gatewayDefinition(classes, "v1.5.1", "standard", helm)}, GatewayAPI{
			Definitions: []string{classes}, Version: "v1.5.1", Newest: "v1.5.1", Channel: "standard", Manager: "Helm release envoy/eg",
		}},
		{"of two versions and channels", []client.Object{
			gatewayDefinition(classes, "v1.10.0", "standard"), gatewayDefinition(routes, "v1.9.2", "standard"), gatewayDefinition(meshes, "v1.10.0", "experimental"),
		}, GatewayAPI{Definitions: []string{classes, routes, meshes}, Version: "v1.9.2", Newest: "v1.10.0", Channel: "experimental"}},
		{"about to go", []client.Object{gatewayDefinition(classes, "v1.5.1", "standard", going)}, GatewayAPI{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, o := range tc.objects {
				if d, ok := o.(*metav1.PartialObjectMetadata); ok {
					TrimDefinition(d) // as the cache has them
					if d.DeletionTimestamp != nil {
						d.Finalizers = []string{"kept"} // the fake wants one
					}
				}
			}
			if diff := cmp.Diff(tc.want, discover(t, tc.objects...).GatewayAPI); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTrimDefinition(t *testing.T) {
	other := gatewayDefinition("pools.cilium.io", "v1", "standard")
	TrimDefinition(other)
	if other.Name == "" || other.Annotations != nil || other.Labels != nil {
		t.Errorf("%+v", other.ObjectMeta)
	}
	gateway := gatewayDefinition("gateways.gateway.networking.k8s.io", "v1.5.1", "standard")
	gateway.Annotations["kubectl.kubernetes.io/last-applied-configuration"] = "very long"
	gateway.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "helm", FieldsV1: &metav1.FieldsV1{Raw: []byte("{}")}}} //nolint:staticcheck // as it comes
	TrimDefinition(gateway)
	if len(gateway.Annotations) != 2 || len(gateway.ManagedFields) != 1 || gateway.ManagedFields[0].FieldsV1 != nil || gateway.ManagedFields[0].Manager != "helm" {
		t.Errorf("%+v", gateway.ObjectMeta)
	}
}

// TestGatewayWatch follows GatewayClasses, and their definition as it comes and goes.
func TestGatewayWatch(t *testing.T) {
	class := objectOf(t, `
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: public, resourceVersion: "1"}
spec: {controllerName: example.com/controller}
status: {conditions: [{type: SupportedVersion, status: "False"}, {type: Accepted, status: "True", reason: Accepted}]}`)
	objects := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{GatewayClasses: "GatewayClassList"}, class)
	scheme := metadatafake.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	crds := metadatafake.NewSimpleMetadataClient(scheme)
	woken := make(chan struct{}, 100)
	w := NewGatewayWatch(objects, crds, logr.Discard(), func() { woken <- struct{}{} })
	go func() { _ = w.Start(t.Context()) }()
	if _, known := w.Classes(); known {
		t.Error("known before there is the kind")
	}
	// These clients tell a watch nothing of what was before it.
	watching(t, crds.Actions)
	kind := GatewayClasses.GroupResource().String()
	if err := crds.Tracker().Add(definition(kind)); err != nil {
		t.Fatal(err)
	}
	expect := func(want []GatewayClass, wantKnown bool) {
		t.Helper()
		deadline := time.After(time.Minute)
		for {
			got, known := w.Classes()
			if known == wantKnown && cmp.Equal(want, got) {
				return
			}
			select {
			case <-woken:
			case <-deadline:
				t.Fatalf("%v %v", got, known)
			}
		}
	}
	expect([]GatewayClass{{Name: "public", Controller: "example.com/controller", Accepted: "True", Reason: "Accepted"}}, true)
	watching(t, objects.Actions)
	if err := objects.Resource(GatewayClasses).Delete(t.Context(), "public", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	expect(nil, true)
	if err := crds.Tracker().Delete(definitions, "", kind); err != nil {
		t.Fatal(err)
	}
	expect(nil, false)
}

// watching waits until a client has been asked for a watch.
func watching(t *testing.T, actions func() []clienttesting.Action) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		return slices.ContainsFunc(actions(), func(a clienttesting.Action) bool { return a.GetVerb() == "watch" }), nil
	})
	if err != nil {
		t.Fatalf("nothing is watched: %v", err)
	}
}
