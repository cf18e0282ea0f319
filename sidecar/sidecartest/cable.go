package sidecartest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// cable carries TCP connections to an address, until it is cut: then they break, and new ones end at once.
type cable struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	broke bool
	conns map[net.Conn]bool
	all   sync.WaitGroup
}

func newCable(t testing.TB, to string) *cable {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{listener: l, to: to, conns: map[net.Conn]bool{}}
	c.all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.all.Go(func() { c.carry(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		c.cut(true)
		c.all.Wait()
	})
	return c
}

func (c *cable) port() string {
	_, port, _ := net.SplitHostPort(c.listener.Addr().String())
	return port
}

func (c *cable) cut(broken bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broke = broken
	if broken {
		for conn := range c.conns {
			_ = conn.Close()
		}
	}
}

// hold keeps a connection to close when the cable is cut; it is false, and the connection closed, where it is.
func (c *cable) hold(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broke {
		_ = conn.Close()
		return false
	}
	c.conns[conn] = true
	return true
}

func (c *cable) drop(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = conn.Close()
	delete(c.conns, conn)
}

func (c *cable) carry(near net.Conn) {
	if !c.hold(near) {
		return
	}
	defer c.drop(near)
	far, err := net.Dial("tcp", c.to)
	if err != nil || !c.hold(far) {
		return
	}
	defer c.drop(far)
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			c.drop(near)
			c.drop(far)
		})
	}
	both.Wait()
}
