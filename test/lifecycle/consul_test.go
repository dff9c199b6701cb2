package lifecycle

import (
	"context"
	"encoding/base64"
	"net/http/httptest"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/testcharts"
)

const (
	consulOld, consulNew = "2.0.2", "2.0.3"
	consulName           = "consul"
	consulResources      = "consul-resources"
	consulGossip         = "consul-gossip-encryption-key"
	consulStorage        = "simulated"
)

// TestConsul takes Consul through its life with upstream's chart. On simulated nodes no container runs and nothing provides volumes,
// so the test plays four parts: storage, whose volumes it makes; the injector, whose webhooks it answers, and whose finalizer it puts on
// what belongs to the mesh; the Job that removes the one that sets up ACLs; and whoever writes the authority of webhooks.
func TestConsul(t *testing.T) {
	charts := testcharts.UpstreamDir(t, consulName, consulOld)
	testcharts.UpstreamDir(t, consulName, consulNew)
	testcharts.UpstreamDir(t, "gateway-crds-helm", "v1.8.3")
	e := newEnv(t, controlplane.Options{}, "--charts", charts)
	stack := sample(t, flannelSample)
	stack.Spec.DeletionPolicy = networkstackv1alpha1.DeletionDelete
	stack.Spec.GatewayAPI = &networkstackv1alpha1.GatewayAPISpec{Channel: networkstackv1alpha1.GatewayAPIStandard}
	stack.Spec.Mesh = &networkstackv1alpha1.MeshSpec{
		Type: networkstackv1alpha1.MeshConsul, CNIPlugin: networkstackv1alpha1.Enabled, MTLS: networkstackv1alpha1.MTLSStrict,
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"example.com/mesh": "yes"}},
		Consul: &networkstackv1alpha1.ConsulSpec{Servers: &networkstackv1alpha1.ConsulServers{
			StorageClassName: consulStorage, VolumeClaims: networkstackv1alpha1.ClaimsDelete,
		}},
	}
	stack.Spec.Mesh.Version = consulOld
	// The test's webhook is elsewhere than Consul's, and has to stay there.
	stack.Spec.Drift = &networkstackv1alpha1.DriftSpec{Ignore: []networkstackv1alpha1.DriftIgnoreRule{{
		Component: consulName, Kind: "MutatingWebhookConfiguration", Paths: []string{".webhooks[*].clientConfig"},
	}}}
	for name, labels := range map[string]map[string]string{"shop": {"example.com/mesh": "yes"}, "outside": nil} {
		e.check(e.client.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}))
	}
	e.volumes(3)
	webhook := metalLBWebhook(t)
	e.apply(stack)
	for _, step := range (meshSteps{
		{"its servers come up", consulServersUp},
		{"answered, the mesh is there", func(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
			e.consulAnswered(webhook)
			consulInstalled(t, e, stack)
		}},
		{"nothing is told of keys", consulSecret},
		{"what is Consul's own is no drift, and what others change is put right", consulTampered},
		{"a value changes", func(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
			e.consulUnanswered()
			consulChanged(t, e, stack)
			e.consulAnswered(webhook)
		}},
		{"the next version", func(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
			e.consulUnanswered()
			consulUpgraded(t, e, stack)
			e.consulAnswered(webhook)
		}},
		{"it leaves nothing behind but its definitions", consulRemoved},
	}) {
		if !t.Run(step.name, func(t *testing.T) { e.in(t, func() { step.run(t, e, stack) }) }) {
			t.FailNow()
		}
	}
}

// volumes provides as many as there are servers.
func (e *env) volumes(n int) {
	e.t.Helper()
	e.check(e.client.Create(e.t.Context(), &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{Name: consulStorage}, Provisioner: "kubernetes.io/no-provisioner",
	}))
	for i := range n {
		e.check(e.client.Create(e.t.Context(), &corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Name: consulStorage + "-" + string(rune('a'+i))},
			Spec: corev1.PersistentVolumeSpec{
				Capacity:    corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("10Gi")},
				AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: consulStorage,
				PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/simulated"}},
			},
		}))
	}
}

