package compose

// Rules about ingress controllers.
var (
	ruleIngressName = refuses(AreaIngress, Rule{
		ID: "INGRESS-NAME", APIServer: true,
		When:   "The name of a controller is no DNS label of at most 30 characters, is that of another one, or ends in -resources.",
		Remedy: "Choose another name.",
		Source: "Components and Helm releases are named after it, and those have limits; -resources is for components of the operator's.",
	})
	ruleIngressType = refuses(AreaIngress, Rule{
		ID:     "INGRESS-TYPE-CHANGED",
		When:   "A controller that is there is to become one of another type.",
		Remedy: "Add an entry with another name for it, move the Ingresses to its class, then remove the old entry.",
		Source: "There would be nobody to serve Ingresses in between, and what is left of the old one would be taken for the new one's.",
	})
	ruleIngressField = refuses(AreaIngress, Rule{
		ID:     "INGRESS-FIELD",
		When:   "A field that this type of controller has nothing for.",
		Remedy: "Do as the message says: each type has its own way, or none.",
		Source: "The values of each controller's chart, and each controller's own configuration.",
	})
	ruleIngressRetired = warns(AreaIngress, Rule{
		ID:     "INGRESS-RETIRED",
		When:   "The type is NGINX.",
		Remedy: "Move to Traefik, which understands its annotations (values.providers.kubernetesIngressNGINX), to NGINXInc, or to the Gateway API with EnvoyGateway.",
		Source: "Kubernetes, Ingress NGINX Retirement: since March 2026 there are no releases, and nobody fixes what is found in it.",
	})
	ruleIngressStep = refuses(AreaIngress, Rule{
		ID:     "INGRESS-STEP",
		When:   "A version of a controller's chart that may not be reached from the present one in one step, by the catalogue.",
		Remedy: "Go to the version that the message names first.",
		Source: "The upgrade steps in the operator's catalogue: HAProxy Ingress and Envoy Gateway are tested one minor version at a time.",
	})
	ruleIngressSnippets = warns(AreaIngress, Rule{
		ID:     "INGRESS-SNIPPETS",
		When:   "The values allow snippets of NGINX's configuration in annotations.",
		Remedy: "Remove the value, unless all who may write an Ingress may also read every Secret.",
		Source: "CVE-2021-25742: whoever writes a snippet runs code in the controller, which reads all Secrets.",
	})
)

// Rules about classes.
var (
	ruleIngressClassTwice = refuses(AreaIngress, Rule{
		ID:     "INGRESS-CLASS-TWICE",
		When:   "Two controllers have the same class; the usual one of both NGINX and NGINXInc is nginx, and of both HAProxy and HAProxyIngress haproxy.",
		Remedy: "Give one of them another class.name.",
		Source: "Classes belong to the whole cluster, and both controllers would serve each Ingress.",
	})
	ruleIngressClassTaken = refuses(AreaIngress, Rule{
		ID:     "INGRESS-CLASS-TAKEN",
		When:   "The cluster has an IngressClass of this name that is not this controller's.",
		Remedy: "Choose another class.name, or remove the controller that has it; spec.adoption Adopt lets a Helm release of the same name be taken over.",
		Source: "IngressClasses are named once in a cluster, and their controller cannot be changed.",
	})
	ruleIngressClassChanged = refuses(AreaIngress, Rule{
		ID:     "INGRESS-CLASS-CHANGED",
		When:   "The class of a controller that is there gets another name.",
		Remedy: "Restore it; or add an entry with the new class, move the Ingresses, then remove the old entry.",
		Source: "All Ingresses of the old class would be served by nobody at once.",
	})
	ruleIngressClassFixed = refuses(AreaIngress, Rule{
		ID:     "INGRESS-CLASS-FIXED",
		When:   "Another class than cilium for CiliumIngress.",
		Remedy: "Remove class.name.",
		Source: "The name is fixed in Cilium's chart and in its operator.",
	})
	ruleIngressDefaultTwice = refuses(AreaIngress, Rule{
		ID: "INGRESS-DEFAULT-TWICE", APIServer: true,
		When:   "Two controllers have the default class.",
		Remedy: "Remove class.default from all but one.",
		Source: "Kubernetes, default IngressClass: with two, Ingresses without a class are refused.",
	})
	ruleIngressDefaultTaken = refuses(AreaIngress, Rule{
		ID:     "INGRESS-DEFAULT-TAKEN",
		When:   "The cluster has a default IngressClass that is no controller's of the stack.",
		Remedy: "Remove class.default, or the annotation ingressclass.kubernetes.io/is-default-class of that one.",
		Source: "Kubernetes, default IngressClass: with two, Ingresses without a class are refused.",
	})
)

