package testpeer

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/hanse-market/hanse/auth/scope"
	"github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1/peerv1connect"
)

// badMessage is a case of a call that is let in and whose request no callee takes.
func badMessage(name, rule, does string, status int, reason string, make func(*peer) (http.Header, []byte, error)) Case {
	return Case{Name: name, Rules: []string{rule, "E-1", "E-7"}, Does: does, play: func(ctx context.Context, p *peer) error {
		header, body, err := make(p)
		if err != nil {
			return err
		}
		a, err := p.post(ctx, p.calls.Transport(p.target, []string{scope.LedgerRead}, ""), http.MethodPost, p.target+asking, header, body)
		if err != nil {
			return err
		}
		return refuses(rule, a, status, reason)
	}}
}

func gates() []Case {
	return []Case{
		badMessage("message-too-large", "Q-1", "Sends a message that is longer than the member under test says it takes.", 413, "message_too_large", func(p *peer) (http.Header, []byte, error) {
			return nil, []byte(`{"after":"` + strings.Repeat("x", max(p.them.Document.Limits.MaxMessageBytes, 256<<10)+1024) + `"}`), nil
		}),
		badMessage("message-gzip-bomb", "C-8", "Sends a short message that is 32 MiB long once it is unpacked.", 413, "message_too_large", func(*peer) (http.Header, []byte, error) {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			_, err := z.Write(append([]byte(`{"after":"`), bytes.Repeat([]byte("x"), 32<<20)...))
			err = errors.Join(err, z.Close())
			return http.Header{"Content-Encoding": {"gzip"}}, b.Bytes(), err
		}),
		badMessage("message-double-field", "C-4", "Sends a message with a field twice.", 400, "json_duplicate_key", func(*peer) (http.Header, []byte, error) {
			return nil, []byte(`{"after":"a","after":"b"}`), nil
		}),
		badMessage("message-too-deep", "D-14", "Sends a message that is nested a thousand deep.", 400, "json_too_deep", func(*peer) (http.Header, []byte, error) {
			return nil, []byte(`{"unknown":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`), nil
		}),
		badMessage("message-no-json", "E-7", "Sends a message that breaks off.", 400, "json_malformed", func(*peer) (http.Header, []byte, error) {
			return nil, []byte(`{"after":`), nil
		}),
		badMessage("message-other-encoding", "C-3", "Sends a message in an encoding that is none of the two.", 415, "content_type_unsupported", func(*peer) (http.Header, []byte, error) {
			return http.Header{"Content-Type": {"application/xml"}}, []byte(`<after/>`), nil
		}),
		badMessage("message-out-of-bounds", "N-1", "Asks for the states of 101 deals at once.", 400, "invalid_field", func(*peer) (http.Header, []byte, error) {
			return nil, []byte(`{"subjects":["x"` + strings.Repeat(`,"x"`, 100) + `]}`), nil
		}),
		{
			Name: "submit-too-many", Rules: []string{"S-1", "S-15"}, Does: "Submits 65 documents in one call.",
			play: func(ctx context.Context, p *peer) error {
				r, err := p.submission(make([]paper, 65)...)
				if err != nil {
					return err
				}
				_, a, err := p.send(ctx, p.deal.doc.ID, ordering, r)
				if err != nil {
					return err
				}
				return refuses("S-15", a, 400, "documents_range")
			},
		},
		{
			Name: "compare-short-nonce", Rules: []string{"B-3", "B-10"}, Does: "Compares over a nonce of four bytes.",
			play: func(ctx context.Context, p *peer) error {
				a, err := p.post(ctx, p.calls.Transport(p.target, []string{scope.LedgerRead}, ""), http.MethodPost, p.target+peerv1connect.ExchangeServiceCompareProcedure, nil, []byte(`{"nonce":"AAAAAA=="}`))
				if err != nil {
					return err
				}
				return refuses("B-10", a, 400, "nonce_range")
			},
		},
		{
			Name: "call-by-get", Rules: []string{"W-11", "C-1"}, Does: "Calls a procedure with GET.",
			play: func(ctx context.Context, p *peer) error {
				a, err := p.post(ctx, p.guard.Transport(), http.MethodGet, p.target+asking, nil, nil)
				if err != nil {
					return err
				}
				return refuses("W-11", a, http.StatusMethodNotAllowed, "method_not_allowed")
			},
		},
		{
			Name: "call-unknown-procedure", Rules: []string{"C-14"}, Does: "Calls a procedure that does not exist.",
			play: func(ctx context.Context, p *peer) error {
				a, err := p.post(ctx, p.calls.Transport(p.target, []string{scope.LedgerRead}, ""), http.MethodPost, p.target+"/hanse.peer.v1.OrderService/StealOrder", nil, []byte("{}"))
				if err != nil {
					return err
				}
				return refuses("C-14", a, http.StatusForbidden, "procedure_unknown")
			},
		},
		{
			Name: "flood", Rules: []string{"Q-3", "E-6"}, Does: "Makes 3,000 calls as fast as it can: each must be answered or clearly refused, and the next honest one answered.",
			play: flood,
		},
		{
			Name: "slow-loris", Rules: []string{"Q-4", "E-6"}, Does: "Keeps 64 connections open on which requests come a byte at a time: others must be answered meanwhile, and these ended.",
			play: slowLoris,
		},
	}
}

