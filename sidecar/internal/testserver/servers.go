package testserver

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
)

// Servers are the servers of one test binary. The zero value is ready.
type Servers struct {
	mu       sync.Mutex
	postgres *Postgres
	redis    *Redis
}

// Run runs the tests and stops what they started.
func (s *Servers) Run(m *testing.M) int {
	code := m.Run()
	if err := s.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "stop test servers:", err)
		return max(code, 1)
	}
	return code
}

// Close stops what was started.
func (s *Servers) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	if s.postgres != nil {
		errs = append(errs, s.postgres.Close())
	}
	if s.redis != nil {
		errs = append(errs, s.redis.Close())
	}
	s.postgres, s.redis = nil, nil
	return errors.Join(errs...)
}

// Postgres is the PostgreSQL server of this test binary.
func (s *Servers) Postgres(t testing.TB) *Postgres {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.postgres == nil {
		p, err := StartPostgres()
		if err != nil {
			t.Fatal(err)
		}
		s.postgres = p
	}
	return s.postgres
}

// Redis is the Redis server of this test binary, empty.
func (s *Servers) Redis(t testing.TB) *Redis {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.redis == nil {
		r, err := StartRedis()
		if err != nil {
			t.Fatal(err)
		}
		s.redis = r
	}
	if err := s.redis.Flush(); err != nil {
		t.Fatal(err)
	}
	return s.redis
}
