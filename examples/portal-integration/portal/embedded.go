package main

import (
	"context"
	"log/slog"
	"os"

	"golang.org/x/sync/errgroup"

	"github.com/hanse-market/hanse/sdk"     // hanse:
	"github.com/hanse-market/hanse/sidecar" // hanse:
)

// runSidecar runs the sidecar in this process: its loops, and the listeners for partners, operators and monitoring. The portal
// itself talks to it over memory. All serve a while longer than ctx, until balancers have looked elsewhere, and the portal does
// as long as serving lasts; end closes the sidecar, after all have ended.
func runSidecar(ctx context.Context, group *errgroup.Group, config string, log *slog.Logger) (client *sdk.Client, serving context.Context, end func() error, err error) { // hanse:
	cfg, err := sidecar.LoadConfig(config, os.Getenv) // hanse:
	if err != nil {
		return nil, nil, nil, err
	}
	cfg.Logger = log
	if cfg, err = cfg.Complete(); err != nil { // hanse:
		return nil, nil, nil, err
	}
	peerTLS, err := cfg.PeerTLS() // hanse:
	if err != nil {
		return nil, nil, nil, err
	}
	s, err := sidecar.New(ctx, cfg) // hanse:
	if err != nil {
		return nil, nil, nil, err
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() { s.Drain(serving); stop() })                                              // hanse:
	group.Go(func() error { return s.Run(serving) })                                                         // hanse:
	group.Go(func() error { return listenAndServe(serving, cfg.Listen.Peer, peerTLS, s.PeerHandler()) })     // hanse:
	group.Go(func() error { return listenAndServe(serving, cfg.Listen.Operator, nil, s.OperatorHandler()) }) // hanse:
	group.Go(func() error { return listenAndServe(serving, cfg.Listen.Ops, nil, s.OpsHandler()) })           // hanse:
	client, err = s.Client(ctx, "portal")                                                                    // hanse:
	return client, serving, s.Close, err                                                                     // hanse:
}
