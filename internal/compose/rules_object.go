package compose

// Rules about the object, whatever the cluster is.
var (
	ruleStackMissing = refuses(AreaObject, Rule{
		ID:     "STACK-MISSING",
		When:   "There is no NetworkStack to judge.",
		Remedy: "Create one, named cluster.",
		Source: "The operator's API.",
	})
	ruleStackSecond = refuses(AreaObject, Rule{
		ID:     "STACK-SECOND",
		When:   "There is an older NetworkStack.",
		Remedy: "Edit that one, and delete this one.",
		Source: "The operator's API: a cluster has one network.",
	})
	ruleUnknownValue = refuses(AreaObject, Rule{
		ID:        "STACK-UNKNOWN-VALUE",
		APIServer: true,
		When:      "A field that takes one of several words has another one.",
		Remedy:    "Use one of the values that the message lists.",
		Source:    "The operator's API; kube-proxy's userspace mode, for one, was removed in Kubernetes 1.26.",
	})
	ruleDriftName = refuses(AreaObject, Rule{
		ID:     "DRIFT-NAME",
		When:   "The name in a rule of drift.ignore is no pattern.",
		Remedy: "Write a name, with * and ? for any characters, and close every bracket.",
		Source: "The operator's API.",
	})
	ruleDriftPath = refuses(AreaObject, Rule{
		ID:        "DRIFT-PATH",
		APIServer: true,
		When:      "A rule of drift.ignore has no paths, or a path that cannot be read or names the whole object.",
		Remedy:    "Name fields, such as .spec.replicas; for whole components there is driftMode: Ignore.",
		Source:    "The operator's API.",
	})
	ruleDriftComponent = warns(AreaObject, Rule{
		ID:     "DRIFT-COMPONENT",
		When:   "A rule of drift.ignore names a component that there is not.",
		Remedy: "Correct the name, or remove the rule.",
		Source: "The operator's API: such a rule has no effect.",
	})
)

