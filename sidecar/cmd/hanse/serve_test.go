package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar"
	"github.com/hanse-market/hanse/sidecar/internal/tlsdev"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// held is a service whose portal requests wait until they are let go, so that a drain meets them in flight.
type held struct {
	arrived, release chan struct{}
	drained          chan struct{}
	// delay is over when it is closed; nil is no delay.
	delay  chan struct{}
	mu     sync.Mutex
	events []string
	runErr error
	// ending is called by the loops when they are told to end.
	ending func()
}

func newHeld() *held {
	return &held{arrived: make(chan struct{}, 10), release: make(chan struct{}), drained: make(chan struct{})}
}

func (h *held) event(s string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, s)
}

func (h *held) Run(ctx context.Context) error {
	if h.runErr != nil {
		return h.runErr
	}
	<-ctx.Done()
	if h.ending != nil {
		h.ending()
	}
	h.event("loops stopped")
	return nil
}

func (h *held) PortalHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		h.arrived <- struct{}{}
		select {
		case <-h.release:
			h.event("request finished")
			_, _ = io.WriteString(w, r.Proto)
		case <-r.Context().Done():
			h.event("request cut")
		}
	})
}

func (h *held) OperatorHandler() http.Handler { return http.NotFoundHandler() }

func (h *held) PeerHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) })
}

func (h *held) OpsHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-h.drained:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
		}
	})
}

func (h *held) Drain(ctx context.Context) {
	h.event("drain")
	close(h.drained)
	if h.delay == nil {
		return
	}
	select {
	case <-h.delay:
		h.event("delay over")
	case <-ctx.Done():
		h.event("delay cut")
	}
}

func (h *held) Close() error { h.event("closed"); return nil }

