//go:build !linux

package nodes

// Require skips a test: nodes are made of Linux's namespaces.
func Require(t interface {
	Helper()
	Skip(args ...any)
}) {
	t.Helper()
	t.Skip("real nodes are made of Linux's namespaces")
}

// Main runs a package's tests.
func Main(run func() int) int { return run() }
