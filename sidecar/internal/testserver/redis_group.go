package testserver

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// RedisCluster starts a cluster of one node that serves all slots, and returns its address.
func RedisCluster(t testing.TB) string {
	t.Helper()
	port := freePort(t)
	r := member(t, "--port", port, "--bind", "127.0.0.1", "--cluster-enabled", "yes")
	if _, err := r.command("CLUSTER ADDSLOTSRANGE 0 16383"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the cluster", func() (bool, error) {
		info, err := r.command("CLUSTER INFO")
		return strings.Contains(info, "cluster_state:ok"), err
	})
	return "127.0.0.1:" + port
}

// RedisSentinel is a master, its replica and a sentinel that watches them under the name "main".
type RedisSentinel struct {
	// Address is the sentinel's.
	Address  string
	sentinel *Redis
	nodes    [2]*Redis
}

// StartRedisSentinel starts the three.
func StartRedisSentinel(t testing.TB) *RedisSentinel {
	t.Helper()
	first, second, watcher := freePort(t), freePort(t), freePort(t)
	s := &RedisSentinel{Address: "127.0.0.1:" + watcher}
	s.nodes[0] = member(t, "--port", first, "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0")
	s.nodes[1] = member(t, "--port", second, "--bind", "127.0.0.1", "--replicaof", "127.0.0.1", first)
	waitFor(t, "the replica", func() (bool, error) {
		info, err := s.nodes[1].command("INFO replication")
		return strings.Contains(info, "master_link_status:up"), err
	})
	dir, err := os.MkdirTemp("", "rd")
	if err != nil {
		t.Fatal(err)
	}
	s.sentinel = &Redis{Socket: filepath.Join(dir, "s"), dir: dir, ready: "Sentinel ID is"}
	config := filepath.Join(dir, "sentinel.conf") // the sentinel keeps what it learns in it
	text := fmt.Sprintf("port %s\nbind 127.0.0.1\nunixsocket %s\ndir %s\nsentinel monitor main 127.0.0.1 %s 1\n",
		watcher, s.sentinel.Socket, dir, first)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.sentinel.args = []string{config, "--sentinel"}
	if err := s.sentinel.Start(); err != nil {
		t.Fatal(errors.Join(err, os.RemoveAll(dir)))
	}
	t.Cleanup(func() {
		if err := s.sentinel.Close(); err != nil {
			t.Error(err)
		}
	})
	waitFor(t, "the sentinel", func() (bool, error) {
		info, err := s.sentinel.command("INFO sentinel")
		return strings.Contains(info, "status=ok") && strings.Contains(info, "slaves=1"), err
	})
	return s
}

// Failover makes the replica the master.
func (s *RedisSentinel) Failover(t testing.TB) {
	t.Helper()
	waitFor(t, "the replica to have all keys", func() (bool, error) {
		master, err := s.nodes[0].command("DBSIZE")
		if err != nil {
			return false, err
		}
		replica, err := s.nodes[1].command("DBSIZE")
		return replica == master, err
	})
	waitFor(t, "the failover to begin", func() (bool, error) {
		_, err := s.sentinel.command("SENTINEL FAILOVER main")
		if err != nil && strings.Contains(err.Error(), "NOGOODSLAVE") {
			return false, nil
		}
		return err == nil, err
	})
	waitFor(t, "the failover", func() (bool, error) {
		info, err := s.nodes[1].command("INFO replication")
		return err == nil && strings.Contains(info, "role:master"), nil // a server that changes its role drops its clients
	})
}

func member(t testing.TB, args ...string) *Redis {
	t.Helper()
	r, err := startRedis(args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// freePort is one that was free a moment ago; sentinels and clusters speak TCP only.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err := errors.Join(err, l.Close()); err != nil {
		t.Fatal(err)
	}
	return port
}

// waitFor asks until the answer is yes; servers do not announce what is waited for here.
func waitFor(t testing.TB, what string, ask func() (bool, error)) {
	t.Helper()
	tick, limit := time.NewTicker(20*time.Millisecond), time.NewTimer(startTimeout)
	defer tick.Stop()
	defer limit.Stop()
	for {
		yes, err := ask()
		if err != nil {
			t.Fatalf("wait for %s: %v", what, err)
		}
		if yes {
			return
		}
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("waited %s for %s", startTimeout, what)
		}
	}
}
