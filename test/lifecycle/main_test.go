// Package lifecycle tests the operator as a whole: its binary, run as its own ServiceAccount with the permissions that
// the project ships, against a real control plane with simulated nodes.
package lifecycle

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/networkstack/networkstack/test/operator"
)

// operatorBinary is built once for all tests of the package.
var operatorBinary string

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "networkstack-lifecycle-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if operatorBinary, err = operator.Binary(context.Background(), dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}
