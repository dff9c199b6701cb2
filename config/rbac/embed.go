// Package rbac carries the permissions that no chart asks for, so that they can be granted for one stack alone.
package rbac

import _ "embed" // for the role

// Policies is the ClusterRole for baseline policies, as YAML.
//
//go:embed policies_role.yaml
var Policies []byte
