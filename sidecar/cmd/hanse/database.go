package main

import (
	"errors"
	"fmt"

	"github.com/hanse-market/hanse/sidecar"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

type databaseCmd struct {
	Accept databaseAcceptCmd `cmd:"" help:"Say that the PostgreSQL server has all that was committed before; after a failover or a restore nothing is written until then. Stop sidecars of an older version first."`
}

// databaseAcceptCmd goes to the database itself: the sidecar may be down.
type databaseAcceptCmd struct{}

// acceptance is what the command tells a program.
type acceptance struct {
	Was string `json:"was"`
	Is  string `json:"is"`
}

func (c *databaseAcceptCmd) Run(a *app) error {
	cfg, err := a.configuration()
	if err != nil {
		return err
	}
	was, is, err := sidecar.AcceptDatabase(a.ctx, cfg)
	var wrong *sidecar.ConfigError
	switch {
	case errors.As(err, &wrong):
		return configError(cfg.File, err)
	case fault.Is(err, fault.Unavailable):
		return &commandError{Code: exitPending, Reason: "database_unreachable", Cause: err.Error(), Action: "start the server, or name the primary in database.dsn, and run it again"}
	case err != nil:
		return &commandError{Code: exitFailure, Reason: "database_not_accepted", Cause: err.Error(), Action: "name the primary in database.dsn, and run it again"}
	}
	return a.show(acceptance{Was: was, Is: is}, func(t *table) {
		switch {
		case is == "":
			t.row("Accepted a server that does not tell its timeline; a failover will not be noticed")
		case was == is:
			t.row(fmt.Sprintf("Server and timeline %s were accepted before", is))
		case was == "":
			t.row(fmt.Sprintf("Accepted server and timeline %s", is))
		default:
			t.row(fmt.Sprintf("Accepted server and timeline %s in place of %s", is, was))
		}
	})
}
