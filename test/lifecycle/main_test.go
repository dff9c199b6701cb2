// Package lifecycle tests the operator as a whole: its binary, run as its own ServiceAccount with the permissions that
// the project ships, against a real control plane with simulated nodes.
package lifecycle

import (
	"os"
	"testing"

	"github.com/networkstack/networkstack/test/operator"
)

// operatorBinary is built once for all tests of the package.
var operatorBinary string

func TestMain(m *testing.M) { os.Exit(operator.RunTests(m, &operatorBinary)) }
