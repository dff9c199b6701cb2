package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/discovery"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/catalog"
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/internal/intent"
	"github.com/networkstack/networkstack/internal/release"
	"github.com/networkstack/networkstack/internal/survey"
)

// cluster is a cluster that is looked at. Nothing is written to it.
type cluster struct {
	config     *rest.Config
	client     client.Client
	discoverer *facts.Discoverer
	catalog    catalog.Set
	components []networkstackv1alpha1.NetworkComponent
	around     release.Surroundings
}

// nowhere is the address that a client falls back on when nobody names one.
const nowhere = "http://localhost:8080"

func newCluster(ctx context.Context, o *worldOptions) (*cluster, error) {
	cfg, err := o.kube.ToRESTConfig()
	if err != nil {
		return nil, clusterError("", err)
	}
	if raw, err := o.kube.ToRawKubeConfigLoader().RawConfig(); err == nil && len(raw.Clusters) == 0 && cfg.Host == nowhere {
		return nil, clusterError("", clientcmd.ErrEmptyConfig)
	}
	// As many requests as it takes are made at once, and then no more.
	cfg.QPS, cfg.Burst = -1, 0
	cfg.WarningHandler = rest.NoWarnings{}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, networkstackv1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	disc, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return nil, clusterError(cfg.Host, err)
	}
	version, err := disc.ServerVersion()
	if err != nil {
		return nil, clusterError(cfg.Host, err)
	}
	out := &cluster{config: cfg}
	if out.client, err = client.New(cfg, client.Options{Scheme: scheme}); err != nil {
		return nil, clusterError(cfg.Host, err)
	}
	out.discoverer = &facts.Discoverer{Reader: out.client, Live: out.client, Version: disc}
	out.around = release.Surroundings{KubernetesVersion: version.GitVersion}
	if out.around.APIVersions, err = release.APIVersions(disc); err != nil {
		return nil, clusterError(cfg.Host, err)
	}
	var list networkstackv1alpha1.NetworkComponentList
	if err := out.client.List(ctx, &list); err != nil && !meta.IsNoMatchError(err) && !apierrors.IsNotFound(err) {
		return nil, clusterError(cfg.Host, fmt.Errorf("listing NetworkComponents: %w", err))
	}
	out.components = list.Items
	source := catalog.Source{Reader: out.client, Namespace: o.namespace}
	state, err := source.Current(ctx)
	if err != nil {
		return nil, clusterError(cfg.Host, err)
	}
	if state.Problem != nil {
		return nil, state.Problem
	}
	out.catalog = state.Set
	return out, nil
}

// clusterError says in plain words why a cluster cannot be asked.
func clusterError(host string, err error) error {
	const instead = "give --facts FILE to work without a cluster"
	var network *net.OpError
	var address *url.Error
	switch {
	case clientcmd.IsEmptyConfig(err):
		return fmt.Errorf("there is no kubeconfig that names a cluster: set KUBECONFIG or --kubeconfig, or %s", instead)
	case errors.As(err, &network), errors.As(err, &address) && address.Timeout():
		return fmt.Errorf("the cluster at %s cannot be reached (%w): %s", host, rootCause(err), instead)
	case host == "":
		return fmt.Errorf("%w: correct the kubeconfig, or %s", err, instead)
	default:
		return fmt.Errorf("asking the cluster at %s: %w", host, err)
	}
}

func rootCause(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

func (c *cluster) existing() map[string]networkstackv1alpha1.NetworkComponentSpec {
	return survey.Existing(c.components)
}

// gather gathers the facts that a stack depends on.
func (c *cluster) gather(ctx context.Context, in compose.Input) (*facts.Snapshot, error) {
	found, err := c.discoverer.Discover(ctx)
	if err != nil {
		return nil, clusterError(c.config.Host, err)
	}
	in.Facts = found
	if in.Stack == nil {
		return found, nil
	}
	if err := survey.Once(ctx, in, c.discoverer); err != nil {
		return nil, clusterError(c.config.Host, err)
	}
	return found, nil
}

// operatorImage is that of the operator's Deployment; empty when there is none.
func (c *cluster) operatorImage(ctx context.Context, namespace string) string {
	var d appsv1.Deployment
	if err := c.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "networkstack-operator"}, &d); err != nil {
		return ""
	}
	for i := range d.Spec.Template.Spec.Containers {
		if container := &d.Spec.Template.Spec.Containers[i]; container.Name == "operator" {
			return container.Image
		}
	}
	return ""
}

// referenced reads what valuesFrom names.
func (c *cluster) referenced(ctx context.Context, namespace string) intent.Referenced {
	return intent.Read(ctx, c.client, namespace)
}
