package nodecleanup

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-logr/logr"
)

// What Multus's daemon writes on a node: the configuration that comes before that of the network plugin, and names the shim.
const (
	multusConfiguration = "00-multus.conf"
	multusNetwork       = "multus-cni-network"
	multusShim          = "multus-shim"
	multusSocket        = "multus.sock"
)

// multusPrograms are what Multus's daemon puts beside the node's plugins; multusTypes are the types of configurations that need them.
var (
	multusPrograms = []string{multusShim, "passthru"}
	multusTypes    = []string{multusShim, "multus", "passthru"}
)

// Multus is what its daemon leaves on a node.
type Multus struct {
	// ConfDir is where CNI configuration is, BinDir where plugins are, StateDir what plugins remember, and RunDir where the daemon listens.
	ConfDir, BinDir, StateDir, RunDir string
	// Books has what is remembered of pods' attachments removed as well: no such pod is there any more, or none is to be let go of.
	// Networks are those that Multus attached pods to, beside the ones that it remembers.
	Books    bool
	Networks []string
	// Patience is how long a daemon that listens may take to end. One that goes on is somebody else's.
	Patience time.Duration
	Log      logr.Logger
}

// Clean removes it. It can be repeated at any point. What another Multus has, or may need, stays.
func (m *Multus) Clean(ctx context.Context) error {
	listens, err := m.listens(ctx)
	if err != nil {
		return err
	}
	if listens {
		m.Log.Info("a daemon of Multus goes on listening here, and everything stays", "directory", m.RunDir)
		return nil
	}
	written, others, err := m.configurations()
	if err != nil {
		return err
	}
	if written {
		// Pods are made without Multus from here on.
		if err := m.remove(filepath.Join(m.ConfDir, multusConfiguration)); err != nil {
			return err
		}
	}
	if others != "" {
		m.Log.Info("there is another Multus on this node, and the rest stays", "configuration", others)
		return nil
	}
	var failed []error
	for _, program := range multusPrograms {
		failed = append(failed, m.remove(filepath.Join(m.BinDir, program)))
	}
	results, err := filepath.Glob(filepath.Join(m.StateDir, "results", multusNetwork+"-*"))
	failed = append(failed, err)
	for _, path := range results {
		failed = append(failed, os.RemoveAll(path))
	}
	if m.Books {
		failed = append(failed, m.books())
	}
	_ = os.Remove(filepath.Join(m.StateDir, "results")) // if it is empty
	return errors.Join(append(failed, empty(m.RunDir))...)
}

// configurations says whether there is the one that a daemon has written for itself, and names another one that needs Multus's programs;
// empty when there is none.
func (m *Multus) configurations() (written bool, others string, err error) {
	entries, err := os.ReadDir(m.ConfDir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, "", nil
	}
	if err != nil {
		return false, "", err
	}
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		if e.IsDir() || ext != ".conf" && ext != ".conflist" && ext != ".json" {
			continue
		}
		content, err := os.ReadFile(filepath.Join(m.ConfDir, e.Name()))
		if err != nil {
			return false, "", err
		}
		var conf struct {
			Name, Type string
			Plugins    []struct{ Type string }
		}
		if len(content) > 0 && json.Unmarshal(content, &conf) != nil {
			continue // no pod is made by what nobody can read
		}
		begun := len(content) == 0 // and not ended: it is a file first
		if e.Name() == multusConfiguration && (begun || conf.Name == multusNetwork && conf.Type == multusShim) {
			written = true
			continue
		}
		types := []string{conf.Type}
		for _, p := range conf.Plugins {
			types = append(types, p.Type)
		}
		if slices.ContainsFunc(types, func(t string) bool { return slices.Contains(multusTypes, t) }) {
			others = e.Name()
		}
	}
	return written, others, nil
}

// listens says whether a daemon answers, and goes on doing so.
func (m *Multus) listens(ctx context.Context) (bool, error) {
	const again = 500 * time.Millisecond
	var dialer net.Dialer
	for deadline := time.Now().Add(m.Patience); ; {
		conn, err := dialer.DialContext(ctx, "unix", filepath.Join(m.RunDir, multusSocket))
		if err != nil {
			return false, ctx.Err() // refused, or there is no such socket
		}
		if err := conn.Close(); err != nil {
			return false, err
		}
		if time.Now().After(deadline) {
			return true, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(again):
		}
	}
}

func (m *Multus) remove(path string) error {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		m.Log.Info("removing", "file", path)
	}
	return err
}

// books removes what Multus remembers of pods, and the addresses that host-local gave out in the networks that it attached them to. What
// tells of networks goes last.
func (m *Multus) books() error {
	dir := filepath.Join(m.StateDir, "multus")
	networks, err := m.remembered(dir)
	if err != nil {
		return err
	}
	var failed []error
	for _, network := range slices.Concat(m.Networks, networks) {
		// It is a part of a path.
		if network == "" || network == "." || network == ".." || filepath.Base(network) != network {
			continue
		}
		m.Log.Info("removing addresses", "network", network)
		failed = append(failed, os.RemoveAll(filepath.Join(m.StateDir, "networks", network)))
	}
	_ = os.Remove(filepath.Join(m.StateDir, "networks")) // if it is empty
	if err := errors.Join(failed...); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// remembered are the networks that pods are attached to beside the first one, which is the network plugin's: there is a file for each pod.
func (m *Multus) remembered(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		var delegates []struct{ Conf, ConfList struct{ Name string } }
		if json.Unmarshal(content, &delegates) != nil || len(delegates) == 0 {
			continue // it tells of no network
		}
		for _, d := range delegates[1:] {
			for _, name := range []string{d.Conf.Name, d.ConfList.Name} {
				if name != delegates[0].Conf.Name && name != delegates[0].ConfList.Name && !slices.Contains(out, name) {
					out = append(out, name)
				}
			}
		}
	}
	return out, nil
}
