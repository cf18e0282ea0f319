package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hanse-market/hanse/sidecar"
	"github.com/hanse-market/hanse/sidecar/internal/backup"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/filelock"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// staging is where a member is made before it is one, inside its folder: what is there after a crash is nobody's.
const staging = ".restoring"

// holding is the file in the folder that keeps two restores apart.
const holding = ".restoring.lock"

// restoring makes a member out of an archive.
type restoring struct {
	app  *app
	file string
	dir  string
	kind string
	// digest is the SHA-256 that the file must have, nil for any.
	digest   []byte
	archive  *os.File
	keys     backup.Keys
	manifest backup.Manifest
	// lock takes the lock on a file; nil is filelock.Try.
	lock func(path string) (*os.File, error)
	// made says that the member is there, config where its configuration is.
	made   bool
	config string
	// committed says that PostgreSQL has what was restored, whatever fails afterwards.
	committed bool
}

func (r *restoring) open() (err error) {
	if r.archive, err = os.Open(r.file); err == nil {
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return &commandError{Code: exitNotFound, Reason: "no_backup", Field: "FILE", Cause: "there is no file " + r.file, Action: "name what hanse backup wrote"}
	}
	return unreadable(err)
}

// hold keeps every other restore out of the folder until release, which leaves the folder as it was made.
func (r *restoring) hold() (release func(), err error) {
	if r.dir == "" {
		return nil, &commandError{Code: exitUsage, Reason: "usage", Field: "--dir", Cause: "no folder is named", Action: "name an empty folder or a new one: --dir FOLDER"}
	}
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return nil, r.failed(err)
	}
	path := filepath.Join(r.dir, holding)
	try := r.lock
	if try == nil {
		try = filelock.Try
	}
	f, err := try(path)
	if errors.Is(err, errors.ErrUnsupported) { // as on the folder of a member, nobody but the operator keeps two apart there
		return func() { _ = os.Remove(path) }, nil
	}
	if err != nil && !errors.Is(err, filelock.ErrHeld) {
		return nil, r.failed(err)
	}
	if err == nil {
		// Who had it before may have removed it since we opened it: then a third one may hold another file of that name.
		ours, err1 := f.Stat()
		now, err2 := os.Lstat(path)
		if err1 == nil && err2 == nil && os.SameFile(ours, now) {
			return func() { _ = errors.Join(os.Remove(path), f.Close()) }, nil
		}
		_ = f.Close()
	}
	return nil, &commandError{Code: exitConflict, Reason: "already_running", Field: "--dir", Cause: "another hanse makes a member in " + r.dir, Action: "wait for it, or name another folder"}
}

// room refuses a folder with anything in it but what an earlier attempt left.
func (r *restoring) room() error {
	entries, err := os.ReadDir(r.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return r.failed(err)
	}
	if err := r.cut(); err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != staging && e.Name() != holding {
			return &commandError{
				Code: exitConflict, Reason: "folder_not_empty", Field: "--dir", Cause: fmt.Sprintf("%s has %s in it", r.dir, e.Name()),
				Action: "name an empty folder; what is there may be a member's, and nothing is written over it",
			}
		}
	}
	return nil
}

// cut refuses a folder in which an earlier attempt was killed in its last steps: all of the data are there, under their own name.
func (r *restoring) cut() error {
	stage := filepath.Join(r.dir, staging)
	isThere := func(path string) bool { _, err := os.Lstat(path); return err == nil }
	if !isThere(stage) || !isThere(filepath.Join(r.dir, "data")) || isThere(filepath.Join(stage, "data")) {
		return nil
	}
	cause, action := "was killed in its very last step, and the member in it is whole", "rmdir "+stage+", and go on with hanse serve"
	if isThere(filepath.Join(stage, backup.ConfigFile)) {
		cause = "was killed in its last step: its data are whole, and its configuration is still in " + staging
		action = "mv " + filepath.Join(stage, backup.ConfigFile) + " " + r.dir + ", then rmdir " + stage + ", makes it the member; or remove " + r.dir +
			", empty a PostgreSQL that was named, and run it again"
	}
	return &commandError{Code: exitConflict, Reason: "restore_cut", Field: "--dir", Cause: "an earlier restore into " + r.dir + " " + cause, Action: action}
}

