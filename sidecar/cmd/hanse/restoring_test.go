package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/backup"
)

// laid makes files below a folder.
func laid(t *testing.T, names ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range names {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("x"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestRestoreSaysWhereItWasKilled: between its last steps there are data that are whole, and that no later run may take for another member's.
func TestRestoreSaysWhereItWasKilled(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		files          []string
		reason, action string
	}{
		"while it was made":      {[]string{".restoring/data/site.key", ".restoring/hanse.yaml"}, "", ""},
		"before the config came": {[]string{"data/site.key", ".restoring/hanse.yaml"}, "restore_cut", "mv "},
		"before the end":         {[]string{"data/site.key", "hanse.yaml", ".restoring/x"}, "restore_cut", "hanse serve"},
		"never":                  {[]string{"data/site.key", "hanse.yaml"}, "folder_not_empty", "empty folder"},
	} {
		r := &restoring{dir: laid(t, tc.files...)}
		_ = os.Remove(filepath.Join(r.dir, staging, "x"))
		err := r.room()
		var known *commandError
		switch {
		case tc.reason == "":
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		case !errors.As(err, &known) || known.Reason != tc.reason || !strings.Contains(known.Action, tc.action):
			t.Errorf("%s: %+v", name, err)
		}
	}
}

// TestAFolderIsHeldByOne: who held it before takes its lock away, and whoever had opened that has nothing.
func TestAFolderIsHeldByOne(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new")
	held := func() error {
		t.Helper()
		release, err := (&restoring{dir: dir}).hold()
		if err == nil {
			release()
		}
		return err
	}
	release, err := (&restoring{dir: dir}).hold()
	if err != nil {
		t.Fatal(err)
	}
	var known *commandError
	if err := held(); !errors.As(err, &known) || known.Reason != "already_running" {
		t.Errorf("while it is held: %v", err)
	}
	if err := (&restoring{dir: dir}).room(); err != nil {
		t.Errorf("the lock takes the room: %v", err)
	}
	release()
	if err := held(); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("in it are %v, %v", left, err)
	}
}

// TestWhereThereAreNoLocksAFolderIsMade all the same, and left as it was made.
func TestWhereThereAreNoLocksAFolderIsMade(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new")
	none := func(path string) (*os.File, error) {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("lock %s: %w", path, errors.ErrUnsupported)
	}
	release, err := (&restoring{dir: dir, lock: none}).hold()
	if err != nil {
		t.Fatal(err)
	}
	release()
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("in it are %v, %v", left, err)
	}
}

// TestAMoveThatFailsLeavesNoData that would look like a member's.
func TestAMoveThatFailsLeavesNoData(t *testing.T) {
	t.Parallel()
	dir := laid(t, ".restoring/data/site.key", ".restoring/hanse.yaml", "hanse.yaml/in-its-way")
	r := &restoring{dir: dir}
	if err := r.move(filepath.Join(dir, staging)); err == nil {
		t.Error("it went well")
	}
	if _, err := os.Stat(filepath.Join(dir, "data")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("data is there: %v", err)
	}
	var known *commandError
	r.committed = true
	if err := r.failed(errors.New("no room")); !errors.As(err, &known) || !strings.Contains(known.Action, "drop and create") {
		t.Errorf("of a database that was filled: %+v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestAConfigurationWithoutEndIsRefused(t *testing.T) {
	t.Parallel()
	r := &restoring{}
	if err := r.put(t.TempDir(), backup.ConfigFile, io.LimitReader(zeros{}, 2*maxRead)); err == nil || !strings.Contains(err.Error(), "larger") {
		t.Errorf("got %v", err)
	}
}

// TestKeysAloneSayWhatToDoAgain: nothing of what only the database had is there.
func TestKeysAloneSayWhatToDoAgain(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]string{backup.KeysOnly: "hanse offering apply", backup.Whole: "withdrawn since"} {
		r := &restoring{kind: kind, made: true}
		if told := strings.Join(r.told().LookAt, "\n"); !strings.Contains(told, want) || !strings.Contains(told, "hanse job list") {
			t.Errorf("%s: %s", kind, told)
		}
	}
}
