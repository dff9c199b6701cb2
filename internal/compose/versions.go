package compose

import (
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"
)

// parseVersion reads a version leniently ("v1.33.5-eks-3025e55", "1.20"); nil when it cannot.
func parseVersion(text string) *version.Version {
	v, err := version.ParseGeneric(text)
	if err != nil {
		return nil
	}
	return v
}

// minorOf is a version's "1.37".
func minorOf(v *version.Version) string {
	return fmt.Sprintf("%d.%d", v.Major(), v.Minor())
}

// atLeast says whether v is of the given minor or a newer one; unknown versions are not.
func atLeast(v *version.Version, major, minor uint) bool {
	return v != nil && (v.Major() > major || v.Major() == major && v.Minor() >= minor)
}

// minorDistance is how many minors b is ahead of a; false when their majors differ.
func minorDistance(a, b *version.Version) (int, bool) {
	if a.Major() != b.Major() {
		return 0, false
	}
	return int(b.Minor()) - int(a.Minor()), true
}

var upstreamVersion = regexp.MustCompile(`^v?(\d+\.\d+\.\d+)(-(?:alpha|beta|rc)\.\d+)?`)

// upstreamTag is the image tag of the upstream release that a cluster's version is built from: distributions
// append their own marks ("v1.33.5-eks-3025e55", "v1.36.1+k3s1") that no upstream image carries. Empty when
// the version cannot be read.
func upstreamTag(clusterVersion string) string {
	m := upstreamVersion.FindStringSubmatch(clusterVersion)
	if m == nil {
		return ""
	}
	return "v" + m[1] + m[2]
}

// imageVersion is the version that an image's tag states; nil when there is none, as with a digest alone.
func imageVersion(image string) *version.Version {
	image, _, _ = strings.Cut(image, "@")
	name := image[strings.LastIndex(image, "/")+1:] // a colon before it belongs to a registry's port
	_, tag, ok := strings.Cut(name, ":")
	if !ok {
		return nil
	}
	return parseVersion(tag)
}

var el8Kernel = regexp.MustCompile(`^4\.18\..*\.el8_(\d+)`)

// el8Minor is the RHEL 8 minor release that a 4.18 kernel belongs to, such as 10 for
// "4.18.0-553.el8_10.x86_64".
func el8Minor(kernel string) (int, bool) {
	m := el8Kernel.FindStringSubmatch(kernel)
	if m == nil {
		return 0, false
	}
	var minor int
	if _, err := fmt.Sscan(m[1], &minor); err != nil {
		return 0, false
	}
	return minor, true
}
