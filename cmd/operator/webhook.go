package main

import (
	"context"
	"crypto/tls"
	"fmt"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlwebhook "sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/networkstack/networkstack/internal/certificates"
	"github.com/networkstack/networkstack/internal/stack"
	"github.com/networkstack/networkstack/internal/webhook"
)

// webhookServer serves with whatever certificate there is. It starts only when somebody registers with it.
func webhookServer(o *options, served *webhook.Serving) ctrlwebhook.Server {
	host, port, _ := o.webhookPort() // validated
	return ctrlwebhook.NewServer(ctrlwebhook.Options{Host: host, Port: port, TLSOpts: []func(*tls.Config){func(c *tls.Config) {
		c.MinVersion = tls.VersionTLS13
		c.GetCertificate = served.Certificate
	}}})
}

// addWebhook has every replica answer the API server, and the leader look after the certificates.
func addWebhook(mgr ctrl.Manager, stacks *stack.Reconciler, o *options) error {
	if _, port, _ := o.webhookPort(); port == 0 {
		return nil
	}
	keeper := &webhook.Certificates{
		Client: mgr.GetClient(), Namespace: o.namespace,
		Keeper: &certificates.Keeper{Live: mgr.GetAPIReader(), Client: mgr.GetClient()},
	}
	if err := keeper.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("setting up the certificates of the webhook: %w", err)
	}
	mgr.GetWebhookServer().Register(webhook.Path, &admission.Webhook{Handler: &webhook.Handler{
		Judge: stacks.Judge, Decoder: admission.NewDecoder(mgr.GetScheme()), Log: ctrl.Log.WithName("webhook"),
	}})
	return mgr.Add(warming{stacks})
}

// warming has a replica that does not lead know the cluster before it is asked.
type warming struct{ stacks *stack.Reconciler }

var _ manager.LeaderElectionRunnable = warming{}

// NeedLeaderElection says that every replica does it.
func (warming) NeedLeaderElection() bool { return false }

// Start begins the watches that facts are read from. Whatever is wrong with that shows in the answers.
func (w warming) Start(ctx context.Context) error {
	if err := w.stacks.Warm(ctx); err != nil && ctx.Err() == nil {
		ctrl.Log.WithName("webhook").Info("the cluster is not known yet", "reason", err.Error())
	}
	return nil
}
