//go:build linux

package process

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/hanse-market/hanse/adapters"
)

// record is what a subscription has, whether or not it runs.
type record struct {
	Tag        string  `json:"tag"`
	Tenant     string  `json:"tenant"`
	Connection string  `json:"connection"`
	Generation int64   `json:"generation"`
	With       desired `json:"with"`
	Port       int     `json:"port"`
	// UID is the program's user; -1 is the sidecar's own.
	UID              int64 `json:"uid"`
	PasswordRevision int64 `json:"password_revision"`
	Suspended        bool  `json:"suspended,omitempty"`
	// Delivered: the program was ready once, so somebody may know its address.
	Delivered  bool `json:"delivered,omitempty"`
	Destroying bool `json:"destroying,omitempty"`
}

// run is the process, and when it and its forerunners ran, in Unix seconds.
type run struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"`
	Boot  string `json:"boot"`
	// Digest of what it was started with.
	Digest    string     `json:"digest"`
	StartedAt int64      `json:"started_at"`
	SeenAt    int64      `json:"seen_at"`
	Past      [][2]int64 `json:"past,omitempty"`
}

// keepRuns bounds the history of a program that keeps dying.
const keepRuns = 2000

// seconds is how long it ran in [from, to). Whole seconds at both ends, so that adjoining windows add up.
func (r run) seconds(from, to time.Time) int64 {
	var sum int64
	for _, p := range append(r.Past[:len(r.Past):len(r.Past)], [2]int64{r.StartedAt, r.SeenAt}) {
		sum += max(0, min(p[1], to.Unix())-max(p[0], from.Unix()))
	}
	return sum
}

// digest names everything that a running program got at its start. An upgrade of the hanse binary is no difference.
func (s *settings) digest(r record) string {
	raw, _ := json.Marshal([]any{s.Programs[r.With.Program], r.With, s.Bind, r.Port, r.UID, s.publicURL(r.Tag, r.Port), r.PasswordRevision, s.memory(r.With)})
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// instance is a subscription's folder.
type instance struct {
	s      *settings
	tag    string
	dir    string
	exists bool
	// fresh: this very call made it, so no process of it can be there.
	fresh  bool
	record record
	run    run
}

func (s *settings) instances() string { return filepath.Join(s.DataDir, "instances") }

func (in *instance) path(name string) string { return filepath.Join(in.dir, name) }

// load reads the folder of a request's tag; Conflict when it is another tenant's.
func (a *Adapter) load(s *settings, req adapters.Request) (*instance, error) {
	in, err := open(s, req.Tag)
	if err != nil {
		return nil, err
	}
	if in.exists && in.record.Tenant != req.Tenant {
		return nil, &adapters.Error{Class: adapters.Conflict, Message: "this tag is another tenant's"}
	}
	return in, nil
}

func open(s *settings, tag string) (*instance, error) {
	in := &instance{s: s, tag: tag, dir: filepath.Join(s.instances(), tag)}
	err := readJSON(in.path("instance.json"), &in.record)
	if errors.Is(err, fs.ErrNotExist) {
		return in, nil
	}
	if err != nil {
		return nil, failed("read the record", err)
	}
	in.exists = true
	if err := readJSON(in.path("run.json"), &in.run); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, failed("read the run", err)
	}
	return in, nil
}

func (in *instance) wants(d desired) bool { return reflect.DeepEqual(in.record.With, d) }

func (in *instance) save(r record) error {
	if err := writeJSON(in.path("instance.json"), r); err != nil {
		return failed("write the record", err)
	}
	in.record, in.exists = r, true
	return nil
}

func (in *instance) saveRun(r run) error {
	if err := writeJSON(in.path("run.json"), r); err != nil {
		return failed("write the run", err)
	}
	in.run = r
	return nil
}

// touch notes that the program runs at now.
func (in *instance) touch(now time.Time) error {
	r := in.run
	r.SeenAt = max(r.SeenAt, now.Unix())
	return in.saveRun(r)
}

