// Package postgres sells databases on a PostgreSQL server that the supplier runs: one role and one database per
// subscription, both named by the tag.
//
// The role carries a mark (COMMENT ON ROLE, written in the transaction that creates it) that says whose it is. Nothing
// without the mark is ever touched. The database belongs to that role, is closed while it is being made, and opens only
// when PUBLIC may no longer connect to it. A session-level advisory lock on the tag orders callers on all replicas.
//
// The supplier's part: let no customer connect to databases that are not theirs,
//
//	REVOKE CONNECT, TEMPORARY ON DATABASE postgres, template1 FROM PUBLIC;
//
// and give the sidecar a role with CREATEDB and CREATEROLE, not a superuser.
package postgres

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hanse-market/hanse/adapters"
	"github.com/hanse-market/hanse/adapters/internal/input"
)

// Config of an Adapter; the zero value works.
type Config struct {
	// Connections are checked by New; default none. Every request brings its own.
	Connections []adapters.Connection
	// Rand gives the customers' passwords; default crypto/rand.
	Rand io.Reader
}

// Adapter drives PostgreSQL servers. It holds nothing between calls.
type Adapter struct {
	rand       io.Reader
	with       *input.Schema
	connection *input.Schema
	// step is called between effects; tests cut calls off there.
	step func(name string)
}

// New makes the adapter; it connects to nothing.
func New(cfg Config) (*Adapter, error) {
	a := &Adapter{rand: cfg.Rand, step: func(string) {}}
	if a.rand == nil {
		a.rand = rand.Reader
	}
	var err error
	if a.with, err = input.Compile("with", withSchema); err != nil {
		return nil, err
	}
	if a.connection, err = input.Compile("the connection", ConnectionSchema); err != nil {
		return nil, err
	}
	for _, c := range cfg.Connections {
		if err := a.connection.Decode(c.Config, &server{}); err != nil {
			return nil, fmt.Errorf("connection %s: %w", c.Name, err)
		}
	}
	return a, nil
}

func (a *Adapter) Describe() adapters.Description {
	return adapters.Description{
		Name:             "postgres",
		Tier:             adapters.TierA,
		WithSchema:       json.RawMessage(withSchema),
		ConnectionSchema: json.RawMessage(ConnectionSchema),
		Outputs: []adapters.Output{
			{Name: "host", Title: "Host"},
			{Name: "port", Title: "Port"},
			{Name: "database", Title: "Database"},
			{Name: "username", Title: "User name"},
			{Name: "url", Title: "Address without password"},
			{Name: "password", Title: "Password", Sensitive: true},
			{Name: "connection_url", Title: "Address with password", Sensitive: true},
		},
		Actions: []string{"suspend", "resume", "rotate"},
		Meters:  []adapters.Meter{{Name: "database_size", Unit: "By", Gauge: true}},
	}
}

// Validate checks the request and logs in to the server.
func (a *Adapter) Validate(ctx context.Context, req adapters.Request) error {
	s, _, err := a.resolve(req)
	if err != nil {
		return err
	}
	conn, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	var able bool
	err = conn.QueryRow(ctx, "SELECT rolsuper OR rolcreatedb AND rolcreaterole FROM pg_roles WHERE rolname = current_user").Scan(&able)
	if err != nil {
		return statementError("read own role", err)
	}
	if !able {
		return &adapters.Error{Class: adapters.Auth, Message: "the connection's user lacks CREATEDB or CREATEROLE"}
	}
	return nil
}

// Apply makes role and database, or changes them to the request. Without the State of the last answer it sets a new
// password: nobody can know the one that got lost.
func (a *Adapter) Apply(ctx context.Context, req adapters.Request) (adapters.Result, error) {
	var result adapters.Result
	s, want, err := a.resolve(req)
	if err != nil {
		return result, err
	}
	err = a.locked(ctx, s, req, func(in *instance) error {
		if in.role.exists && req.Generation < in.role.mark.Generation {
			return &adapters.Error{Class: adapters.Conflict, Message: fmt.Sprintf("generation %d is older than %d, which is applied", req.Generation, in.role.mark.Generation)}
		}
		password, known := passwordOf(req.State)
		if !known {
			password = a.password()
		}
		if err := a.converge(ctx, s, in, want, req.Generation, password, known); err != nil {
			return err
		}
		result = a.result(s, req.Tag, password)
		return nil
	})
	return result, err
}

// converge is Apply's work, in an order in which each step may be the last that happened.
func (a *Adapter) converge(ctx context.Context, s server, in *instance, want desired, generation int64, password string, known bool) error {
	a.step("locked")
	if !in.role.exists {
		if err := in.createRole(ctx, generation, want, password); err != nil {
			return err
		}
	} else {
		if in.role.mark.Generation != generation || in.role.limit != want.ConnectionLimit || in.role.login == in.role.mark.Suspended {
			if err := in.changeRole(ctx, generation, want); err != nil {
				return err
			}
		}
		if !known {
			if err := in.setPassword(ctx, password); err != nil {
				return err
			}
		}
	}
	a.step("role")
	if err := in.ensureDatabase(ctx, a.step); err != nil {
		return err
	}
	if !known || in.role.mark.Suspended {
		return nil
	}
	ok, err := s.login(ctx, in.tag, password)
	if err != nil {
		return err
	}
	if !ok {
		return in.setPassword(ctx, password)
	}
	return nil
}

