package compose

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go4.org/netipx"
	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/facts"
)

// Component types of secondary networks, and their names in the catalogue.
const (
	TypeMultus      = "Multus"
	TypeAttachments = "NetworkAttachments"
)

// oldestCNIVersion goes with whatever the primary network plugin has; from checkedCNIVersion on, Multus wants the same of it.
const (
	oldestCNIVersion  = "0.3.1"
	checkedCNIVersion = "0.4.0"
)

var (
	secondaryPath   = specPath.Child("secondaryNetworks")
	attachmentsPath = secondaryPath.Child("attachments")
)

// span is addresses that an attachment may give to pods.
type span struct {
	path *field.Path
	// subnet is the network on the pods' interface.
	subnet netip.Prefix
	// given are the addresses handed out.
	given *netipx.IPSet
	// inCluster says that the books are kept in the cluster, so that no two attachments give the same address.
	inCluster bool
	// text is what the user wrote.
	text string
}

// managesMultus says whether Multus is a component of this stack.
func (s *state) managesMultus() bool {
	return s.spec.SecondaryNetworks != nil && s.spec.SecondaryNetworks.Type == networkstackv1alpha1.SecondaryNetworksMultus
}

// secondaryNetworks says whether the primary network plugin has to bear others beside it, and why.
func (s *state) secondaryNetworks() (why string, wanted bool) {
	if s.spec.SecondaryNetworks != nil {
		return "secondaryNetworks are wanted, and an exclusive Cilium puts the configuration of other plugins aside", true
	}
	if _, there := s.existing[nameMultus]; there {
		return "Multus is still there, and an exclusive Cilium puts the configuration of other plugins aside", true
	}
	if i := slices.IndexFunc(s.facts.Installed, func(i facts.Installed) bool { return i.Type == facts.InstalledMultus }); i >= 0 {
		return fmt.Sprintf("DaemonSet %s/%s is a Multus, and an exclusive Cilium puts its configuration aside",
			s.facts.Installed[i].Namespace, s.facts.Installed[i].Name), true
	}
	return "", false
}

// ciliumSecondary keeps Cilium from putting Multus's configuration aside.
func (s *state) ciliumSecondary(b *valuesBuilder) {
	if why, wanted := s.secondaryNetworks(); wanted {
		b.set("cni.exclusive", false, "%s", why)
		b.inline("cni.exclusive")
	}
}

// primaryConfig is how the primary network plugin's configuration looks to Multus.
type primaryConfig struct {
	// file below dir; empty when it is not known.
	file string
	// dir and bin are the directories on the nodes; empty for the usual ones.
	dir, bin string
	// cniVersion that it states, and whether that is certain.
	cniVersion string
	certain    bool
}

// primaryConfiguration is what the network plugin will write, as far as that is decided here.
func (s *state) primaryConfiguration() primaryConfig {
	user := s.userValues[cniPath.String()]
	text := func(path string) string {
		v, _ := lookup(user, path)
		t, _ := v.(string)
		return t
	}
	switch s.cni {
	case networkstackv1alpha1.CNIFlannel:
		p := primaryConfig{dir: text("flannel.cniConfDir"), bin: text("flannel.cniBinDir"), cniVersion: oldestCNIVersion, certain: true}
		if skipped, _ := lookup(user, "flannel.skipCNIConfigInstallation"); skipped != true {
			p.file = "10-flannel.conflist"
		}
		conf := text("flannel.cniConf")
		if in := s.inherit(string(s.cni)); conf == "" && in != nil {
			conf, _ = in.values["flannel.cniConf"].(string)
		}
		var stated struct {
			CNIVersion string `json:"cniVersion"`
		}
		if json.Unmarshal([]byte(conf), &stated) == nil && stated.CNIVersion != "" {
			p.cniVersion = stated.CNIVersion
		}
		return p
	case networkstackv1alpha1.CNICilium:
		p := primaryConfig{dir: text("cni.confPath"), bin: text("cni.binPath"), cniVersion: oldestCNIVersion, file: "05-cilium.conflist"}
		custom, _ := lookup(user, "cni.customConf")
		chained := text("cni.chainingMode")
		if custom == true || text("cni.configMap") != "" || text("cni.readCniConf") != "" || chained != "" && chained != "none" {
			p.file = "" // the user's own
		}
		return p
	case networkstackv1alpha1.CNIWeaveNet:
		return primaryConfig{
			dir: text("cniConfDir"), bin: text("cniBinDir"), cniVersion: "1.0.0", certain: true, file: "10-weave.conflist",
		}
	case networkstackv1alpha1.CNICalico:
		return primaryConfig{
			dir: text("installation.cni.confDir"), bin: text("installation.cni.binDir"),
			cniVersion: oldestCNIVersion, file: "10-calico.conflist",
		}
	default:
		return primaryConfig{cniVersion: oldestCNIVersion}
	}
}

