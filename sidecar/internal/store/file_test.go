package store_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// holdStore tells the test binary to be a sidecar that has a store for itself until its input ends.
const holdStore = "HANSE_TEST_HOLD_STORE"

func holder(path string) {
	s, err := store.Open(context.Background(), store.Config{Path: path, SiteKey: siteKey, Exclusive: true})
	if err != nil {
		fmt.Println("refused:", err)
		os.Exit(0)
	}
	fmt.Println("open")
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := s.Close(); err != nil {
		fmt.Println("close:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// startHolder starts another sidecar on path, in folder, through a shell command that execs "$0", and returns what it says: "open" or why not.
func startHolder(t *testing.T, folder, path, script string) (says string, stop func()) {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-ec", script, os.Args[0])
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), holdStore+"="+path)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaints strings.Builder
	cmd.Stderr = &complaints
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	says, _ = lines.ReadString('\n')
	if says == "" {
		t.Fatalf("the other sidecar said nothing: %v, %s", cmd.Wait(), &complaints)
	}
	return strings.TrimSpace(says), func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the other sidecar: %v, %s", err, &complaints)
		}
	}
}

// A second sidecar is another process, and comes to the same file by another name.
func TestTheRealFileIsLockedWhateverLeadsToIt(t *testing.T) {
	t.Parallel()
	const start = `exec "$0"`
	inUse, names, mounted := "another sidecar runs on this database", "2 names (hard links)", "is mounted by itself"
	cases := map[string]struct {
		// prepare makes another way to dir/data/hanse.db and returns it.
		prepare func(dir string) (string, error)
		script  string
		says    string
	}{
		"the same path":              {func(dir string) (string, error) { return filepath.Join(dir, "data", "hanse.db"), nil }, start, inUse},
		"a path from its own folder": {func(string) (string, error) { return "data/hanse.db", nil }, start, inUse},
		"a path with dots":           {func(dir string) (string, error) { return dir + "/data/../data/./hanse.db", nil }, start, inUse},
		"a link to the file": {func(dir string) (string, error) {
			return dir + "/link.db", os.Symlink(dir+"/data/hanse.db", dir+"/link.db")
		}, start, inUse},
		"a link from the folder to itself": {func(dir string) (string, error) {
			return dir + "/data/other.db", os.Symlink("hanse.db", dir+"/data/other.db")
		}, start, inUse},
		"a link to a link": {func(dir string) (string, error) {
			return dir + "/b", errors.Join(os.Symlink("data/hanse.db", dir+"/a"), os.Symlink("a", dir+"/b"))
		}, start, inUse},
		"a link to its folder": {func(dir string) (string, error) {
			return dir + "/data2/hanse.db", os.Symlink("data", dir+"/data2")
		}, start, inUse},
		"a link to the folder above": {func(dir string) (string, error) {
			return dir + "/site/data/hanse.db", os.Symlink(dir, dir+"/site")
		}, start, inUse},
		"a mount of its folder": {func(dir string) (string, error) {
			return dir + "/mnt/hanse.db", os.Mkdir(dir+"/mnt", 0o700)
		}, `mount --bind data mnt; ` + start, inUse},
		"a mount of the file": {func(dir string) (string, error) {
			return dir + "/mnt/hanse.db", errors.Join(os.Mkdir(dir+"/mnt", 0o700), os.WriteFile(dir+"/mnt/hanse.db", nil, 0o600))
		}, `mount --bind data/hanse.db mnt/hanse.db; ` + start, mounted},
		"a lost lock file": {func(dir string) (string, error) {
			return dir + "/data/hanse.db", os.Remove(dir + "/data/hanse.db.lock")
		}, start, inUse},
		"another name": {func(dir string) (string, error) {
			return dir + "/hard.db", os.Link(dir+"/data/hanse.db", dir+"/hard.db")
		}, start, names},
		"another name of the log": {func(dir string) (string, error) {
			return dir + "/data/hanse.db", os.Link(dir+"/data/hanse.db-wal", dir+"/kept-wal")
		}, start, names},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if says, stop := startHolder(t, dir, filepath.Join(dir, "data", "hanse.db"), start); says != "open" {
				t.Fatalf("the first sidecar says %q", says)
			} else {
				defer stop()
			}
			path, err := c.prepare(dir)
			if err != nil {
				t.Fatal(err)
			}
			script := c.script
			if strings.HasPrefix(script, "mount") {
				script = "exec unshare --mount --map-root-user /bin/sh -ec '" + script + `' "$0"`
			}
			says, stop := startHolder(t, dir, path, script)
			stop()
			if !strings.HasPrefix(says, "refused: ") || !strings.Contains(says, c.says) {
				t.Errorf("the second sidecar says %q, want something about %q", says, c.says)
			}
		})
	}
}

// What is refused while somebody has the file is taken when nobody has, and leaves one database.
func TestALinkLeadsToTheOneDatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, link := range []error{
		os.Mkdir(filepath.Join(dir, "disk"), 0o700), os.Symlink("disk", filepath.Join(dir, "data")),
		os.Symlink("disk/real.db", filepath.Join(dir, "dangling.db")),
	} {
		if link != nil {
			t.Fatal(link)
		}
	}
	for i, path := range []string{"dangling.db", "data/real.db", "disk/real.db"} {
		s, err := store.Open(t.Context(), store.Config{Path: filepath.Join(dir, path), SiteKey: siteKey, Exclusive: true})
		if err != nil {
			t.Fatal(err)
		}
		do(t, s, func(tx *store.Tx) error {
			if n := len(must(tx.Partners().List())); n != i {
				t.Errorf("by %s there are %d partners, want %d", path, n, i)
			}
			_, err := tx.Partners().Put(member.Partner{Origin: path})
			return err
		})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.Open(t.Context(), store.Config{Path: dir, SiteKey: siteKey}); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a folder as database: %v", err)
	}
}

// A file that went elsewhere while it was in use takes nothing more: it would be gone at the next start.
func TestAFileThatMovedTakesNothingMore(t *testing.T) {
	t.Parallel()
	moves := map[string]struct{ away, back func(path string) error }{
		"renamed": {
			func(path string) error { return os.Rename(path, path+".old") },
			func(path string) error { return os.Rename(path+".old", path) },
		},
		"replaced": {
			func(path string) error {
				return errors.Join(os.Rename(path, path+".old"), os.WriteFile(path, nil, 0o600))
			},
			func(path string) error { return os.Rename(path+".old", path) },
		},
		"linked": {
			func(path string) error { return os.Link(path, path+".old") },
			func(path string) error { return os.Remove(path + ".old") },
		},
		"its folder renamed": {
			func(path string) error { return os.Rename(filepath.Dir(path), filepath.Dir(path)+".old") },
			func(path string) error { return os.Rename(filepath.Dir(path)+".old", filepath.Dir(path)) },
		},
	}
	for name, move := range moves {
		t.Run(name, func(t *testing.T) {
			cfg := engines["sqlite"](t)
			cfg.Exclusive = true
			s := open(t, cfg)
			put := func() error {
				return s.Do(t.Context(), func(tx *store.Tx) error { return tx.Jobs().At("kind", "key", them, start) })
			}
			if err := move.away(cfg.Path); err != nil {
				t.Fatal(err)
			}
			wantKind(t, put(), fault.Unavailable, "store_moved")
			if err := move.back(cfg.Path); err != nil {
				t.Fatal(err)
			}
			if err := put(); err != nil {
				t.Errorf("when it is back: %v", err)
			}
		})
	}
}
