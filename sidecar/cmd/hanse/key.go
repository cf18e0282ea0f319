package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/hanse-market/hanse/sidecar/internal/backup"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

type keyCmd struct {
	Export keyExportCmd `cmd:"" help:"Write this member's keys and its partners' origins to a small file that is kept offline; after a lost disk they are what partners know it by."`
	Import keyImportCmd `cmd:"" help:"Make a member with an empty database and these keys, which gets its books from its partners."`
}

type keyExportCmd struct {
	File      string `arg:"" type:"path" help:"File to write, which must not be there yet; - is standard output."`
	sealFlags `embed:""`
}

func (c *keyExportCmd) Run(a *app) error {
	m, err := a.member()
	if err != nil {
		return err
	}
	snapshot, err := m.snapshot(a.ctx)
	if err != nil {
		return err
	}
	ring, err := snapshot.KeyRing(a.ctx)
	manifest := m.manifest(backup.KeysOnly)
	manifest.Schema = migrationsOf(snapshot.Schema)
	if err := errors.Join(err, snapshot.Close()); err != nil {
		return unreadable(err)
	}
	sealed, err := c.keys(a)
	if err != nil {
		return err
	}
	told := written{
		File: c.File, Kind: manifest.Kind, Origin: manifest.Origin, Engine: manifest.Engine, At: manifest.At, LeftOut: manifest.LeftOut,
		Generation: ring.Generation(),
	}
	err = a.write(&told, func(to io.Writer) error {
		w, err := backup.NewWriter(to, sealed, manifest)
		if err != nil {
			return err
		}
		for _, f := range m.own() {
			if err := f.add(w); err != nil {
				return err
			}
		}
		return errors.Join(w.JSON(backup.KeysFile, ring), w.Close())
	})
	if err != nil {
		return err
	}
	where, err := m.store()
	if err == nil {
		err = store.RecordKeyExport(a.ctx, where, m.now, ring.Generation())
	}
	if err != nil { // the file is good
		fmt.Fprintf(a.stderr, "Not noted in the database (%v): hanse_keys_export_stale does not know of this export.\n", err)
	}
	return nil
}

type keyImportCmd struct {
	File      string `arg:"" type:"path" help:"What hanse key export wrote."`
	Dir       string `type:"path" placeholder:"FOLDER" help:"Folder to make the member in; it must be empty or not be there. Required, unless with --check."`
	Check     bool   `help:"Only read all of it and say what it is."`
	openFlags `embed:""`
}

func (c *keyImportCmd) Run(a *app) error {
	return (&restoreCmd{File: c.File, Dir: c.Dir, Check: c.Check, openFlags: c.openFlags}).restore(a, backup.KeysOnly)
}

// makeFromKeys makes a member whose database has its keys and partners, and nothing else.
func (r *restoring) makeFromKeys(stage string) error {
	var ring store.KeyRing
	err := r.read(func(name string, from io.Reader) error {
		if name != backup.KeysFile {
			return r.put(stage, name, from)
		}
		raw, err := small(name, from)
		if err != nil {
			return err
		}
		return json.Unmarshal(raw, &ring)
	})
	if err == nil && len(ring.Keys) == 0 { // of such a member the first start would make another one
		err = errors.New("there are no keys in it")
	}
	if err != nil {
		return err
	}
	cfg := store.Config{Path: filepath.Join(stage, "data", store.SQLiteFile)}
	if r.manifest.Engine == "postgres" {
		dsn, err := r.dsn(stage)
		if err != nil {
			return err
		}
		cfg = store.Config{DSN: dsn}
		switch s, err := store.OpenSnapshot(r.app.ctx, cfg); {
		case err == nil:
			return errors.Join(store.ErrNotEmpty, s.Close())
		case !errors.Is(err, store.ErrNoDatabase):
			return err
		}
		r.committed = true // opening it makes its tables
	}
	return withStore(r.app.ctx, stage, cfg, func(s *store.Store) error { return s.ImportKeys(r.app.ctx, ring) })
}
