package main

import (
	"context"
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
	listener, err := net.Listen("tcp", f.listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	client, end, err := connect(ctx, f) // hanse:
	if err != nil {
		return err
	}
	handler, err := New(Config{Client: client, Logger: log}) // hanse:
	if err != nil {
		return errors.Join(err, end())
	}
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	drained := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		drained <- server.Shutdown(grace)
	})
	log.Info("portal serving", "address", listener.Addr().String(), "embedded", f.embedded)
	if f.tlsCert != "" {
		err = server.ServeTLS(listener, f.tlsCert, f.tlsKey)
	} else {
		err = server.Serve(listener)
	}
	if errors.Is(err, http.ErrServerClosed) && !stop() {
		err = <-drained
	}
	return errors.Join(err, end())
}

// connect makes the client of the sidecar next door, or of the one inside; end stops the latter.
func connect(ctx context.Context, f flags) (client *sdk.Client, end func() error, err error) { // hanse:
	if f.embedded {
		return runEmbedded(ctx, f.config) // hanse:
	}
	key, err := os.ReadFile(f.keyFile) // hanse:
	if err != nil {
		return nil, nil, fmt.Errorf("portal key: %w", err)
	}
	client, err = sdk.New(f.sidecar, string(key)) // hanse:
	return client, func() error { return nil }, err
}
