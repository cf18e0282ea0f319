package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/backup"
	"github.com/hanse-market/hanse/sidecar/internal/filelock"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

type backupCmd struct {
	File            string `arg:"" type:"path" help:"File to write, which must not be there yet; - is standard output."`
	WithoutDatabase bool   `help:"Leave the database out, where you dump PostgreSQL yourself."`
	sealFlags       `embed:""`
}

// sealFlags say who can open what is written.
type sealFlags struct {
	Recipient      []string `placeholder:"age1..." help:"Public key of age that opens it; may be given several times."`
	PassphraseFile string   `type:"path" placeholder:"FILE" help:"File with a passphrase that opens it instead; - is standard input."`
}

// standard is what stands for standard input and output.
const standard = "-"

// written is what backup and key export tell; nothing in it is secret.
type written struct {
	File    string    `json:"file"`
	Bytes   int64     `json:"bytes"`
	SHA256  string    `json:"sha256"`
	Kind    string    `json:"kind"`
	Origin  string    `json:"origin"`
	Engine  string    `json:"engine"`
	At      time.Time `json:"at"`
	LeftOut []string  `json:"left_out"`
	// Generation is of keys alone.
	Generation string `json:"key_generation,omitempty"`
}

// Run reads the files and the database themselves, beside the sidecar: whoever may do that has the keys anyway, and the Operator API,
// whose token opens less, gives none away.
func (c *backupCmd) Run(a *app) error {
	m, err := a.member()
	if err != nil {
		return err
	}
	var snapshot *store.Snapshot
	manifest := m.manifest(backup.Whole)
	if c.WithoutDatabase {
		manifest.Engine = noEngine
		manifest.LeftOut = append(manifest.LeftOut, "database")
	} else {
		if snapshot, err = m.snapshot(a.ctx); err != nil {
			return err
		}
		defer func() { _ = snapshot.Close() }()
		manifest.Schema = migrationsOf(snapshot.Schema)
	}
	sealed, err := c.keys(a)
	if err != nil {
		return err
	}
	files, err := m.files()
	if err != nil {
		return unreadable(err)
	}
	told := written{File: c.File, Kind: manifest.Kind, Origin: manifest.Origin, Engine: manifest.Engine, At: manifest.At, LeftOut: manifest.LeftOut}
	err = a.write(&told, func(to io.Writer) error {
		w, err := backup.NewWriter(to, sealed, manifest)
		if err != nil {
			return err
		}
		for _, f := range files {
			if err := f.add(w); err != nil {
				return err
			}
		}
		if snapshot != nil {
			p := a.progress(snapshot.Size)
			err = snapshot.Pieces(a.ctx, func(name string, size int64, write func(io.Writer) error) error {
				folder := backup.RowsFolder
				if name == store.SQLiteFile {
					folder = backup.DataFolder
				}
				return w.Stream(folder+name, size, func(to io.Writer) error { return write(io.MultiWriter(to, p)) })
			})
			if err != nil {
				return err
			}
		}
		return w.Close()
	})
	if err != nil || snapshot == nil {
		return err
	}
	where, err := m.store()
	if err == nil {
		err = store.RecordBackup(a.ctx, where, m.now)
	}
	if err != nil { // the file is good
		fmt.Fprintf(a.stderr, "Not noted in the database (%v): hanse_backup_last_success_timestamp_seconds does not know of this backup.\n", err)
	}
	return nil
}

func migrationsOf(all []store.Migration) (out []backup.Migration) {
	for _, m := range all {
		out = append(out, backup.Migration(m))
	}
	return out
}

// keys are what the flags name.
func (f sealFlags) keys(a *app) (backup.Keys, error) {
	if (f.PassphraseFile == "") == (len(f.Recipient) == 0) {
		return backup.Keys{}, &commandError{
			Code: exitUsage, Reason: "usage", Field: "--recipient", Cause: "it is not said who can open it, or twice",
			Action: "give --recipient age1... (age-keygen makes a pair) or --passphrase-file FILE",
		}
	}
	if f.PassphraseFile != "" {
		return passphrase(a, f.PassphraseFile)
	}
	keys, err := backup.Recipients([]byte(strings.Join(f.Recipient, "\n")))
	if err != nil {
		return backup.Keys{}, &commandError{Code: exitUsage, Reason: "usage", Field: "--recipient", Cause: err.Error(), Action: "give what age-keygen calls the public key"}
	}
	return keys, nil
}

func passphrase(a *app, file string) (backup.Keys, error) {
	raw, err := a.secret(file)
	if err == nil {
		var keys backup.Keys
		if keys, err = backup.Passphrase(strings.TrimRight(string(raw), "\r\n")); err == nil {
			return keys, nil
		}
	}
	return backup.Keys{}, &commandError{
		Code: exitFailure, Reason: "no_passphrase", Field: "--passphrase-file", Cause: err.Error(),
		Action: "put a long passphrase into a file that you alone can read, and keep it apart from what it opens",
	}
}

// maxSecret bounds the file of a passphrase or key, so that a wrong path does not fill the memory.
const maxSecret = 64 << 10