// create makes the folder of a new subscription. The record is written last: without it the folder is nothing yet.
func (a *Adapter) create(s *settings, d desired, in *instance, req adapters.Request) error {
	if err := in.discard(); err != nil {
		return err
	}
	// One allocation at a time: port and user id must be nobody else's, and are only ours once the record is there.
	unlock, err := s.lockAllocation()
	if err != nil {
		return err
	}
	defer unlock()
	r := record{Tag: req.Tag, Tenant: req.Tenant, Connection: req.Connection.Name, Generation: req.Generation, With: d, UID: -1}
	if r.Port, r.UID, err = a.allocate(s); err != nil {
		return err
	}
	if err := a.index(s).about(s, in.tag); err != nil {
		return err
	}
	if err := os.MkdirAll(s.instances(), 0o711); err != nil {
		return failed("make the folder", err)
	}
	for _, dir := range []struct {
		path       string
		mode       os.FileMode
		uid, group int
	}{
		// The program may walk through the outer folder and not write there: the record beside it is not its to change.
		{in.dir, 0o710, os.Geteuid(), int(r.UID)},
		{in.path("home"), 0o700, int(r.UID), int(r.UID)},
	} {
		if err := os.Mkdir(dir.path, dir.mode); err != nil {
			return failed("make the folder", err)
		}
		if r.UID >= 0 {
			if err := os.Chown(dir.path, dir.uid, dir.group); err != nil {
				return failed("give the folder to its user", err)
			}
		}
		if err := os.Chmod(dir.path, dir.mode); err != nil { // whatever the umask is
			return failed("make the folder", err)
		}
	}
	in.record = r
	if err := in.writePassword(a.password()); err != nil {
		return err
	}
	a.step("prepared")
	in.fresh = true
	return in.save(r)
}

// discard removes the folder, at once for all who look and then for good.
func (in *instance) discard() error {
	trash := filepath.Join(in.s.DataDir, "trash")
	if err := os.MkdirAll(trash, 0o700); err != nil {
		return failed("make the folder", err)
	}
	if _, err := os.Lstat(in.dir); err == nil {
		// One step: a folder made here first could be emptied away before the rename, by a watcher that just starts.
		if err := os.Rename(in.dir, filepath.Join(trash, in.tag+"-"+rand.Text())); err != nil {
			return failed("remove the folder", err)
		}
	}
	in.exists, in.record, in.run = false, record{}, run{}
	return emptyTrash(in.s, in.tag+"-")
}

// emptyTrash removes what removals left, of one tag or of all.
func emptyTrash(s *settings, prefix string) error {
	graves, err := filepath.Glob(filepath.Join(s.DataDir, "trash", prefix+"*"))
	for _, grave := range graves {
		err = errors.Join(err, os.RemoveAll(grave))
	}
	if err != nil {
		return failed("remove the data", err)
	}
	return nil
}

func (a *Adapter) password() string {
	raw := make([]byte, 15)
	if _, err := io.ReadFull(a.rand, raw); err != nil {
		panic("no randomness: " + err.Error()) // a weak password would be worse
	}
	text := strings.ToLower(base32.StdEncoding.EncodeToString(raw)) // 120 bits in groups that people can type
	return strings.Join([]string{text[:6], text[6:12], text[12:18], text[18:]}, "-")
}

func (in *instance) writePassword(password string) error {
	if err := writeFile(in.path("password"), []byte(password+"\n"), in.record.UID); err != nil {
		return failed("write the password", err)
	}
	return nil
}

func (in *instance) result() (adapters.Result, error) {
	f, err := os.Open(in.path("password"))
	if err != nil {
		return adapters.Result{}, failed("read the password", err)
	}
	defer func() { _ = f.Close() }()
	raw, err := io.ReadAll(io.LimitReader(f, 1024)) // the file is the program's own: it may have put anything there
	if err != nil {
		return adapters.Result{}, failed("read the password", err)
	}
	return adapters.Result{
		Outputs:   map[string]string{"url": in.s.publicURL(in.tag, in.record.Port)},
		Sensitive: map[string]string{"password": strings.TrimSpace(string(raw))},
	}, nil
}

func readJSON(path string, into any) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%s is damaged: %w", filepath.Base(path), err)
	}
	return nil
}

func writeJSON(path string, value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return writeFile(path, append(raw, '\n'), -1)
}

// writeFile replaces a file so that after a power cut there is the old or the new one, whole.
func writeFile(path string, data []byte, uid int64) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(data)
	if err == nil && uid >= 0 {
		err = f.Chown(int(uid), int(uid))
	}
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