// multusCNIVersion is the CNI version of Multus, and so of the attachments.
func (s *state) multusCNIVersion() string {
	if v, ok := lookup(s.userValues[secondaryPath.String()], "config.cniVersion"); ok {
		if text, _ := v.(string); text != "" {
			return text
		}
	}
	return s.primaryConfiguration().cniVersion
}

// secondaryReleases are Multus and the attachments. These are a release of their own, above Multus: they come after the
// definition that Multus brings, and go before it.
func (s *state) secondaryReleases() []Release {
	n := s.spec.SecondaryNetworks
	var out []Release
	switch {
	case s.managesMultus():
		out = append(out, s.release(nameMultus, TypeMultus, stageSecondary, secondaryPath, n.ComponentSettings, s.multusValues()))
	case s.multusLeaves():
		out = append(out, s.leavingMultus())
	}
	if s.attaches() {
		// The release's own namespace is of no interest: the attachments have theirs.
		settings := networkstackv1alpha1.ComponentSettings{Namespace: sharedNamespace, DriftMode: n.DriftMode, Suspend: n.Suspend}
		out = append(out, s.release(nameAttachments, TypeAttachments, stageAttachments, attachmentsPath, settings, s.attachmentValues()))
	}
	return out
}

// multusValues are the chart values of Multus.
func (s *state) multusValues() *valuesBuilder {
	b := newValues("multus")
	b.reserve("cleanup", secondaryPath.String())
	if s.operatorImage != "" && s.spec.SecondaryNetworks.Chart == nil {
		b.set(keepConfiguration, true, "a roll-out makes no pod without its networks; when Multus goes, the operator cleans nodes")
	}
	p := s.primaryConfiguration()
	if p.cniVersion == oldestCNIVersion {
		b.set("config.cniVersion", p.cniVersion, "goes with any configuration of %s", cmp.Or(s.cni, "the network plugin"))
	} else {
		b.set("config.cniVersion", p.cniVersion, "that of %s's configuration", s.cni)
	}
	b.inline("config.cniVersion") // the attachments' is derived from it
	if p.file != "" {
		b.set("config.readinessIndicatorFile", p.file, "Multus starts when %s has written its configuration", s.cni)
		b.set("config.masterPlugin", p.file, "%s is the network that every pod gets", s.cni)
	}
	if p.dir != "" {
		b.set("cniConfDir", p.dir, "where %s has its configuration", s.cni)
	}
	if p.bin != "" {
		b.set("cniBinDir", p.bin, "where %s has its plugin", s.cni)
	}
	// Without kube-proxy the Service of the API server is there only while the network plugin's agent is.
	replaced := s.kubeProxyMode == networkstackv1alpha1.KubeProxyReplaced
	absent := s.kubeProxyMode == networkstackv1alpha1.KubeProxyUnmanaged && s.withFacts && s.facts.KubeProxy() == nil
	if (replaced || absent) && s.endpoint.Host != "" {
		b.control("kubeApi.host", "spec.cluster.apiServer", s.endpoint.Host, "there is no kube-proxy; %s", s.endpointReason())
		b.control("kubeApi.port", "spec.cluster.apiServer", int64(s.endpoint.Port), "there is no kube-proxy; %s", s.endpointReason())
	}
	return b
}

// attachmentValues are the chart values of the attachments.
func (s *state) attachmentValues() *valuesBuilder {
	b := newValues(nameAttachments)
	version := s.multusCNIVersion()
	attachments := s.spec.SecondaryNetworks.Attachments
	list := make([]any, 0, len(attachments))
	names := make([]string, 0, len(attachments))
	for i := range attachments {
		a := &attachments[i]
		config, err := attachmentConfig(a, version)
		if err != nil {
			s.refuse(ruleReleaseInternal, field.InternalError(attachmentsPath.Index(i), err))
			continue
		}
		entry := map[string]any{"namespace": a.Namespace, "name": a.Name, "config": config}
		if a.SRIOV != nil {
			entry["resourceName"] = a.SRIOV.ResourceName
		}
		list = append(list, entry)
		names = append(names, a.Namespace+"/"+a.Name)
	}
	// The configurations themselves would only fill the status.
	b.reserve("attachments", attachmentsPath.String())
	b.values["attachments"] = list
	s.note(attachmentsPath, strings.Join(names, ", "), "NetworkAttachmentDefinitions with CNI version %s, that of Multus", version)
	return b
}

// foundMultus says whether there is a Multus, whoever installed it.
func (s *state) foundMultus() bool { return s.facts.Has(facts.InstalledMultus) }
