// Package fullstack is the sample that has everything in one object, for tests and measurements on simulated nodes. There no container
// runs, so somebody has to play what containers do beside being Ready: see Play.
package fullstack

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/operator"
	"github.com/networkstack/networkstack/test/testcharts"
)

// Archives are the charts that the sample takes from upstream, as their archives are named.
var Archives = []string{
	"cilium-1.20.0", "gateway-crds-helm-v1.8.3", "metallb-0.16.1", "base-1.30.3", "istiod-1.30.3", "cni-1.30.3", "ztunnel-1.30.3",
	"gateway-1.30.3", "cert-manager-v1.21.1", "kube-prometheus-stack-88.5.3",
}

// Components are what the sample comes to.
var Components = []string{
	"addon-cert-manager", "addon-monitoring", "cilium", "coredns", "gateway-api", "ingress-mesh", "ingress-public", "istio-base",
	"istio-cni", "istio-resources", "istiod-1-30-3", "metallb", "metallb-resources", "node-local-dns", "observability", "ztunnel",
}

// Missing are the archives that the chart cache lacks, and dir is that cache.
func Missing() (dir string, missing []string, err error) {
	if dir, err = testcharts.CacheDir(); err != nil {
		return "", nil, err
	}
	for _, name := range Archives {
		if _, err := os.Stat(filepath.Join(dir, name+".tgz")); err != nil {
			missing = append(missing, name)
		}
	}
	return dir, missing, nil
}

// The webhooks that objects of the sample go through, and the components whose they are.
const (
	metalLBWebhooks = "metallb-webhook-configuration"
	istioInjector   = "istio-sidecar-injector-1-30-3"
)

// Stack is the sample. Where its webhooks are answered is the player's matter, and no drift. An archive of MetalLB's that was packed
// from upstream's sources has a digest of its own.
func Stack() (*networkstackv1alpha1.NetworkStack, error) {
	stack, err := operator.Sample("networkstack_full.yaml")
	if err != nil {
		return nil, err
	}
	dir, err := testcharts.CacheDir()
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(dir, "metallb-0.16.1.tgz"))
	if err != nil {
		return nil, err
	}
	stack.Spec.LoadBalancer.Version = "0.16.1"
	stack.Spec.LoadBalancer.Chart = &networkstackv1alpha1.ChartReference{
		Repository: "https://metallb.github.io/metallb", Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(data))}
	stack.Spec.Drift.Ignore = append(stack.Spec.Drift.Ignore,
		networkstackv1alpha1.DriftIgnoreRule{
			Component: "metallb", Kind: "ValidatingWebhookConfiguration", Paths: []string{".webhooks[*].clientConfig"}},
		networkstackv1alpha1.DriftIgnoreRule{
			Component: "istiod-1-30-3", Kind: "MutatingWebhookConfiguration", Paths: []string{".webhooks[*].clientConfig"}})
	return stack, nil
}

// Ready says whether all components are Ready, and the stack with them, and how they are. The stack alone is Ready once too early:
// monitors follow when their kind is there.
func Ready(ctx context.Context, c client.Client, name string) (ready bool, components string, err error) {
	var s networkstackv1alpha1.NetworkStack
	if err := c.Get(ctx, client.ObjectKey{Name: name}, &s); err != nil {
		return false, "", err
	}
	var there, rest []string
	for i := range s.Status.Components {
		if l := &s.Status.Components[i]; l.Ready {
			there = append(there, l.Name)
		} else {
			rest = append(rest, fmt.Sprintf("%s %s: %s", l.Name, l.Phase, l.Message))
		}
	}
	slices.Sort(there)
	condition := meta.FindStatusCondition(s.Status.Conditions, networkstackv1alpha1.ConditionReady)
	ready = condition != nil && condition.Status == "True" && condition.ObservedGeneration == s.Generation
	return ready && slices.Equal(there, Components), strings.Join(rest, "; "), nil
}

// Player plays what runs in no container here.
type Player struct {
	client client.Client
	server *httptest.Server
	stop   context.CancelFunc
	done   chan struct{}
	err    error
}