// Rules about charts, values and versions.
var (
	ruleVersionForm = refuses(AreaSources, Rule{
		ID:        "VERSION-FORM",
		APIServer: true,
		When:      "The version of a component is not one.",
		Remedy:    "Write three numbers, such as 1.20.0.",
		Source:    "Helm takes semantic versions.",
	})
	ruleVersionUnset = refuses(AreaSources, Rule{
		ID:     "VERSION-UNSET",
		When:   "No version of a component is set, and the catalogue has none to fall back on.",
		Remedy: "Set version.",
		Source: "The operator's catalogue.",
	})
	ruleVersionUnknown = warns(AreaSources, Rule{
		ID:     "VERSION-UNKNOWN",
		When:   "The version is not in the catalogue.",
		Remedy: "Choose one that is; or see to it that its chart can be had, and test it yourself.",
		Source: "The operator's catalogue: such a version was not tested, and its chart is not checked against a digest.",
	})
	ruleVersionUntested = warns(AreaSources, Rule{
		ID:     "VERSION-UNTESTED",
		When:   "The version was not tested with this cluster's version of Kubernetes.",
		Remedy: "Choose a version whose range has it, or test it yourself.",
		Source: "The ranges that each project tests, in the operator's catalogue. Projects leave others untested; they do not rule them out.",
	})
	ruleVersionUnverified = warns(AreaSources, Rule{
		ID:     "VERSION-UNVERIFIED",
		When:   "The version is in the catalogue without a digest, and is not the default.",
		Remedy: "State the digest of its archive in chart.digest, or choose a version that has one.",
		Source: "The operator's catalogue: newest patches are listed before they were tested here.",
	})
	ruleVersionMajor = refuses(AreaSources, Rule{
		ID:     "VERSION-MAJOR",
		When:   "Another major version than the one that is installed, of a component whose upgrade steps the catalogue has.",
		Remedy: "Stay within the installed one.",
		Source: "The upgrade steps in the operator's catalogue.",
	})
	ruleVersionSkipped = refuses(AreaSources, Rule{
		ID:     "VERSION-SKIPPED",
		When:   "A newer version than may be reached from the one that is installed in one step, by the catalogue.",
		Remedy: "Go to the version that the message names first.",
		Source: "The upgrade steps in the operator's catalogue.",
	})
	ruleVersionDown = refuses(AreaSources, Rule{
		ID:     "VERSION-DOWN",
		When:   "An older version than may be gone down to from the one that is installed, by the catalogue.",
		Remedy: "Go to the version that the message names first, or stay.",
		Source: "The upgrade steps in the operator's catalogue.",
	})
	ruleVersionDowngraded = warns(AreaSources, Rule{
		ID:     "VERSION-DOWNGRADED",
		When:   "An older minor version than the one that is installed, as far down as its project tests.",
		Remedy: "Stay if features of the newer one are in use.",
		Source: "Cilium, upgrade guide: going down is not safe once new features were used, and CRDs stay at the newer schema.",
	})
	ruleNamespaceForm = refuses(AreaSources, Rule{
		ID:        "NAMESPACE-FORM",
		APIServer: true,
		When:      "The namespace of a component is not the name of one.",
		Remedy:    "Use lower-case letters, digits and \"-\".",
		Source:    "Kubernetes: names of namespaces are DNS labels.",
	})
	ruleDigestForm = refuses(AreaSources, Rule{
		ID:        "DIGEST-FORM",
		APIServer: true,
		When:      "The digest of a chart is not a SHA-256.",
		Remedy:    "Write sha256: and 64 hexadecimal digits.",
		Source:    "The operator's API.",
	})
	ruleValuesForm = refuses(AreaSources, Rule{
		ID:        "VALUES-FORM",
		APIServer: true,
		When:      "The values of a component are no map.",
		Remedy:    "Write a map, as in a values file of Helm.",
		Source:    "Helm takes nothing else.",
	})
	ruleValuesReference = refuses(AreaSources, Rule{
		ID:        "VALUES-REFERENCE",
		APIServer: true,
		When:      "An element of valuesFrom names no object.",
		Remedy:    "Name the ConfigMap or Secret.",
		Source:    "The operator's API.",
	})
	ruleValuesControlled = refuses(AreaSources, Rule{
		ID:     "VALUES-CONTROLLED",
		When:   "The values set what a field of the spec decides, for example ipam.mode, MTU or kubeProxyReplacement of Cilium.",
		Remedy: "Remove the value, and use the field that the message names.",
		Source: "Two places for one setting: what was judged would not be what is installed. Cilium's replacement of kube-proxy beside a kube-proxy of ours, for one, is never meant to last (Cilium, Kubernetes Without kube-proxy).",
	})
	ruleReleaseInternal = refuses(AreaSources, Rule{
		ID:     "RELEASE-INTERNAL",
		When:   "The operator cannot put a release together: its catalogue lacks the component, or a derived value cannot be written.",
		Remedy: "Correct the catalogue, or report it as a bug.",
		Source: "The operator's catalogue.",
	})
	ruleRolloutAtOnce = warns(AreaSources, Rule{
		ID:     "ROLLOUT-ALL-AT-ONCE",
		When:   "The values let a roll-out replace the agents of all nodes at once (maxUnavailable 100%), or maxUnavailable of the agents does on a cluster of this size.",
		Remedy: "Use a number, or a smaller share.",
		Source: "Kubernetes, DaemonSet rolling update: a version that does not start takes the network of every node.",
	})
	ruleRolloutStuck = refuses(AreaSources, Rule{
		ID:        "ROLLOUT-STUCK",
		APIServer: true,
		When:      "maxUnavailable of the agents is 0, or the values have it so, and no maxSurge.",
		Remedy:    "Set maxUnavailable to 1 or more.",
		Source:    "Kubernetes refuses a DaemonSet with both at 0.",
	})
	ruleSourceDirectory = refuses(AreaSources, Rule{
		ID:        "SOURCE-DIRECTORY",
		APIServer: true,
		When:      "The directory of charts is no absolute path.",
		Remedy:    "Write a path that starts with \"/\".",
		Source:    "The operator's API.",
	})
	ruleSourceRegistry = refuses(AreaSources, Rule{
		ID:        "SOURCE-REGISTRY",
		APIServer: true,
		When:      "The registry of images has a scheme.",
		Remedy:    "Write host and path alone, such as registry.example.com/mirror.",
		Source:    "Names of images have no scheme.",
	})
	ruleSourceRepository = refuses(AreaSources, Rule{
		ID:        "SOURCE-REPOSITORY",
		APIServer: true,
		When:      "A chart repository, or a mirror, is no https://, http:// or oci:// address.",
		Remedy:    "Write such an address.",
		Source:    "These are the repositories that Helm knows.",
	})
	ruleSourceCredentials = refuses(AreaSources, Rule{
		ID:     "SOURCE-CREDENTIALS",
		When:   "The address of a repository holds credentials.",
		Remedy: "Remove them, and change them: the object may have been read.",
		Source: "Many may read a NetworkStack.",
	})
	ruleSourceTwice = refuses(AreaSources, Rule{
		ID:     "SOURCE-TWICE",
		When:   "A source has two mirrors.",
		Remedy: "Remove one of them.",
		Source: "The operator's API.",
	})
)
