package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/networkstack/networkstack/internal/baseline"
	"github.com/networkstack/networkstack/internal/catalog"
	"github.com/networkstack/networkstack/internal/certificates"
	"github.com/networkstack/networkstack/internal/chart"
	"github.com/networkstack/networkstack/internal/component"
	"github.com/networkstack/networkstack/internal/drift"
	"github.com/networkstack/networkstack/internal/exposure"
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/internal/health"
	"github.com/networkstack/networkstack/internal/keys"
	"github.com/networkstack/networkstack/internal/release"
	"github.com/networkstack/networkstack/internal/stack"
	"github.com/networkstack/networkstack/internal/telemetry"
	"github.com/networkstack/networkstack/internal/webhook"
)

// leaseName is the leader lease, in the operator's namespace.
const leaseName = "networkstack-operator"

func run(ctx context.Context, o *options) error {
	if err := o.validate(); err != nil {
		return err
	}
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&o.zap)))
	collectEarly()
	cfg, err := config.GetConfig()
	if err != nil {
		return fmt.Errorf("finding the cluster: %w", err)
	}
	cfg.UserAgent = "networkstack-operator/" + version
	lease := cfg
	if o.leaderElect {
		f := newFence(o.renewDeadline)
		lease, cfg = f.lease(cfg), f.guard(cfg)
	}
	if err := waitForAPIServer(ctx, cfg, o.probeAddr); err != nil {
		return fmt.Errorf("waiting for the API server: %w", err)
	}
	// Packing and unpacking takes longer than sending: what is read is small, except for definitions, which are urgent.
	cfg.DisableCompression = true
	cfg = patient(cfg, patience, reconnect)
	served := &webhook.Serving{Namespace: o.namespace}
	managed, err := managerOptions(o)
	if err != nil {
		return err
	}
	managed.LeaderElectionConfig = lease
	managed.WebhookServer = webhookServer(o, served)
	mgr, err := ctrl.NewManager(cfg, managed)
	if err != nil {
		return fmt.Errorf("setting up: %w", err)
	}
	served.Reader = mgr.GetClient()
	own := ownPod(ctx, mgr.GetAPIReader(), o.namespace, os.Getenv("POD_NAME"))
	o.image, o.onPodNetwork = cmp.Or(o.image, own.image), own.onPodNetwork
	if err := addControllers(mgr, cfg, o); err != nil {
		return err
	}
	if err := telemetry.Setup(mgr, version); err != nil {
		return err
	}
	if err := addProbes(mgr); err != nil {
		return err
	}
	for _, place := range o.charts {
		if err := chart.CheckPlace(place); err != nil {
			ctrl.Log.Error(err, "charts are not to be had there", "place", place)
		}
	}
	ctrl.Log.Info("starting", "version", version, "namespace", o.namespace, "charts", o.charts)
	return mgr.Start(ctx)
}

// managerOptions are what the flags say of the manager.
func managerOptions(o *options) (ctrl.Options, error) {
	profiles, err := onLoopback(o.pprofAddr)
	return ctrl.Options{
		Scheme:                        newScheme(),
		Cache:                         cacheOptions(o.namespace),
		Metrics:                       metricsserver.Options{BindAddress: o.metricsAddr},
		HealthProbeBindAddress:        o.probeAddr,
		PprofBindAddress:              profiles,
		LeaderElection:                o.leaderElect,
		LeaderElectionID:              leaseName,
		LeaderElectionNamespace:       o.namespace,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 &o.leaseDuration,
		RenewDeadline:                 &o.renewDeadline,
		RetryPeriod:                   &o.retryPeriod,
	}, err
}

// collectEarly has garbage collected at half the usual growth, unless somebody says otherwise. Rendering a large chart makes
// much of it at once, and that, not what is kept, decides how much memory the operator takes.
func collectEarly() {
	const percent = 50
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}

// ownContainer is the operator's, in its pod.
const ownContainer = "operator"

// inPod is what an operator that runs in a pod is told by it.
type inPod struct {
	// image is the operator's; empty when it is not known.
	image string
	// onPodNetwork says that it has no network when pods have none.
	onPodNetwork bool
}

// ownPod is the pod that this operator runs in, if it runs in one. It is read once, for it is the same as long as the process is.
func ownPod(ctx context.Context, live client.Reader, namespace, pod string) inPod {
	if pod == "" {
		return inPod{}
	}
	ctx, cancel := context.WithTimeout(ctx, imageTimeout)
	defer cancel()
	var p corev1.Pod
	if err := live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: pod}, &p); err != nil {
		ctrl.Log.Error(err, "the operator's own image is not known", "pod", namespace+"/"+pod)
		return inPod{onPodNetwork: true} // it may be
	}
	out := inPod{onPodNetwork: !p.Spec.HostNetwork}
	for i := range p.Spec.Containers {
		if c := &p.Spec.Containers[i]; c.Name == ownContainer || len(p.Spec.Containers) == 1 {
			out.image = c.Image
		}
	}
	return out
}

