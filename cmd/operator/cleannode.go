package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"github.com/spf13/cobra"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/networkstack/networkstack/internal/nodecleanup"
)

func cleanNodeCommand(shared *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "clean-node",
		Short: "Removes from the node it runs on what agents of a network left there",
		Long: `Removes from the node it runs on what agents of a network left there. The operator has it run on every node at the end of a
deletion with deletionPolicy Delete, and when Multus is removed, where the agents are gone: do not run it while they are there.`,
	}
	f := &nodecleanup.Flannel{ConfDir: "/etc/cni/net.d", BinDir: "/opt/cni/bin", StateDir: "/var/lib/cni", RunDir: "/run/flannel"}
	flannel := &cobra.Command{
		Use:   "flannel",
		Short: "Removes Flannel's links, routes, rules, CNI configuration and what its plugin remembers",
		Long: `Removes Flannel's links and the bridge of pods, routes, rules of iptables and nftables, the CNI configuration, the plugin,
and what plugins remember of Flannel's network. It needs the host's network, NET_ADMIN, and iptables and nft as
Flannel's own image has them.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctrl.SetLogger(zap.New(zap.UseFlagOptions(&shared.zap)))
			f.Log = ctrl.Log.WithName("clean-node")
			return f.Clean(cmd.Context())
		},
	}
	cmd.AddCommand(flannel, cleanMultusCommand(shared), cleanNodeLocalDNSCommand(shared), &cobra.Command{
		Use:   "copy PATH",
		Short: "Copies this program, to be run in another image",
		Args:  cobra.ExactArgs(1),
		RunE:  func(_ *cobra.Command, args []string) error { return copySelf(args[0]) },
	}, &cobra.Command{
		Use:   "wait",
		Short: "Waits to be ended",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			<-cmd.Context().Done()
			return nil
		},
	})
	return cmd
}

// multusPatience is how long a daemon of Multus may take to end: longer than its pod is given.
const multusPatience = 45 * time.Second

func cleanMultusCommand(shared *options) *cobra.Command {
	m := &nodecleanup.Multus{
		ConfDir: "/etc/cni/net.d", BinDir: "/opt/cni/bin", StateDir: "/var/lib/cni", RunDir: "/run/multus", Patience: multusPatience,
	}
	cmd := &cobra.Command{
		Use:   "multus",
		Short: "Removes the CNI configuration, programs and socket of Multus's daemon",
		Long: `Removes the CNI configuration, programs and socket of Multus's daemon. Where a daemon goes on listening, everything
stays; where another CNI configuration names Multus, all but the daemon's own does.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctrl.SetLogger(zap.New(zap.UseFlagOptions(&shared.zap)))
			m.Log = ctrl.Log.WithName("clean-node")
			return m.Clean(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&m.Books, "books", false,
		"remove what is remembered of pods' attachments as well, and the addresses that host-local gave out for them")
	cmd.Flags().StringSliceVar(&m.Networks, "network", nil,
		"name of a network whose addresses go with --books, beside those that are remembered")
	return cmd
}

func cleanNodeLocalDNSCommand(shared *options) *cobra.Command {
	var addresses []string
	cmd := &cobra.Command{
		Use:   "node-local-dns",
		Short: "Removes the link and the rules of a cache of DNS that was killed",
		Long: `Removes the link nodelocaldns and the rules of iptables of a cache of DNS that was killed. It needs the host's
network, NET_ADMIN, and iptables as the cache's own image has them.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctrl.SetLogger(zap.New(zap.UseFlagOptions(&shared.zap)))
			n := &nodecleanup.NodeLocalDNS{Log: ctrl.Log.WithName("clean-node")}
			for _, text := range addresses {
				address, err := netip.ParseAddr(text)
				if err != nil {
					return fmt.Errorf("--address: %w", err)
				}
				n.Addresses = append(n.Addresses, address)
			}
			return n.Clean(cmd.Context())
		},
	}
	cmd.Flags().StringSliceVar(&addresses, "address", nil, "an address that it answered on")
	return cmd
}

// copySelf copies this program to a path.
func copySelf(path string) (err error) {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	from, err := os.Open(self)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	const executable = 0o755
	to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, executable)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}
