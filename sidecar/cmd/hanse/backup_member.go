package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hanse-market/hanse/sidecar"
	"github.com/hanse-market/hanse/sidecar/internal/backup"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// noEngine is of an archive without a database.
const noEngine = "none"

// memberData is the member whose data are read, by its configuration.
type memberData struct {
	cfg sidecar.Config
	// raw is the configuration's file, nil where there is none.
	raw []byte
	now time.Time
}

func (a *app) member() (*memberData, error) {
	cfg, err := a.configuration()
	if err != nil {
		return nil, err
	}
	if cfg, err = cfg.Complete(); err != nil {
		return nil, configError(cfg.File, err)
	}
	m := &memberData{cfg: cfg, now: time.Now().UTC()}
	if cfg.File != "" {
		if m.raw, err = os.ReadFile(cfg.File); err != nil {
			return nil, unreadable(err)
		}
	}
	if _, err := os.Stat(cfg.SiteKeyFile); err != nil { // reading it would make it
		return nil, &commandError{
			Code: exitNotFound, Reason: "no_site_key", Field: "site_key_file", Cause: "there is no site key in " + cfg.SiteKeyFile,
			Action: "name the configuration of a member that was started before, with -c",
		}
	}
	return m, nil
}

func unreadable(err error) error {
	return &commandError{Code: exitFailure, Reason: "cannot_read", Cause: err.Error(), Action: "run it as the sidecar's user"}
}

func (m *memberData) store() (store.Config, error) {
	dsn, err := m.cfg.DatabaseDSN()
	if err != nil {
		return store.Config{}, configError(m.cfg.File, err)
	}
	if m.cfg.Database.Driver == "postgres" {
		return store.Config{DSN: dsn}, nil
	}
	return store.Config{Path: dsn}, nil
}

func (m *memberData) snapshot(ctx context.Context) (*store.Snapshot, error) {
	cfg, err := m.store()
	if err != nil {
		return nil, err
	}
	s, err := store.OpenSnapshot(ctx, cfg)
	switch {
	case errors.Is(err, store.ErrNoDatabase):
		return nil, &commandError{Code: exitNotFound, Reason: "no_database", Field: "database", Cause: "there is no database of a sidecar where the configuration says it is", Action: "name the configuration of a member that was started before, with -c"}
	case errors.Is(err, store.ErrSchemaNewer), errors.Is(err, store.ErrSchemaOther):
		return nil, &commandError{Code: exitFailure, Reason: "schema_newer", Field: "database", Cause: err.Error(), Action: "use the hanse that runs on it"}
	case fault.Is(err, fault.Unavailable):
		return nil, &commandError{Code: exitPending, Reason: "database_unreachable", Cause: err.Error(), Action: "repeat it when the database answers"}
	case err != nil:
		return nil, &commandError{Code: exitFailure, Reason: "cannot_read", Cause: err.Error(), Action: "run it as the sidecar's user, on its machine"}
	}
	return s, nil
}

func (m *memberData) manifest(kind string) backup.Manifest {
	return backup.Manifest{
		Kind: kind, Version: sidecar.ReadBuild().Version, Origin: m.cfg.Origin, Engine: m.cfg.Database.Driver, At: m.now, LeftOut: m.leftOut(),
	}
}

// archived is one small file that goes into an archive.
type archived struct {
	name, path string
	content    []byte
}

func (f archived) add(w *backup.Writer) (err error) {
	if f.content == nil {
		if f.content, err = os.ReadFile(f.path); err != nil {
			return err
		}
	}
	return w.File(f.name, f.content)
}

const (
	siteKeyName = backup.DataFolder + "site.key"
	// maxArchived is the size up to which a file that merely lies in the data folder is taken.
	maxArchived = 1 << 20
)

// ofThisPlace are files of the data folder that mean nothing elsewhere: the ids under which this installation's processes claim work; the site key
// and the database with what lies beside it, which are taken from where the configuration says they are.
func (m *memberData) ofThisPlace(path string) bool {
	name := filepath.Base(path)
	dsn, err := m.cfg.DatabaseDSN()
	replica, _ := filepath.Match("replica*.id", name)
	return strings.HasPrefix(name, ".") || replica || strings.HasSuffix(name, ".lock") ||
		path == m.cfg.SiteKeyFile || name == "site.key" || strings.HasPrefix(name, store.SQLiteFile) ||
		m.cfg.Database.Driver != "postgres" && err == nil && strings.HasPrefix(path, dsn)
}

// inFolder lists the data folder: what is taken, and what is not.
func (m *memberData) inFolder() (taken []archived, left []string, err error) {
	entries, err := os.ReadDir(m.cfg.DataDir)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		path := filepath.Join(m.cfg.DataDir, e.Name())
		info, err := os.Stat(path)
		switch {
		case m.ofThisPlace(path) || errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, nil, err
		case info.IsDir() && path == m.cfg.DevCADir:
			inside, err := filesBelow(path, backup.DataFolder+e.Name())
			if err != nil {
				return nil, nil, err
			}
			taken = append(taken, inside...)
		case info.Mode().IsRegular() && info.Size() <= maxArchived:
			taken = append(taken, archived{name: backup.DataFolder + e.Name(), path: path})
		default:
			left = append(left, path)
		}
	}
	return taken, left, nil
}

func filesBelow(dir, as string) (all []archived, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if e.Type().IsRegular() && !strings.HasSuffix(e.Name(), ".lock") {
			all = append(all, archived{name: as + "/" + e.Name(), path: filepath.Join(dir, e.Name())})
		}
	}
	return all, err
}

// files are the small files of a whole backup.
func (m *memberData) files() ([]archived, error) {
	all, _, err := m.inFolder()
	return append(m.own(), all...), err
}

// own are the files without which there is no member.
func (m *memberData) own() (all []archived) {
	if m.raw != nil {
		all = append(all, archived{name: backup.ConfigFile, content: m.raw})
	}
	return append(all, archived{name: siteKeyName, path: m.cfg.SiteKeyFile})
}

// fileReference is a secret that the configuration takes from a file each time.
var fileReference = regexp.MustCompile(`\$\{file:([^}]*)\}`)

// leftOut lists what the member needs and an archive does not have: others look after it, and it may belong to the machine.
func (m *memberData) leftOut() []string {
	_, out, _ := m.inFolder()
	inFolder := func(path string) bool { return filepath.Dir(path) == filepath.Clean(m.cfg.DataDir) }
	for _, file := range []struct{ key, path string }{
		{"tls.cert_file", m.cfg.TLS.CertFile},
		{"tls.key_file", m.cfg.TLS.KeyFile},
		{"database.dsn_file", m.cfg.Database.DSNFile},
		{"redis.password_file", m.cfg.Redis.PasswordFile},
	} {
		if file.path != "" && !inFolder(file.path) {
			out = append(out, file.key+": "+file.path)
		}
	}
	for _, found := range fileReference.FindAllSubmatch(m.raw, -1) {
		if path := string(found[1]); !slices.Contains(out, path) {
			out = append(out, path)
		}
	}
	if m.cfg.File == "" {
		out = append(out, "the HANSE_ variables that configure it")
	}
	if out == nil {
		return []string{}
	}
	return out
}
