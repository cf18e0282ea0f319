package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
	"github.com/hanse-market/hanse/sidecar/internal/backup"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

type keyCmd struct {
	Show   keyShowCmd   `cmd:"" help:"Show the business key by which partners know this member, and those before it."`
	Rotate keyRotateCmd `cmd:"" help:"Have the key to which partners hold this member follow its business key; they follow by themselves. On record."`
	Export keyExportCmd `cmd:"" help:"Write this member's keys and its partners' origins to a small file that is kept offline; after a lost disk they are what partners know it by."`
	Import keyImportCmd `cmd:"" help:"Make a member with an empty database and these keys, which gets its books from its partners."`
}

type keyShowCmd struct{}

func (c *keyShowCmd) Run(a *app) error {
	res, err := call(a, operatorv1connect.NewKeyServiceClient, operatorv1connect.KeyServiceClient.GetKey, &operatorv1.GetKeyRequest{})
	if err != nil {
		return err
	}
	return a.show(res, func(t *table) { describeOwnKey(t, res.GetKey()) })
}

type keyRotateCmd struct {
	Reason     string `required:"" placeholder:"TEXT" help:"Why, at most 200 characters; kept on record."`
	Yes        bool   `short:"y" xor:"confirm" help:"Do not ask."`
	Thumbprint string `xor:"confirm" placeholder:"KEY" help:"The thumbprint of the business key as key show gave it; another one is not rolled over."`
}

func (c *keyRotateCmd) Run(a *app) error {
	shown := c.Thumbprint
	if shown == "" {
		found, err := call(a, operatorv1connect.NewKeyServiceClient, operatorv1connect.KeyServiceClient.GetKey, &operatorv1.GetKeyRequest{})
		if err != nil {
			return err
		}
		question := "Partners take the next key for ours from then on, and there is no way back. What was exported of the keys is stale then. Roll it over?"
		if err := a.agree(c.Yes, found.GetKey(), func(t *table) { describeOwnKey(t, found.GetKey()) }, question, "answer y, or give --thumbprint KEY or --yes"); err != nil {
			return err
		}
		shown = found.GetKey().GetThumbprint()
	}
	res, err := call(a, operatorv1connect.NewKeyServiceClient, operatorv1connect.KeyServiceClient.RotateKey,
		&operatorv1.RotateKeyRequest{Thumbprint: shown, Reason: c.Reason})
	if err != nil {
		return err
	}
	fmt.Fprintln(a.stderr, "Run hanse key export again, and make a backup: those of before do not have the key that follows this one.")
	return a.show(res, func(t *table) { describeOwnKey(t, res.GetKey()) })
}

func describeOwnKey(t *table, k *operatorv1.BusinessKey) {
	t.fact("Business key", k.GetThumbprint())
	t.fact("Fingerprint", k.GetFingerprintWords())
	t.fact("Signs since", when(k.GetSince()))
	t.fact("Next key", cmp.Or(k.GetNextThumbprint(), "missing: it cannot be rolled over"))
	describePast(t, k.GetPast())
	for _, act := range k.GetActs() {
		t.fact("Done", fmt.Sprintf("%s by %s, %s: %s (%s)", when(act.GetAt()), act.GetBy(), act.GetVerb(), act.GetDetail(), act.GetReason()))
	}
}

// describePast lists keys that others followed, the latest first.
func describePast(t *table, past []*operatorv1.PastKey) {
	for _, k := range slices.Backward(past) {
		t.fact("Key before", fmt.Sprintf("%s, until %s", k.GetThumbprint(), when(k.GetUntil())))
	}
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
	File       string `arg:"" type:"path" help:"What hanse key export wrote."`
	Dir        string `type:"path" placeholder:"FOLDER" help:"Folder to make the member in; it must be empty or not be there. Required, unless with --check."`
	Check      bool   `help:"Only read all of it and say what it is."`
	openFlags  `embed:""`
	digestFlag `embed:""`
}

func (c *keyImportCmd) Run(a *app) error {
	return (&restoreCmd{File: c.File, Dir: c.Dir, Check: c.Check, openFlags: c.openFlags, digestFlag: c.digestFlag}).restore(a, backup.KeysOnly)
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
