//go:build !linux

package nodecleanup

import (
	"errors"
	"net/netip"
)

func (f *Flannel) links(string) error { return errors.ErrUnsupported }

func (f *Flannel) routes([]netip.Prefix) error { return errors.ErrUnsupported }

func (n *NodeLocalDNS) link() error { return errors.ErrUnsupported }
