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

	"github.com/networkstack/networkstack/test/nodes/nodeconfig"
)

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

func parse(content []byte) (nodeconfig.Config, error) {
	var c nodeconfig.Config
	if err := json.Unmarshal(content, &c); err != nil {
		return c, fmt.Errorf("configuration of the node: %w", err)
	}
	return c, nil
}
