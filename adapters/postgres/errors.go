package postgres

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/hanse-market/hanse/adapters"
)

func code(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// reason is a file error's cause without its path.
func reason(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return "failed"
}

// connectError classifies an error from before anything was sent: nothing can have happened.
func connectError(doing string, err error) error {
	switch c := code(err); {
	case c != "":
		return statementError(doing, err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &adapters.Error{Class: adapters.Retryable, Message: doing + ": no answer in time"}
	}
	return &adapters.Error{Class: adapters.NotReady, Message: doing + ": the server cannot be reached", After: 5 * time.Second}
}

// statementError classifies a server's answer, or its absence. Every statement here is found again by its name, so an
// unknown outcome needs no more than a repeat. The server's Detail and Where can quote values and stay out.
func statementError(doing string, err error) error {
	var own *adapters.Error
	if errors.As(err, &own) {
		return err
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return &adapters.Error{Class: adapters.Retryable, Message: doing + ": the connection ended without an answer"}
	}
	e := &adapters.Error{Message: doing + ": " + pg.Message + " (SQLSTATE " + pg.Code + ")"}
	switch {
	case pg.Code == "42501", pg.Code[:2] == "28":
		e.Class = adapters.Auth
	case pg.Code[:3] == "57P", pg.Code == "53300":
		e.Class, e.After = adapters.NotReady, 5*time.Second
	case pg.Code[:2] == "53":
		e.Class = adapters.Quota
	case pg.Code == "42P04", pg.Code == "42710", pg.Code == "2BP01":
		e.Class = adapters.Conflict
	case pg.Code[:2] == "40", pg.Code[:2] == "55", pg.Code[:2] == "08", pg.Code == "57014", pg.Code == "XX000":
		e.Class = adapters.Retryable
	default:
		e.Class = adapters.Permanent
	}
	return e
}
