package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hanse-market/hanse/sidecar"
)

type databaseCmd struct {
	Accept databaseAcceptCmd `cmd:"" help:"Say that the PostgreSQL server has all that was committed before; after a failover or a restore nothing is written until then."`
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
	case err != nil:
		return &commandError{Code: exitFailure, Reason: "database_not_accepted", Cause: err.Error(), Action: "name the primary in database.dsn, and run it again"}
	case a.flags.Output == outputJSON:
		return json.NewEncoder(a.stdout).Encode(acceptance{Was: was, Is: is})
	case was == is:
		_, err = fmt.Fprintf(a.stdout, "Server and timeline %s were accepted before\n", is)
	default:
		_, err = fmt.Fprintf(a.stdout, "Accepted server and timeline %s in place of %s\n", is, was)
	}
	return err
}
