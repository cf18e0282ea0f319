package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hanse-market/hanse/sdk" // hanse:
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stderr))
}

type flags struct {
	listen, sidecar, keyFile string
	embedded                 bool
	config                   string
	tlsCert, tlsKey          string
}

func run(ctx context.Context, args []string, stderr io.Writer) int {
	var f flags
	set := flag.NewFlagSet("portal", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.StringVar(&f.listen, "listen", "127.0.0.1:8080", "`address` of the portal")
	set.StringVar(&f.sidecar, "sidecar", "http://127.0.0.1:7080", "`URL` of the sidecar's Portal API")
	set.StringVar(&f.keyFile, "key-file", "", "`file` with the portal key that hanse portal add printed")
	set.BoolVar(&f.embedded, "embedded", false, "run the sidecar inside this process instead")
	set.StringVar(&f.config, "config", "hanse.yaml", "the sidecar's configuration `file`, with -embedded")
	set.StringVar(&f.tlsCert, "tls-cert", "", "certificate `file`; plain HTTP without")
	set.StringVar(&f.tlsKey, "tls-key", "", "private key `file` of the certificate")
	if err := set.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	log := slog.New(slog.NewTextHandler(stderr, nil))
	if err := serve(ctx, f, log); err != nil {
		fmt.Fprintln(stderr, "portal:", err)
		return 1
	}
	return 0
}

// serve runs the portal until ctx ends.
func serve(ctx context.Context, f flags, log *slog.Logger) error {
	var certificate *tls.Config
	if f.tlsCert != "" {
		pair, err := tls.LoadX509KeyPair(f.tlsCert, f.tlsKey)
		if err != nil {
			return err
		}
		certificate = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"}}
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	client, serving, end, err := connect(ctx, group, f, log) // hanse:
	if err != nil {
		stop()
		err = errors.Join(err, group.Wait())
		if end != nil {
			err = errors.Join(err, end())
		}
		return err
	}
	handler, err := New(Config{Client: client, Logger: log}) // hanse:
	if err != nil {
		stop()
		return errors.Join(err, group.Wait(), end())
	}
	log.Info("portal serving", "address", f.listen, "embedded", f.embedded)
	group.Go(func() error { return listenAndServe(serving, f.listen, certificate, handler) })
	return errors.Join(group.Wait(), end())
}

// connect makes the client of the sidecar next door, or of the one inside, which end closes. The portal serves until serving ends.
func connect(ctx context.Context, group *errgroup.Group, f flags, log *slog.Logger) (client *sdk.Client, serving context.Context, end func() error, err error) { // hanse:
	if f.embedded {
		return runSidecar(ctx, group, f.config, log) // hanse:
	}
	key, err := os.ReadFile(f.keyFile) // hanse:
	if err != nil {
		return nil, nil, nil, fmt.Errorf("portal key: %w", err)
	}
	client, err = sdk.New(f.sidecar, string(key)) // hanse:
	return client, ctx, func() error { return nil }, err
}

// listenAndServe serves until ctx ends, then lets requests finish for a while. There is no WriteTimeout: orders are watched
// for as long as they take.
func listenAndServe(ctx context.Context, address string, t *tls.Config, handler http.Handler) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	if t != nil {
		listener = tls.NewListener(listener, t)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute}
	drained := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err := server.Shutdown(grace)
		if errors.Is(err, context.DeadlineExceeded) {
			err = server.Close() // somebody is still watching an order; their browser connects again
		}
		drained <- err
	})
	if err = server.Serve(listener); errors.Is(err, http.ErrServerClosed) && !stop() {
		err = <-drained
	}
	return err
}