// consulWebhooks are those that Consul's custom resources and pods of the mesh go through.
func consulWebhooks() *admissionregistrationv1.MutatingWebhookConfiguration {
	return &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "consul-connect-injector"}}
}

// consulAnswered has the API server ask there.
func (e *env) consulAnswered(server *httptest.Server) {
	e.t.Helper()
	hooks := consulWebhooks()
	e.check(e.client.Get(e.t.Context(), client.ObjectKeyFromObject(hooks), hooks))
	changes := make([]map[string]any, len(hooks.Webhooks))
	for i := range hooks.Webhooks {
		changes[i] = map[string]any{
			"name": hooks.Webhooks[i].Name, "clientConfig": map[string]any{"service": nil, "url": server.URL, "caBundle": authority(server)},
		}
	}
	body := toJSON(map[string]any{"webhooks": changes})
	e.check(e.client.Patch(e.t.Context(), hooks, client.RawPatch(types.StrategicMergePatchType, []byte(body)), client.FieldOwner("test")))
}

// consulUnanswered has the API server ask Consul's own Service again, as MetalLB's test does.
func (e *env) consulUnanswered() {
	e.t.Helper()
	hooks := consulWebhooks()
	e.check(e.client.Delete(e.t.Context(), hooks))
	e.eventually("the webhooks to be restored", func(ctx context.Context) (bool, string) {
		err := e.client.Get(ctx, client.ObjectKeyFromObject(hooks), hooks)
		return err == nil && len(hooks.Webhooks) > 0 && hooks.Webhooks[0].ClientConfig.Service != nil, toJSON(hooks.Webhooks)
	})
}

// consulObject is a custom resource of Consul's.
func consulObject(kind, name string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(schema.GroupVersionKind{Group: "consul.hashicorp.com", Version: "v1alpha1", Kind: kind})
	u.SetNamespace(consulName)
	u.SetName(name)
	return u
}

// merge changes a custom resource.
func (e *env) merge(u *unstructured.Unstructured, manager, body string) {
	e.t.Helper()
	e.check(e.client.Patch(e.t.Context(), u, client.RawPatch(types.MergePatchType, []byte(body)), client.FieldOwner(manager)))
}

func consulServersUp(t *testing.T, e *env, _ *networkstackv1alpha1.NetworkStack) {
	e.componentReady(consulName)
	e.eventually("the resources to meet the webhook", func(ctx context.Context) (bool, string) {
		var c networkstackv1alpha1.NetworkComponent
		err := e.client.Get(ctx, client.ObjectKey{Name: consulResources}, &c)
		text := toJSON(c.Status.Conditions)
		return err == nil && strings.Contains(text, "consul-connect-injector"), text
	})
	// Nobody answers, and whoever is not in the mesh need not care.
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "outside", Name: "app"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "example.com/app"}}},
	}
	e.eventually("a pod outside of the mesh to be made", func(ctx context.Context) (bool, string) {
		err := e.client.Create(ctx, pod) // its ServiceAccount may be yet to come
		return err == nil, toJSON(err)
	})
	var n corev1.Namespace
	e.check(e.client.Get(t.Context(), client.ObjectKey{Name: consulName}, &n))
	if n.Labels["pod-security.kubernetes.io/enforce"] != "privileged" {
		t.Errorf("the namespace: %v", n.Labels)
	}
}

func consulInstalled(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	e.waitReady(stack.Name)
	e.enrolled("shop", "consul.hashicorp.com/connect-inject", "true")
	e.says(consulObject("Mesh", "mesh"), `"allowEnablingPermissiveMutualTLS":false`)
	e.says(consulObject("ProxyDefaults", "global"), `"mutualTLSMode":"strict"`)
	var servers appsv1.StatefulSet
	e.check(e.client.Get(t.Context(), client.ObjectKey{Namespace: consulName, Name: "consul-server"}, &servers))
	if servers.Status.AvailableReplicas != 3 {
		t.Errorf("%d servers", servers.Status.AvailableReplicas)
	}
}

