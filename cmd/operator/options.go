package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

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
	leaderElect bool
	zap         zap.Options
	goFlags     *flag.FlagSet
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
		"directory of chart archives (NAME-VERSION.tgz) that are taken before any repository; may be given several times")
	f.StringVar(&o.chartCache, "chart-cache", o.chartCache, "directory where fetched charts are kept")
	f.StringVar(&o.namespace, "namespace", o.namespace,
		"the operator's own namespace: of its leader lease, and of the ConfigMaps and Secrets that valuesFrom names (default from POD_NAMESPACE)")
	f.StringVar(&o.metricsAddr, "metrics-bind-address", "0",
		"address of the metrics endpoint, plain HTTP without authentication, such as 127.0.0.1:9812; 0 turns it off")
	f.StringVar(&o.probeAddr, "health-probe-bind-address", ":9811", "address of /healthz and /readyz; 0 turns them off")
	f.BoolVar(&o.leaderElect, "leader-elect", false, "have only one of several operators work, by a Lease in --namespace")
	f.AddGoFlagSet(o.goFlags)
}

func (o *options) validate() error {
	for _, dir := range o.charts {
		info, err := os.Stat(dir)
		if err != nil {
			return fmt.Errorf("--charts: %w", err)
		}
		if !info.IsDir() {
			return fmt.Errorf("--charts: %s is no directory", dir)
		}
	}
	if o.chartCache == "" {
		return fmt.Errorf("--chart-cache: there is no user cache directory here, so name one")
	}
	return nil
}
