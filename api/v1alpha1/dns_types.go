package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DNSType says who answers the DNS queries of pods.
// +kubebuilder:validation:Enum=CoreDNS;Unmanaged
type DNSType string

// The types of DNS.
const (
	DNSCoreDNS DNSType = "CoreDNS"
	// DNSUnmanaged leaves the cluster's DNS as it is found.
	DNSUnmanaged DNSType = "Unmanaged"
)

// DNSSpec is the cluster's DNS: CoreDNS, and a cache on every node. What is left out of a CoreDNS that was taken over stays
// as it was found.
//
// +kubebuilder:validation:XValidation:rule="self.type != 'Unmanaged' || (!has(self.serviceIPs) && !has(self.forward) && !has(self.stubDomains) && !has(self.rewrites) && !has(self.cache) && !has(self.ttl) && !has(self.podRecords) && !has(self.autopath) && !has(self.queryLog) && !has(self.lameduck) && !has(self.serverBlocks) && !has(self.replicas) && !has(self.autoscaler) && !has(self.topologySpread) && !has(self.version) && !has(self.__namespace__) && !has(self.chart) && !has(self.values) && !has(self.valuesFrom) && !has(self.driftMode))",message="with type Unmanaged the cluster's DNS is left as it is found: remove everything but nodeLocalCache, or set type to CoreDNS"
// +kubebuilder:validation:XValidation:rule="!has(self.replicas) || !has(self.autoscaler)",fieldPath=".replicas",message="the autoscaler sets the number of replicas: remove replicas, or autoscaler"
// +kubebuilder:validation:XValidation:rule="!has(self.autopath) || self.autopath != 'Enabled' || (has(self.podRecords) && self.podRecords == 'Verified')",fieldPath=".autopath",message="autopath has to know which pod asks: set podRecords to Verified"
type DNSSpec struct {
	// type says whether CoreDNS is managed here. It goes on running when it becomes Unmanaged.
	// +required
	Type DNSType `json:"type,omitempty"`

	// serviceIPs are the addresses of the Service kube-dns, which kubelets tell to pods: one a family. They cannot be
	// changed. Left out, those that it has, else the tenth of each Service range.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	// +kubebuilder:validation:items:MaxLength=45
	// +kubebuilder:validation:XValidation:rule="self.all(a, isIP(a))",message="not an IP address: write one such as 10.96.0.10"
	ServiceIPs []string `json:"serviceIPs,omitempty"`

	// forward says where names outside of the cluster are looked up. Left out, where the node does it (/etc/resolv.conf).
	// +optional
	Forward *DNSForward `json:"forward,omitempty"`

	// stubDomains are domains that have name servers of their own.
	// +optional
	// +listType=map
	// +listMapKey=domain
	// +kubebuilder:validation:MaxItems=32
	StubDomains []DNSStubDomain `json:"stubDomains,omitempty"`

	// rewrites look a name up under another one. The first that matches is taken.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Rewrites []DNSRewrite `json:"rewrites,omitempty"`

	// cache of answers. Left out, for 30 seconds.
	// +optional
	Cache *DNSCache `json:"cache,omitempty"`

	// ttl of the cluster's own records in seconds. Left out, 30.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=3600
	TTL *int32 `json:"ttl,omitempty"`

	// podRecords says whether names made of pods' addresses are answered: Insecure, without looking whether there is such a
	// pod; Verified, if there is; Disabled. Verified takes about four times the memory. Left out, Insecure.
	// +optional
	PodRecords PodRecords `json:"podRecords,omitempty"`

	// autopath answers a search through the domains of a pod's resolv.conf at once. It needs podRecords Verified. Left out,
	// Disabled.
	// +optional
	Autopath Toggle `json:"autopath,omitempty"`

	// queryLog says whether every query is logged. Left out, Disabled.
	// +optional
	QueryLog Toggle `json:"queryLog,omitempty"`

	// lameduck is how long a replica that is to stop goes on answering. Left out, 5s.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s') && duration(self) <= duration('60s')",message="must be between 0s and 60s"
	Lameduck *metav1.Duration `json:"lameduck,omitempty"`

	// serverBlocks are further server blocks in the language of a Corefile, for what no other field says. Plugins are those
	// of CoreDNS's own image. Files and environment variables cannot be referred to.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=8192
	ServerBlocks []string `json:"serverBlocks,omitempty"`

	// replicas of CoreDNS. Left out, 2.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Replicas *int32 `json:"replicas,omitempty"`

	// autoscaler has the number of replicas follow the size of the cluster.
	// +optional
	Autoscaler *DNSAutoscaler `json:"autoscaler,omitempty"`

	// topologySpread says how replicas are spread over nodes or zones. Left out, over nodes where that is possible.
	// +optional
	// +listType=map
	// +listMapKey=topologyKey
	// +kubebuilder:validation:MaxItems=4
	TopologySpread []DNSTopologySpread `json:"topologySpread,omitempty"`

	// nodeLocalCache is a cache of DNS answers on every node.
	// +optional
	NodeLocalCache *NodeLocalCacheSpec `json:"nodeLocalCache,omitempty"`

	ComponentSettings `json:",inline"`
}