// Rules about workloads.
var (
	ruleIngressScale = refuses(AreaIngress, Rule{
		ID: "INGRESS-SCALE", APIServer: true,
		When:   "replicas beside autoscaling, either of them or a disruptionBudget with a DaemonSet, or fewer maxReplicas than minReplicas.",
		Remedy: "Leave one that decides the number of pods.",
		Source: "An autoscaler and a fixed number fight; a DaemonSet has one pod on each node.",
	})
	ruleIngressScaleCPU = refuses(AreaIngress, Rule{
		ID:     "INGRESS-SCALE-CPU",
		When:   "autoscaling of a controller whose chart requests no CPU (Traefik, HAProxyIngress), and resources that request none.",
		Remedy: "Set resources.requests.cpu.",
		Source: "Kubernetes, HorizontalPodAutoscaler: the use of CPU is a share of what is requested, and unknown without.",
	})
	ruleIngressBudget = refuses(AreaIngress, Rule{
		ID: "INGRESS-BUDGET", APIServer: true,
		When:   "A disruptionBudget with both of minAvailable and maxUnavailable or with neither, one for a single pod, one that lets no pod go, or with HAProxyIngress a share as minAvailable.",
		Remedy: "Set maxUnavailable to 1, and have two replicas or more.",
		Source: "Kubernetes, PodDisruptionBudget: such a node can never be drained. The chart of HAProxy Ingress compares minAvailable with a number.",
	})
	ruleIngressSpread = refuses(AreaIngress, Rule{
		ID:     "INGRESS-SPREAD",
		When:   "topologySpread names no label of nodes.",
		Remedy: "Write one such as topology.kubernetes.io/zone or kubernetes.io/hostname.",
		Source: "Kubernetes refuses such pods.",
	})
	ruleIngressHostPortKind = refuses(AreaIngress, Rule{
		ID: "INGRESS-HOST-PORT-KIND", APIServer: true,
		When:   "hostPorts with a Deployment.",
		Remedy: "Set kind to DaemonSet.",
		Source: "Two pods on a node cannot have the same port: a second replica, or the new one of a roll-out, would stay Pending.",
	})
	ruleIngressHostPortTaken = refuses(AreaIngress, Rule{
		ID:     "INGRESS-HOST-PORT-TAKEN",
		When:   "hostPorts that another controller has, that are the same for HTTP and HTTPS, or that a kubelet, kube-proxy, the API server or the network plugin listens on.",
		Remedy: "Use other ports.",
		Source: "Kubernetes schedules no two pods with one port on a node; the kernel gives a port of the host to one process.",
	})
	ruleIngressHostPortCNI = refuses(AreaIngress, Rule{
		ID:     "INGRESS-HOST-PORT-CNI",
		When:   "hostPorts where nothing makes them: with Cilium that does not replace kube-proxy and has no portmap beside it.",
		Remedy: "Set kubeProxy.mode to Replaced, or cni.values.cni.chainingMode to portmap, or use service.type NodePort.",
		Source: "Cilium, HostPort: it needs the replacement of kube-proxy or the portmap plugin.",
	})
)

