// Package faults tests the operator, as a process, under everything that can go wrong between it and the API server: it
// is killed at each of its writes, the API server is away, slow, overloaded or contradicts, watches end, another operator
// works at the same time. Whatever happened, the end must be that of an undisturbed run.
package faults

import (
	"os"
	"testing"

	"github.com/networkstack/networkstack/test/operator"
)

// operatorBinary is built once for all tests of the package.
var operatorBinary string

func TestMain(m *testing.M) { os.Exit(operator.RunTests(m, &operatorBinary)) }
