package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestReduce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	const bundle = `{"ociVersion":"1.2","process":{"capabilities":{"bounding":["CAP_KILL","CAP_SYS_RESOURCE"],"ambient":null}},"linux":{"n":12345678901234567890}}`
	if err := os.WriteFile(path, []byte(bundle), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := reduce(path); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Process struct{ Capabilities struct{ Bounding []string } }
		Linux   struct{ N json.Number }
	}
	if err := json.Unmarshal(content, &got); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Process.Capabilities.Bounding, []string{"CAP_KILL"}) || got.Linux.N != "12345678901234567890" {
		t.Errorf("got %s", content)
	}
}
