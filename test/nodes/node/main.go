// Command node is what runs inside a node of package test/nodes: the first process of its namespaces, which makes the node's root
// and mounts, and starts containerd and the kubelet; and the wrapper around runc.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Config is what the harness tells a node on its standard input.
type Config struct {
	Name string `json:"name"`
	// Layers are the directories that the root file system is laid from, the topmost first; Dir has what this node writes.
	Layers []string `json:"layers"`
	Dir    string   `json:"dir"`
	// State is a directory of a file system that overlays can be laid on: containerd's and the kubelet's.
	State string `json:"state"`
	// Group is the path of the node's group below every hierarchy of cgroups.
	Group     string   `json:"group"`
	Addresses []string `json:"addresses"`
	Gateways  []string `json:"gateways"`
	// MTU is that of the interface eth0.
	MTU int `json:"mtu"`
	// Binds are directories to be found in the node, by their paths there.
	Binds map[string]string `json:"binds"`
	// Files are written into the node's root.
	Files map[string]string `json:"files"`
	// Kubelet are its arguments; without any, containerd runs alone.
	Kubelet []string `json:"kubelet"`
}

// configEnv carries the Config from the first stage to the second, which is the same process after exec.
const configEnv = "NETWORKSTACK_NODE"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run() error {
	switch {
	case strings.HasPrefix(filepath.Base(os.Args[0]), "runc"):
		return runc(os.Args[1:])
	case len(os.Args) == 2 && os.Args[1] == "init":
		content, err := io.ReadAll(os.Stdin)
		if err != nil {
			return err
		}
		config, err := parse(content)
		if err != nil {
			return err
		}
		return enterGroups(config, content)
	case len(os.Args) == 2 && os.Args[1] == "boot":
		config, err := parse([]byte(os.Getenv(configEnv)))
		if err != nil {
			return err
		}
		return boot(config)
	}
	return errors.New("usage: node init < config, or as runc")
}

func parse(content []byte) (Config, error) {
	var c Config
	if err := json.Unmarshal(content, &c); err != nil {
		return c, fmt.Errorf("configuration of the node: %w", err)
	}
	return c, nil
}