// hostOf is the address of the API server.
func hostOf(cfg *rest.Config) string {
	server, _, err := rest.DefaultServerUrlFor(cfg)
	if err != nil {
		return ""
	}
	return server.Hostname()
}

// imageTimeout bounds the reading of the own pod; the operator works without.
const imageTimeout = 10 * time.Second

func addControllers(mgr ctrl.Manager, cfg *rest.Config, o *options) error {
	engine, err := release.NewEngine(cfg, release.Options{Logger: ctrl.Log.WithName("release")})
	if err != nil {
		return fmt.Errorf("setting up the release engine: %w", err)
	}
	objects, err := metadata.NewForConfig(cfg)
	if err != nil {
		return fmt.Errorf("setting up the drift watches: %w", err)
	}
	dynamicClient, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return fmt.Errorf("setting up the watches of reports and allocations: %w", err)
	}
	version, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return fmt.Errorf("setting up discovery: %w", err)
	}
	known := &catalog.Source{Reader: mgr.GetClient(), Namespace: o.namespace}
	recorder := mgr.GetEventRecorder("networkstack")
	wakes := component.NewWakes()
	components := &component.Reconciler{
		Client:       mgr.GetClient(),
		Live:         mgr.GetAPIReader(),
		Charts:       chart.NewLoader(chart.Options{CacheDir: o.chartCache}),
		Engine:       engine,
		Certificates: &certificates.Keeper{Live: mgr.GetAPIReader(), Client: mgr.GetClient()},
		Keys:         &keys.Keeper{Live: mgr.GetAPIReader(), Client: mgr.GetClient()},
		Drift:        drift.NewWatcher(objects, mgr.GetRESTMapper(), ctrl.Log.WithName("drift"), wakes.Wake),
		Reports:      health.NewReports(dynamicClient, mgr.GetRESTMapper(), ctrl.Log.WithName("reports"), wakes.Wake),
		Catalog:      known,
		Recorder:     recorder,
		Namespace:    o.namespace,
		ChartDirs:    o.charts,
	}
	if err := components.SetupWithManager(mgr, wakes); err != nil {
		return fmt.Errorf("setting up the component controller: %w", err)
	}
	stackWakes := stack.NewWakes()
	policies := &baseline.Writer{
		Client: dynamicClient, Cache: mgr.GetCache(), Recorder: recorder, Log: ctrl.Log.WithName("baseline"), Wake: stackWakes.Wake,
	}
	if err := policies.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("setting up the controller of baseline policies: %w", err)
	}
	gateways := facts.NewGatewayWatch(dynamicClient, objects, ctrl.Log.WithName("gateways"), stackWakes.Wake)
	if err := mgr.Add(gateways); err != nil {
		return fmt.Errorf("setting up the watch of GatewayClasses: %w", err)
	}
	nodeStates := facts.NewNodeStateWatch(dynamicClient, objects, ctrl.Log.WithName("node-states"), stackWakes.Wake)
	if err := mgr.Add(nodeStates); err != nil {
		return fmt.Errorf("setting up the watch of NodeNetworkStates: %w", err)
	}
	stacks := &stack.Reconciler{
		Client: mgr.GetClient(),
		Facts: &facts.Discoverer{
			Reader: mgr.GetClient(), Version: version, Live: mgr.GetAPIReader(), Gateways: gateways, NodeStates: nodeStates,
		},
		Catalog:      known,
		Recorder:     recorder,
		Allocations:  facts.NewAllocationWatch(dynamicClient, objects, ctrl.Log.WithName("allocations"), stackWakes.Wake),
		Certificates: facts.NewCertificateWatch(stackWakes.Wake),
		Proxies:      facts.NewProxyWatch(objects, ctrl.Log.WithName("proxies"), stackWakes.Wake),
		Wakes:        stackWakes,
		Policies:     policies,
		Survey:       exposure.New(mgr.GetAPIReader(), objects, ctrl.Log.WithName("survey"), stackWakes.Wake),

		OperatorImage: o.image, OperatorNamespace: o.namespace, OnPodNetwork: o.onPodNetwork, APIServerHost: hostOf(cfg),
	}
	if err := stacks.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("setting up the stack controller: %w", err)
	}
	return addWebhook(mgr, stacks, o)
}
