package notes

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// Main serves one notebook until it is told to end, and gives the exit code. Everything comes from the environment that
// the process adapter sets: HANSE_BIND, HANSE_PORT, HANSE_PUBLIC_URL, HANSE_DATA_DIR, HANSE_PASSWORD_FILE, HANSE_TAG and
// HANSE_SETTING_TITLE. args must be empty.
func Main(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	log := slog.New(slog.NewTextHandler(stderr, nil))
	if len(args) > 0 {
		log.Error("notes takes no arguments")
		return 2
	}
	if err := serve(ctx, getenv, log, 10*time.Second); err != nil {
		log.Error("notes ended", slog.Any("error", err))
		return 1
	}
	return 0
}

// serve looks every so often whether its folder is still there: nobody else ends a notebook whose sidecar and data are
// gone.
func serve(ctx context.Context, getenv func(string) string, log *slog.Logger, look time.Duration) error {
	password, err := os.ReadFile(getenv("HANSE_PASSWORD_FILE"))
	if err != nil {
		return fmt.Errorf("read the password: %w", err)
	}
	text := strings.TrimSpace(string(password))
	if text == "" {
		return errors.New("the password is empty")
	}
	handler, err := New(Config{
		Dir: getenv("HANSE_DATA_DIR"), Password: text, PublicURL: getenv("HANSE_PUBLIC_URL"), Tag: getenv("HANSE_TAG"),
		Title: getenv("HANSE_SETTING_TITLE"), Now: time.Now, Random: random, Logger: log,
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(getenv("HANSE_BIND"), getenv("HANSE_PORT")))
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, WriteTimeout: time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	drained := make(chan error, 1)
	go func() {
		folder := whileThere(ctx, getenv("HANSE_PASSWORD_FILE"), look)
		// Under the adapter's patience between SIGTERM and SIGKILL.
		bounded, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		drained <- errors.Join(folder, server.Shutdown(bounded))
	}()
	log.Info("notes serves", slog.String("address", listener.Addr().String()))
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-drained
}

// whileThere returns when ctx ends, or with an error when the file is gone.
func whileThere(ctx context.Context, path string, look time.Duration) error {
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
				return errors.New("the folder is gone")
			}
		}
	}
}

// random is n bytes as text of a-z and 2-7.
func random(n int) string {
	raw := make([]byte, n)
	_, _ = rand.Read(raw) // never fails
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw))
}
