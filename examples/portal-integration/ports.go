package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// portCount is four listeners for each member, the portal and PostgreSQL.
const portCount = 3*4 + 2

// ports are what the demo's servers listen on.
type ports struct{ free []int }

// newPorts finds free ports: those in a row from base, or any where base is 0.
func newPorts(base int) (*ports, error) {
	p := &ports{}
	var held []net.Listener
	defer func() {
		for _, l := range held { // all at once at the end, so that none is given twice
			_ = l.Close()
		}
	}()
	for i := range portCount {
		want := 0
		if base > 0 {
			want = base + i
		}
		l, err := net.Listen("tcp", local(want))
		if err != nil {
			return nil, fmt.Errorf("port %d is not free: %w", want, err)
		}
		held = append(held, l)
		p.free = append(p.free, l.Addr().(*net.TCPAddr).Port)
	}
	return p, nil
}

func (p *ports) next() int {
	port := p.free[0]
	p.free = p.free[1:]
	return port
}

// newBrowser finds names below localhost on this machine, as browsers and curl do whatever the resolver says (RFC 6761
// section 6.3), and asks no proxy.
func newBrowser() *http.Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				host, port, err := net.SplitHostPort(address)
				if err == nil && (host == "localhost" || strings.HasSuffix(host, ".localhost")) {
					address = net.JoinHostPort("127.0.0.1", port)
				}
				return dialer.DialContext(ctx, network, address)
			},
			ResponseHeaderTimeout: 60 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// answers reports whether a GET is answered with 200; a refused connection is only "not yet".
func (d *demo) answers(ctx context.Context, url string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false, err
	}
	res, err := d.browser.Do(req)
	if err != nil {
		return false, nil
	}
	_ = res.Body.Close()
	return res.StatusCode == http.StatusOK, nil
}
