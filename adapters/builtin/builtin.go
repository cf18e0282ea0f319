// Package builtin is the list of adapters in the hanse binary.
package builtin

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/hanse-market/hanse/adapters"
	"github.com/hanse-market/hanse/adapters/postgres"
	"github.com/hanse-market/hanse/adapters/process"
)

// Connection is a configured platform and the adapter that drives it.
type Connection struct {
	// Adapter is a name from the list below.
	Adapter string
	adapters.Connection
}

// Config of all built-in adapters; the zero value works.
type Config struct {
	// Connections are checked by New against their adapters' schemas; default none.
	Connections []Connection
	// Self is the command that runs programs inside this binary, without their name; default this binary and "app".
	Self []string
	// Logger; default none.
	Logger *slog.Logger
	// Now; default time.Now.
	Now func() time.Time
	// Rand; default crypto/rand.
	Rand io.Reader
}

// ConnectionSchemas are the JSON Schemas of the adapters' connections, by adapter.
func ConnectionSchemas() map[string]json.RawMessage {
	return map[string]json.RawMessage{
		"postgres": json.RawMessage(postgres.ConnectionSchema),
		"process":  json.RawMessage(process.ConnectionSchema),
	}
}

// New makes every built-in adapter, by name. It starts nothing: the host runs those that are an adapters.Runner, and
// closes all.
func New(cfg Config) (map[string]adapters.Adapter, error) {
	of := map[string][]adapters.Connection{}
	for _, c := range cfg.Connections {
		of[c.Adapter] = append(of[c.Adapter], c.Connection)
	}
	pg, err := postgres.New(postgres.Config{Connections: of["postgres"], Rand: cfg.Rand})
	if err != nil {
		return nil, fmt.Errorf("adapter postgres: %w", err)
	}
	programs, err := process.New(process.Config{Connections: of["process"], Self: cfg.Self, Logger: cfg.Logger, Now: cfg.Now, Rand: cfg.Rand})
	if err != nil {
		return nil, fmt.Errorf("adapter process: %w", err)
	}
	all := map[string]adapters.Adapter{
		"postgres": pg,
		"process":  programs,
	}
	for _, c := range cfg.Connections {
		if all[c.Adapter] == nil {
			return nil, fmt.Errorf("connection %s: there is no adapter %q", c.Name, c.Adapter)
		}
	}
	return all, nil
}