// PodRecords says which names made of pods' addresses are answered.
// +kubebuilder:validation:Enum=Insecure;Verified;Disabled
type PodRecords string

// The kinds of pod records.
const (
	PodRecordsInsecure PodRecords = "Insecure"
	PodRecordsVerified PodRecords = "Verified"
	PodRecordsDisabled PodRecords = "Disabled"
)

// DNSForwardPolicy says which of several servers is asked first.
// +kubebuilder:validation:Enum=Random;RoundRobin;Sequential
type DNSForwardPolicy string

// The forward policies.
const (
	ForwardRandom     DNSForwardPolicy = "Random"
	ForwardRoundRobin DNSForwardPolicy = "RoundRobin"
	ForwardSequential DNSForwardPolicy = "Sequential"
)

// DNSProtocol is how upstream servers are asked.
// +kubebuilder:validation:Enum=PreferUDP;TCP;TLS
type DNSProtocol string

// The protocols.
const (
	DNSPreferUDP DNSProtocol = "PreferUDP"
	DNSOverTCP   DNSProtocol = "TCP"
	DNSOverTLS   DNSProtocol = "TLS"
)

// DNSForward is a set of upstream servers and how they are asked.
//
// +kubebuilder:validation:XValidation:rule="!has(self.tlsServerName) || (has(self.protocol) && self.protocol == 'TLS')",fieldPath=".tlsServerName",message="tlsServerName is read only with protocol TLS: remove it, or set protocol to TLS"
type DNSForward struct {
	// servers are addresses with or without a port, such as 10.0.0.53 or [fd00::53]:5353.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=15
	// +kubebuilder:validation:items:MinLength=2
	// +kubebuilder:validation:items:MaxLength=64
	Servers []string `json:"servers,omitempty"`

	// policy says which server is asked first. Left out, Random.
	// +optional
	Policy DNSForwardPolicy `json:"policy,omitempty"`

	// protocol is how servers are asked. Left out, as the client asked.
	// +optional
	Protocol DNSProtocol `json:"protocol,omitempty"`

	// tlsServerName is the name in the servers' certificates, with protocol TLS.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	TLSServerName string `json:"tlsServerName,omitempty"`

	// maxConcurrent is how many queries may be under way at once; more are refused. Left out, 1000.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	MaxConcurrent *int32 `json:"maxConcurrent,omitempty"`
}

// DNSStubDomain is a domain that has name servers of its own.
type DNSStubDomain struct {
	// domain, such as corp.example.com, or a reverse zone such as 10.in-addr.arpa.
	// +required
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9_]([-a-z0-9_]*[a-z0-9])?(\.[a-z0-9_]([-a-z0-9_]*[a-z0-9])?)*$`
	Domain string `json:"domain,omitempty"`

	// cacheSeconds is how long answers are kept. Left out, 30.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	CacheSeconds *int32 `json:"cacheSeconds,omitempty"`

	DNSForward `json:",inline"`
}

// DNSRewriteMatch says which names a rewrite takes.
// +kubebuilder:validation:Enum=Exact;Prefix;Suffix;Substring;Regex
type DNSRewriteMatch string

// The ways to match.
const (
	RewriteExact     DNSRewriteMatch = "Exact"
	RewritePrefix    DNSRewriteMatch = "Prefix"
	RewriteSuffix    DNSRewriteMatch = "Suffix"
	RewriteSubstring DNSRewriteMatch = "Substring"
	RewriteRegex     DNSRewriteMatch = "Regex"
)

// DNSRewrite looks a name up under another one. The answer is given under the name that was asked for.
type DNSRewrite struct {
	// match says how from is compared with a name. Left out, Exact.
	// +optional
	Match DNSRewriteMatch `json:"match,omitempty"`

	// from is the name asked for, or the part of it that match says.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[^\s"{}#]+$`
	From string `json:"from,omitempty"`

	// to is what takes the place of from. With Regex, what {1} and so on stand for.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[^\s"#]+$`
	To string `json:"to,omitempty"`
}