func devConfig(t *testing.T) sidecar.Config {
	t.Helper()
	dir := t.TempDir()
	cfg, err := sidecar.Config{
		Dev: true, Origin: "https://a.localhost:7443", DataDir: dir, DrainTimeout: time.Minute,
		Listen: sidecar.Listen{Portal: "127.0.0.1:0", Operator: "127.0.0.1:0", Peer: "127.0.0.1:0", Ops: "127.0.0.1:0"},
		Logger: slog.New(slog.DiscardHandler),
	}.Complete()
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// running is a daemon under test.
type running struct {
	*daemon
	stop context.CancelFunc
	done chan error
}

func start(t *testing.T, cfg sidecar.Config, s service) *running {
	t.Helper()
	d, err := newDaemon(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	r := &running{daemon: d, stop: stop, done: make(chan error, 1)}
	go func() { r.done <- d.run(ctx, s) }()
	return r
}

func post(l net.Listener, client *http.Client) (string, error) {
	res, err := client.Post("http://"+l.Addr().String()+"/", "text/plain", strings.NewReader("body"))
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	return string(b), err
}

func TestServe_FinishesRequestsInFlightThenStops(t *testing.T) {
	h := newHeld()
	r := start(t, devConfig(t), h)
	answer := make(chan error, 1)
	go func() {
		_, err := post(r.portal, http.DefaultClient)
		answer <- err
	}()
	<-h.arrived
	r.stop()
	<-h.drained
	res, err := http.Get("http://" + r.ops.Addr().String() + "/readyz")
	if err != nil || res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("while draining /readyz answers %v, %v", res, err)
	}
	close(h.release)
	if err := <-answer; err != nil {
		t.Errorf("the request in flight failed: %v", err)
	}
	if err := <-r.done; err != nil {
		t.Errorf("drain: %v", err)
	}
	if got, want := strings.Join(h.events, ", "), "drain, request finished, loops stopped, closed"; got != want {
		t.Errorf("the end went: %s; want: %s", got, want)
	}
	if _, err := post(r.portal, http.DefaultClient); err == nil {
		t.Error("a stopped daemon still accepts")
	}
}

// TestServe_ShowsItsStateUntilTheLoopsHaveEnded: an orchestrator sees a sidecar that ends, not one that is gone.
func TestServe_ShowsItsStateUntilTheLoopsHaveEnded(t *testing.T) {
	h := newHeld()
	ops := make(chan string, 1)
	h.ending = func() {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		res, err := client.Get("http://" + <-ops + "/readyz")
		if err != nil {
			t.Errorf("while the loops end: %v", err)
			return
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("/readyz answers %d", res.StatusCode)
		}
	}
	r := start(t, devConfig(t), h)
	ops <- r.ops.Addr().String()
	r.stop()
	if err := <-r.done; err != nil {
		t.Errorf("the end: %v", err)
	}
}

// TestServe_AnswersNewConnectionsUntilTheDelayIsOver: a balancer that has not looked yet still sends people here.
func TestServe_AnswersNewConnectionsUntilTheDelayIsOver(t *testing.T) {
	h := newHeld()
	h.delay = make(chan struct{})
	close(h.release)
	r := start(t, devConfig(t), h)
	r.stop()
	<-h.drained
	fresh := func() error {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		_, err := post(r.portal, client)
		return err
	}
	for range 3 {
		if err := fresh(); err != nil {
			t.Errorf("a new connection while draining: %v", err)
		}
	}
	close(h.delay)
	if err := <-r.done; err != nil {
		t.Errorf("drain: %v", err)
	}
	if err := fresh(); err == nil {
		t.Error("a stopped daemon still accepts")
	}
	want := "drain, request finished, request finished, request finished, delay over, loops stopped, closed"
	if got := strings.Join(h.events, ", "); got != want {
		t.Errorf("the end went: %s; want: %s", got, want)
	}
}

// TestServe_ASecondSignalEndsAtOnce holds a real daemon in its drain.
func TestServe_ASecondSignalEndsAtOnce(t *testing.T) {
	d := sidecartest.NewDaemon(t, sidecartest.DaemonConfig{Name: "slow", DevCA: t.TempDir(), Extra: "drain_delay: 1h"})
	d.Start()
	ready := func() int {
		res, err := http.Get(d.OpsURL + "/readyz")
		if err != nil {
			return 0
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	d.Signal(syscall.SIGTERM)
	sidecartest.Eventually(t, 30*time.Second, "it is not ready", func() error {
		if status := ready(); status != http.StatusServiceUnavailable {
			return fmt.Errorf("readyz answers %d", status)
		}
		return nil
	})
	d.Must("partner", "list")
	d.Signal(syscall.SIGTERM)
	if err := d.WaitSignaled(syscall.SIGTERM, 30*time.Second); err != nil {
		t.Errorf("%v\n%s", err, d.Log())
	}
}

func TestServe_CutsWhatDoesNotFinishAndSaysSo(t *testing.T) {
	h := newHeld()
	cfg := devConfig(t)
	cfg.DrainTimeout = time.Millisecond
	r := start(t, cfg, h)
	go func() { _, _ = post(r.portal, http.DefaultClient) }()
	<-h.arrived
	r.stop()
	if err := <-r.done; err == nil || !strings.Contains(err.Error(), "cut after 1ms") {
		t.Errorf("got %v", err)
	}
}

// TestServe_EndsWhenALoopFails: nothing is waited for then, what serves is broken.
func TestServe_EndsWhenALoopFails(t *testing.T) {
	h := newHeld()
	h.delay = make(chan struct{})
	h.runErr = errors.New("disk gone")
	r := start(t, devConfig(t), h)
	if err := <-r.done; err == nil || !strings.Contains(err.Error(), "disk gone") {
		t.Errorf("got %v", err)
	}
	if h.events[len(h.events)-1] != "closed" {
		t.Errorf("the end went: %v", h.events)
	}
}

func TestServe_SpeaksBothHTTPVersionsOnBothKindsOfListener(t *testing.T) {
	h := newHeld()
	close(h.release)
	cfg := devConfig(t)
	r := start(t, cfg, h)
	t.Cleanup(func() { r.stop(); <-r.done })
	ca, err := tlsdev.Open(cfg.DevCADir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		listener net.Listener
		scheme   string
		set      func(*http.Protocols)
		want     string
	}{
		"clear, HTTP/1.1": {r.portal, "http", func(p *http.Protocols) { p.SetHTTP1(true) }, "HTTP/1.1"},
		"clear, HTTP/2":   {r.portal, "http", func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }, "HTTP/2.0"},
		"TLS, HTTP/1.1":   {r.peer, "https", func(p *http.Protocols) { p.SetHTTP1(true) }, "HTTP/1.1"},
		"TLS, HTTP/2":     {r.peer, "https", func(p *http.Protocols) { p.SetHTTP2(true) }, "HTTP/2.0"},
	} {
		t.Run(name, func(t *testing.T) {
			protocols := new(http.Protocols)
			tc.set(protocols)
			transport := &http.Transport{Protocols: protocols, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: ca.Pool(), ServerName: "a.localhost"}}
			defer transport.CloseIdleConnections()
			res, err := (&http.Client{Transport: transport}).Get(tc.scheme + "://" + tc.listener.Addr().String() + "/")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = res.Body.Close() }()
			if b, _ := io.ReadAll(res.Body); string(b) != tc.want {
				t.Errorf("got %q", b)
			}
		})
	}
}

func TestServe_RefusesWhatItCannotStartWith(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	dir := t.TempDir()
	for name, tc := range map[string]struct {
		yaml  string
		texts []string
	}{
		"address in use":      {fmt.Sprintf("dev: true\nlisten: {portal: '127.0.0.1:0', operator: '%s'}", taken.Addr()), []string{"cannot_listen", "listen.operator"}},
		"no origin":           {"listen: {}", []string{"bad_configuration", "origin: is not set", "configuration.md"}},
		"dev on a public one": {"dev: true\norigin: https://sidecar.example", []string{"loopback only"}},
		"no such certificate": {"origin: https://sidecar.example\ntls: {cert_file: /absent, key_file: /absent}\nlisten: {portal: '127.0.0.1:0', operator: '127.0.0.1:0', peer: '127.0.0.1:0', ops: '127.0.0.1:0'}", []string{"bad_certificate", "/absent"}},
		"misspelt key":        {"origins: x", []string{"did you mean origin?"}},
	} {
		t.Run(name, func(t *testing.T) {
			config := filepath.Join(t.TempDir(), "hanse.yaml")
			if err := os.WriteFile(config, []byte(tc.yaml+"\ndata_dir: "+dir+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			got := hanse(t, nil, "", "serve", "-c", config)
			if got.code != exitFailure {
				t.Errorf("exit %d", got.code)
			}
			for _, text := range tc.texts {
				if !strings.Contains(got.stderr, text) {
					t.Errorf("no %q in:\n%s", text, got.stderr)
				}
			}
		})
	}
}
