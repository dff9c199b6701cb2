package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/pflag"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
)

// defaultNamespace is where the installation manifests put the operator.
const defaultNamespace = "networkstack-system"

type options struct {
	charts      []string
	chartCache  string
	namespace   string
	metricsAddr string
	probeAddr   string
	pprofAddr   string
	webhookAddr string
	leaderElect bool
	image       string
	// onPodNetwork says that the operator has no network when pods have none.
	onPodNetwork bool
	// Of the leader lease, as the same flags of Kubernetes' own components say.
	leaseDuration, renewDeadline, retryPeriod time.Duration

	zap     zap.Options
	goFlags *flag.FlagSet
}

func newOptions() *options {
	o := &options{goFlags: flag.NewFlagSet("", flag.ContinueOnError)}
	o.namespace = os.Getenv("POD_NAMESPACE")
	if o.namespace == "" {
		o.namespace = defaultNamespace
	}
	if dir, err := os.UserCacheDir(); err == nil {
		o.chartCache = filepath.Join(dir, "networkstack", "charts")
	}
	config.RegisterFlags(o.goFlags)
	o.zap.BindFlags(o.goFlags)
	return o
}

func (o *options) addFlags(f *pflag.FlagSet) {
	f.StringArrayVar(&o.charts, "charts", nil,
		"directory of chart archives (NAME-VERSION.tgz), or a bundle of them, that are taken before any repository; may be given several times")
	f.StringVar(&o.chartCache, "chart-cache", o.chartCache, "directory where fetched charts are kept")
	f.StringVar(&o.namespace, "namespace", o.namespace,
		"the operator's own namespace: of its leader lease, and of the ConfigMaps and Secrets that valuesFrom names (default from POD_NAMESPACE)")
	f.StringVar(&o.image, "operator-image", o.image,
		"the operator's own image, which agents of its own run (default that of the pod that POD_NAME names)")
	f.StringVar(&o.metricsAddr, "metrics-bind-address", "0",
		"address of the metrics endpoint, plain HTTP without authentication, such as 127.0.0.1:9812; 0 turns it off")
	f.StringVar(&o.probeAddr, "health-probe-bind-address", ":9811", "address of /healthz and /readyz; 0 turns them off")
	f.StringVar(&o.pprofAddr, "pprof-bind-address", "0",
		"address of Go's profiles, below /debug/pprof/: a port such as :9813 stands for the loopback address; 0 turns them off")
	f.StringVar(&o.webhookAddr, "webhook-bind-address", "0",
		"address of the validating webhook for NetworkStacks, such as :9815; 0 turns it off")
	f.BoolVar(&o.leaderElect, "leader-elect", false, "have only one of several operators work, by a Lease in --namespace")
	f.DurationVar(&o.leaseDuration, "leader-elect-lease-duration", 15*time.Second,
		"how long the others wait, after the leader's last sign of life, before one of them takes over")
	f.DurationVar(&o.renewDeadline, "leader-elect-renew-deadline", 10*time.Second,
		"how long a leader tries to renew its lease before it ends; shorter than the lease's duration")
	f.DurationVar(&o.retryPeriod, "leader-elect-retry-period", 2*time.Second, "time between two attempts to get or to renew the lease")
	f.AddGoFlagSet(o.goFlags)
}

func (o *options) validate() error {
	for _, dir := range o.charts {
		// What is wrong in a bundle is told where its charts are wanted: an operator that ends looks after nothing.
		if _, err := os.Stat(dir); err != nil {
			return fmt.Errorf("--charts: %w", err)
		}
	}
	if o.leaderElect && (o.retryPeriod <= 0 || o.renewDeadline <= o.retryPeriod || o.leaseDuration <= o.renewDeadline) {
		return fmt.Errorf("--leader-elect-lease-duration %s must be longer than --leader-elect-renew-deadline %s, "+
			"and that longer than --leader-elect-retry-period %s", o.leaseDuration, o.renewDeadline, o.retryPeriod)
	}
	if _, err := onLoopback(o.pprofAddr); err != nil {
		return err
	}
	if _, _, err := o.webhookPort(); err != nil {
		return err
	}
	if o.chartCache == "" {
		return fmt.Errorf("--chart-cache: there is no user cache directory here, so name one")
	}
	return nil
}

// onLoopback is the address for profiles. They tell what is in memory, so that whoever wants others to read them has to write
// the address out.
func onLoopback(addr string) (string, error) {
	if addr == "0" || addr == "" {
		return "0", nil
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("--pprof-bind-address: %w: want a port such as :9813, or an address and a port", err)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// webhookPort is where the webhook listens; port 0 for nowhere.
func (o *options) webhookPort() (host string, port int, err error) {
	if o.webhookAddr == "" || o.webhookAddr == "0" {
		return "", 0, nil
	}
	host, text, err := net.SplitHostPort(o.webhookAddr)
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	const last = 65535
	if err != nil || port < 1 || port > last {
		return "", 0, fmt.Errorf("--webhook-bind-address: %q is no address with a port, such as :9815", o.webhookAddr)
	}
	return host, port, nil
}
