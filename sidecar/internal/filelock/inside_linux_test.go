package filelock_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/filelock"
)

func TestALockInsideGoesByTheFileAndEndsWithItsOpeningAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open := func(name string) *os.File {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	first := open("file")
	if err := filelock.TryInside(first); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(filepath.Join(dir, "file"), filepath.Join(dir, "other")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"file", "other"} {
		second := open(name)
		if err := filelock.TryInside(second); !errors.Is(err, filelock.ErrHeld) {
			t.Errorf("taken twice, by %s: %v", name, err)
		}
		if err := second.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(first.Name()); err != nil || filelock.Names(info) != 2 || filelock.Mounted(first.Name()) {
		t.Errorf("names and mounts: %v, %v", info, err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := filelock.TryInside(open("other")); err != nil {
		t.Errorf("when it was given back: %v", err)
	}
}
