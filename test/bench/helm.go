package main

import (
	"context"

	"helm.sh/helm/v3/pkg/action"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/rest"
)

// helmSide is the Helm SDK as its command line uses it.
type helmSide struct{ cfg *rest.Config }

func newHelmSide(cfg *rest.Config) (side, error) { return helmSide{cfg}, nil }

func (h helmSide) configuration(s subject) (*action.Configuration, error) {
	flags := genericclioptions.NewConfigFlags(true).WithWrapConfigFn(func(*rest.Config) *rest.Config { return rest.CopyConfig(h.cfg) })
	flags.Namespace = &s.namespace
	out := &action.Configuration{}
	return out, out.Init(flags, s.namespace, "secret", func(string, ...any) {})
}

func (h helmSide) install(ctx context.Context, s subject, wait bool) error {
	cfg, err := h.configuration(s)
	if err != nil {
		return err
	}
	install := action.NewInstall(cfg)
	install.ReleaseName, install.Namespace, install.CreateNamespace = s.name, s.namespace, true
	install.Wait, install.Timeout = wait, waitTimeout
	_, err = install.RunWithContext(ctx, s.from, s.install)
	return err
}

func (h helmSide) upgrade(ctx context.Context, s subject, wait bool) error {
	cfg, err := h.configuration(s)
	if err != nil {
		return err
	}
	upgrade := action.NewUpgrade(cfg)
	upgrade.Namespace, upgrade.ResetValues = s.namespace, true
	upgrade.Wait, upgrade.Timeout = wait, waitTimeout
	_, err = upgrade.RunWithContext(ctx, s.name, s.to, s.upgrade)
	return err
}

func (h helmSide) uninstall(_ context.Context, s subject) error {
	cfg, err := h.configuration(s)
	if err != nil {
		return err
	}
	_, err = action.NewUninstall(cfg).Run(s.name)
	return err
}

func (helmSide) close() {}
