package main

import (
	"github.com/hanse-market/hanse/adapters/process/notes"
)

// appCmd holds the programs that the process adapter starts as self:NAME; they get all they need from their environment.
type appCmd struct {
	Notes appNotesCmd `cmd:"" help:"Serve one notebook."`
}

type appNotesCmd struct {
	Args []string `arg:"" optional:""`
}

func (c *appNotesCmd) Run(a *app) error {
	if code := notes.Main(a.ctx, c.Args, a.getenv, a.stderr); code != exitOK {
		return &commandError{Code: code, Reason: "app_ended", Cause: "notes ended with an error", Action: "read the lines above"}
	}
	return nil
}
