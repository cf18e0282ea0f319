// Package testserver starts real PostgreSQL and Redis servers from the system's packages for tests: one of each for a test
// binary, on first use, a fresh database for each test; and the proxies that stand before databases and members. A server that is not installed fails the test and names the command
// that installs it; nothing is skipped.
//
//	var servers testserver.Servers
//
//	func TestMain(m *testing.M) { os.Exit(servers.Run(m)) }
//
//	func TestX(t *testing.T) { dsn := servers.Postgres(t).Database(t) }
//
// A server dies with the test binary, on Linux even when that is killed. It listens on a unix socket only, except for Redis
// clusters, sentinels and nginx, which speak TCP on loopback.
package testserver
