package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/hanse-market/hanse/adapters"
	"github.com/hanse-market/hanse/adapters/internal/input"
)

// server is a resolved connection.
type server struct {
	Host         string `json:"host"`
	Port         int    `json:"port"`
	User         string `json:"user"`
	Password     string `json:"password"`
	PasswordFile string `json:"password_file"`
	Database     string `json:"database"`
	TLS          string `json:"tls"`
	TLSCAFile    string `json:"tls_ca_file"`
	PublicHost   string `json:"public_host"`
	PublicPort   int    `json:"public_port"`
	PublicTLS    string `json:"public_tls"`
}

// desired is a resolved Request.With.
type desired struct {
	ConnectionLimit int `json:"connection_limit"`
}

// resolve is place with what the request asks for.
func (a *Adapter) resolve(req adapters.Request) (server, desired, error) {
	d := desired{ConnectionLimit: 20}
	if err := a.with.Decode(req.With, &d); err != nil {
		return server{}, d, err
	}
	s, err := a.place(req)
	return s, d, err
}

// place is where a request's database is, whatever is asked of it.
func (a *Adapter) place(req adapters.Request) (server, error) {
	if err := input.CheckNames(req); err != nil {
		return server{}, err
	}
	return a.server(req.Connection)
}

// server is the one that a connection names.
func (a *Adapter) server(c adapters.Connection) (server, error) {
	var s server
	if err := a.connection.Decode(c.Config, &s); err != nil {
		return s, err
	}
	if s.Password != "" && s.PasswordFile != "" {
		return s, &adapters.Error{Class: adapters.InvalidInput, Message: "the connection has both password and password_file"}
	}
	if s.PasswordFile != "" {
		raw, err := os.ReadFile(s.PasswordFile)
		if err != nil {
			return s, &adapters.Error{Class: adapters.Auth, Message: "read password_file: " + reason(err), Err: err}
		}
		s.Password = strings.TrimRight(string(raw), "\r\n")
	}
	return s.complete(), nil
}

func (s server) complete() server {
	if s.Host == "" {
		s.Host = "127.0.0.1"
	}
	if s.Port == 0 {
		s.Port = 5432
	}
	if s.Database == "" {
		s.Database = "postgres"
	}
	if s.TLS == "" {
		s.TLS = "verify-full"
		if ip := net.ParseIP(s.Host); s.Host == "localhost" || strings.HasPrefix(s.Host, "/") || ip != nil && ip.IsLoopback() {
			s.TLS = "disable"
		}
	}
	if s.PublicHost == "" {
		s.PublicHost = s.Host
	}
	if s.PublicPort == 0 {
		s.PublicPort = s.Port
	}
	if s.PublicTLS == "" {
		s.PublicTLS = s.TLS
	}
	return s
}

// config is the connection's configuration with every value set, so that the sidecar's own PG* environment and service
// files say nothing about a customer's database.
func (s server) config(user, password, database string) (*pgx.ConnConfig, error) {
	quote := func(v string) string { return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v) + "'" }
	dsn := fmt.Sprintf("host=%s port=%d user=%s password=%s dbname=%s sslmode=%s passfile=/dev/null application_name=hanse connect_timeout=10",
		quote(s.Host), s.Port, quote(user), quote(password), quote(database), s.TLS)
	if s.TLSCAFile != "" {
		dsn += " sslrootcert=" + quote(s.TLSCAFile)
	}
	config, err := pgx.ParseConfig(dsn)
	if err != nil { // its text may quote the input
		return nil, &adapters.Error{Class: adapters.InvalidInput, Message: "the connection cannot be used: host, port, tls or tls_ca_file"}
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	return config, nil
}

// open connects as the connection's own user.
func (s server) open(ctx context.Context) (*pgx.Conn, error) {
	config, err := s.config(s.User, s.Password, s.Database)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, connectError("connect to the server", err)
	}
	return conn, nil
}

// login tries a customer's own access. It says ok also when something other than the password is in the way (the
// connection limit, a host rule for the sidecar's address): only a refused password calls for a new one.
func (s server) login(ctx context.Context, name, password string) (ok bool, err error) {
	config, err := s.config(name, password, name)
	if err != nil {
		return false, err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err == nil {
		_ = conn.Close(ctx)
		return true, nil
	}
	if code(err) == "28P01" {
		return false, nil
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return true, nil
	}
	return false, connectError("try the customer's access", err)
}

func (s server) outputs(name, password string) (public, sensitive map[string]string) {
	u := url.URL{Scheme: "postgres", Path: "/" + name, RawQuery: "sslmode=" + s.PublicTLS}
	port := strconv.Itoa(s.PublicPort)
	if strings.HasPrefix(s.PublicHost, "/") { // a socket folder
		u.RawQuery += "&host=" + url.QueryEscape(s.PublicHost) + "&port=" + port
	} else {
		u.Host = net.JoinHostPort(s.PublicHost, port)
	}
	u.User = url.User(name)
	public = map[string]string{"host": s.PublicHost, "port": port, "database": name, "username": name, "url": u.String()}
	u.User = url.UserPassword(name, password)
	return public, map[string]string{"password": password, "connection_url": u.String()}
}
