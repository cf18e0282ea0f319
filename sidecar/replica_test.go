package sidecar_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/hanse-market/hanse/sidecar"
)

// TestReplicasOfOneFolderHaveNamesOfTheirOwn: else one that starts would take over what another is doing, and a service would be made twice.
func TestReplicasOfOneFolderHaveNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	cfg := sidecar.Config{DataDir: t.TempDir()}
	name := func() (string, func() error) {
		t.Helper()
		id, giveBack, err := cfg.ReplicaID()
		if err != nil {
			t.Fatal(err)
		}
		return id, giveBack
	}
	first, end := name()
	second, endSecond := name()
	if first == second {
		t.Fatalf("both are %s", first)
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	again, end := name()
	if again != first {
		t.Errorf("after a restart it is %s and was %s", again, first)
	}
	for _, end := range []func() error{end, endSecond} {
		if err := end(); err != nil {
			t.Error(err)
		}
	}
}

// TestAFolderThatKeepsNoNameSaysSo: a data_dir that is mounted to be read only is a mistake of the configuration, and told as one.
func TestAFolderThatKeepsNoNameSaysSo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "replica.id"), 0o700); err != nil { // whoever runs the tests may write everywhere else
		t.Fatal(err)
	}
	_, _, err := sidecar.Config{DataDir: dir}.ReplicaID()
	var wrong *sidecar.ConfigError
	if !errors.As(err, &wrong) || wrong.Key != "data_dir" || wrong.Action == "" {
		t.Errorf("it says %v", err)
	}
}
