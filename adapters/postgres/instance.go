package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/hanse-market/hanse/adapters"
)

// mark is the role's comment: the proof that it is ours, and whose. Every customer can read comments, so it names the
// owner by a hash that differs between one tenant's databases.
type mark struct {
	Hanse      string `json:"hanse"`
	Owner      string `json:"owner"`
	Generation int64  `json:"generation"`
	Suspended  bool   `json:"suspended,omitempty"`
}

// instance is what the server has under a tag.
type instance struct {
	conn  *pgx.Conn
	tag   string
	owner string
	// name is the tag as a quoted identifier, of role and database.
	name   string
	random func(n int) []byte
	role   struct {
		exists, login bool
		limit         int
		mark          mark
	}
	database struct {
		exists bool
		// open: connections are allowed at all. public: to everyone, which must not be.
		open, public bool
	}
}

// load looks the tag up; Conflict when something has its name and is not ours, or not this tenant's.
func (a *Adapter) load(ctx context.Context, conn *pgx.Conn, req adapters.Request) (*instance, error) {
	in := &instance{conn: conn, tag: req.Tag, owner: adapters.OwnerOf(req.Tenant, req.Tag), name: pgx.Identifier{req.Tag}.Sanitize(), random: a.random}
	var comment string
	err := conn.QueryRow(ctx, "SELECT rolcanlogin, rolconnlimit, coalesce(shobj_description(oid, 'pg_authid'), '') FROM pg_roles WHERE rolname = $1", req.Tag).
		Scan(&in.role.login, &in.role.limit, &comment)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
	case err != nil:
		return nil, statementError("look for the role", err)
	default:
		in.role.exists = true
		if json.Unmarshal([]byte(comment), &in.role.mark) != nil || in.role.mark.Hanse != req.Tag || in.role.mark.Owner != in.owner {
			return nil, &adapters.Error{Class: adapters.Conflict, Message: "a role of that name exists and is not this tenant's"}
		}
	}
	var owned bool
	err = conn.QueryRow(ctx, `SELECT r.rolname = $1, d.datallowconn,
			EXISTS (SELECT FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a WHERE a.grantee = 0 AND a.privilege_type = 'CONNECT')
		FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba WHERE d.datname = $1`, req.Tag).
		Scan(&owned, &in.database.open, &in.database.public)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
	case err != nil:
		return nil, statementError("look for the database", err)
	case !owned || !in.role.exists:
		return nil, &adapters.Error{Class: adapters.Conflict, Message: "a database of that name exists and is not this tenant's"}
	default:
		in.database.exists = true
	}
	return in, nil
}

func (in *instance) drift(want desired, generation int64) []string {
	var found []string
	say := func(differs bool, format string, args ...any) {
		if differs {
			found = append(found, fmt.Sprintf(format, args...))
		}
	}
	say(!in.database.exists, "the database is missing")
	say(in.database.exists && !in.database.open && in.role.exists, "the database is closed")
	say(in.database.exists && in.database.public, "everyone may connect to the database")
	say(in.role.limit != want.ConnectionLimit, "the connection limit is %d instead of %d", in.role.limit, want.ConnectionLimit)
	say(in.role.mark.Generation != generation, "generation %d is applied instead of %d", in.role.mark.Generation, generation)
	say(in.role.login && in.role.mark.Suspended, "the role can log in although it is suspended")
	say(!in.role.login && !in.role.mark.Suspended, "the role cannot log in")
	return found
}

// exec runs statements that take no parameters; callers quote.
func (in *instance) exec(ctx context.Context, doing string, statements ...string) error {
	for _, sql := range statements {
		if _, err := in.conn.Exec(ctx, sql); err != nil {
			return statementError(doing, err)
		}
	}
	return nil
}

// together runs statements in one transaction.
func (in *instance) together(ctx context.Context, doing string, statements ...string) error {
	all := append([]string{"BEGIN"}, statements...)
	if err := in.exec(ctx, doing, append(all, "COMMIT")...); err != nil {
		if !in.conn.IsClosed() {
			_, _ = in.conn.Exec(ctx, "ROLLBACK")
		}
		return err
	}
	return nil
}

func (in *instance) comment() string {
	raw, _ := json.Marshal(in.role.mark)
	return "COMMENT ON ROLE " + in.name + " IS " + literal(string(raw))
}

