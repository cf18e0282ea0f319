package exchange_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/testserver"
)

var servers testserver.Servers

type withServers struct{ m *testing.M }

func (w withServers) Run() int { return servers.Run(w.m) }

func TestMain(m *testing.M) { goleak.VerifyTestMain(withServers{m}) }

// engines are the databases that races are run on.
var engines = map[string]func(t *testing.T) markettest.Config{
	"sqlite":   func(*testing.T) markettest.Config { return markettest.Config{} },
	"postgres": func(t *testing.T) markettest.Config { return markettest.Config{DSN: servers.Postgres(t).Database(t)} },
}

func onEach(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Helper()
	for name, config := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, openBench(t, config(t)))
		})
	}
}