func (a *app) secret(file string) ([]byte, error) {
	if file == standard {
		return io.ReadAll(io.LimitReader(a.stdin, maxSecret))
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, maxSecret))
}

// write has give write an archive to told.File, and tells about it.
func (a *app) write(told *written, give func(to io.Writer) error) error {
	sum := &measured{hash: sha256.New()}
	var err error
	tell := a
	if told.File == standard {
		// What is told must not get between.
		tell = &app{flags: a.flags, stdout: a.stderr, stderr: a.stderr}
		sum.to = &impatient{ctx: a.ctx, to: a.stdout, wait: patience}
		err = give(sum)
	} else {
		err = beside(told.File, func(to io.Writer) error { sum.to = to; return give(sum) })
	}
	var known *commandError
	if errors.Is(err, store.ErrTooSlow) {
		err = &commandError{Code: exitFailure, Reason: "too_slow", Cause: err.Error(), Action: "write to a file on a disk of this machine, and send that"}
	}
	if err != nil && !errors.As(err, &known) {
		err = &commandError{Code: exitFailure, Reason: "not_written", Cause: err.Error(), Action: "nothing was kept; make room or name another place, and run it again"}
	}
	if err != nil {
		return err
	}
	told.Bytes, told.SHA256 = sum.n, hex.EncodeToString(sum.hash.Sum(nil))
	return tell.show(told, func(t *table) {
		t.fact("File", told.File)
		t.fact("Bytes", number(told.Bytes))
		t.fact("SHA-256", told.SHA256)
		t.fact("Member", told.Origin)
		t.fact("Database", told.Engine)
		t.fact("As of", told.At.Format(time.RFC3339))
		if told.Generation != "" {
			t.fact("Keys", told.Generation)
		}
		for _, left := range told.LeftOut {
			t.fact("Not in it", left)
		}
	})
}

// patience is how long the reader of standard output may take for one piece of 64 KiB: until the end the database keeps what is replaced.
const patience = 2 * time.Minute

// impatient gives up where to takes longer than wait. What is under way then never ends, unless the process does.
type impatient struct {
	ctx  context.Context
	to   io.Writer
	wait time.Duration
}

func (w *impatient) Write(p []byte) (int, error) {
	type written struct {
		n   int
		err error
	}
	done, piece := make(chan written, 1), bytes.Clone(p) // p is the caller's again when we give up
	go func() { n, err := w.to.Write(piece); done <- written{n, err} }()
	late := time.NewTimer(w.wait)
	defer late.Stop()
	select {
	case is := <-done:
		return is.n, is.err
	case <-w.ctx.Done():
		return 0, w.ctx.Err()
	case <-late.C:
		return 0, fmt.Errorf("%w: standard output took nothing for %s", store.ErrTooSlow, w.wait)
	}
}

type measured struct {
	to   io.Writer
	hash hash.Hash
	n    int64
}

func (m *measured) Write(p []byte) (int, error) {
	n, err := m.to.Write(p)
	m.n += int64(n)
	_, _ = m.hash.Write(p[:n])
	return n, err
}

// beside has give write to FILE.partial, which becomes FILE when all of it is on the disk. What an earlier run left there is
// overwritten; two runs keep apart.
func beside(file string, give func(to io.Writer) error) error {
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		return alreadyWritten(file, err)
	}
	partial := file + ".partial"
	if info, err := os.Lstat(partial); err == nil && !info.Mode().IsRegular() {
		return alreadyWritten(partial, nil)
	}
	f, err := filelock.Try(partial)
	if errors.Is(err, filelock.ErrHeld) {
		return &commandError{Code: exitConflict, Reason: "already_running", Cause: "another hanse writes " + partial, Action: "wait for it, or name another file"}
	}
	if err != nil {
		return err
	}
	err = errors.Join(f.Chmod(0o600), f.Truncate(0))
	if err == nil {
		err = give(f)
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		if err = os.Link(partial, file); err != nil { // fails where the name exists
			err = alreadyWritten(file, err)
		}
	}
	err = errors.Join(err, os.Remove(partial), f.Close())
	if err == nil {
		err = syncFolder(filepath.Dir(file))
	}
	return err
}

func alreadyWritten(path string, err error) error {
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return &commandError{Code: exitConflict, Reason: "already_there", Field: "FILE", Cause: path + " exists and is left as it is", Action: "name another file, with the date in it for example"}
}

func syncFolder(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// progressEvery is how often people read how far it is.
const progressEvery = 2 * time.Second

// counter tells people how much of the database was read.
type counter struct {
	out     io.Writer
	n, size int64
	next    time.Time
}

func (a *app) progress(size int64) *counter {
	c := &counter{out: a.stderr, size: size, next: time.Now().Add(progressEvery)}
	if a.flags.Output == outputJSON {
		c.out = io.Discard
	}
	return c
}

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	if now := time.Now(); now.After(c.next) {
		c.next = now.Add(progressEvery)
		fmt.Fprintf(c.out, "%d of about %d MiB\n", c.n>>20, max(c.n, c.size)>>20)
	}
	return len(p), nil
}