// Observe compares the server with the request.
func (a *Adapter) Observe(ctx context.Context, req adapters.Request) (adapters.Observation, error) {
	var seen adapters.Observation
	s, want, err := a.resolve(req)
	if err != nil {
		return seen, err
	}
	conn, err := s.open(ctx)
	if err != nil {
		return seen, err
	}
	defer closeConn(conn)
	in, err := a.load(ctx, conn, req)
	if err != nil {
		return seen, err
	}
	seen.Exists = in.role.exists || in.database.exists
	if !seen.Exists {
		return seen, nil
	}
	seen.Suspended = in.role.exists && in.role.mark.Suspended
	seen.Drift = in.drift(want, req.Generation)
	seen.Ready = in.role.login && in.database.open && !seen.Suspended
	if password, known := passwordOf(req.State); known && seen.Ready {
		ok, err := s.login(ctx, req.Tag, password)
		if err != nil {
			return seen, err
		}
		if !ok {
			seen.Drift = append(seen.Drift, "the password is not the one that was delivered")
		}
	}
	return seen, nil
}

// Act suspends (no login, sessions end, data stays), resumes, or rotates the password.
func (a *Adapter) Act(ctx context.Context, req adapters.Request, action string) (adapters.Result, error) {
	var result adapters.Result
	if !slices.Contains(a.Describe().Actions, action) {
		return result, &adapters.Error{Class: adapters.InvalidInput, Message: fmt.Sprintf("no action %q", action)}
	}
	s, err := a.place(req)
	if err != nil {
		return result, err
	}
	err = a.locked(ctx, s, req, func(in *instance) error {
		if !in.role.exists {
			return &adapters.Error{Class: adapters.Conflict, Message: "there is no database of this tag"}
		}
		password, known := passwordOf(req.State)
		if action == "rotate" || !known {
			password = a.password()
			if err := in.setPassword(ctx, password); err != nil {
				return err
			}
		}
		if action != "rotate" {
			if err := in.suspend(ctx, action == "suspend"); err != nil {
				return err
			}
		}
		result = a.result(s, req.Tag, password)
		return nil
	})
	return result, err
}

// Destroy ends the customer's sessions and drops database and role.
func (a *Adapter) Destroy(ctx context.Context, req adapters.Request) error {
	s, err := a.place(req)
	if err != nil {
		return err
	}
	return a.locked(ctx, s, req, func(in *instance) error { return in.drop(ctx, a.step) })
}

// Collect reads the database's size now; earlier sizes are not known to the server.
func (a *Adapter) Collect(ctx context.Context, req adapters.Request, from, to time.Time) ([]adapters.MeterPoint, error) {
	s, err := a.place(req)
	if err != nil {
		return nil, err
	}
	conn, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	defer closeConn(conn)
	in, err := a.load(ctx, conn, req)
	if err != nil || !in.database.exists {
		return nil, err
	}
	point := adapters.MeterPoint{
		Meter: "database_size", Unit: "By", From: from, To: to,
		DedupeKey: fmt.Sprintf("%s/database_size/%d-%d", req.Tag, from.UnixNano(), to.UnixNano()),
	}
	if err := conn.QueryRow(ctx, "SELECT pg_database_size($1::name)", req.Tag).Scan(&point.Value); err != nil {
		return nil, statementError("measure the database", err)
	}
	return []adapters.MeterPoint{point}, nil
}

// Close has nothing to release.
func (a *Adapter) Close() error { return nil }

// locked runs fn on the instance as it is under the tag's lock. The lock ends with the connection; a statement that was
// cut off keeps it on the server until it is over.
func (a *Adapter) locked(ctx context.Context, s server, req adapters.Request, fn func(*instance) error) error {
	conn, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock(hashtextextended($1::text, 0))", "hanse/"+req.Tag); err != nil {
		return statementError("lock the tag", err)
	}
	in, err := a.load(ctx, conn, req)
	if err != nil {
		return err
	}
	return fn(in)
}

// closeConn says goodbye even when the call's own context is over.
func closeConn(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}

type state struct {
	Password string `json:"password"`
}

func passwordOf(raw []byte) (string, bool) {
	var s state
	if json.Unmarshal(raw, &s) != nil || s.Password == "" {
		return "", false
	}
	return s.Password, true
}

func (a *Adapter) result(s server, name, password string) adapters.Result {
	public, sensitive := s.outputs(name, password)
	raw, _ := json.Marshal(state{Password: password})
	return adapters.Result{Outputs: public, Sensitive: sensitive, State: raw}
}