// consulSecret wants keys that Consul can read, and no word of them anywhere else.
func consulSecret(t *testing.T, e *env, _ *networkstackv1alpha1.NetworkStack) {
	var gossip, token, certificate corev1.Secret
	for name, s := range map[string]*corev1.Secret{consulGossip: &gossip, "consul-bootstrap-acl-token": &token, "consul-server-cert": &certificate} {
		e.check(e.client.Get(t.Context(), client.ObjectKey{Namespace: consulName, Name: name}, s))
	}
	raw, err := base64.StdEncoding.DecodeString(string(gossip.Data["key"]))
	if err != nil || len(raw) != 32 {
		t.Errorf("the gossip key is no 32 bytes in base64: %v", err)
	}
	if len(token.Data["token"]) != 36 || len(certificate.Data["ca.crt"]) == 0 || len(certificate.Data["tls.key"]) == 0 {
		t.Error("the token is no UUID, or there is no certificate")
	}
	said := e.helm("get", "all", consulName, "-n", consulName) + toJSON(e.component(consulName)) + toJSON(e.stack("cluster")) + e.log.Tail(1<<20)
	for name, secret := range map[string][]byte{"gossip key": gossip.Data["key"], "token": token.Data["token"], "key": certificate.Data["tls.key"]} {
		if strings.Contains(said, string(secret)) {
			t.Errorf("the %s is told of", name)
		}
	}
}

func consulTampered(t *testing.T, e *env, _ *networkstackv1alpha1.NetworkStack) {
	before := e.count(consulName)
	// The Job that sets up ACLs is removed when it is done.
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: consulName, Name: "consul-server-acl-init"}}
	e.check(e.client.Delete(t.Context(), job, client.PropagationPolicy(metav1.DeletePropagationBackground)))
	validator := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	e.check(e.client.Get(t.Context(), client.ObjectKey{Name: "consul-connect-injector"}, validator))
	validator.Webhooks[0].ClientConfig.CABundle = []byte(testBundle)
	e.check(e.client.Update(t.Context(), validator, client.FieldOwner("consul-k8s-control-plane")))

	injector := &appsv1.Deployment{}
	at := client.ObjectKey{Namespace: consulName, Name: "consul-connect-injector"}
	e.check(e.client.Get(t.Context(), at, injector))
	injector.Spec.Template.Spec.Containers[0].Image = "example.com/other"
	e.check(e.client.Update(t.Context(), injector, client.FieldOwner("somebody")))
	e.eventually("the image to be back", func(ctx context.Context) (bool, string) {
		err := e.client.Get(ctx, at, injector)
		image := injector.Spec.Template.Spec.Containers[0].Image
		return err == nil && strings.HasPrefix(image, "hashicorp/"), image
	})
	e.merge(consulObject("Mesh", "mesh"), "somebody", `{"spec":{"allowEnablingPermissiveMutualTLS":true}}`)
	e.says(consulObject("Mesh", "mesh"), `"allowEnablingPermissiveMutualTLS":false`)
	certificate := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: consulName, Name: "consul-server-cert"}}
	e.check(e.client.Get(t.Context(), client.ObjectKeyFromObject(certificate), certificate))
	was := certificate.UID
	e.check(e.client.Delete(t.Context(), certificate))
	e.eventually("the certificate to be made again", func(ctx context.Context) (bool, string) {
		err := e.client.Get(ctx, client.ObjectKeyFromObject(certificate), certificate)
		return err == nil && certificate.UID != was, toJSON(err)
	})
	e.patch(&corev1.Namespace{}, client.ObjectKey{Name: "shop"}, "somebody", `{"metadata":{"labels":{"consul.hashicorp.com/connect-inject":"false"}}}`)
	e.enrolled("shop", "consul.hashicorp.com/connect-inject", "true")

	// What was done first has long been seen.
	e.gone(job)
	e.check(e.client.Get(t.Context(), client.ObjectKeyFromObject(validator), validator))
	if string(validator.Webhooks[0].ClientConfig.CABundle) != testBundle {
		t.Error("the certificate authority that the injector filled in is gone")
	}
	if n := e.count(consulName); n != before+1 {
		t.Errorf("%d drifts of Consul, not one: %s", n-before, toJSON(e.component(consulName).Status.Drift))
	}
	e.componentReady(consulName)
}

