package compose

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
)

func TestAttachmentConfig(t *testing.T) {
	lan := func(edit func(*NetworkAttachment)) NetworkAttachment {
		a := NetworkAttachment{Name: "lan", Namespace: "media", Type: AttachmentMacvlan, Macvlan: &MacvlanAttachment{}}
		edit(&a)
		return a
	}
	for name, tc := range map[string]struct {
		in   NetworkAttachment
		want string
	}{
		"Macvlan, everything left out": {
			lan(func(*NetworkAttachment) {}),
			`{"cniVersion":"0.3.1","ipam":{},"mode":"bridge","name":"media.lan","type":"macvlan"}`,
		},
		"Macvlan": {
			lan(func(a *NetworkAttachment) {
				a.Macvlan = &MacvlanAttachment{Master: "eth1", Mode: MacvlanVEPA, MTU: 1400}
				a.IPAM = &AttachmentIPAM{Type: AttachmentDHCP}
			}),
			`{"cniVersion":"0.3.1","ipam":{"type":"dhcp"},"master":"eth1","mode":"vepa","mtu":1400,"name":"media.lan","type":"macvlan"}`,
		},
		"IPVlan with Whereabouts": {
			lan(func(a *NetworkAttachment) {
				a.Type, a.Macvlan, a.IPVlan = AttachmentIPVlan, nil, &IPVlanAttachment{Master: "eth1", Mode: IPVlanL3S, MTU: 9000}
				a.IPAM = &AttachmentIPAM{Type: AttachmentWhereabouts, Ranges: []AttachmentRange{
					{Subnet: "192.168.50.0/24", RangeStart: "192.168.50.10", RangeEnd: "192.168.50.90", Gateway: "192.168.50.1", Exclude: []string{"192.168.50.16/28"}},
					{Subnet: "fd00:50::/64"},
				}}
			}),
			`{"cniVersion":"0.3.1","ipam":{"gateway":"192.168.50.1","ipRanges":[{"exclude":["192.168.50.16/28","192.168.50.1/32"],"range":"192.168.50.0/24",` +
				`"range_end":"192.168.50.90","range_start":"192.168.50.10"},{"range":"fd00:50::/64"}],"type":"whereabouts"},"master":"eth1","mode":"l3s","mtu":9000,"name":"media.lan","type":"ipvlan"}`,
		},
		"IPVlan with a gateway of IPv6": {
			lan(func(a *NetworkAttachment) {
				a.Type, a.Macvlan, a.IPVlan = AttachmentIPVlan, nil, &IPVlanAttachment{}
				a.IPAM = &AttachmentIPAM{Type: AttachmentWhereabouts, Ranges: []AttachmentRange{{Subnet: "fd00:50::/64", Gateway: "fd00:50::1"}}}
			}),
			`{"cniVersion":"0.3.1","ipam":{"gateway":"fd00:50::1","ipRanges":[{"exclude":["fd00:50::1/128"],"range":"fd00:50::/64"}],"type":"whereabouts"},"mode":"l2","name":"media.lan","type":"ipvlan"}`,
		},
		"Bridge with HostLocal": {
			lan(func(a *NetworkAttachment) {
				a.Type, a.Macvlan, a.Bridge = AttachmentBridge, nil, &BridgeAttachment{Bridge: "br0", VLAN: 7, MTU: 1500, MACSpoofCheck: Enabled}
				a.IPAM = &AttachmentIPAM{
					Type: AttachmentHostLocal,
					Ranges: []AttachmentRange{
						{Subnet: "192.168.50.0/24", RangeStart: "192.168.50.10", RangeEnd: "192.168.50.90", Gateway: "192.168.50.1"}, {Subnet: "fd00:50::/64"},
					},
					Routes: []AttachmentRoute{{Destination: "172.20.0.0/16"}, {Destination: "172.21.0.0/16", Gateway: "192.168.50.2"}},
				}
			}),
			`{"bridge":"br0","cniVersion":"0.3.1","ipam":{"ranges":[[{"gateway":"192.168.50.1","rangeEnd":"192.168.50.90","rangeStart":"192.168.50.10","subnet":"192.168.50.0/24"}],` +
				`[{"subnet":"fd00:50::/64"}]],"routes":[{"dst":"172.20.0.0/16"},{"dst":"172.21.0.0/16","gw":"192.168.50.2"}],"type":"host-local"},` +
				`"macspoofchk":true,"mtu":1500,"name":"media.lan","type":"bridge","vlan":7}`,
		},
		"HostDevice with a static address": {
			lan(func(a *NetworkAttachment) {
				a.Type, a.Macvlan, a.HostDevice = AttachmentHostDevice, nil, &HostDeviceAttachment{PCIBusID: "0000:00:1f.6"}
				a.IPAM = &AttachmentIPAM{Type: AttachmentStatic, Addresses: []AttachmentAddress{{Address: "192.168.50.9/24", Gateway: "192.168.50.1"}, {Address: "fd00:50::9/64"}}}
			}),
			`{"cniVersion":"0.3.1","ipam":{"addresses":[{"address":"192.168.50.9/24","gateway":"192.168.50.1"},{"address":"fd00:50::9/64"}],"type":"static"},` +
				`"name":"media.lan","pciBusID":"0000:00:1f.6","type":"host-device"}`,
		},
		"HostDevice with addresses of the pod's own": {
			lan(func(a *NetworkAttachment) {
				a.Type, a.Macvlan, a.HostDevice = AttachmentHostDevice, nil, &HostDeviceAttachment{Device: "eth3"}
				a.IPAM = &AttachmentIPAM{Type: AttachmentStatic}
			}),
			`{"capabilities":{"ips":true},"cniVersion":"0.3.1","device":"eth3","ipam":{"type":"static"},"name":"media.lan","type":"host-device"}`,
		},
		"SRIOV": {
			lan(func(a *NetworkAttachment) {
				a.Type, a.Macvlan = AttachmentSRIOV, nil
				a.SRIOV = &SRIOVAttachment{ResourceName: "example.com/a", VLAN: 100, SpoofCheck: Disabled, Trust: Enabled}
				a.IPAM = &AttachmentIPAM{Type: AttachmentNone}
			}),
			`{"cniVersion":"0.3.1","ipam":{},"name":"media.lan","spoofchk":"off","trust":"on","type":"sriov","vlan":100}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := attachmentConfig(&tc.in, "0.3.1")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSecondaryReleases(t *testing.T) {
	vf := virtualFunction(SRIOVAttachment{ResourceName: "example.com/a"})
	r := accepted(t, flannel(secondary(bridge("a"), vf), multusValue(object{"resources": nil}), secondarySpec(func(s *SecondaryNetworksSpec) {
		s.DriftMode, s.Suspend = DriftWarn, true
	})))
	var names []string
	for _, rel := range r.Releases {
		names = append(names, rel.Name)
	}
	if diff := cmp.Diff([]string{"flannel", "multus", "network-attachments"}, names); diff != "" {
		t.Fatal(diff)
	}
	multus, values := releaseNamed(t, r, "multus")
	if s := multus.Spec; s.Stage <= stageCNI || s.Namespace != "kube-system" || s.Chart.Name != "multus" || s.DriftMode != DriftWarn || !s.Suspend || len(s.NamespaceLabels) > 0 {
		t.Errorf("%+v", s)
	}
	want := object{"config": object{"cniVersion": "0.3.1", "readinessIndicatorFile": "10-flannel.conflist", "masterPlugin": "10-flannel.conflist"}, "resources": nil}
	if diff := cmp.Diff(want, values); diff != "" {
		t.Errorf("values of Multus (-want +got):\n%s", diff)
	}
	attachments, values := releaseNamed(t, r, "network-attachments")
	if s := attachments.Spec; s.Stage <= multus.Spec.Stage || s.DriftMode != DriftWarn || !s.Suspend || s.Values != nil || len(s.ControlledValues) != 1 {
		t.Errorf("%+v", s)
	}
	want = object{"attachments": []any{
		object{"namespace": "default", "name": "a", "config": `{"bridge":"br-a","cniVersion":"0.3.1","ipam":{"ranges":[[{"subnet":"192.168.50.0/24"}]],"type":"host-local"},"name":"default.a","type":"bridge"}`},
		object{"namespace": "default", "name": "vf", "resourceName": "example.com/a", "config": `{"cniVersion":"0.3.1","ipam":{},"name":"default.vf","type":"sriov"}`},
	}}
	if diff := cmp.Diff(want, values); diff != "" {
		t.Errorf("values of the attachments (-want +got):\n%s", diff)
	}
	effective := func(setting string) string {
		for _, e := range r.Effective {
			if e.Setting == setting {
				return e.Value + ": " + e.Reason
			}
		}
		return ""
	}
	if got, want := effective("spec.secondaryNetworks.attachments"), "default/a, default/vf: NetworkAttachmentDefinitions with CNI version 0.3.1, that of Multus"; got != want {
		t.Errorf("effective: %q, want %q", got, want)
	}
}

// TestMultusValues derives what Multus has to know of the primary network plugin.
func TestMultusValues(t *testing.T) {
	conf := func(version string) object {
		return object{"flannel": object{"cniConf": `{"cniVersion": "` + version + `", "name": "cbr0", "plugins": []}`}}
	}
	file := func(name string) object {
		return object{"cniVersion": "0.3.1", "readinessIndicatorFile": name, "masterPlugin": name}
	}
	api := object{"host": "192.168.10.10", "port": int64(6443)}
	for name, tc := range map[string]struct {
		in   Input
		want object
	}{
		"Flannel": {flannel(secondary()), object{"config": file("10-flannel.conflist")}},
		"Cilium":  {cilium(secondary()), object{"config": file("05-cilium.conflist")}},
		"Calico":  {calico(secondary()), object{"config": file("10-calico.conflist")}},
		"Calico in other directories": {
			calico(secondary(), values(object{"installation": object{"cni": object{"confDir": "/a", "binDir": "/b"}}})),
			object{"config": file("10-calico.conflist"), "cniConfDir": "/a", "cniBinDir": "/b"},
		},
		"External": {external(secondary()), object{"config": object{"cniVersion": "0.3.1"}}},
		"Flannel of a newer CNI version": {
			flannel(secondary(), values(conf("1.0.0"))),
			object{"config": object{"cniVersion": "1.0.0", "readinessIndicatorFile": "10-flannel.conflist", "masterPlugin": "10-flannel.conflist"}},
		},
		"Flannel that writes no configuration": {
			flannel(secondary(), values(object{"flannel": object{"skipCNIConfigInstallation": true}})), object{"config": object{"cniVersion": "0.3.1"}},
		},
		"Flannel in other directories": {
			flannel(secondary(), values(object{"flannel": object{"cniConfDir": "/a", "cniBinDir": "/b"}})),
			object{"config": file("10-flannel.conflist"), "cniConfDir": "/a", "cniBinDir": "/b"},
		},
		"Cilium in other directories": {
			cilium(secondary(), values(object{"cni": object{"confPath": "/a", "binPath": "/b"}})),
			object{"config": file("05-cilium.conflist"), "cniConfDir": "/a", "cniBinDir": "/b"},
		},
		"Cilium with a configuration of the user's": {
			cilium(secondary(), values(object{"cni": object{"customConf": true}})), object{"config": object{"cniVersion": "0.3.1"}},
		},
		"Cilium chained": {
			cilium(secondary(), values(object{"cni": object{"chainingMode": "portmap"}})), object{"config": object{"cniVersion": "0.3.1"}},
		},
		"no kube-proxy but Cilium": {
			cilium(secondary(), mode(KubeProxyReplaced), withoutKubeProxy), object{"config": file("05-cilium.conflist"), "kubeApi": api},
		},
		"no kube-proxy at all": {
			flannel(secondary(), withoutKubeProxy), object{"config": file("10-flannel.conflist"), "kubeApi": api},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, got := releaseNamed(t, accepted(t, tc.in), "multus")
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestAttachmentsFollowMultus wants attachments to have the CNI version that Multus has, whoever chose it.
func TestAttachmentsFollowMultus(t *testing.T) {
	for version, in := range map[string]Input{
		"0.3.0": flannel(secondary(bridge("a")), multusValue(object{"config": object{"cniVersion": "0.3.0"}})),
		"1.1.0": flannel(secondary(bridge("a")), values(object{"flannel": object{"cniConf": `{"cniVersion": "1.1.0"}`}})),
		"0.3.1": flannel(secondary(bridge("a")), externalMultus, found(foreignMultus)),
	} {
		r := accepted(t, in)
		rel, values := releaseNamed(t, r, "network-attachments")
		config := values["attachments"].([]any)[0].(object)["config"].(string)
		want, _ := attachmentConfig(&in.Stack.Spec.SecondaryNetworks.Attachments[0], version)
		if config != want {
			t.Errorf("with %s: %s", version, config)
		}
		if external := in.Stack.Spec.SecondaryNetworks.Type == SecondaryNetworksExternal; external && (rel.Spec.Namespace != "kube-system" || len(r.Releases) != 2) {
			t.Errorf("with an external Multus: %v", r.Releases)
		}
	}
}

// TestCiliumIsNotExclusive as long as there is a Multus, and only as long.
func TestCiliumIsNotExclusive(t *testing.T) {
	existing := func(in *Input) {
		in.Existing = map[string]NetworkComponentSpec{"multus": {Type: TypeMultus}}
		in.Facts.Installed = append(in.Facts.Installed, facts.Installed{Type: facts.InstalledMultus, Namespace: "kube-system", Name: "kube-multus-ds", Component: "multus"})
	}
	for name, tc := range map[string]struct {
		in   Input
		want bool
	}{
		"alone":                    {cilium(), false},
		"with Multus":              {cilium(secondary()), true},
		"with an external Multus":  {cilium(secondary(), externalMultus), true},
		"with Multus of others":    {cilium(found(foreignMultus)), true},
		"with Multus yet to go":    {cilium(existing), true},
		"with Multus, said by all": {cilium(secondary(), values(object{"cni": object{"exclusive": false}})), true},
	} {
		t.Run(name, func(t *testing.T) {
			r := accepted(t, tc.in)
			rel, values := releaseNamed(t, r, "cilium")
			v, set := lookup(values, "cni.exclusive")
			if set != tc.want || set && v != false {
				t.Errorf("cni.exclusive is %v (set: %v)", v, set)
			}
			closed := slices.ContainsFunc(rel.Spec.ControlledValues, func(c ControlledValue) bool { return c.Path == "cni.exclusive" })
			noted := slices.ContainsFunc(r.Effective, func(e EffectiveSetting) bool { return e.Setting == "cilium: cni.exclusive" && e.Value == "false" })
			if closed != tc.want || noted != tc.want {
				t.Errorf("closed to valuesFrom: %v, in status.effective: %v", closed, noted)
			}
		})
	}
}

// TestFoundSecondaryAgents are no network plugins.
func TestFoundSecondaryAgents(t *testing.T) {
	r := accepted(t, flannel(found(foreignMultus, whereabouts)))
	if len(r.Warnings) > 0 || len(r.Releases) != 1 {
		t.Errorf("%v %v", r.Warnings, r.Releases)
	}
}
