// Package nodecleanup removes from a node what agents of a network left there. It runs on the node, when the agents are gone.
package nodecleanup

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/go-logr/logr"
)

// The file with which Flannel configures the container runtime, and what it has unless it says otherwise.
const (
	configuration  = "10-flannel.conflist"
	defaultNetwork = "cbr0"
	defaultBridge  = "cni0"
)

// Flannel is what its agents and its plugin leave on a node.
type Flannel struct {
	// ConfDir is where CNI configuration is, BinDir where plugins are, StateDir what plugins remember, and RunDir Flannel's own.
	ConfDir, BinDir, StateDir, RunDir string
	Log                               logr.Logger

	// run runs a program; nil for really.
	run func(ctx context.Context, input, name string, args ...string) (string, error)
}

// Clean removes all of it. It can be repeated at any point: what tells what there is goes last.
func (f *Flannel) Clean(ctx context.Context) error {
	if f.run == nil {
		f.run = execute
	}
	networks, err := networksOf(filepath.Join(f.RunDir, "subnet.env"))
	if err != nil {
		return err
	}
	config, err := readConfiguration(filepath.Join(f.ConfDir, configuration))
	if err != nil {
		return err
	}
	others, err := f.others(config.bridge)
	if err != nil {
		return err
	}
	// Without its plugin no pod gets a link while links are removed.
	if err := os.RemoveAll(filepath.Join(f.BinDir, "flannel")); err != nil {
		return err
	}
	// Its name, and the chains of ports of the host, are those that any plugin has unless it is told otherwise.
	was := config.found || len(networks) > 0
	bridge := config.bridge
	if others.bridge || !was {
		f.Log.Info("the bridge, if there is one, may be that of another CNI configuration, and stays", "bridge", bridge)
		bridge = ""
	}
	if err := errors.Join(f.links(bridge), f.routes(networks), f.rules(ctx, was && !others.any), f.state(config.network)); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(f.ConfDir, configuration)); err != nil {
		return err
	}
	return empty(f.RunDir)
}

// networksOf are the ranges of pods that Flannel has written down; none when there is no such file.
func networksOf(path string) ([]netip.Prefix, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []netip.Prefix
	for line := range strings.Lines(string(content)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if key != "FLANNEL_NETWORK" && key != "FLANNEL_IPV6_NETWORK" {
			continue
		}
		for text := range strings.SplitSeq(value, ",") {
			network, err := netip.ParsePrefix(strings.TrimSpace(text))
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", path, key, err)
			}
			out = append(out, network.Masked())
		}
	}
	return out, nil
}

// cniConfiguration is what Flannel's CNI configuration calls the network and its bridge.
type cniConfiguration struct {
	network, bridge string
	// found says that there is one.
	found bool
}

// networkName is what the CNI specification lets a network be called.
var networkName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

func readConfiguration(path string) (cniConfiguration, error) {
	out := cniConfiguration{network: defaultNetwork, bridge: defaultBridge}
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return out, err
	}
	out.found = true
	var list struct {
		Name    string
		Plugins []struct {
			Type     string
			Delegate struct{ Bridge string }
		}
	}
	if json.Unmarshal(content, &list) != nil {
		return out, nil //nolint:nilerr // nothing was made by what nobody can read
	}
	// It becomes part of a path.
	if networkName.MatchString(list.Name) {
		out.network = list.Name
	}
	for _, p := range list.Plugins {
		if p.Type == "flannel" && p.Delegate.Bridge != "" {
			out.bridge = p.Delegate.Bridge
		}
	}
	return out, nil
}

// others says whether there are other CNI configurations, and whether one of them may use the bridge.
func (f *Flannel) others(bridge string) (out struct{ any, bridge bool }, err error) {
	entries, err := os.ReadDir(f.ConfDir)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return out, err
	}
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		if e.Name() == configuration || e.IsDir() || ext != ".conf" && ext != ".conflist" && ext != ".json" {
			continue
		}
		out.any = true
		content, err := os.ReadFile(filepath.Join(f.ConfDir, e.Name()))
		// A link can lead to what is not mounted here.
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return out, err
		}
		var value any
		out.bridge = out.bridge || err != nil || json.Unmarshal(content, &value) != nil || usesBridge(value, bridge)
	}
	return out, nil
}

// usesBridge says whether the plugin bridge is configured for a bridge, anywhere in a CNI configuration.
func usesBridge(value any, bridge string) bool {
	switch v := value.(type) {
	case []any:
		return slices.ContainsFunc(v, func(item any) bool { return usesBridge(item, bridge) })
	case map[string]any:
		if name, _ := v["bridge"].(string); v["type"] == "bridge" && cmp.Or(name, defaultBridge) == bridge {
			return true
		}
		return slices.ContainsFunc(slices.Collect(maps.Values(v)), func(item any) bool { return usesBridge(item, bridge) })
	}
	return false
}

// rules removes those of iptables and of nftables, by the programs that made them.
func (f *Flannel) rules(ctx context.Context, portmap bool) error {
	var failed []error
	without := func(saved string) string { return withoutChains(saved, chainsOf(portmap)) }
	for _, program := range []string{"iptables", "ip6tables"} {
		if err := takeOut(ctx, f.run, f.Log, program, without); err != nil {
			failed = append(failed, err)
		}
	}
	listed, err := f.run(ctx, "", "nft", "list", "tables")
	if errors.Is(err, exec.ErrNotFound) {
		f.Log.Info("there is no nft in this image, so that it made no tables")
		return errors.Join(failed...)
	}
	failed = append(failed, err)
	for _, table := range tablesOf(listed, portmap) {
		f.Log.Info("removing", "table", table)
		_, err := f.run(ctx, "", "nft", append([]string{"delete", "table"}, strings.Fields(table)...)...)
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// attachment is the rest of a result's name, behind the network's: the container and its interface.
var attachment = regexp.MustCompile(`^-[0-9a-f]+-[^-]+$`)

// state removes what plugins remember of the network: addresses that are given out, and how pods were attached.
func (f *Flannel) state(network string) error {
	results, err := os.ReadDir(filepath.Join(f.StateDir, "results"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	failed := []error{
		os.RemoveAll(filepath.Join(f.StateDir, "flannel")), os.RemoveAll(filepath.Join(f.StateDir, "networks", network)),
	}
	for _, e := range results {
		if rest, found := strings.CutPrefix(e.Name(), network); found && attachment.MatchString(rest) {
			failed = append(failed, os.RemoveAll(filepath.Join(f.StateDir, "results", e.Name())))
		}
	}
	for _, name := range []string{"networks", "results"} {
		_ = os.Remove(filepath.Join(f.StateDir, name)) // if it is empty
	}
	return errors.Join(failed...)
}

// empty removes all that is in a directory, and leaves the directory, which may be a mount.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	failed := []error{err}
	for _, e := range entries {
		failed = append(failed, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return errors.Join(failed...)
}

func execute(ctx context.Context, input, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...) //nolint:forbidigo // not the operator: its program, on a node, in Flannel's image
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(append([]string{name}, args...), " "), err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}
