package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sidecar/internal/testserver"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

const phrase = "correct horse battery staple"

// ageKey is a pair of keys of age: opening with it costs less than with a passphrase, which is slow on purpose.
var ageKey = func() *age.X25519Identity {
	key, err := age.GenerateX25519Identity()
	if err != nil {
		panic(err)
	}
	return key
}()

// keyFile is a file with the private one.
func keyFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(ageKey.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// phraseFile is a file with the passphrase.
func phraseFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "phrase")
	if err := os.WriteFile(file, []byte(phrase+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// backedUp has the real binary write a backup of a daemon, and checks what holds for every one.
func backedUp(t *testing.T, d *sidecartest.Daemon, command ...string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "member.age")
	out := d.Must(append(command, file, "--recipient", ageKey.Recipient().String(), "-o", "json")...)
	var told written
	if err := json.Unmarshal([]byte(out), &told); err != nil || told.Origin != d.Origin || told.Bytes == 0 {
		t.Errorf("%v: %s", err, out)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() != told.Bytes {
		t.Errorf("%v, %v, %d bytes were told", info, err, told.Bytes)
	}
	if _, err := os.Stat(file + ".partial"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what it was written to is left: %v", err)
	}
	nothingSecret(t, d, out+d.Log())
	if command[0] == "backup" {
		if last := lastBackup(t, d); last < float64(told.At.Unix()) || last > float64(told.At.Unix()+1) {
			t.Errorf("the last backup is of %s, by the metric of %f", told.At, last)
		}
	}
	return file
}

// lastBackup is what a running daemon's metric says.
func lastBackup(t *testing.T, d *sidecartest.Daemon) (at float64) {
	t.Helper()
	res, err := http.Get(d.OpsURL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	const name = "hanse_backup_last_success_timestamp_seconds "
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if value, is := strings.CutPrefix(lines.Text(), name); is {
			if at, err = strconv.ParseFloat(value, 64); err != nil {
				t.Fatal(err)
			}
			return at
		}
	}
	t.Fatalf("there is no %s", name)
	return 0
}

func nothingSecret(t *testing.T, d *sidecartest.Daemon, said string) {
	t.Helper()
	key, err := os.ReadFile(filepath.Join(d.Dir, "data", "site.key"))
	if err != nil {
		t.Fatal(err)
	}
	for name, secret := range map[string]string{"passphrase": phrase, "private key": ageKey.String(), "site key": string(key), "operator token": operatorToken(t, d)} {
		if strings.Contains(said, secret) {
			t.Errorf("the %s is told: %s", name, said)
		}
	}
}

// elsewhere makes a member of a backup in a new folder, and the daemon that one: it is to be started.
func elsewhere(t *testing.T, d *sidecartest.Daemon, file string, env []string, command ...string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "moved")
	cmd := exec.Command(sidecartest.Binary(t), append(command, file, "--dir", dir, "--identity-file", keyFile(t), "-o", "json")...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	var told restored
	if err != nil || json.Unmarshal(out, &told) != nil || told.Origin != d.Origin || len(told.LookAt) == 0 {
		t.Fatalf("%v: %s", err, out)
	}
	nothingSecret(t, d, string(out))
	for path, mode := range map[string]fs.FileMode{"hanse.yaml": 0o600, "data": 0o700, "data/site.key": 0o600, "data/operator.token": 0o600, "data/hanse.db": 0o600} {
		info, err := os.Stat(filepath.Join(dir, path))
		if errors.Is(err, fs.ErrNotExist) && (len(env) > 0 && path == "data/hanse.db" || command[0] == "key" && path == "data/operator.token") {
			continue
		}
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
	for _, path := range []string{".restoring", "data/hanse.db.lock", "data/hanse.db-wal", "data/replica.id"} {
		if _, err := os.Stat(filepath.Join(dir, path)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is there: %v", path, err)
		}
	}
	d.Dir, d.ConfigFile = dir, filepath.Join(dir, "hanse.yaml")
}

// TestABackupUnderLoadIsTheMember: taken while orders come, it is a member elsewhere that knows it is behind and catches up; taken last, one that is level
// and goes on.
func TestABackupUnderLoadIsTheMember(t *testing.T) {
	t.Parallel()
	server, err := testserver.StartPostgres()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	for engine, database := range map[string]func(*testing.T) string{
		"sqlite":   func(*testing.T) string { return "" },
		"postgres": func(t *testing.T) string { return server.Database(t) },
	} {
		t.Run(engine, func(t *testing.T) {
			p := newPairOn(t, func() string {
				if dsn := database(t); dsn != "" {
					return fmt.Sprintf("database: {driver: postgres, dsn: %q}\n", dsn)
				}
				return ""
			})
			env := func() []string {
				if dsn := database(t); dsn != "" {
					return []string{"HANSE_DATABASE_DSN=" + dsn}
				}
				return nil
			}
			const orders = 8
			var placed atomic.Int64
			begun, loaded := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(loaded)
				for i := range orders {
					if err := p.place(fmt.Sprintf("load-order-%d", i), p.purchase()); err != nil {
						t.Error(err)
					}
					if placed.Add(1) == 2 {
						close(begun)
					}
				}
			}()
			<-begun
			early := backedUp(t, p.reseller, "backup")
			<-loaded
			for i := range orders {
				p.completed(fmt.Sprintf("load-order-%d", i), p.purchase())
			}
			p.completed("order-after", p.purchase())
			p.consistent(orders + 1)
			late := backedUp(t, p.reseller, "backup")

			p.reseller.Kill()
			with := env()
			elsewhere(t, p.reseller, late, with, "restore")
			p.reseller.Start(with...)
			becomes(t, p.reseller, p.supplier.Origin, "level")
			p.completed("order-after", p.purchase())
			p.completed("order-restored", p.purchase())
			p.consistent(orders + 2)
			p.known(p.reseller)

			p.reseller.Kill()
			with = env()
			elsewhere(t, p.reseller, early, with, "restore")
			p.reseller.Start(with...)
			becomes(t, p.reseller, p.supplier.Origin, "level")
			if n := told(p.reseller, "this store is older than what we signed"); n != 1 {
				t.Errorf("operators are told %d times that it is an old copy", n)
			}
			for _, id := range []string{"load-order-0", fmt.Sprintf("load-order-%d", orders-1), "order-after", "order-restored"} {
				p.completed(id, p.purchase())
			}
			if p.programs() != orders+2 {
				t.Errorf("%d programs run", p.programs())
			}
			p.verifies()
		})
	}
}

// large gives a stopped daemon's database a size, so that a copy of it takes a moment.
func large(t *testing.T, d *sidecartest.Daemon, mib int) {
	t.Helper()
	c, err := sqlite.OpenConn(filepath.Join(d.Dir, "data", "hanse.db"), sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	err = sqlitex.ExecuteTransient(c, `CREATE TABLE ballast AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
		SELECT i, randomblob(1048576) AS b FROM n`, &sqlitex.ExecOptions{Args: []any{mib}})
	if err := errors.Join(err, c.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestBackupAndRestoreEndWholeOrNotAtAll: whatever is wrong with the file, the key, the disk or the process.
func TestBackupAndRestoreEndWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	d := sidecartest.NewDaemon(t, sidecartest.DaemonConfig{Name: "alone", DevCA: t.TempDir()})
	d.Start()
	d.Stop()
	large(t, d, 64)
	d.Start()
	if last := lastBackup(t, d); last != 0 {
		t.Errorf("before the first, the last backup is of %f", last)
	}
	binary, private, public, dir := sidecartest.Binary(t), keyFile(t), ageKey.Recipient().String(), t.TempDir()
	file := backedUp(t, d, "backup")
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	wrong := filepath.Join(dir, "wrong")
	if err := os.WriteFile(wrong, []byte("another one that is long"), 0o600); err != nil {
		t.Fatal(err)
	}
	damaged := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	changed := slices.Clone(raw)
	changed[len(changed)/2] ^= 1
	sum := fmt.Sprintf("%x", sha256.Sum256(raw))
	full := filepath.Join(dir, "full")
	if err := os.MkdirAll(filepath.Join(full, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	limited := func(args ...string) []string {
		return append([]string{"bash", "-c", `ulimit -f 16384; exec "$0" "$@"`, binary}, args...)
	}
	for name, c := range map[string]struct {
		run    []string
		reason string
		code   int
	}{
		"wrong passphrase":     {[]string{binary, "restore", file, "--dir", filepath.Join(dir, "new"), "--passphrase-file", wrong}, "wrong_key", exitAuth},
		"no key":               {[]string{binary, "restore", file, "--dir", filepath.Join(dir, "new"), "--identity-file", wrong}, "no_identity", exitFailure},
		"cut":                  {[]string{binary, "restore", damaged("cut", raw[:len(raw)-1]), "--dir", filepath.Join(dir, "new"), "--identity-file", private}, "backup_damaged", exitFailure},
		"changed":              {[]string{binary, "restore", damaged("changed", changed), "--dir", filepath.Join(dir, "new"), "--identity-file", private}, "backup_damaged", exitFailure},
		"no backup":            {[]string{binary, "restore", wrong, "--dir", filepath.Join(dir, "new"), "--identity-file", private}, "backup_damaged", exitFailure},
		"folder not empty":     {[]string{binary, "restore", file, "--dir", full, "--identity-file", private}, "folder_not_empty", exitConflict},
		"another's digest":     {[]string{binary, "restore", file, "--dir", filepath.Join(dir, "new"), "--identity-file", private, "--sha256", fmt.Sprintf("%x", sha256.Sum256(nil))}, "other_digest", exitFailure},
		"changed, by digest":   {[]string{binary, "restore", filepath.Join(dir, "changed"), "--dir", filepath.Join(dir, "new"), "--identity-file", private, "--sha256", sum}, "other_digest", exitFailure},
		"no digest":            {[]string{binary, "restore", file, "--dir", filepath.Join(dir, "new"), "--identity-file", private, "--sha256", sum[2:]}, "usage", exitUsage},
		"empty digest":         {[]string{binary, "restore", file, "--dir", filepath.Join(dir, "new"), "--identity-file", private, "--sha256="}, "usage", exitUsage},
		"checked by digest":    {[]string{binary, "restore", file, "--check", "--identity-file", private, "--sha256", fmt.Sprintf("%x", sha256.Sum256(nil))}, "other_digest", exitFailure},
		"no folder":            {[]string{binary, "restore", file, "--identity-file", private}, "usage", exitUsage},
		"as keys":              {[]string{binary, "key", "import", file, "--dir", filepath.Join(dir, "new"), "--identity-file", private}, "other_kind", exitFailure},
		"full disk, restore":   {limited("restore", file, "--dir", filepath.Join(dir, "new"), "--identity-file", private), "not_restored", exitFailure},
		"full disk, backup":    {limited("backup", filepath.Join(dir, "backup"), "--recipient", public, "-c", d.ConfigFile), "not_written", exitFailure},
		"over another file":    {[]string{binary, "backup", file, "--recipient", public, "-c", d.ConfigFile}, "already_there", exitConflict},
		"nobody could open it": {[]string{binary, "backup", filepath.Join(dir, "backup"), "-c", d.ConfigFile}, "usage", exitUsage},
		"short passphrase":     {[]string{binary, "backup", filepath.Join(dir, "backup"), "--passphrase-file", damaged("short", []byte("hunter2")), "-c", d.ConfigFile}, "no_passphrase", exitFailure},
	} {
		cmd := exec.Command(c.run[0], append(c.run[1:], "-o", "json")...)
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		_ = cmd.Run()
		var said struct {
			Error commandError `json:"error"`
		}
		if err := json.Unmarshal(errs.Bytes(), &said); err != nil || said.Error.Reason != c.reason || cmd.ProcessState.ExitCode() != c.code || said.Error.Action == "" {
			t.Errorf("%s: exit %d, %s%s", name, cmd.ProcessState.ExitCode(), out.String(), errs.String())
		}
		nothingSecret(t, d, out.String()+errs.String())
		for _, path := range []string{"new/hanse.yaml", "new/data", "new/.restoring", "new/.restoring.lock", "backup", "backup.partial", "full/hanse.yaml"} {
			if _, err := os.Stat(filepath.Join(dir, path)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %s is there: %v", name, path, err)
			}
		}
	}
	if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, raw) {
		t.Errorf("the file that was there is another: %v", err)
	}

	// Killed on the way, each leaves nothing that looks like its result, and does it the next time.
	again := filepath.Join(dir, "again")
	killedWhen(t, filepath.Join(dir, "backup.partial"), binary, "backup", filepath.Join(dir, "backup"), "--recipient", public, "-c", d.ConfigFile)
	if _, err := os.Stat(filepath.Join(dir, "backup")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a backup is there: %v", err)
	}
	d.Must("backup", filepath.Join(dir, "backup"), "--recipient", public)
	killedWhen(t, filepath.Join(again, ".restoring", "data", "hanse.db"), binary, "restore", file, "--dir", again, "--identity-file", private)
	for _, path := range []string{"hanse.yaml", "data"} {
		if _, err := os.Stat(filepath.Join(again, path)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is there: %v", path, err)
		}
	}
	d.Must("restore", filepath.Join(dir, "backup"), "--dir", again, "--identity-file", private)
	aloneInAFolder(t, filepath.Join(dir, "both"), binary, "restore", file, "--identity-file", private, "--sha256", sum, "-o", "json")
}

// aloneInAFolder runs a command that makes a member, several times at once: one of them makes it, whole, and the others leave it alone.
func aloneInAFolder(t *testing.T, dir, binary string, args ...string) {
	t.Helper()
	var made atomic.Int64
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			out, err := exec.Command(binary, append(args, "--dir", dir)...).CombinedOutput()
			switch {
			case err == nil:
				made.Add(1)
			case !bytes.Contains(out, []byte(`"already_running"`)) && !bytes.Contains(out, []byte(`"folder_not_empty"`)):
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	all.Wait()
	if n := made.Load(); n != 1 {
		t.Errorf("%d made a member in one folder", n)
	}
	var names []string
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if err != nil || !slices.Equal(names, []string{"data", "hanse.yaml"}) {
		t.Errorf("in it are %v, %v", names, err)
	}
}

// killedWhen runs a command and kills it when a file has something in it.
func killedWhen(t *testing.T, file, binary string, args ...string) {
	t.Helper()
	cmd := exec.Command(binary, args...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	sidecartest.Eventually(t, 3*time.Minute, file+" is begun", func() error {
		info, err := os.Stat(file)
		if err == nil && info.Size() > 1<<20 {
			return cmd.Process.Kill()
		}
		select {
		case <-ended:
			t.Fatalf("%s ended: %s", args[0], said.String())
		default:
		}
		return errors.New("not yet")
	})
	<-ended
	if cmd.ProcessState.ExitCode() != -1 {
		t.Errorf("%s was done before it was killed: %s", args[0], said.String())
	}
}

// TestABackupGoesThroughAPipe: what is told goes beside it.
func TestABackupGoesThroughAPipe(t *testing.T) {
	t.Parallel()
	d := sidecartest.NewDaemon(t, sidecartest.DaemonConfig{Name: "piped", DevCA: t.TempDir()})
	d.Start()
	out := d.Must("backup", "-", "--passphrase-file", phraseFile(t))
	file := filepath.Join(t.TempDir(), "piped.age")
	if err := os.WriteFile(file, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := d.Must("restore", file, "--check", "--passphrase-file", phraseFile(t)); !strings.Contains(out, d.Origin) || !strings.Contains(out, "as it was written") {
		t.Errorf("it is no backup: %s", out)
	}
}

// TestExportedKeysAreTheMember: with an empty database, it asks its partner and learns that it is behind, reads back what it signed and sells
// on; nothing is bought a second time. Portal keys nobody gives back.
func TestExportedKeysAreTheMember(t *testing.T) {
	t.Parallel()
	server, err := testserver.StartPostgres()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	for engine, database := range map[string]func(*testing.T) string{
		"sqlite":   func(*testing.T) string { return "" },
		"postgres": func(t *testing.T) string { return server.Database(t) },
	} {
		t.Run(engine, func(t *testing.T) { exportedKeys(t, func() string { return database(t) }) })
	}
}

// exportedKeys is the story on one engine, of which database gives the address of a new database, or nothing for a file.
func exportedKeys(t *testing.T, database func() string) {
	p := newPairOn(t, func() string {
		if dsn := database(); dsn != "" {
			return fmt.Sprintf("database: {driver: postgres, dsn: %q}\n", dsn)
		}
		return ""
	})
	p.reseller.Must("listing", "markup", "25%")
	before := p.completed("order-before", p.purchase())
	file := backedUp(t, p.reseller, "key", "export")
	if info, err := os.Stat(file); err != nil || info.Size() > 64<<10 {
		t.Errorf("it is large: %v, %v", info, err)
	}
	after := p.completed("order-after", p.purchase())
	p.known(p.reseller)
	p.reseller.Kill()
	var with []string
	if dsn := database(); dsn != "" {
		with = []string{"HANSE_DATABASE_DSN=" + dsn}
	}
	elsewhere(t, p.reseller, file, with, "key", "import")
	p.reseller.Start(with...)
	becomes(t, p.reseller, p.supplier.Origin, "level")
	for id, was := range map[string]*portalv1.Order{"order-before": before, "order-after": after} { // which no portal has named
		o, err := shown(t, p.reseller, id)
		if err != nil {
			t.Fatalf("order %s: %v\n%s", id, err, tail(p.reseller.Log()))
		}
		if it, sold := o.GetItems()[0], was.GetItems()[0]; o.GetState() != "completed" || it.GetListingId() != sold.GetListingId() ||
			it.GetRetailOneOff().GetMinorUnits() != sold.GetOneOff().GetMinorUnits() || sold.GetOneOff().GetMinorUnits() == 0 {
			t.Errorf("order %s is %v, sold was %v", id, o, sold)
		}
	}
	p.sells()
	for id, was := range map[string]*portalv1.Order{"order-before": before, "order-after": after} {
		if o := p.completed(id, p.purchase()); o.GetItems()[0].GetSubscriptionId() != was.GetItems()[0].GetSubscriptionId() {
			t.Errorf("order %s is about another subscription", id)
		}
	}
	p.completed("order-new", p.purchase())
	if n := p.programs(); n != 3 {
		t.Errorf("%d programs run", n)
	}
	p.verifies()
	if n := told(p.reseller, "nobody gave back"); n != 0 {
		t.Errorf("%d entries came back without what they had made:\n%s", n, tail(p.reseller.Log()))
	}
}

func TestSettled_FindsWhatWasRestoredBesideIt(t *testing.T) {
	for was, want := range map[string]string{
		"dev: true\ndata_dir: data # here\n": "dev: true\ndata_dir: data # here\n",
		"":                                   "",
		"# ours\norigin: https://a.example\ndata_dir: /var/lib/hanse\nsite_key_file: /etc/hanse/site.key\ndatabase: {dsn: /srv/hanse.db}\n": "# ours\norigin: https://a.example\ndata_dir: data\ndatabase: {}\n",
		"origin: https://a.example\ndatabase: {driver: postgres, dsn: 'postgres://x/y'}\n":                                                  "origin: https://a.example\ndatabase: {driver: postgres, dsn: 'postgres://x/y'}\ndata_dir: data\n",
	} {
		if got, err := settled([]byte(was)); err != nil || string(got) != want {
			t.Errorf("%q becomes %q, %v", was, got, err)
		}
	}
}

// TestFilesOfTheDataFolder are taken once each, from where the configuration says they are; what is not taken is said.
func TestFilesOfTheDataFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"data/site.key", "data/hanse.db", "data/hanse.db-wal", "data/hanse.db.lock", "data/replica.id", "data/replica-2.id", "data/.new-1", "data/operator.token", "data/note", "data/large", "data/programs/x", "data/dev-ca/ca.pem", "keys/site.key"} {
		content := make([]byte, 16)
		if name == "data/large" {
			content = make([]byte, maxArchived+1)
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700), os.WriteFile(filepath.Join(dir, name), content, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "hanse.yaml")
	text := "origin: https://alpha.localhost:7443\ndev: true\nsite_key_file: keys/site.key\nadapters: {connections: {pg: {adapter: postgres, config: {password: \"${file:secret}\"}}}}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	a := &app{ctx: t.Context(), flags: &cli{ConfigFile: file}, getenv: func(string) string { return "" }}
	m, err := a.member()
	if err != nil {
		t.Fatal(err)
	}
	files, err := m.files()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.name)
	}
	if want := []string{"hanse.yaml", "data/site.key", "data/dev-ca/ca.pem", "data/note", "data/operator.token"}; !slices.Equal(names, want) || files[1].path != filepath.Join(dir, "keys", "site.key") {
		t.Errorf("taken are %v", files)
	}
	if left, want := m.leftOut(), []string{filepath.Join(dir, "data", "large"), filepath.Join(dir, "data", "programs"), "secret"}; !slices.Equal(left, want) {
		t.Errorf("left out are %v", left)
	}
}
