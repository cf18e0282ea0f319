package main

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/backup"
)

type restoreCmd struct {
	File       string `arg:"" type:"path" help:"What hanse backup wrote."`
	Dir        string `type:"path" placeholder:"FOLDER" help:"Folder to make the member in; it must be empty or not be there. Required, unless with --check."`
	Check      bool   `help:"Only read all of it and say what it is."`
	openFlags  `embed:""`
	digestFlag `embed:""`
}

// digestFlag says which file it must be. An empty value, of a variable that a script did not set, is refused.
type digestFlag struct {
	SHA256 *string `name:"sha256" placeholder:"HEX" help:"SHA-256 that hanse told when it wrote FILE; a file with another one is refused before anything is written."`
}

// openFlags open what sealFlags sealed.
type openFlags struct {
	IdentityFile   string `type:"path" placeholder:"FILE" help:"File with the private key of age that opens it."`
	PassphraseFile string `type:"path" placeholder:"FILE" help:"File with the passphrase that opens it; - is standard input."`
}

// restored is what restore and key import tell.
type restored struct {
	File     string    `json:"file"`
	Kind     string    `json:"kind"`
	Origin   string    `json:"origin"`
	Engine   string    `json:"engine"`
	At       time.Time `json:"at"`
	Version  string    `json:"made_by"`
	Dir      string    `json:"folder,omitempty"`
	Config   string    `json:"configuration,omitempty"`
	Missing  []string  `json:"not_in_it"`
	LookAt   []string  `json:"look_at,omitempty"`
	NextStep string    `json:"next,omitempty"`
}

// onlyHere is what no partner can give back: it is as old as the backup.
var onlyHere = []string{
	"portals' keys, and whether one was revoked since: hanse portal list",
	"partners that were refused, suspended or removed since: hanse partner list",
	"listings that were renamed, hidden or priced by hand: hanse listing list",
	"markups of partners and categories: hanse listing list",
	"offerings published or withdrawn since: hanse offering list",
	"what no partner could give back: hanse job list",
}

// notWithKeys is what a member whose database is empty has to be told again.
var notWithKeys = []string{
	"portals: add them under the names they had, hanse portal add",
	"offerings: apply them again, hanse offering apply",
	"names, prices and visibility of listings, markups: hanse listing list",
	"partners that were refused, suspended or removed since: hanse partner list",
	"what no partner could give back: hanse job list",
}

func (c *restoreCmd) Run(a *app) error {
	return c.restore(a, backup.Whole)
}

func (c *restoreCmd) restore(a *app, kind string) error {
	r := &restoring{app: a, file: c.File, dir: c.Dir, kind: kind}
	var err error
	if r.digest, err = c.digest(); err != nil {
		return err
	}
	if err := r.open(); err != nil {
		return err
	}
	defer func() { _ = r.archive.Close() }()
	if !c.Check {
		release, err := r.hold()
		if err != nil {
			return err
		}
		defer release()
		if err := r.room(); err != nil {
			return err
		}
	}
	if r.keys, err = c.keys(a); err != nil {
		return err
	}
	// All of it is read before anything is written.
	if err := r.read(func(string, io.Reader) error { return nil }); err != nil {
		return err
	}
	if !c.Check {
		if err := r.write(); err != nil {
			return r.failed(err)
		}
	}
	return a.show(r.told(), func(t *table) { describeRestored(t, r.told()) })
}

func (f digestFlag) digest() ([]byte, error) {
	if f.SHA256 == nil {
		return nil, nil
	}
	if sum, err := hex.DecodeString(*f.SHA256); err == nil && len(sum) == sha256.Size {
		return sum, nil
	}
	return nil, &commandError{Code: exitUsage, Reason: "usage", Field: "--sha256", Cause: "it is no SHA-256, which has 64 digits from 0 to f", Action: "give what hanse told when it wrote the file, or what sha256sum says of a copy you trust"}
}

func (f openFlags) keys(a *app) (backup.Keys, error) {
	if (f.PassphraseFile == "") == (f.IdentityFile == "") {
		return backup.Keys{}, &commandError{
			Code: exitUsage, Reason: "usage", Field: "--identity-file", Cause: "it is not said what opens it, or twice",
			Action: "give --identity-file FILE or --passphrase-file FILE, as it was sealed",
		}
	}
	if f.PassphraseFile != "" {
		return passphrase(a, f.PassphraseFile)
	}
	raw, err := a.secret(f.IdentityFile)
	if err == nil {
		var keys backup.Keys
		if keys, err = backup.Identities(raw); err == nil {
			return keys, nil
		}
	}
	return backup.Keys{}, &commandError{Code: exitFailure, Reason: "no_identity", Field: "--identity-file", Cause: err.Error(), Action: "name the file that age-keygen wrote"}
}

func describeRestored(t *table, r restored) {
	t.fact("File", r.File)
	t.fact("Member", r.Origin)
	t.fact("Database", r.Engine)
	t.fact("As of", r.At.Format(time.RFC3339))
	t.fact("Made by", "hanse "+r.Version)
	for _, missing := range r.Missing {
		t.fact("Not in it", missing)
	}
	if r.Dir == "" {
		t.row("All of it is as it was written.")
		return
	}
	t.fact("Folder", r.Dir)
	t.fact("Configuration", r.Config)
	for _, look := range r.LookAt {
		t.fact("Look at", look)
	}
	t.fact("Next", r.NextStep)
}