// DNSCache is how answers are kept.
type DNSCache struct {
	// successCapacity is how many answers are kept. Left out, 9984.
	// +optional
	// +kubebuilder:validation:Minimum=256
	// +kubebuilder:validation:Maximum=1000000
	SuccessCapacity *int32 `json:"successCapacity,omitempty"`

	// successSeconds is how long at most. Left out, 30.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	SuccessSeconds *int32 `json:"successSeconds,omitempty"`

	// denialCapacity is how many answers that there is no such name are kept. Left out, 9984.
	// +optional
	// +kubebuilder:validation:Minimum=256
	// +kubebuilder:validation:Maximum=1000000
	DenialCapacity *int32 `json:"denialCapacity,omitempty"`

	// denialSeconds is how long at most. Left out, 30.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	DenialSeconds *int32 `json:"denialSeconds,omitempty"`

	// prefetch is after how many queries within a minute an answer is looked up again before it expires. Left out, never.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	Prefetch *int32 `json:"prefetch,omitempty"`

	// serveStale is how long expired answers are given while upstream servers do not answer. Left out, not at all.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('24h')",message="must be between 1s and 24h"
	ServeStale *metav1.Duration `json:"serveStale,omitempty"`
}

// DNSAutoscaler has the number of replicas follow the number of nodes and cores (cluster-proportional-autoscaler): as many
// as the larger of the two asks for.
//
// +kubebuilder:validation:XValidation:rule="!has(self.max) || self.max >= (has(self.min) ? self.min : 2)",fieldPath=".max",message="max is less than min, which is 2 if left out: raise it"
type DNSAutoscaler struct {
	// nodesPerReplica is how many nodes a replica is for. Left out, 16.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	NodesPerReplica *int32 `json:"nodesPerReplica,omitempty"`

	// coresPerReplica is how many cores a replica is for. Left out, 256.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	CoresPerReplica *int32 `json:"coresPerReplica,omitempty"`

	// min is the least number of replicas. Left out, 2.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Min *int32 `json:"min,omitempty"`

	// max is the greatest number of replicas. Left out, there is none.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Max *int32 `json:"max,omitempty"`
}

// DNSUnsatisfiable says what becomes of a replica that cannot be spread as wanted.
// +kubebuilder:validation:Enum=DoNotSchedule;ScheduleAnyway
type DNSUnsatisfiable string

// What becomes of a replica that cannot be spread as wanted.
const (
	DoNotSchedule  DNSUnsatisfiable = "DoNotSchedule"
	ScheduleAnyway DNSUnsatisfiable = "ScheduleAnyway"
)

// DNSTopologySpread spreads replicas over the values of a node label.
type DNSTopologySpread struct {
	// topologyKey is the label, such as topology.kubernetes.io/zone.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	TopologyKey string `json:"topologyKey,omitempty"`

	// maxSkew is by how many replicas two values may differ. Left out, 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	MaxSkew *int32 `json:"maxSkew,omitempty"`

	// whenUnsatisfiable says what becomes of a replica that cannot be spread so. Left out, ScheduleAnyway.
	// +optional
	WhenUnsatisfiable DNSUnsatisfiable `json:"whenUnsatisfiable,omitempty"`
}

// NodeLocalInterception is how pods' queries come to the cache of their node.
// +kubebuilder:validation:Enum=ServiceAddress;LocalAddress;RedirectPolicy
type NodeLocalInterception string

// The ways to the cache.
const (
	// InterceptServiceAddress has the cache answer on the address of the Service kube-dns as well.
	InterceptServiceAddress NodeLocalInterception = "ServiceAddress"
	// InterceptLocalAddress has it answer on its own address alone, which kubelets have to tell to pods.
	InterceptLocalAddress NodeLocalInterception = "LocalAddress"
	// InterceptRedirectPolicy has Cilium redirect queries for the Service kube-dns to it.
	InterceptRedirectPolicy NodeLocalInterception = "RedirectPolicy"
)

// NodeLocalCacheSpec is NodeLocal DNSCache.
//
// +kubebuilder:validation:XValidation:rule="self.mode == 'Enabled' || (!has(self.address) && !has(self.interception) && !has(self.version) && !has(self.__namespace__) && !has(self.chart) && !has(self.values) && !has(self.valuesFrom))",message="with mode Disabled there is no cache: remove the other fields, or set mode to Enabled"
type NodeLocalCacheSpec struct {
	// mode says whether there is a cache on every node.
	// +required
	Mode Toggle `json:"mode,omitempty"`

	// address of the cache on every node, the same on all: link-local IPv4, or IPv6 of fd00::/8. Left out, 169.254.20.10, or
	// fd00:169:254:20::10 where the first address of the Service kube-dns is IPv6.
	// +optional
	// +kubebuilder:validation:MaxLength=45
	// +kubebuilder:validation:XValidation:rule="isIP(self)",message="not an IP address: write one such as 169.254.20.10"
	Address string `json:"address,omitempty"`

	// interception is how pods' queries come to the cache. Left out, it follows what programs Services: ServiceAddress with
	// kube-proxy's IPTables and with Calico's BPF, LocalAddress with IPVS and NFTables, RedirectPolicy with Cilium in kube-proxy's place.
	// +optional
	Interception NodeLocalInterception `json:"interception,omitempty"`

	ComponentSettings `json:",inline"`
}
