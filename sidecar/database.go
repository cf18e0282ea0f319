package sidecar

import (
	"context"
	"fmt"

	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// AcceptDatabase records, as an operator's word, that the PostgreSQL server which the configuration leads to has all that was
// committed before. After a failover or a restore a sidecar writes nothing until then; one that runs writes again within seconds.
// It returns what was recorded and what is now, a system identifier and a timeline each; a *ConfigError where the database is
// not PostgreSQL.
func AcceptDatabase(ctx context.Context, cfg Config) (was, is string, err error) {
	if cfg, err = cfg.Complete(); err != nil {
		return "", "", err
	}
	if cfg.Database.Driver != "postgres" {
		return "", "", &ConfigError{
			Key: "database.driver", Problem: "is " + cfg.Database.Driver + ", which has no other server to fail over to",
			Action: "only a PostgreSQL server is accepted",
		}
	}
	dsn, err := cfg.DatabaseDSN()
	if err != nil {
		return "", "", err
	}
	if err := cfg.checkDSN(dsn); err != nil {
		return "", "", err
	}
	if was, is, err = store.AcceptServer(ctx, dsn); err != nil {
		return "", "", fmt.Errorf("accept the database of %s: %w", cfg.Origin, err)
	}
	return was, is, nil
}

// checkDSN refuses what is no DSN of PostgreSQL.
func (c Config) checkDSN(dsn string) error {
	if c.Database.Driver != "postgres" {
		return nil
	}
	if err := store.CheckDSN(dsn); err == nil {
		return nil
	}
	key := "database.dsn"
	if c.Database.DSNFile != "" {
		key = "database.dsn_file"
	}
	return &ConfigError{
		Key: key, Problem: "is not the DSN of a PostgreSQL server, or names files that cannot be read",
		Action: "write it like postgres://user:password@host:5432/database, what is special in a password as %40 for @",
	}
}
