package compose

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
)

func objectFindings() []finding {
	return []finding{
		{name: "01 a second stack", in: cilium(func(in *Input) { in.OtherStack = "first" }), errors: []string{
			`metadata.name: Forbidden: NetworkStack "first" is older and takes effect: edit that one, and delete this one [STACK-SECOND]`,
		}},
		{name: "no stack", in: Input{}, errors: []string{
			"spec: Required value: there is no NetworkStack [STACK-MISSING]",
		}},
		{name: "enums", in: cilium(func(in *Input) {
			s := &in.Stack.Spec
			s.IPFamilies = []IPFamily{"IPv4", "IPv4", "IPX"}
			s.IPPools[0].NATOutgoing = "Maybe"
			s.CNI.Type = "Weave"
			s.CNI.Encapsulation = "GRE"
			s.CNI.Encryption = &EncryptionSpec{Type: "TLS"}
			s.Drift = &DriftSpec{Mode: "Fix"}
			s.DeletionPolicy = "Keep"
		}), errors: []string{
			`spec.ipFamilies[1]: Duplicate value: "IPv4": list IPv4, IPv6, or both once [FAMILY-TWICE]`,
			`spec.ipFamilies[2]: Unsupported value: "IPX": supported values: "IPv4", "IPv6" [STACK-UNKNOWN-VALUE]`,
			`spec.ipPools[0].natOutgoing: Unsupported value: "Maybe": supported values: "Enabled", "Disabled" [STACK-UNKNOWN-VALUE]`,
			`spec.cni.type: Unsupported value: "Weave": supported values: "Flannel", "Cilium", "Calico", "WeaveNet", "AWSVPC", "AzureCNI", "GKE", "Kubenet", "External" [STACK-UNKNOWN-VALUE]`,
			`spec.cni.encapsulation: Unsupported value: "GRE": supported values: "VXLAN", "VXLANCrossSubnet", "Geneve", "IPIP", "IPIPCrossSubnet", "None" [STACK-UNKNOWN-VALUE]`,
			`spec.cni.encryption.type: Unsupported value: "TLS": supported values: "None", "WireGuard", "IPsec", "Password" [STACK-UNKNOWN-VALUE]`,
			`spec.drift.mode: Unsupported value: "Fix": supported values: "Correct", "Warn", "Ignore" [STACK-UNKNOWN-VALUE]`,
			`spec.deletionPolicy: Unsupported value: "Keep": supported values: "Orphan", "Delete" [STACK-UNKNOWN-VALUE]`,
		}},
		{name: "component settings", in: cilium(func(in *Input) {
			c := &in.Stack.Spec.CNI
			c.Version, c.Namespace = "latest", "Kube_System"
			c.Chart = &ChartReference{Repository: "ftp://charts.example.com", Digest: "sha256:abc"}
			c.Values = &apiextensionsv1.JSON{Raw: []byte(`["a"]`)}
			c.ValuesFrom = []ValuesReference{{Kind: "File"}}
		}), errors: []string{
			`spec.cni.version: Invalid value: "latest": is not a version: write three numbers, such as 1.20.0 [VERSION-FORM]`,
			`spec.cni.namespace: Invalid value: "Kube_System": is not the name of a namespace: use lower-case letters, digits and "-" [NAMESPACE-FORM]`,
			`spec.cni.chart.repository: Invalid value: "ftp://charts.example.com": must be an https:// (or http://) Helm repository or an oci:// registry path [SOURCE-REPOSITORY]`,
			`spec.cni.chart.digest: Invalid value: "sha256:abc": write sha256: and 64 hexadecimal digits [DIGEST-FORM]`,
			`spec.cni.valuesFrom[0].kind: Unsupported value: "File": supported values: "ConfigMap", "Secret" [STACK-UNKNOWN-VALUE]`,
			"spec.cni.valuesFrom[0].name: Required value: name the object that holds the values [VALUES-REFERENCE]",
			"spec.cni.values: Invalid value: must be a map of Helm values, not a list [VALUES-FORM]",
		}},
		{name: "values no JSON", in: cilium(func(in *Input) {
			in.Stack.Spec.CNI.Values = &apiextensionsv1.JSON{Raw: []byte(`{"password":"hunter2"`)}
		}), errors: []string{
			"spec.cni.values: Invalid value: not valid JSON: unexpected end of JSON input [VALUES-FORM]",
		}},
		{name: "values null", in: cilium(func(in *Input) { in.Stack.Spec.CNI.Values = &apiextensionsv1.JSON{Raw: []byte(`null`)} })},
		{name: "sources", in: cilium(spec(func(s *NetworkStackSpec) {
			s.Sources = &Sources{ChartsDirectory: "charts", ImageRegistry: "https://registry.example.com", Mirrors: []Mirror{
				{Source: "https://helm.cilium.io", Mirror: "oci://registry.example.com/charts"},
				{Source: "https://helm.cilium.io", Mirror: "https://user:secret@charts.example.com"},
				{Source: "helm", Mirror: ""},
			}}
		})), errors: []string{
			`spec.sources.chartsDirectory: Invalid value: "charts": must be an absolute path [SOURCE-DIRECTORY]`,
			`spec.sources.imageRegistry: Invalid value: "https://registry.example.com": write the registry without a scheme, such as registry.example.com/mirror [SOURCE-REGISTRY]`,
			"spec.sources.mirrors[1].mirror: Invalid value: must not hold credentials: this object is readable by many [SOURCE-CREDENTIALS]",
			`spec.sources.mirrors[1].source: Duplicate value: "https://helm.cilium.io": a source has one mirror: remove one of them [SOURCE-TWICE]`,
			`spec.sources.mirrors[2].source: Invalid value: "helm": must be an https:// (or http://) Helm repository or an oci:// registry path [SOURCE-REPOSITORY]`,
			"spec.sources.mirrors[2].mirror: Required value: name an https:// or oci:// chart repository [SOURCE-REPOSITORY]",
		}},
		{name: "pool without a name and CIDRs", in: cilium(pools(IPPool{})), errors: []string{
			"spec.ipPools[0].name: Required value: give the pool a name, such as default [POOL-NAME]",
			"spec.ipPools[0].cidrs: Required value: a pool needs at least one CIDR, such as 10.244.0.0/16 [POOL-EMPTY]",
		}},
		{name: "pool with a strange name", in: cilium(pools(poolOf("A b", "10.244.0.0/16"))), errors: []string{
			`spec.ipPools[0].name: Invalid value: "A b": use lower-case letters, digits and "-" [POOL-NAME]`,
		}},
		{name: "drift rules", in: cilium(func(in *Input) {
			in.Stack.Spec.Drift = &DriftSpec{Ignore: []DriftIgnoreRule{
				{Name: "a[b", Paths: []string{".spec"}},
				{Component: "cilium"},
				{Component: "cilium", Paths: []string{"spec", "."}},
			}}
		}), errors: []string{
			`spec.drift.ignore[0].name: Invalid value: "a[b": a bracket is not closed: write it as a name, with * and ? for any characters [DRIFT-NAME]`,
			"spec.drift.ignore[1].paths: Required value: name the fields, such as .spec.replicas; for whole components there is driftMode: Ignore [DRIFT-PATH]",
			`spec.drift.ignore[2].paths[0]: Invalid value: "spec": "spec" does not start with a dot: write it as .spec.replicas or .data["my.key"] [DRIFT-PATH]`,
			`spec.drift.ignore[2].paths[1]: Invalid value: ".": names the whole object: name fields, such as .data [DRIFT-PATH]`,
		}},
		{name: "drift rule of another component", in: cilium(func(in *Input) {
			in.Stack.Spec.Drift = &DriftSpec{Ignore: []DriftIgnoreRule{{Component: "flannel", Paths: []string{".spec.replicas"}}}}
		}), warnings: []string{
			`spec.drift.ignore[0].component: there is no component "flannel", so the rule has no effect: correct the name, or remove the rule [DRIFT-COMPONENT]`,
		}},
		{name: "no version in the catalogue", in: func() Input {
			in := cilium()
			entry := in.Catalog["Cilium"]
			entry.Versions = nil
			in.Catalog["Cilium"] = entry
			return in
		}(), errors: []string{
			"spec.cni.version: Required value: the catalogue knows no version of Cilium: set it [VERSION-UNSET]",
		}},
		{name: "everything at once", in: cilium(cidrs("10.96.0.0/16", "10.244.0.5/16"), mtu(500), mode(KubeProxyReplaced), func(in *Input) {
			in.Stack.Spec.Cluster = &PinnedFacts{APIServer: &Endpoint{Host: "10.96.0.1"}}
			in.Stack.Spec.CNI.Values = rawValues(map[string]any{"MTU": 1})
		}), errors: []string{
			`spec.ipPools[0].cidrs[1]: Invalid value: "10.244.0.5/16": has host bits set; did you mean "10.244.0.0/16"? [CIDR-FORM]`,
			`spec.ipPools[0].cidrs[0]: Invalid value: "10.96.0.0/16": overlaps the Service range 10.96.0.0/12 (ServiceCIDR/kubernetes): choose another range [POOL-OVERLAPS-SERVICES]`,
			"spec.mtu: Invalid value: 500: must be from 576 to 65520, or 0 to have it derived [MTU-RANGE]",
			`spec.cluster.apiServer.host: Invalid value: "10.96.0.1": is a Service address (of default/kubernetes) and will vanish with kube-proxy; give the real endpoint: a load balancer, a virtual IP or a node-local proxy [ENDPOINT-IS-SERVICE]`,
			"spec.cni.values: Forbidden: values.MTU is controlled by spec.mtu; remove it [VALUES-CONTROLLED]",
		}},
	}
}