// flood makes many calls at once.
func flood(ctx context.Context, p *peer) error {
	const calls, callers = 3000, 64
	rt := p.calls.Transport(p.target, []string{scope.LedgerRead}, "")
	work := make(chan struct{}, calls)
	for range calls {
		work <- struct{}{}
	}
	close(work)
	var all sync.WaitGroup
	var mu sync.Mutex
	var wrong error
	for range callers {
		all.Go(func() {
			for range work {
				a, err := p.post(ctx, rt, http.MethodPost, p.target+asking, nil, []byte("{}"))
				clear := err == nil && (a.status == 200 || a.reason != "" && (a.status == 429 || a.status == 503))
				if clear && a.reason == "rate_limited" && a.header.Get("Retry-After") == "" {
					clear = false
				}
				if !clear {
					mu.Lock()
					if wrong == nil {
						wrong = broke("Q-3", "an answer, or rate_limited with Retry-After", "%s %v", a, err)
					}
					mu.Unlock()
					return
				}
			}
		})
	}
	all.Wait()
	if wrong != nil {
		return wrong
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return p.answers(ctx, "Q-3")
}

// answers holds that an honest call is answered within the 15 s that a caller waits at least, once a rate is over.
func (p *peer) answers(ctx context.Context, rule string) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	for {
		a, err := p.post(ctx, p.calls.Transport(p.target, []string{scope.LedgerRead}, ""), http.MethodPost, p.target+asking, nil, []byte("{}"))
		if err == nil && a.status == 200 {
			return nil
		}
		if pause(ctx, time.Second) != nil {
			return broke(rule, "an answer to an honest call within 15 s", "%s %v", a, err)
		}
	}
}

// dial connects to the member under test.
func (p *peer) dial(ctx context.Context) (net.Conn, error) {
	u, err := url.Parse(p.target)
	if err != nil {
		return nil, err
	}
	address := net.JoinHostPort(u.Hostname(), "443")
	if p.cfg.Dev { // O-3
		address = net.JoinHostPort("127.0.0.1", u.Port())
	}
	d := tls.Dialer{Config: &tls.Config{ServerName: u.Hostname(), RootCAs: p.cfg.Roots, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}}
	return d.DialContext(ctx, "tcp", address)
}

// slowEnd is how long a request that does not go on may last: the deadline of a call, and some.
const slowEnd = 45 * time.Second

// slowLoris holds connections with requests that never end: half of them in their headers, half in their bodies.
func slowLoris(ctx context.Context, p *peer) error {
	ctx, cancel := context.WithTimeout(ctx, slowEnd+20*time.Second)
	defer cancel()
	u, err := url.Parse(p.target)
	if err != nil {
		return err
	}
	const many = 64
	ended := make(chan bool, many)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	for i := range many {
		conn, err := p.dial(ctx)
		if err != nil {
			return err
		}
		begin := "POST " + asking + " HTTP/1.1\r\nHost: " + u.Host + "\r\n"
		if i%2 == 0 {
			begin = "POST /oauth2/token HTTP/1.1\r\nHost: " + u.Host + "\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 8000\r\n\r\n"
		}
		if _, err := io.WriteString(conn, begin); err != nil {
			_ = conn.Close()
			return err
		}
		all.Go(func() { ended <- trickle(ctx, conn, i%2 == 0) })
	}
	if err := p.answers(ctx, "E-6"); err != nil {
		return err
	}
	for range many {
		select {
		case over := <-ended:
			if !over {
				return broke("Q-4", fmt.Sprintf("a request that does not go on ended within %s", slowEnd), "one that still lasts")
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return p.answers(ctx, "E-6")
}

// trickle sends a byte a second, and reports whether the other side ended it in time.
func trickle(ctx context.Context, conn net.Conn, body bool) bool {
	defer func() { _ = conn.Close() }()
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		_, _ = io.Copy(io.Discard, conn)
	}()
	defer func() { _ = conn.Close(); <-answered }()
	bit := "X"
	if body {
		bit = "a"
	}
	for began := time.Now(); time.Since(began) < slowEnd; {
		select {
		case <-answered:
			return true
		case <-ctx.Done():
			return true
		case <-time.After(time.Second):
		}
		if _, err := io.WriteString(conn, bit); err != nil {
			return true
		}
	}
	return false
}