// Rules about Services.
var (
	ruleIngressService = refuses(AreaIngress, Rule{
		ID:     "INGRESS-SERVICE",
		When:   "externalTrafficPolicy with a ClusterIP; or sourceRanges or loadBalancerClass with a Service that is no LoadBalancer.",
		Remedy: "Remove it, or set service.type to LoadBalancer.",
		Source: "Kubernetes refuses such Services, or ignores these fields.",
	})
	ruleIngressRange = refuses(AreaIngress, Rule{
		ID:     "INGRESS-RANGE",
		When:   "A range of sourceRanges or trustedCIDRs is no CIDR, is everybody, or in sourceRanges is of a family that the Service has not.",
		Remedy: "Write a network such as 192.0.2.0/24; leave sourceRanges out to let everybody in.",
		Source: "Kubernetes refuses such a Service; and whom everybody is believed to be can be claimed by anybody.",
	})
	ruleIngressFamily = refuses(AreaIngress, Rule{
		ID: "INGRESS-FAMILY", APIServer: true,
		When:   "service.ipFamilies has a family that the stack has not, or one twice.",
		Remedy: "Remove it, or add the family to ipFamilies.",
		Source: "Kubernetes gives Services addresses of the cluster's Service ranges alone.",
	})
	ruleIngressServiceChanged = refuses(AreaIngress, Rule{
		ID:     "INGRESS-SERVICE-CHANGED",
		When:   "The loadBalancerClass, or the primary family, of a Service that is there is to be another one.",
		Remedy: "Restore it; or set service.type to ClusterIP first, then back with the new one, with new addresses.",
		Source: "Kubernetes: both cannot be changed while the Service is a LoadBalancer, or at all.",
	})
)

// Rules about certificates, clients, limits and metrics.
var (
	ruleIngressCertificate = refuses(AreaIngress, Rule{
		ID: "INGRESS-CERTIFICATE", APIServer: true,
		When:   "defaultCertificate with both of secretName and issuer or with neither, or an issuer without dnsNames.",
		Remedy: "Name a Secret; or an issuer of cert-manager and the names in the certificate.",
		Source: "The operator's API.",
	})
	ruleIngressCertificateTwice = refuses(AreaIngress, Rule{
		ID:     "INGRESS-CERTIFICATE-TWICE",
		When:   "Two controllers of type Traefik have a defaultCertificate.",
		Remedy: "Remove one, or give each watchedNamespaces with its own namespace among them.",
		Source: "Traefik, TLSStore: of several named default that it sees it takes none.",
	})
	ruleIngressIssuerWaits = warns(AreaIngress, Rule{
		ID:     "INGRESS-ISSUER-WAITS",
		When:   "A default certificate is to come from an issuer, and neither the cluster nor the add-ons have cert-manager.",
		Remedy: "Install cert-manager, for example as an add-on.",
		Source: "The component with the Certificate stays Pending, and the controller waits for it.",
	})
	ruleIngressTrusted = refuses(AreaIngress, Rule{
		ID:     "INGRESS-TRUSTED",
		When:   "clientAddresses of NGINX, NGINXInc, Traefik or HAProxy without trustedCIDRs.",
		Remedy: "List the networks of the load balancers or proxies.",
		Source: "Without it anybody could claim any address; Traefik and HAProxy believe nobody then, and PROXY connections fail.",
	})
	ruleIngressOpen = warns(AreaIngress, Rule{
		ID:     "INGRESS-CLIENTS-OPEN",
		When:   "PROXY protocol with HAProxyIngress or IstioGateway, which believe everybody, and no service.sourceRanges.",
		Remedy: "Set service.sourceRanges to the networks of the load balancers.",
		Source: "HAProxy, accept-proxy; Envoy, proxy protocol listener filter: neither asks who it is.",
	})
	ruleIngressProxyMismatch = refuses(AreaIngress, Rule{
		ID:     "INGRESS-PROXY-MISMATCH",
		When:   "An annotation of the Service has the load balancer speak the PROXY protocol, and the controller is not told.",
		Remedy: "Set clientAddresses.source to ProxyProtocol, or remove the annotation.",
		Source: "Every connection would begin with what the controller takes for a broken request.",
	})
	ruleIngressProxyUnasked = warns(AreaIngress, Rule{
		ID:     "INGRESS-PROXY-UNASKED",
		When:   "The controller expects the PROXY protocol, and no annotation of the Service that the operator knows asks the load balancer for it.",
		Remedy: "Add the annotation of your load balancer, unless it is set up in another way.",
		Source: "Every connection without it fails.",
	})
	ruleIngressLimit = refuses(AreaIngress, Rule{
		ID: "INGRESS-LIMIT", APIServer: true,
		When:   "A limit that is not positive, or a timeout of less than a second or more than a day.",
		Remedy: "Use a size such as 8Mi, and a time such as 60s.",
		Source: "0 means without limit to some controllers and nothing to others.",
	})
	ruleIngressMetrics = refuses(AreaIngress, Rule{
		ID: "INGRESS-METRICS", APIServer: true,
		When:   "metrics.serviceMonitors Enabled while endpoints is Disabled, or where the cluster has no kind ServiceMonitor.",
		Remedy: "Use Auto: they are made as soon as the kind is there.",
		Source: "The API server knows no such kind before Prometheus' operator is installed.",
	})
	ruleIngressNamespaces = refuses(AreaIngress, Rule{
		ID: "INGRESS-NAMESPACES", APIServer: true,
		When:   "watchedNamespaces has a name that is none, or with HAProxyIngress more than one.",
		Remedy: "Correct it; or use one controller for each namespace.",
		Source: "HAProxy Ingress, --watch-namespace: it takes one.",
	})
)

