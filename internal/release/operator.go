package release

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"time"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	kubefake "helm.sh/helm/v3/pkg/kube/fake"
	helmrelease "helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage"
	"helm.sh/helm/v3/pkg/storage/driver"
	"helm.sh/helm/v3/pkg/strvals"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"sigs.k8s.io/yaml"
)

// The label of a release's record that says who made the release.
const (
	madeByLabel = "networkstack.io/installed-by"
	madeByUs    = "kubectl-networkstack"
)

// Operator is the release of the operator itself. It is one as Helm's own tool makes them, which can go on with it.
type Operator struct {
	Getter genericclioptions.RESTClientGetter
	// Name of the release, and its namespace.
	Name, Namespace string
}

// OperatorRecord is what Helm's record says of the release.
type OperatorRecord struct {
	Chart, Version, AppVersion string
	Revision                   int
	// Status in Helm's words. Pending says that it is being worked on, or that the program that did so ended in the midst of it.
	Status  string
	Pending bool
	// Ours says that it was made by this code, and not by Helm's own tool or another one.
	Ours bool
}

// OperatorChange is what is to become of the release.
type OperatorChange struct {
	Chart  *chart.Chart
	Values map[string]any
	// TakeOver takes objects, and a release, that somebody else made.
	TakeOver bool
	// ResetValues forgets the values of the release as it is. Left out, they go on to hold where Values says nothing else.
	ResetValues bool
	// Wait until the operator runs.
	Wait    bool
	Timeout time.Duration
}

func (o *Operator) configuration() (*action.Configuration, error) {
	cfg := new(action.Configuration)
	if err := cfg.Init(o.Getter, o.Namespace, "secret", func(string, ...any) {}); err != nil {
		return nil, err
	}
	return cfg, nil
}

// Current is the release as it is; nil when there is none.
func (o *Operator) Current() (*OperatorRecord, error) {
	cfg, err := o.configuration()
	if err != nil {
		return nil, err
	}
	last, err := cfg.Releases.Last(o.Name)
	if errors.Is(err, driver.ErrReleaseNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the release %s/%s: %w", o.Namespace, o.Name, err)
	}
	if last.Info != nil && last.Info.Status == helmrelease.StatusUninstalled {
		return nil, nil
	}
	return recordOf(last), nil
}

func recordOf(r *helmrelease.Release) *OperatorRecord {
	out := &OperatorRecord{Revision: r.Version, Ours: r.Labels[madeByLabel] == madeByUs}
	if r.Chart != nil && r.Chart.Metadata != nil {
		out.Chart, out.Version, out.AppVersion = r.Chart.Metadata.Name, r.Chart.Metadata.Version, r.Chart.Metadata.AppVersion
	}
	if r.Info != nil {
		out.Status, out.Pending = r.Info.Status.String(), r.Info.Status.IsPending()
	}
	return out
}

// Apply installs the release, or upgrades it where there is one.
func (o *Operator) Apply(ctx context.Context, change OperatorChange) (*OperatorRecord, error) {
	current, err := o.Current()
	if err != nil {
		return nil, err
	}
	cfg, err := o.configuration()
	if err != nil {
		return nil, err
	}
	labels := map[string]string{madeByLabel: madeByUs}
	var made *helmrelease.Release
	if current == nil {
		in := action.NewInstall(cfg)
		in.ReleaseName, in.Namespace, in.Labels = o.Name, o.Namespace, labels
		in.Wait, in.Timeout, in.TakeOwnership = change.Wait, change.Timeout, change.TakeOver
		made, err = in.RunWithContext(ctx, change.Chart, change.Values)
	} else {
		up := action.NewUpgrade(cfg)
		up.Namespace, up.Labels, up.MaxHistory = o.Namespace, labels, operatorHistory
		up.Wait, up.Timeout, up.TakeOwnership = change.Wait, change.Timeout, change.TakeOver
		up.ResetValues, up.ResetThenReuseValues = change.ResetValues, !change.ResetValues
		made, err = up.RunWithContext(ctx, o.Name, change.Chart, change.Values)
	}
	if err != nil {
		return nil, err
	}
	return recordOf(made), nil
}

// operatorHistory is how many revisions of the operator's release are kept, as Helm's own tool does.
const operatorHistory = 10

// Remove uninstalls the release. What its chart says is to be kept stays.
func (o *Operator) Remove(wait bool, timeout time.Duration) error {
	cfg, err := o.configuration()
	if err != nil {
		return err
	}
	un := action.NewUninstall(cfg)
	un.Wait, un.Timeout = wait, timeout
	_, err = un.Run(o.Name)
	return err
}

// RenderOperator gives the manifests of the operator without a cluster.
func RenderOperator(ctx context.Context, name, namespace string, chrt *chart.Chart, values map[string]any) (string, error) {
	memory := driver.NewMemory()
	memory.SetNamespace(namespace)
	in := action.NewInstall(&action.Configuration{
		Capabilities: chartutil.DefaultCapabilities, Releases: storage.Init(memory),
		KubeClient: &kubefake.PrintingKubeClient{Out: io.Discard}, Log: func(string, ...any) {},
	})
	in.ReleaseName, in.Namespace, in.DryRun, in.DryRunOption, in.ClientOnly = name, namespace, true, "client", true
	// The chart wants a version that it is fit for, and comes to the same with each of them.
	in.KubeVersion = &chartutil.KubeVersion{Version: "v1.36.0", Major: "1", Minor: "36"}
	made, err := in.RunWithContext(ctx, chrt, values)
	if err != nil {
		return "", err
	}
	return made.Manifest, nil
}

// MergeValues puts values together as Helm's own tool does: files in order, then settings such as "mode=Ordinary", and at last own.
func MergeValues(files [][]byte, settings []string, own map[string]any) (map[string]any, error) {
	out := map[string]any{}
	for _, data := range files {
		values := map[string]any{}
		if err := yaml.Unmarshal(data, &values); err != nil {
			return nil, err
		}
		out = chartutil.CoalesceTables(values, out)
	}
	for _, s := range settings {
		if err := strvals.ParseInto(s, out); err != nil {
			return nil, fmt.Errorf("%q: %w", s, err)
		}
	}
	return chartutil.CoalesceTables(maps.Clone(own), out), nil
}
