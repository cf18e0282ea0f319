package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hanse-market/hanse/sidecar"
	"github.com/hanse-market/hanse/sidecar/internal/heap"
	"github.com/hanse-market/hanse/sidecar/internal/hot"
)

const (
	readHeaderTimeout = 5 * time.Second
	idleTimeout       = 2 * time.Minute
)

type serveCmd struct{}

// service is the library as the daemon uses it.
type service interface {
	Run(ctx context.Context) error
	PortalHandler() http.Handler
	OperatorHandler() http.Handler
	PeerHandler() http.Handler
	OpsHandler() http.Handler
	Drain(ctx context.Context)
	Close() error
}

func (c *serveCmd) Run(a *app) error {
	if os.Getpid() == firstProcess {
		code, err := asInit(a.ctx)
		if err != nil {
			return err
		}
		panic(exited(code))
	}
	cfg, err := a.configuration()
	if err != nil {
		return err
	}
	if cfg, err = cfg.Complete(); err != nil {
		return configError(cfg.File, err)
	}
	cfg.Logger = newLogger(cfg.Log, a.stderr)
	hot.LogTo(cfg.Logger)
	cfg.Logger.Info("configuration", "file", cmp.Or(cfg.File, "none"), "data_dir", absolute(cfg.DataDir))
	d, err := newDaemon(cfg)
	if err != nil {
		return err
	}
	s, err := sidecar.New(a.ctx, cfg)
	if err != nil {
		return errors.Join(err, d.close())
	}
	defer heap.Start().Stop()
	if err = d.run(a.ctx, s); errors.Is(err, sidecar.ErrTwin) {
		return &commandError{
			Code: exitConflict, Reason: "store_not_alone", Cause: cfg.Origin + ": " + sidecar.ErrTwin.Error(),
			Action: "run one of the two: the one whose database is newer, with hanse partner show on each; never both, and replicas share one database",
		}
	}
	return err
}

func newLogger(cfg sidecar.Log, w io.Writer) *slog.Logger {
	var level slog.Level
	// Complete has checked the word.
	_ = level.UnmarshalText([]byte(cfg.Level))
	options := &slog.HandlerOptions{Level: level}
	if cfg.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// daemon owns the listeners and ends the sidecar in the order that sidecar.New asks for.
type daemon struct {
	cfg                         sidecar.Config
	log                         *slog.Logger
	portal, operator, peer, ops net.Listener
}

// newDaemon binds everything first: a port in use or a wrong certificate shows before anything is opened.
func newDaemon(cfg sidecar.Config) (*daemon, error) {
	d := &daemon{cfg: cfg, log: cfg.Logger}
	var failed []refusedListener
	for i, l := range listeners(cfg) {
		listener, err := net.Listen("tcp", l.address)
		if err != nil {
			failed = append(failed, refusedListener{l, err})
			continue
		}
		*[]*net.Listener{&d.portal, &d.operator, &d.peer, &d.ops}[i] = listener
	}
	if len(failed) > 0 {
		return nil, errors.Join(cannotListen(cfg, failed), d.close())
	}
	secured, err := securePeer(cfg, d.peer)
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	d.peer = secured
	return d, nil
}

// run serves until ctx ends or something breaks, then ends as sidecar.New says. The ops listener stays until the last loop has
// ended, so that an orchestrator sees it.
func (d *daemon) run(ctx context.Context, s service) error {
	servers := []*http.Server{
		d.server(s.PortalHandler()), d.server(s.OperatorHandler()), d.server(s.PeerHandler()),
	}
	ops := d.server(s.OpsHandler())
	// The loops and the requests in flight outlive ctx: its end only starts the drain.
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	group, broken := errgroup.WithContext(work)
	loops := make(chan struct{})
	group.Go(func() error { defer close(loops); return s.Run(work) })
	for i, l := range []net.Listener{d.portal, d.operator, d.peer} {
		group.Go(func() error { return serve(servers[i], l) })
	}
	group.Go(func() error { return serve(ops, d.ops) })
	d.log.Info("serving", "origin", d.cfg.Origin, "portal", d.portal.Addr().String(), "operator", d.operator.Addr().String(),
		"peer", d.peer.Addr().String(), "ops", d.ops.Addr().String())

	select {
	case <-ctx.Done():
	case <-broken.Done():
	}
	d.log.Info("draining: not ready, still serving", "delay", d.cfg.DrainDelay.String(), "timeout", d.cfg.DrainTimeout.String())
	s.Drain(broken)
	err := d.shutdown(servers)
	stopWork()
	<-loops
	_ = ops.Close()
	err = errors.Join(group.Wait(), err, s.Close())
	d.log.Info("stopped", "clean", err == nil)
	return err
}

// shutdown lets requests in flight finish, and cuts those that do not in time.
func (d *daemon) shutdown(servers []*http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), d.cfg.DrainTimeout)
	defer cancel()
	var group errgroup.Group
	for _, s := range servers {
		group.Go(func() error {
			if err := s.Shutdown(ctx); err != nil {
				return errors.Join(fmt.Errorf("requests were cut after %v: %w", d.cfg.DrainTimeout, err), s.Close())
			}
			return nil
		})
	}
	return group.Wait()
}

func (d *daemon) close() error {
	var err error
	for _, l := range []net.Listener{d.portal, d.operator, d.peer, d.ops} {
		if l != nil {
			err = errors.Join(err, l.Close())
		}
	}
	return err
}

func serve(s *http.Server, l net.Listener) error {
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	}
	return nil
}

// server speaks HTTP/1.1 and HTTP/2, with or without TLS: gRPC clients on loopback use HTTP/2 in clear.
func (d *daemon) server(h http.Handler) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           h,
		Protocols:         protocols,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    d.cfg.Limits.MaxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(d.log.Handler(), slog.LevelDebug),
	}
}