// read reads the archive from beginning to end.
func (r *restoring) read(each func(name string, from io.Reader) error) error {
	if _, err := r.archive.Seek(0, io.SeekStart); err != nil {
		return unreadable(err)
	}
	sum := sha256.New()
	err := backup.Read(io.TeeReader(r.archive, sum), r.keys, r.about, func(name string, _ int64, from io.Reader) error { return each(name, from) })
	if r.digest != nil { // each time it is read: whoever can write where it lies may change it in between
		if _, err := io.Copy(sum, r.archive); err != nil {
			return unreadable(err)
		}
		if have := sum.Sum(nil); !bytes.Equal(have, r.digest) {
			return &commandError{
				Code: exitFailure, Reason: "other_digest", Field: "--sha256", Cause: fmt.Sprintf("the file has the SHA-256 %x, and it must have %x", have, r.digest),
				Action: "do not use it: it is another file, or was changed; take another copy of the one that you trust",
			}
		}
	}
	var known *commandError
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case errors.Is(err, backup.ErrKey):
		return &commandError{Code: exitAuth, Reason: "wrong_key", Field: "FILE", Cause: err.Error(), Action: "give the passphrase or private key that belongs to what it was sealed with"}
	case errors.Is(err, backup.ErrDamaged):
		return &commandError{Code: exitFailure, Reason: "backup_damaged", Field: "FILE", Cause: err.Error(), Action: "take another copy of it, or an older backup"}
	case errors.Is(err, backup.ErrNewer):
		return &commandError{Code: exitFailure, Reason: "backup_newer", Field: "FILE", Cause: err.Error(), Action: "use a hanse of that version or a later one"}
	}
	return err
}

// about refuses an archive of which no member of ours can be made.
func (r *restoring) about(m backup.Manifest) error {
	r.manifest = m
	if m.Kind != r.kind {
		command := map[string]string{backup.Whole: "hanse restore", backup.KeysOnly: "hanse key import"}[m.Kind]
		return &commandError{Code: exitFailure, Reason: "other_kind", Field: "FILE", Cause: "it is a " + m.Kind + " file", Action: "use " + command}
	}
	var schema []store.Migration
	for _, step := range m.Schema {
		schema = append(schema, store.Migration(step))
	}
	if err := store.CheckSchema(schema); err != nil {
		reason := "schema_newer"
		if errors.Is(err, store.ErrSchemaOther) {
			reason = "schema_other"
		}
		return &commandError{Code: exitFailure, Reason: reason, Field: "FILE", Cause: err.Error(), Action: "use the hanse that made it, " + m.Version}
	}
	if !slices.Contains([]string{"sqlite", "postgres", noEngine}, m.Engine) {
		return &commandError{Code: exitFailure, Reason: "backup_newer", Field: "FILE", Cause: "its database is " + m.Engine, Action: "use the hanse that made it, " + m.Version}
	}
	return nil
}

// write makes the member beside its place, and moves it there when all of it is on the disk; the configuration, without which it is
// none, comes last.
func (r *restoring) write() (err error) {
	stage := filepath.Join(r.dir, staging)
	if err := os.RemoveAll(stage); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(stage, "data"), 0o700); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(stage)
		}
	}()
	switch {
	case r.kind == backup.KeysOnly:
		err = r.makeFromKeys(stage)
	case r.manifest.Engine == "postgres":
		err = r.makeWithRows(stage)
	default:
		err = r.make(stage)
	}
	if err != nil {
		return err
	}
	return r.move(stage)
}

func (r *restoring) move(stage string) (err error) {
	if err := errors.Join(syncFolder(filepath.Join(stage, "data")), syncFolder(stage)); err != nil {
		return err
	}
	data := filepath.Join(r.dir, "data")
	if err := os.Rename(filepath.Join(stage, "data"), data); err != nil {
		return err
	}
	defer func() {
		if err != nil && !r.made {
			_ = os.RemoveAll(data) // a moment old, and nobody's: its configuration did not come
		}
	}()
	if err := syncFolder(r.dir); err != nil {
		return err
	}
	err = os.Rename(filepath.Join(stage, backup.ConfigFile), filepath.Join(r.dir, backup.ConfigFile))
	switch {
	case err == nil:
		r.config = filepath.Join(r.dir, backup.ConfigFile)
	case !errors.Is(err, fs.ErrNotExist): // it was configured by variables alone
		return err
	}
	r.made = true
	return errors.Join(os.Remove(stage), syncFolder(r.dir))
}

// put writes one file of the archive below the stage.
func (r *restoring) put(stage, name string, from io.Reader) error {
	if name != backup.ConfigFile && !strings.HasPrefix(name, backup.DataFolder) {
		return nil
	}
	path := filepath.Join(stage, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if name == backup.ConfigFile {
		raw, err := small(name, from)
		if err != nil {
			return err
		}
		if raw, err = settled(raw); err != nil {
			return err
		}
		from = strings.NewReader(string(raw))
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, f.Sync(), f.Close())
}

// maxRead bounds what is read of an archive into memory at once: whoever knows the public key can seal one.
const maxRead = 16 << 20

func small(name string, from io.Reader) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(from, maxRead+1))
	if err == nil && len(raw) > maxRead {
		err = fmt.Errorf("%s is larger than %d MiB", name, maxRead>>20)
	}
	return raw, err
}

func (r *restoring) make(stage string) error {
	if err := r.read(func(name string, from io.Reader) error { return r.put(stage, name, from) }); err != nil {
		return err
	}
	if r.manifest.Engine == noEngine {
		return nil
	}
	file := filepath.Join(stage, "data", store.SQLiteFile)
	if _, err := os.Stat(file); err != nil { // opening it would make it
		return err
	}
	return withStore(r.app.ctx, stage, store.Config{Path: file}, func(s *store.Store) error {
		if err := s.Check(r.app.ctx); err != nil {
			return err
		}
		return s.Restored(r.app.ctx)
	})
}

