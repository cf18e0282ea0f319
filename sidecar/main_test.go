package sidecar_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/hanse-market/hanse/sidecar/internal/testserver"
)

// servers are the PostgreSQL and the Redis of this test binary.
var servers testserver.Servers

type serving struct{ *testing.M }

func (s serving) Run() int { return servers.Run(s.M) }

// TestMain fails when a sidecar that was closed leaves a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(serving{m}) }
