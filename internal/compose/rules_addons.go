package compose

// Rules about add-ons.
var (
	ruleAddonName = refuses(AreaAddons, Rule{
		ID:        "ADDON-NAME",
		APIServer: true,
		When:      "The name of an add-on is not one.",
		Remedy:    "Use at most 47 lower-case letters, digits and \"-\".",
		Source:    "Names of Helm releases have at most 53 characters, and namespaces and components are named after the add-on.",
	})
	ruleAddonTwice = refuses(AreaAddons, Rule{
		ID:        "ADDON-TWICE",
		APIServer: true,
		When:      "Two add-ons have the same name.",
		Remedy:    "Give each a name of its own; chart.name says which chart it is.",
		Source:    "The name is that of the component and of the Helm release.",
	})
	ruleAddonChart = refuses(AreaAddons, Rule{
		ID:        "ADDON-CHART",
		APIServer: true,
		When:      "An add-on has no chart, or no version.",
		Remedy:    "Set chart.repository and version.",
		Source:    "The operator's API: the catalogue knows nothing of add-ons, and what is not pinned would be upgraded by chance.",
	})
	ruleAddonAfter = refuses(AreaAddons, Rule{
		ID:     "ADDON-AFTER",
		When:   "An add-on comes after something that there is not.",
		Remedy: "Name an add-on or a component of this stack.",
		Source: "It would wait for ever.",
	})
	ruleAddonCircle = refuses(AreaAddons, Rule{
		ID:        "ADDON-CIRCLE",
		APIServer: true,
		When:      "Add-ons come after one another in a circle, or one after itself.",
		Remedy:    "Remove one of the names from an after.",
		Source:    "Each would wait for the others.",
	})
	ruleAddonNetwork = refuses(AreaAddons, Rule{
		ID:     "ADDON-NETWORK",
		When:   "An add-on is the chart of a network plugin, of kube-proxy or of Multus.",
		Remedy: "Use the field that the message names.",
		Source: "Such a chart set up as an add-on would know nothing of the address pools, the MTU and the other components.",
	})
	ruleAddonRelease = refuses(AreaAddons, Rule{
		ID:     "ADDON-RELEASE",
		When:   "An add-on has the Helm release, by name and namespace, of another component.",
		Remedy: "Choose another name, or another namespace.",
		Source: "Helm: a release is known by its name and namespace, and two charts would take each other's objects away.",
	})
)
