package controlplane

import (
	"errors"
	"fmt"
	"os"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

func TestClusterName(t *testing.T) {
	for _, name := range []string{"", "..", "a/b", "-a", "A"} {
		if dir, err := clusterDir(name); err == nil {
			t.Errorf("cluster name %q is accepted, as %s", name, dir)
		}
	}
}

// A named cluster is started once, replaced when it does not run completely,
// and gone after Down.
func TestUpAndDown(t *testing.T) {
	binaries(t)
	name := fmt.Sprintf("test-%d", os.Getpid())
	t.Cleanup(func() {
		if dir, err := clusterDir(name); err == nil {
			_ = os.Remove(dir + ".lock") // nobody else knows this name
		}
	})
	if err := Down(t.Context(), name, t.Output()); !errors.Is(err, ErrNoCluster) {
		t.Fatalf("Down before Up: %v", err)
	}
	up := func(wantStarted bool) Cluster {
		t.Helper()
		cluster, started, err := Up(t.Context(), name, Options{Nodes: 1, Out: t.Output()})
		if err != nil {
			t.Fatal(err)
		}
		if started != wantStarted {
			t.Fatalf("started is %v, want %v", started, wantStarted)
		}
		if !cluster.Running() || len(cluster.Components) != 5 {
			t.Fatalf("cluster is %+v", cluster)
		}
		return cluster
	}
	defer func() {
		if err := Down(t.Context(), name, t.Output()); err != nil {
			t.Error(err)
		}
		if _, err := Find(name); !errors.Is(err, ErrNoCluster) {
			t.Errorf("Find after Down: %v", err)
		}
	}()
	first := up(true)
	if again := up(false); again.Server != first.Server {
		t.Errorf("server is %s, then %s", first.Server, again.Server)
	}
	process, err := os.FindProcess(first.Components[len(first.Components)-1].PID)
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, func() error {
		found, err := Find(name)
		if err == nil && found.Running() {
			err = errors.New("the killed component counts as running")
		}
		return err
	})
	replaced := up(true)
	config, err := loadKubeconfig(replaced.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kubernetes.NewForConfigOrDie(config).CoreV1().Nodes().Get(t.Context(), "node-0", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
}
