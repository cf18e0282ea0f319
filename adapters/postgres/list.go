package postgres

import (
	"context"
	"encoding/json"

	"github.com/jackc/pgx/v5"

	"github.com/hanse-market/hanse/adapters"
)

// List implements adapters.Lister by the marks of the server's roles: a database lives no longer than its role.
func (a *Adapter) List(ctx context.Context, c adapters.Connection, prefix, after string, limit int) ([]adapters.Listed, error) {
	s, err := a.server(c)
	if err != nil {
		return nil, err
	}
	conn, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	defer closeConn(conn)
	// Roles that are not ours are among the rows, so a page of them may have fewer of ours.
	var all []adapters.Listed
	for len(all) < limit {
		rows, err := conn.Query(ctx, `SELECT rolname, coalesce(shobj_description(oid, 'pg_authid'), '') FROM pg_roles
			WHERE starts_with(rolname::text, $1) AND rolname::text COLLATE "C" > $2 ORDER BY rolname::text COLLATE "C" LIMIT $3`, prefix, after, limit)
		if err != nil {
			return nil, statementError("list the roles", err)
		}
		var name, comment string
		read := 0
		_, err = pgx.ForEachRow(rows, []any{&name, &comment}, func() error {
			var m mark
			if json.Unmarshal([]byte(comment), &m) == nil && m.Hanse == name && len(all) < limit {
				all = append(all, adapters.Listed{Tag: name, Owner: m.Owner})
			}
			read, after = read+1, name
			return nil
		})
		if err != nil {
			return nil, statementError("list the roles", err)
		}
		if read < limit {
			break
		}
	}
	return all, nil
}
