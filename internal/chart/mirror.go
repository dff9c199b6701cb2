package chart

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// checkRepository refuses a repository that no source can serve.
func checkRepository(raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return errors.New("the repository is not a URL")
	}
	switch u.Scheme {
	case "http", "https", "oci":
	default:
		return fmt.Errorf("the repository %s is neither https://, http:// nor oci://", redact(raw))
	}
	if u.Host == "" {
		return fmt.Errorf("the repository %s has no host", redact(raw))
	}
	return nil
}

// rewrite replaces the longest matching source by its mirror; what follows the source is kept.
// Of equally long ones the first wins.
func rewrite(repository string, mirrors []Mirror) string {
	longest, out := 0, repository
	for _, m := range mirrors {
		rest, ok := cutPrefix(repository, m.Source)
		if n := len(strings.TrimRight(m.Source, "/")); ok && n > longest {
			longest, out = n, strings.TrimRight(m.Mirror, "/")+rest
		}
	}
	return out
}

// cutPrefix removes a prefix that ends where a path element does. Scheme and host compare without
// regard to case, the path with it. The rest is empty or starts with "/".
func cutPrefix(repository, source string) (rest string, ok bool) {
	repository, source = canonical(repository), canonical(source)
	if source == "" {
		return "", false
	}
	rest, ok = strings.CutPrefix(repository, source)
	if !ok || (rest != "" && rest[0] != '/' && rest[0] != '?') {
		return "", false
	}
	return rest, true
}

// canonical is a URL with scheme and host in lower case, without credentials and trailing slashes.
func canonical(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return ""
	}
	u.Scheme, u.Host, u.User = strings.ToLower(u.Scheme), strings.ToLower(u.Host), nil
	return strings.TrimRight(u.String(), "/")
}
