package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
	"github.com/hanse-market/hanse/sidecar/internal/backup"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

type keyCmd struct {
	Show   keyShowCmd   `cmd:"" help:"Show the business key by which partners know this member, and those before it."`
	Rotate keyRotateCmd `cmd:"" help:"Have the key to which partners hold this member follow its business key; they follow by themselves. On record."`
	Export keyExportCmd `cmd:"" help:"Write this member's keys and its partners' origins to a small file that is kept offline; after a lost disk they are what partners know it by."`
	Import keyImportCmd `cmd:"" help:"Make a member with an empty database and these keys, which gets its books from its partners; or give its keys to one that was put back from a copy of before hanse key rotate."`
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
	Dir        string `type:"path" xor:"to" placeholder:"FOLDER" help:"Folder to make the member in; it must be empty or not be there. Required, unless with --check or --renew."`
	Check      bool   `xor:"to" help:"Only read all of it and say what it is."`
	Renew      bool   `xor:"to" help:"Give the keys to the member of the configuration, which is stopped and whose database is older than they are; all else there stays."`
	openFlags  `embed:""`
	digestFlag `embed:""`
}

func (c *keyImportCmd) Run(a *app) error {
	if c.Renew {
		return c.renew(a)
	}
	return (&restoreCmd{File: c.File, Dir: c.Dir, Check: c.Check, openFlags: c.openFlags, digestFlag: c.digestFlag}).restore(a, backup.KeysOnly)
}

// renewed is what key import --renew tells.
type renewed struct {
	File     string    `json:"file"`
	Origin   string    `json:"origin"`
	At       time.Time `json:"at"`
	Before   string    `json:"business_key_before"`
	Now      string    `json:"business_key"`
	Changed  bool      `json:"changed"`
	Partners []string  `json:"partners_added"`
	NextStep string    `json:"next"`
}

func (c *keyImportCmd) renew(a *app) error {
	m, err := a.member()
	if err != nil {
		return err
	}
	r := &restoring{app: a, file: c.File, kind: backup.KeysOnly}
	if r.digest, err = c.digest(); err != nil {
		return err
	}
	if err := r.open(); err != nil {
		return err
	}
	defer func() { _ = r.archive.Close() }()
	if r.keys, err = c.keys(a); err != nil {
		return err
	}
	ring, err := r.ring(func(string, io.Reader) error { return nil })
	if err != nil {
		return err
	}
	if r.manifest.Origin != m.cfg.Origin {
		return &commandError{Code: exitFailure, Reason: "other_member", Field: "FILE", Cause: "they are the keys of " + r.manifest.Origin, Action: "name the export of " + m.cfg.Origin + ", or its configuration with -c"}
	}
	done, err := m.renewKeys(a.ctx, ring)
	if err != nil {
		return err
	}
	out := renewed{
		File: c.File, Origin: m.cfg.Origin, At: r.manifest.At, Before: done.Before, Now: done.Now, Changed: done.Changed, Partners: done.Partners,
		NextStep: "hanse serve: it gets what came after its copy from its partners",
	}
	if out.Partners == nil {
		out.Partners = []string{}
	}
	if !done.Changed {
		out.NextStep = "hanse serve: it had these keys already"
	}
	return a.show(out, func(t *table) {
		t.fact("File", out.File)
		t.fact("Member", out.Origin)
		t.fact("As of", out.At.Format(time.RFC3339))
		if out.Changed {
			t.fact("Key before", out.Before)
		}
		t.fact("Business key", out.Now)
		for _, p := range out.Partners {
			t.fact("Partner", p+", which the copy did not know")
		}
		t.fact("Next", out.NextStep)
	})
}

// renewKeys gives keys to the member, in one transaction.
func (m *memberData) renewKeys(ctx context.Context, ring store.KeyRing) (done store.Renewal, err error) {
	snapshot, err := m.snapshot(ctx) // opening a store would make one
	if err != nil {
		return done, err
	}
	older, err := snapshot.Older()
	if err := errors.Join(err, snapshot.Close()); err != nil {
		return done, unreadable(err)
	}
	if older { // to bring it up to date would break sidecars of that version which run, before it is seen that they do
		return done, &commandError{
			Code: exitFailure, Reason: "schema_older", Field: "database", Cause: "an older hanse wrote the database of " + m.cfg.Origin,
			Action: "stop the sidecars of that version, start this one once and stop it again, then repeat it; or use the hanse of that version; nothing was changed",
		}
	}
	cfg, err := m.store()
	if err != nil {
		return done, err
	}
	if cfg.SiteKey, err = os.ReadFile(m.cfg.SiteKeyFile); err != nil {
		return done, unreadable(err)
	}
	cfg.Exclusive, cfg.Logger = !m.cfg.Replicated(), slog.New(slog.DiscardHandler)
	s, err := store.Open(ctx, cfg)
	if err == nil {
		done, err = s.RenewKeys(ctx, ring)
		err = errors.Join(err, s.Close())
	}
	switch {
	case err == nil:
		return done, nil
	case errors.Is(err, store.ErrInUse):
		return done, &commandError{Code: exitConflict, Reason: "already_running", Cause: "a sidecar runs on the database of " + m.cfg.Origin, Action: "stop it, and all its replicas, and run it again"}
	case errors.Is(err, store.ErrKeysOlder):
		return done, &commandError{Code: exitFailure, Reason: "keys_older", Field: "FILE", Cause: err.Error(), Action: "name an export that was made later; this one changes nothing here"}
	case errors.Is(err, store.ErrKeysOther):
		return done, &commandError{Code: exitFailure, Reason: "keys_other", Field: "FILE", Cause: err.Error(), Action: "name what hanse key export wrote for this member, with its own site key; nothing was changed"}
	case fault.Is(err, fault.Unavailable):
		return done, &commandError{Code: exitPending, Reason: "database_unreachable", Cause: err.Error(), Action: "repeat it when the database answers"}
	}
	return done, &commandError{Code: exitFailure, Reason: "not_renewed", Cause: err.Error(), Action: "nothing was changed; mend the cause, and run it again"}
}

// ring reads the keys of the archive, and gives the files beside them to other.
func (r *restoring) ring(other func(name string, from io.Reader) error) (ring store.KeyRing, err error) {
	err = r.read(func(name string, from io.Reader) error {
		if name != backup.KeysFile {
			return other(name, from)
		}
		raw, err := small(name, from)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(raw, &ring); err != nil {
			return fmt.Errorf("%w: its keys: %w", backup.ErrDamaged, err)
		}
		return nil
	})
	if err == nil && len(ring.Keys) == 0 { // of such a member the first start would make another one
		err = &commandError{Code: exitFailure, Reason: "backup_damaged", Field: "FILE", Cause: "there are no keys in it", Action: "take another copy of it, or an older one"}
	}
	return ring, err
}

// makeFromKeys makes a member whose database has its keys and partners, and nothing else.
func (r *restoring) makeFromKeys(stage string) error {
	ring, err := r.ring(func(name string, from io.Reader) error { return r.put(stage, name, from) })
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