// Rules of particular controllers.
var (
	ruleIngressCilium = refuses(AreaIngress, Rule{
		ID: "INGRESS-CILIUM", APIServer: true,
		When:   "CiliumIngress without cni.type Cilium, twice, or with a Cilium that neither replaces kube-proxy nor has nodePort, or has no Envoy.",
		Remedy: "Set cni.type to Cilium and kubeProxy.mode to Replaced, and leave l7Proxy on.",
		Source: "Cilium, Ingress Support: prerequisites.",
	})
	ruleIngressIstio = refuses(AreaIngress, Rule{
		ID:     "INGRESS-ISTIO",
		When:   "IstioGateway without a control plane of Istio in the cluster.",
		Remedy: "Install Istio first, or use another controller.",
		Source: "Istio, gateway chart: the pod's image is filled in by istiod, and is called auto without it.",
	})
	ruleIngressShared = refuses(AreaIngress, Rule{
		ID:     "INGRESS-NAMESPACE-SHARED",
		When:   "Two controllers of type EnvoyGateway in one namespace.",
		Remedy: "Give one of them a namespace of its own.",
		Source: "The names of its objects are fixed in its chart.",
	})
	ruleIngressGCE = refuses(AreaIngress, Rule{
		ID:     "INGRESS-GCE",
		When:   "GCE in a cluster that does not have its definitions (BackendConfigs).",
		Remedy: "Enable the HttpLoadBalancing add-on of the GKE cluster, or use another controller.",
		Source: "GKE runs it; it cannot be installed.",
	})
	ruleIngressGCEClassless = warns(AreaIngress, Rule{
		ID:     "INGRESS-GCE-CLASSLESS",
		When:   "GCE beside another controller, and no controller has the default class.",
		Remedy: "Set class.default of the other one, or name a class in every Ingress.",
		Source: "GKE: an Ingress without a class is taken by GCE.",
	})
	ruleIngressRoutes = warns(AreaIngress, Rule{
		ID:     "INGRESS-TRAEFIK-ROUTES",
		When:   "Two controllers of type Traefik, and one of them serves the IngressRoutes of all.",
		Remedy: "Set values.providers.kubernetesCRD.ingressClass of each, and the annotation kubernetes.io/ingress.class of IngressRoutes; or watchedNamespaces.",
		Source: "Traefik, Kubernetes CRD provider: without ingressClass it serves every IngressRoute.",
	})
)