func (in *instance) createRole(ctx context.Context, generation int64, want desired, password string) error {
	secret, err := verifier(password, in.random(16))
	if err != nil {
		return &adapters.Error{Class: adapters.Permanent, Message: "make the password's verifier"}
	}
	in.role.mark = mark{Hanse: in.tag, Owner: in.owner, Generation: generation}
	err = in.together(ctx, "create the role",
		fmt.Sprintf("CREATE ROLE %s LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT %d PASSWORD %s", in.name, want.ConnectionLimit, literal(secret)),
		in.comment())
	if err != nil {
		return err
	}
	in.role.exists, in.role.login, in.role.limit = true, true, want.ConnectionLimit
	return nil
}

func (in *instance) changeRole(ctx context.Context, generation int64, want desired) error {
	in.role.mark.Generation = generation
	return in.together(ctx, "change the role",
		fmt.Sprintf("ALTER ROLE %s CONNECTION LIMIT %d %s", in.name, want.ConnectionLimit, loginWord(!in.role.mark.Suspended)),
		in.comment())
}

func (in *instance) setPassword(ctx context.Context, password string) error {
	secret, err := verifier(password, in.random(16))
	if err != nil {
		return &adapters.Error{Class: adapters.Permanent, Message: "make the password's verifier"}
	}
	return in.exec(ctx, "set the password", fmt.Sprintf("ALTER ROLE %s PASSWORD %s", in.name, literal(secret)))
}

// ensureDatabase creates the database closed, locks PUBLIC out, then opens it: at no moment can another customer connect.
func (in *instance) ensureDatabase(ctx context.Context, step func(string)) error {
	if !in.database.exists {
		if err := in.join(ctx); err != nil {
			return err
		}
		err := in.exec(ctx, "create the database",
			fmt.Sprintf("CREATE DATABASE %s OWNER %s TEMPLATE template0 ENCODING 'UTF8' ALLOW_CONNECTIONS false", in.name, in.name))
		if err != nil {
			return err
		}
		in.database.exists, in.database.public = true, true
	}
	step("database")
	if in.database.public {
		if err := in.exec(ctx, "lock others out", "REVOKE ALL ON DATABASE "+in.name+" FROM PUBLIC"); err != nil {
			return err
		}
	}
	step("revoked")
	if !in.database.open {
		return in.exec(ctx, "open the database", "ALTER DATABASE "+in.name+" ALLOW_CONNECTIONS true")
	}
	return nil
}

// join makes the connection's user a member of the customer's role, which a user that is no superuser needs to own,
// measure and drop the database.
func (in *instance) join(ctx context.Context) error {
	var member bool
	if err := in.conn.QueryRow(ctx, "SELECT pg_has_role(current_user, $1::name, 'USAGE')", in.tag).Scan(&member); err != nil {
		return statementError("look at memberships", err)
	}
	if member {
		return nil
	}
	return in.exec(ctx, "join the role", "GRANT "+in.name+" TO CURRENT_USER")
}

func (in *instance) suspend(ctx context.Context, suspended bool) error {
	in.role.mark.Suspended = suspended
	err := in.together(ctx, "change the role", "ALTER ROLE "+in.name+" "+loginWord(!suspended), in.comment())
	if err != nil || !suspended {
		return err
	}
	return in.disconnect(ctx)
}

func (in *instance) disconnect(ctx context.Context) error {
	if _, err := in.conn.Exec(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1::name", in.tag); err != nil {
		return statementError("end the customer's sessions", err)
	}
	return nil
}

// drop removes the role last: it carries the mark by which an interrupted drop is found again.
func (in *instance) drop(ctx context.Context, step func(string)) error {
	if !in.role.exists {
		return nil
	}
	if err := in.join(ctx); err != nil {
		return err
	}
	if err := in.exec(ctx, "lock the role", "ALTER ROLE "+in.name+" NOLOGIN"); err != nil {
		return err
	}
	if err := in.disconnect(ctx); err != nil {
		return err
	}
	step("disconnected")
	if err := in.exec(ctx, "drop the database", "DROP DATABASE IF EXISTS "+in.name+" WITH (FORCE)"); err != nil {
		return err
	}
	step("dropped")
	return in.exec(ctx, "drop the role", "DROP OWNED BY "+in.name, "DROP ROLE "+in.name)
}

func loginWord(can bool) string {
	if can {
		return "LOGIN"
	}
	return "NOLOGIN"
}

// literal quotes for a server with standard_conforming_strings, the default since 9.1.
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