func consulChanged(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	before := e.revision(consulName)
	var servers appsv1.StatefulSet
	at := client.ObjectKey{Namespace: consulName, Name: "consul-server"}
	e.check(e.client.Get(t.Context(), at, &servers))
	generation := servers.Generation
	replicas := int32(3)
	stack.Spec.Mesh.Replicas = &replicas
	e.apply(stack)
	e.waitReady(stack.Name)
	var injector appsv1.Deployment
	e.check(e.client.Get(t.Context(), client.ObjectKey{Namespace: consulName, Name: "consul-connect-injector"}, &injector))
	e.check(e.client.Get(t.Context(), at, &servers))
	if r := e.revision(consulName); r != before+1 || injector.Status.AvailableReplicas != 3 || servers.Generation != generation {
		t.Errorf("revision %d after %d, %d injectors, and the servers went from %d to %d", r, before, injector.Status.AvailableReplicas, generation, servers.Generation)
	}
}

func consulUpgraded(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	var before, after corev1.Secret
	at := client.ObjectKey{Namespace: consulName, Name: consulGossip}
	e.check(e.client.Get(t.Context(), at, &before))
	stack.Spec.Mesh.Version = consulNew
	e.apply(stack)
	e.waitReady(stack.Name)
	var servers appsv1.StatefulSet
	e.check(e.client.Get(t.Context(), client.ObjectKey{Namespace: consulName, Name: "consul-server"}, &servers))
	if image := servers.Spec.Template.Spec.Containers[0].Image; image != "hashicorp/consul:"+consulNew || servers.Status.UpdatedReplicas != 3 {
		t.Errorf("%d servers have %s", servers.Status.UpdatedReplicas, image)
	}
	e.check(e.client.Get(t.Context(), at, &after))
	if string(before.Data["key"]) != string(after.Data["key"]) {
		t.Error("servers of the two versions would not understand each other")
	}
	crd := &metav1.PartialObjectMetadata{}
	crd.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	e.check(e.client.Get(t.Context(), client.ObjectKey{Name: "routeextprocs.consul.hashicorp.com"}, crd)) // new in this version
}

func consulRemoved(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	const finalizer = "finalizers.consul.hashicorp.com"
	mesh := consulObject("Mesh", "mesh")
	key := client.ObjectKeyFromObject(mesh)
	e.eventually("the API server to ask who answers", func(ctx context.Context) (bool, string) {
		patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":["`+finalizer+`"]}}`))
		err := e.client.Patch(ctx, mesh, patch, client.FieldOwner("consul-k8s-control-plane"))
		return err == nil, toJSON(err)
	})
	stack.Spec.Mesh = nil
	e.apply(stack)
	e.left("shop")
	e.eventually("the mesh to be on its way out", func(ctx context.Context) (bool, string) {
		err := e.client.Get(ctx, key, mesh)
		return err == nil && mesh.GetDeletionTimestamp() != nil, toJSON(err)
	})
	// Consul stays until it has let go of its own.
	if c := e.component(consulName); !c.DeletionTimestamp.IsZero() {
		t.Error("Consul goes before what only it can let go")
	}
	e.merge(mesh, "consul-k8s-control-plane", `{"metadata":{"finalizers":null}}`)
	for _, name := range []string{consulResources, consulName} {
		e.gone(&networkstackv1alpha1.NetworkComponent{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	e.noWebhooks()
	e.gone(&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: consulName, Name: "data-consul-consul-server-0"}})
	e.gone(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: consulName}})
	crd := &metav1.PartialObjectMetadata{}
	crd.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	e.check(e.client.Get(t.Context(), client.ObjectKey{Name: "proxydefaults.consul.hashicorp.com"}, crd))
	e.waitReady(stack.Name)
}
