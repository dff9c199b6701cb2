package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/spf13/cobra"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/networkstack/networkstack/internal/nodeagent"
)

// nodeAgentOptions are those of node-agent.
type nodeAgentOptions struct {
	node, addresses, probeAddr string
}

func nodeAgentCommand(shared *options) *cobra.Command {
	o := &nodeAgentOptions{node: os.Getenv("NODE_NAME"), addresses: os.Getenv("NODE_ADDRESSES")}
	cmd := &cobra.Command{
		Use:   "node-agent",
		Short: "Tells the MTU of the node it runs on, and how its kernel is set up",
		Long: `Writes the MTU of the node's underlay interface into the node's annotation networkstack.io/mtu, whether others have virtual
servers of IPVS into ipvs-services, and whether bridges pass iptables into bridge-netfilter, and again when they change. It runs in
the host's network, without privileges, and may do nothing else in the cluster. spec.nodeAgent of a NetworkStack installs it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctrl.SetLogger(zap.New(zap.UseFlagOptions(&shared.zap)))
			agent, err := o.agent()
			if err != nil {
				return err
			}
			return agent.Run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&o.node, "node-name", o.node, "name of the node (default from NODE_NAME)")
	cmd.Flags().StringVar(&o.addresses, "node-addresses", o.addresses, "the node's own addresses, separated by commas (default from NODE_ADDRESSES)")
	cmd.Flags().StringVar(&o.probeAddr, "health-probe-bind-address", "0", "address of /readyz; 0 turns it off")
	cmd.Flags().AddGoFlagSet(shared.goFlags)
	return cmd
}

func (o *nodeAgentOptions) agent() (*nodeagent.Agent, error) {
	if o.node == "" {
		return nil, errors.New("--node-name: name the node this runs on")
	}
	out := &nodeagent.Agent{Node: o.node, ProbeAddress: o.probeAddr, Log: ctrl.Log.WithName("node-agent")}
	for _, text := range strings.FieldsFunc(o.addresses, func(r rune) bool { return r == ',' }) {
		a, err := netip.ParseAddr(strings.TrimSpace(text))
		if err != nil {
			return nil, fmt.Errorf("--node-addresses: %w", err)
		}
		out.Addresses = append(out.Addresses, a.Unmap())
	}
	cfg, err := config.GetConfig()
	if err != nil {
		return nil, fmt.Errorf("finding the cluster: %w", err)
	}
	cfg.UserAgent = "networkstack-node-agent/" + version
	c, err := corev1client.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	out.Nodes = c.Nodes()
	return out, nil
}
