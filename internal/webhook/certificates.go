package webhook

import (
	"context"
	"encoding/base64"
	"fmt"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/certificates"
	"github.com/networkstack/networkstack/internal/status"
)

// Names of what belongs to the webhook.
const (
	// ConfigurationName is that of the ValidatingWebhookConfiguration.
	ConfigurationName = "networkstack-webhook"
	// service is what the API server asks, and the certificate is for.
	service         = "networkstack-webhook"
	authoritySecret = "networkstack-webhook-ca"
	servingSecret   = "networkstack-webhook-tls"
	// owner is what the Secrets are marked with in place of a component.
	owner = "networkstack-webhook"
	// fieldManager owns the caBundle and nothing else.
	fieldManager = "networkstack-webhook"
)

// How long certificates are good for. They are renewed when two thirds of that are over.
const (
	day               = 24 * time.Hour
	authorityValidity = 5 * 365 * day
	servingValidity   = 90 * day
)

// Certificates keeps the webhook's certificates, and has the API server trust them. The leader alone does; every replica serves with
// what is in the Secret.
type Certificates struct {
	Client    client.Client
	Keeper    *certificates.Keeper
	Namespace string
}

// SetupWithManager registers it with a manager, whose cache has to know the ValidatingWebhookConfiguration.
func (c *Certificates) SetupWithManager(mgr ctrl.Manager) error {
	all := handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: ConfigurationName}}}
	})
	ours := predicate.NewPredicateFuncs(func(o client.Object) bool {
		return o.GetNamespace() == c.Namespace && (o.GetName() == authoritySecret || o.GetName() == servingSecret)
	})
	return ctrl.NewControllerManagedBy(mgr).
		Named("webhook").
		Watches(&admissionregistrationv1.ValidatingWebhookConfiguration{}, all).
		Watches(&corev1.Secret{}, all, builder.WithPredicates(ours)).
		Complete(c)
}

// wanted are the certificates, by the names that the API server knows the Service by.
func (c *Certificates) wanted() []networkstackv1alpha1.Certificate {
	name := service + "." + c.Namespace + ".svc"
	return []networkstackv1alpha1.Certificate{
		{SecretName: authoritySecret, CommonName: "NetworkStack webhook CA", Validity: metav1.Duration{Duration: authorityValidity}},
		{
			SecretName: servingSecret, CASecretName: authoritySecret, CommonName: service,
			DNSNames: []string{name, name + ".cluster.local"},
			Usages:   []networkstackv1alpha1.CertificateUsage{networkstackv1alpha1.UsageServerAuth},
			Validity: metav1.Duration{Duration: servingValidity},
		},
	}
}

// Reconcile has the certificates be as they should, the API server trust them, and comes back when one is to be renewed.
func (c *Certificates) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	result, err := c.ensure(ctx)
	return status.Requeue(ctx, result, err)
}

func (c *Certificates) ensure(ctx context.Context) (reconcile.Result, error) {
	var live admissionregistrationv1.ValidatingWebhookConfiguration
	if err := c.Client.Get(ctx, client.ObjectKey{Name: ConfigurationName}, &live); err != nil {
		// Nobody asks; whoever installs it wakes us.
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	out, err := c.Keeper.Ensure(ctx, owner, c.Namespace, c.wanted())
	for _, change := range out.Changes {
		ctrl.LoggerFrom(ctx).Info("certificate of the webhook", "secret", change.Secret, "action", change.Action, "reason", change.Reason)
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	if err := c.trust(ctx, &live, out.Bundles[authoritySecret]); err != nil {
		return reconcile.Result{}, err
	}
	now := time.Now()
	if c.Keeper.Now != nil {
		now = c.Keeper.Now()
	}
	return reconcile.Result{RequeueAfter: untilNext(out.Certificates, now)}, nil
}

// untilNext is how long until the first of the certificates is to be renewed. A Secret of somebody else's says nothing of when.
func untilNext(list []networkstackv1alpha1.CertificateStatus, now time.Time) time.Duration {
	next := authorityValidity
	for i := range list {
		wait := day
		if at := list[i].RenewAt; at != nil {
			wait = at.Sub(now)
		}
		next = min(next, wait)
	}
	return max(next, time.Second)
}

// trust writes the authorities to trust into the configuration, if they are not there.
func (c *Certificates) trust(ctx context.Context, live *admissionregistrationv1.ValidatingWebhookConfiguration, bundle string) error {
	var hooks []any
	same := true
	for i := range live.Webhooks {
		same = same && string(live.Webhooks[i].ClientConfig.CABundle) == bundle
		hooks = append(hooks, map[string]any{
			"name":         live.Webhooks[i].Name,
			"clientConfig": map[string]any{"caBundle": base64.StdEncoding.EncodeToString([]byte(bundle))},
		})
	}
	if same {
		return nil
	}
	u := &unstructured.Unstructured{Object: map[string]any{"webhooks": hooks}}
	u.SetGroupVersionKind(admissionregistrationv1.SchemeGroupVersion.WithKind("ValidatingWebhookConfiguration"))
	u.SetName(live.Name)
	u.SetUID(live.UID) // one that is gone is not made again
	err := c.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner(fieldManager), client.ForceOwnership)
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("writing whom to trust into ValidatingWebhookConfiguration %s: %w", live.Name, err)
	}
	return nil
}
