package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// config is what the runtime gives this plugin.
type config struct {
	CNIVersion    string          `json:"cniVersion"`
	Name          string          `json:"name"`
	SubnetFile    string          `json:"subnetFile"`
	DataDir       string          `json:"dataDir"`
	IPAM          map[string]any  `json:"ipam"`
	Delegate      map[string]any  `json:"delegate"`
	RuntimeConfig map[string]any  `json:"runtimeConfig"`
	PrevResult    json.RawMessage `json:"prevResult"`
	Valid         []attachment    `json:"cni.dev/valid-attachments"`
}

// attachment is an interface of a container.
type attachment struct {
	ContainerID string `json:"containerID"`
	IfName      string `json:"ifname"`
}

func parse(input []byte) (config, error) {
	c := config{CNIVersion: supported[0], SubnetFile: "/run/flannel/subnet.env", DataDir: "/var/lib/cni/flannel"}
	if err := json.Unmarshal(input, &c); err != nil {
		return c, fail(codeDecode, "the network's configuration: %v", err)
	}
	if c.Name == "" {
		return c, fail(codeConfig, "the network has no name")
	}
	for _, key := range []string{"name", "ipam"} {
		if _, ok := c.Delegate[key]; ok {
			return c, fail(codeConfig, "delegate.%s is this plugin's to say", key)
		}
	}
	if kind, ok := c.Delegate["type"]; ok {
		if name, _ := kind.(string); name == "" || name != filepath.Base(name) {
			return c, fail(codeConfig, "delegate.type is %v, which is no plugin's name", kind)
		}
	}
	return c, nil
}

// compose is the configuration of the delegate.
func (c config) compose() (map[string]any, error) {
	content, err := os.ReadFile(c.SubnetFile)
	if err != nil {
		return nil, fail(codeOther, "flanneld has not said yet what this node's subnet is, or its pod does not run: %v", err)
	}
	n, err := parseNode(string(content))
	if err != nil {
		return nil, fail(codeOther, "%s: %v", c.SubnetFile, err)
	}
	return c.delegate(n), nil
}

// node is what flanneld says of this node.
type node struct {
	networks, subnets []netip.Prefix // those of IPv4 first
	mtu               int
	masquerades       bool
}

func parseNode(content string) (node, error) {
	n := node{}
	values := map[string]string{}
	for line := range strings.Lines(content) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		values[key] = value
	}
	for _, family := range []string{"FLANNEL_", "FLANNEL_IPV6_"} {
		for key, into := range map[string]*[]netip.Prefix{"NETWORK": &n.networks, "SUBNET": &n.subnets} {
			text := values[family+key]
			if text == "" {
				continue
			}
			// Networks may be several; a subnet is written with the address of its gateway.
			for one := range strings.SplitSeq(text, ",") {
				prefix, err := netip.ParsePrefix(one)
				if err != nil {
					return n, fmt.Errorf("%s%s: %w", family, key, err)
				}
				*into = append(*into, prefix.Masked())
			}
		}
	}
	if len(n.networks) == 0 || len(n.subnets) == 0 {
		return n, fmt.Errorf("no network or no subnet in it")
	}
	var err error
	if n.mtu, err = strconv.Atoi(values["FLANNEL_MTU"]); err != nil {
		return n, fmt.Errorf("FLANNEL_MTU: %w", err)
	}
	if n.masquerades, err = strconv.ParseBool(values["FLANNEL_IPMASQ"]); err != nil {
		return n, fmt.Errorf("FLANNEL_IPMASQ: %w", err)
	}
	return n, nil
}

// delegate has the user's settings, what they leave open, and what only flanneld knows.
func (c config) delegate(n node) map[string]any {
	d := map[string]any{
		"type": "bridge", "mtu": n.mtu,
		// Somebody has to: the delegate where flanneld does not.
		"ipMasq": !n.masquerades,
	}
	for key, value := range c.Delegate {
		d[key] = value
	}
	if _, stated := d["isGateway"]; !stated && d["type"] == "bridge" {
		d["isGateway"] = true
	}
	d["cniVersion"], d["name"] = c.CNIVersion, c.Name
	if c.RuntimeConfig != nil {
		d["runtimeConfig"] = c.RuntimeConfig
	}
	ipam := map[string]any{"type": "host-local"}
	for key, value := range c.IPAM {
		ipam[key] = value
	}
	var ranges [][]map[string]string
	for _, subnet := range n.subnets {
		ranges = append(ranges, []map[string]string{{"subnet": subnet.String()}})
	}
	routes, _ := ipam["routes"].([]any)
	for _, network := range n.networks {
		routes = append(routes, map[string]string{"dst": network.String()})
	}
	ipam["ranges"], ipam["routes"] = ranges, routes
	d["ipam"] = ipam
	return d
}