// Play begins to play, until Stop: Cilium's operator, which defines the kind of the caches' redirect when it runs; and the webhooks of
// MetalLB, which takes every pool, and of Istio's injector, which leaves the gateway's pods as they are.
func Play(ctx context.Context, c client.Client) *Player {
	ctx, stop := context.WithCancel(ctx)
	p := &Player{client: c, server: httptest.NewTLSServer(http.HandlerFunc(allow)), stop: stop, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.err = p.run(ctx)
	}()
	return p
}

// Stop ends it. The error is why it ended before that.
func (p *Player) Stop() error {
	p.stop()
	<-p.done
	p.server.Close()
	return p.err
}

// run plays the parts as soon as each can be.
func (p *Player) run(ctx context.Context) error {
	const look = 50 * time.Millisecond
	for _, part := range []struct {
		name string
		play func(context.Context) (bool, error)
	}{
		{"Cilium's operator", p.ciliumOperator},
		{"MetalLB's webhook", func(ctx context.Context) (bool, error) {
			return p.answers(ctx, &admissionregistrationv1.ValidatingWebhookConfiguration{}, metalLBWebhooks)
		}},
		{"Istio's injector", func(ctx context.Context) (bool, error) {
			return p.answers(ctx, &admissionregistrationv1.MutatingWebhookConfiguration{}, istioInjector)
		}},
	} {
		err := wait.PollUntilContextCancel(ctx, look, true, part.play)
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("playing %s: %w", part.name, err)
		}
	}
	return nil
}

func (p *Player) ciliumOperator(ctx context.Context) (bool, error) {
	var d appsv1.Deployment
	err := p.client.Get(ctx, client.ObjectKey{Namespace: "kube-system", Name: "cilium-operator"}, &d)
	if err != nil || d.Status.AvailableReplicas == 0 {
		return false, client.IgnoreNotFound(err)
	}
	const kind, plural = "CiliumLocalRedirectPolicy", "ciliumlocalredirectpolicies"
	err = p.client.Create(ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": plural + ".cilium.io"},
		"spec": map[string]any{
			"group": "cilium.io", "scope": "Namespaced", "names": map[string]any{"kind": kind, "plural": plural},
			"versions": []any{map[string]any{
				"name": "v2", "served": true, "storage": true,
				"schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
			}},
		},
	}})
	return err == nil || apierrors.IsAlreadyExists(err), err
}

// answers has the API server ask the player in place of a Service that nobody serves.
func (p *Player) answers(ctx context.Context, webhooks client.Object, name string) (bool, error) {
	if err := p.client.Get(ctx, client.ObjectKey{Name: name}, webhooks); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	var names []string
	switch w := webhooks.(type) {
	case *admissionregistrationv1.ValidatingWebhookConfiguration:
		for i := range w.Webhooks {
			names = append(names, w.Webhooks[i].Name)
		}
	case *admissionregistrationv1.MutatingWebhookConfiguration:
		for i := range w.Webhooks {
			names = append(names, w.Webhooks[i].Name)
		}
	}
	authority := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw}))
	changes := make([]map[string]any, len(names))
	for i := range names {
		answered := map[string]any{"service": nil, "url": p.server.URL, "caBundle": authority}
		changes[i] = map[string]any{"name": names[i], "clientConfig": answered}
	}
	body, err := json.Marshal(map[string]any{"webhooks": changes})
	if err != nil {
		return false, err
	}
	err = p.client.Patch(ctx, webhooks, client.RawPatch(types.StrategicMergePatchType, body), client.FieldOwner("player"))
	return err == nil, client.IgnoreNotFound(err)
}

// allow answers every review with yes.
func allow(w http.ResponseWriter, r *http.Request) {
	var review admissionv1.AdmissionReview
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil || review.Request == nil {
		http.Error(w, "no review", http.StatusBadRequest)
		return
	}
	review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
	_ = json.NewEncoder(w).Encode(review)
}
