package compose

import (
	"encoding/json"
	"strings"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// attachmentConfig is the CNI configuration of an attachment as JSON. Keys are sorted, so the same attachment always gives the
// same text.
func attachmentConfig(a *networkstackv1alpha1.NetworkAttachment, cniVersion string) (string, error) {
	conf := map[string]any{
		"cniVersion": cniVersion,
		// host-local and others keep their books by this name, which therefore holds the namespace. Neither part can have a dot.
		"name": a.Namespace + "." + a.Name,
	}
	switch {
	case a.Type == networkstackv1alpha1.AttachmentMacvlan && a.Macvlan != nil:
		conf["type"] = "macvlan"
		conf["mode"] = lowerOr(a.Macvlan.Mode, networkstackv1alpha1.MacvlanBridge)
		unlessZero(conf, "master", a.Macvlan.Master)
		unlessZero(conf, "mtu", a.Macvlan.MTU)
	case a.Type == networkstackv1alpha1.AttachmentIPVlan && a.IPVlan != nil:
		conf["type"] = "ipvlan"
		conf["mode"] = lowerOr(a.IPVlan.Mode, networkstackv1alpha1.IPVlanL2)
		unlessZero(conf, "master", a.IPVlan.Master)
		unlessZero(conf, "mtu", a.IPVlan.MTU)
	case a.Type == networkstackv1alpha1.AttachmentBridge && a.Bridge != nil:
		conf["type"] = "bridge"
		conf["bridge"] = a.Bridge.Bridge
		unlessZero(conf, "vlan", a.Bridge.VLAN)
		unlessZero(conf, "mtu", a.Bridge.MTU)
		unlessZero(conf, "macspoofchk", a.Bridge.MACSpoofCheck == networkstackv1alpha1.Enabled)
	case a.Type == networkstackv1alpha1.AttachmentHostDevice && a.HostDevice != nil:
		conf["type"] = "host-device"
		unlessZero(conf, "device", a.HostDevice.Device)
		unlessZero(conf, "pciBusID", a.HostDevice.PCIBusID)
	case a.Type == networkstackv1alpha1.AttachmentSRIOV && a.SRIOV != nil:
		conf["type"] = "sriov"
		unlessZero(conf, "vlan", a.SRIOV.VLAN)
		unlessZero(conf, "spoofchk", onOff(a.SRIOV.SpoofCheck))
		unlessZero(conf, "trust", onOff(a.SRIOV.Trust))
	}
	ipam := ipamConfig(a.IPAM)
	conf["ipam"] = ipam
	if ipam["type"] == "static" && ipam["addresses"] == nil {
		conf["capabilities"] = map[string]any{"ips": true} // a pod's annotation states them
	}
	raw, err := json.Marshal(conf)
	return string(raw), err
}

// ipamConfig is the part that says where addresses come from. Without a type there are none.
func ipamConfig(i *networkstackv1alpha1.AttachmentIPAM) map[string]any {
	out := map[string]any{}
	if i == nil {
		return out
	}
	switch i.Type {
	case networkstackv1alpha1.AttachmentHostLocal:
		out["type"] = "host-local"
		// A pod gets one address of each set, so each range is a set of its own.
		sets := make([]any, len(i.Ranges))
		for n, r := range i.Ranges {
			set := map[string]any{"subnet": r.Subnet}
			unlessZero(set, "rangeStart", r.RangeStart)
			unlessZero(set, "rangeEnd", r.RangeEnd)
			unlessZero(set, "gateway", r.Gateway)
			sets[n] = []any{set}
		}
		out["ranges"] = sets
	case networkstackv1alpha1.AttachmentWhereabouts:
		out["type"] = "whereabouts"
		whereaboutsRanges(out, i.Ranges)
	case networkstackv1alpha1.AttachmentStatic:
		out["type"] = "static"
		addresses := make([]any, len(i.Addresses))
		for n, a := range i.Addresses {
			address := map[string]any{"address": a.Address}
			unlessZero(address, "gateway", a.Gateway)
			addresses[n] = address
		}
		if len(addresses) > 0 {
			out["addresses"] = addresses
		}
	case networkstackv1alpha1.AttachmentDHCP:
		out["type"] = "dhcp"
	case networkstackv1alpha1.AttachmentNone:
	}
	if len(i.Routes) > 0 && len(out) > 0 {
		routes := make([]any, len(i.Routes))
		for n, r := range i.Routes {
			route := map[string]any{"dst": r.Destination}
			unlessZero(route, "gw", r.Gateway)
			routes[n] = route
		}
		out["routes"] = routes
	}
	return out
}

// whereaboutsRanges writes ranges as Whereabouts has them. It would hand the gateway out, so that is excluded.
func whereaboutsRanges(out map[string]any, ranges []networkstackv1alpha1.AttachmentRange) {
	list := make([]any, len(ranges))
	for n, r := range ranges {
		entry := map[string]any{"range": r.Subnet}
		unlessZero(entry, "range_start", r.RangeStart)
		unlessZero(entry, "range_end", r.RangeEnd)
		var exclude []any
		for _, e := range r.Exclude {
			exclude = append(exclude, e)
		}
		if r.Gateway != "" {
			out["gateway"] = r.Gateway
			bits := "/32"
			if strings.Contains(r.Gateway, ":") {
				bits = "/128"
			}
			exclude = append(exclude, r.Gateway+bits)
		}
		if exclude != nil {
			entry["exclude"] = exclude
		}
		list[n] = entry
	}
	out["ipRanges"] = list
}

// unlessZero sets a key unless its value is none.
func unlessZero[T comparable](to map[string]any, key string, value T) {
	var zero T
	if value != zero {
		to[key] = value
	}
}

// lowerOr is a word of the API as plugins spell it.
func lowerOr[T ~string](value, otherwise T) string {
	if value == "" {
		value = otherwise
	}
	return strings.ToLower(string(value))
}

// onOff is a toggle as the SR-IOV plugin spells it; empty when the driver decides.
func onOff(t networkstackv1alpha1.Toggle) string {
	switch t {
	case networkstackv1alpha1.Enabled:
		return "on"
	case networkstackv1alpha1.Disabled:
		return "off"
	}
	return ""
}
