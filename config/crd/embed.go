// Package crd carries the custom resource definitions, so that programs can judge an object as the API server would.
package crd

import _ "embed" // for the definition

// NetworkStack is the definition of NetworkStacks, as YAML.
//
//go:embed bases/networkstack.io_networkstacks.yaml
var NetworkStack []byte
