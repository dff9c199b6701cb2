package telemetry

var (
	component = Label{"component", "Names of NetworkComponents"}
	status    = Label{"status", "`True`, `False`, `Unknown`: 1 for the one that holds, 0 for the others"}
	operation = Label{"operation", "`apply`, `verify`, `correct`, `uninstall`, `secrets`"}
	kind      = Label{"kind", "Kinds of the charts' objects, and of policies"}
	reason    = Label{"reason", "Reasons of events"}
	secret    = Label{"secret", "Names of the component's certificates"}
	stack     = Label{"stack", "Names of NetworkStacks"}
	condition = Label{"type", "Types of conditions"}
	pool      = []Label{
		{"pool", "Names of pools in the spec, and of those found beside them"}, {"family", "`IPv4`, `IPv6`"},
		{"unit", "`Addresses`, `NodeRanges`"},
	}
)

// What is told of the operator itself.
var (
	BuildInfo = Metric{
		Name: "networkstack_build_info", Type: Gauge, Help: "Always 1; the labels say what the operator was built from.",
		Labels: []Label{{"version", "The operator's version"}, {"goversion", "Go's version"}},
	}
	Operations = Metric{
		Name: "networkstack_operations_total", Type: Counter,
		Help: "Operations on the releases of components that have ended, by how.",
		Labels: []Label{
			component, operation,
			{"result", "`success`, `failure`, `waiting` for something that is not there yet"},
		},
	}
	OperationDuration = Metric{
		Name: "networkstack_operation_duration_seconds", Type: Histogram,
		Help:    "How long operations on the releases of components took, hooks included, without waiting for their turn.",
		Labels:  []Label{operation},
		Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300},
	}
)

// What is told of objects. Only the operator that leads tells it.
var (
	StackCondition = Metric{
		Name: "networkstack_stack_condition", Type: Gauge, Help: "Conditions of NetworkStacks.",
		Labels: []Label{stack, condition, status},
	}
	StackSuspended = Metric{
		Name: "networkstack_stack_suspended", Type: Gauge, Help: "1 while all work on a NetworkStack is suspended, else 0.",
		Labels: []Label{stack},
	}
	ComponentCondition = Metric{
		Name: "networkstack_component_condition", Type: Gauge, Help: "Conditions of NetworkComponents.",
		Labels: []Label{component, condition, status},
	}
	ComponentInfo = Metric{
		Name: "networkstack_component_info", Type: Gauge,
		Help: "Always 1; the labels say what is installed. The version is empty before the first installation.",
		Labels: []Label{
			component, {"type", "Types of components"}, {"chart", "Names of charts"},
			{"version", "One for each component: that of its release"},
		},
	}
	ComponentFailedAttempts = Metric{
		Name: "networkstack_component_failed_attempts", Type: Gauge, Help: "Attempts that failed since the last one that succeeded.",
		Labels: []Label{component},
	}
	ComponentPods = Metric{
		Name: "networkstack_component_pods", Type: Gauge, Help: "Pods of a component, of all its workloads together.",
		Labels: []Label{component, {"state", "`desired`, `updated`, `available`"}},
	}
	CertificateExpiration = Metric{
		Name: "networkstack_certificate_expiration_timestamp_seconds", Type: Gauge,
		Help: "When a component's certificate expires, in seconds since 1970.",
		Labels: []Label{
			component, secret, {"renewal", "`operator`, or `external` for one that somebody else renews"},
		},
	}
	CertificateRenewal = Metric{
		Name: "networkstack_certificate_renewal_timestamp_seconds", Type: Gauge,
		Help:   "When the operator is to renew a component's certificate, in seconds since 1970.",
		Labels: []Label{component, secret},
	}
	PoolCapacity = Metric{
		Name: "networkstack_ippool_capacity", Type: Gauge, Help: "Addresses, or ranges for nodes, that a pool has. Absent when it is not known.",
		Labels: pool,
	}
	PoolAllocated = Metric{
		Name: "networkstack_ippool_allocated", Type: Gauge, Help: "Addresses, or ranges for nodes, that are given out of a pool.", Labels: pool,
	}
)

// maxManagers bounds the label manager of Drifts: anybody may call himself anything.
const maxManagers = 32

// Managers bounds the label manager.
var Managers = NewFew(maxManagers)

// What is told of drift.
var (
	Drifts = Metric{
		Name: "networkstack_drifts_total", Type: Counter,
		Help: "Objects found not to be as they had been applied, by what was done about it and who had changed them.",
		Labels: []Label{
			component, kind, reason,
			{"manager", "Field managers: the first 32 that are met, and `other`"},
		},
	}
	DriftCorrection = Metric{
		Name: "networkstack_drift_correction_seconds", Type: Histogram,
		Help:   "From the event of a change until the objects were as they had been applied again.",
		Labels: []Label{component}, Buckets: []float64{.005, .01, .02, .05, .1, .2, .4, .8, 2, 5, 15, 60},
	}
	ContestedFields = Metric{
		Name: "networkstack_contested_fields", Type: Gauge, Help: "Fields that are left to somebody who kept putting them back.",
		Labels: []Label{component},
	}
)

// What is told of baseline policies.
var (
	PolicyNamespaces = Metric{
		Name: "networkstack_policy_namespaces", Type: Gauge, Help: "Namespaces that the baseline policies cover.",
	}
	PolicyNamespacesPending = Metric{
		Name: "networkstack_policy_namespaces_pending", Type: Gauge, Help: "Namespaces that are covered and not as they are wanted yet.",
	}
	PolicyObjects = Metric{
		Name: "networkstack_policy_objects", Type: Gauge, Help: "Objects of baseline policies.",
		Labels: []Label{{"effect", "`allow`, `deny`"}},
	}
	PolicyPulled = Metric{
		Name: "networkstack_policy_pulled", Type: Gauge, Help: "1 while what denies is removed by the break-glass annotation, else 0.",
	}
	PolicyCorrections = Metric{
		Name: "networkstack_policy_corrections_total", Type: Counter,
		Help:   "Objects of baseline policies that somebody changed and that were put right.",
		Labels: []Label{kind, reason},
	}
	PolicyWrites = Metric{
		Name: "networkstack_policy_writes_total", Type: Counter, Help: "Writes for baseline policies.",
		Labels: []Label{{"verb", "Verbs of the API"}},
	}
)

// What is told of the validating webhook, where it is turned on.
var (
	WebhookReviews = Metric{
		Name: "networkstack_webhook_reviews_total", Type: Counter,
		Help: "NetworkStacks that the webhook was asked about, by what became of them.",
		Labels: []Label{
			{"operation", "`CREATE`, `UPDATE`"},
			{"result", "`Allowed`, `Denied`, `AlreadyRefused` (let through, for it is no worse than before), `NotJudged`"},
		},
	}
	WebhookCertificateExpiration = Metric{
		Name: "networkstack_webhook_certificate_expiration_timestamp_seconds", Type: Gauge,
		Help: "When the certificate expires that the webhook serves with, in seconds since 1970.",
	}
)
