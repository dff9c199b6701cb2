package release

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/networkstack/networkstack/test/controlplane"
)

// Helm's own command line understands what the engine records, and the engine carries on after it.
func TestHelmCLI(t *testing.T) {
	e := newEnv(t)
	path, err := controlplane.Helm(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	helm := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), path, append(args, "--kubeconfig", shared.cp.Kubeconfig())...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("helm %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	eng := e.engine()
	spec := e.spec("maps", mapsChart(), names("a", "b"))
	e.apply(eng, spec)
	spec.Values = names("a", "c")
	e.apply(eng, spec)
	for _, tc := range []struct{ args, want string }{
		{"ls -n " + e.ns, "maps-1.0.0"},
		{"get values maps -n " + e.ns, "- c"},
		{"get values --all maps -n " + e.ns, "- c"},
		{"get manifest maps -n " + e.ns, "# Source: maps/templates/maps.yaml"},
		{"get notes maps -n " + e.ns, "hello"},
		{"history maps -n " + e.ns, "superseded"},
		{"status maps -n " + e.ns, "deployed"},
		{"rollback maps 1 -n " + e.ns, "Rollback was a success"},
	} {
		if out := helm(strings.Fields(tc.args)...); !strings.Contains(out, tc.want) {
			t.Errorf("helm %s:\n%s", tc.args, out)
		}
	}
	st, err := eng.State(t.Context(), "maps", e.ns)
	if err != nil || st.Revision != 3 || !st.Ours || st.Inputs != "" {
		t.Errorf("after the rollback: %+v %v", st, err)
	}
	if got := e.configMaps(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("after the rollback: %v", got)
	}
	if out := e.apply(eng, spec); out.State.Revision != 4 || !slices.Equal(e.configMaps(), []string{"a", "c"}) {
		t.Errorf("%+v %v", out.State, e.configMaps())
	}
	// A history that was kept on purpose does not stand in the way of a new installation.
	helm("uninstall", "maps", "--keep-history", "-n", e.ns)
	if out := e.apply(eng, spec); out.State.Revision != 5 || out.State.Status != "deployed" {
		t.Errorf("%+v", out.State)
	}
	helm("uninstall", "maps", "--keep-history", "-n", e.ns)
	if err := eng.Uninstall(t.Context(), "maps", e.ns, "maps"); err != nil {
		t.Error(err)
	}
	if st, err := eng.State(t.Context(), "maps", e.ns); err != nil || st.Exists {
		t.Errorf("%+v %v", st, err)
	}
}