// makeWithRows commits the rows when all else is on the disk; what is left to do then are renames.
func (r *restoring) makeWithRows(stage string) error {
	if err := r.read(func(name string, from io.Reader) error { return r.put(stage, name, from) }); err != nil {
		return err
	}
	dsn, err := r.dsn(stage)
	if err != nil {
		return err
	}
	var schema []store.Migration
	for _, step := range r.manifest.Schema {
		schema = append(schema, store.Migration(step))
	}
	err = store.RestorePostgres(r.app.ctx, dsn, schema, func(put func(string, io.Reader) error) error {
		return r.read(func(name string, from io.Reader) error {
			piece, is := strings.CutPrefix(name, backup.RowsFolder)
			if !is {
				return nil
			}
			return put(piece, from)
		})
	})
	if err != nil {
		return err
	}
	r.committed = true
	return withStore(r.app.ctx, stage, store.Config{DSN: dsn}, func(*store.Store) error { return nil })
}

// dsn is the PostgreSQL that the configuration, as it was put back, and the variables name.
func (r *restoring) dsn(stage string) (string, error) {
	file := filepath.Join(stage, backup.ConfigFile)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		file = ""
	}
	cfg, err := sidecar.LoadConfig(file, r.app.getenv)
	if err == nil {
		cfg, err = cfg.Complete()
	}
	var dsn string
	if err == nil {
		dsn, err = cfg.DatabaseDSN()
	}
	if err == nil && (dsn == "" || cfg.Database.Driver != "postgres") {
		err = errors.New("the configuration names no PostgreSQL")
	}
	if err != nil {
		return "", &commandError{
			Code: exitFailure, Reason: "no_dsn", Field: "database.dsn", Cause: err.Error(),
			Action: "name the empty database to restore into with HANSE_DATABASE_DSN, or HANSE_DATABASE_DSN_FILE, and in hanse.yaml later",
		}
	}
	return dsn, nil
}

// withStore opens the database of a member that is being made: that proves that site key and database belong together.
func withStore(ctx context.Context, stage string, cfg store.Config, fn func(*store.Store) error) (err error) {
	if cfg.SiteKey, err = os.ReadFile(filepath.Join(stage, filepath.FromSlash(siteKeyName))); err != nil {
		return err
	}
	cfg.Exclusive, cfg.Logger = true, slog.New(slog.DiscardHandler)
	s, err := store.Open(ctx, cfg)
	if err != nil {
		return err
	}
	if err = errors.Join(fn(s), s.Close()); err != nil || cfg.Path == "" {
		return err
	}
	return os.Remove(cfg.Path + ".lock")
}

// failed is why nothing was made.
func (r *restoring) failed(err error) error {
	var known *commandError
	if errors.As(err, &known) {
		return known
	}
	switch {
	case r.committed:
		return &commandError{
			Code: exitFailure, Reason: "not_restored", Cause: "PostgreSQL may have what was restored already, and the folder has not: " + err.Error(),
			Action: "drop and create the database, or name another empty one with HANSE_DATABASE_DSN; then run it again",
		}
	case errors.Is(err, store.ErrNotEmpty):
		return &commandError{Code: exitConflict, Reason: "database_not_empty", Field: "database.dsn", Cause: err.Error(), Action: "name an empty database with HANSE_DATABASE_DSN, or drop and create this one"}
	case fault.Is(err, fault.Unavailable) && r.manifest.Engine == "postgres":
		return &commandError{Code: exitPending, Reason: "database_unreachable", Cause: err.Error(), Action: "nothing was kept; repeat it when the database answers and has room"}
	}
	return &commandError{Code: exitFailure, Reason: "not_restored", Cause: err.Error(), Action: "nothing was kept; make room or name another folder, and run it again"}
}

func (r *restoring) told() restored {
	out := restored{
		File: r.file, Kind: r.manifest.Kind, Origin: r.manifest.Origin, Engine: r.manifest.Engine, At: r.manifest.At, Version: r.manifest.Version,
		Missing: r.manifest.LeftOut,
	}
	if out.Missing == nil {
		out.Missing = []string{}
	}
	if !r.made {
		return out
	}
	out.Dir, out.Config, out.LookAt = r.dir, r.config, onlyHere
	if r.kind == backup.KeysOnly {
		out.LookAt = notWithKeys
	}
	out.NextStep = "see that the old one never runs again; then hanse serve -c " + r.config
	switch {
	case r.config == "":
		out.NextStep = "see that the old one never runs again; then hanse serve with its HANSE_ variables and HANSE_DATA_DIR=" + filepath.Join(r.dir, "data")
	case r.manifest.Engine == noEngine:
		out.NextStep = "see that the old one never runs again, put the database back, hanse database accept -c " + r.config + "; then hanse serve"
	}
	return out
}
