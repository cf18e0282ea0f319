package sidecar_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sdk"
	"github.com/hanse-market/hanse/sidecar"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// TestRun_DrainsBeforeItEnds: an embedding program that only ends Run's context is drained as the daemon is: not ready first, all
// served as before for the delay, then the loops end.
func TestRun_DrainsBeforeItEnds(t *testing.T) {
	s, err := sidecar.New(t.Context(), sidecar.Config{
		Dev: true, DataDir: t.TempDir(), DevCADir: t.TempDir(), DrainDelay: time.Hour, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ready := func(want int) {
		t.Helper()
		sidecartest.Eventually(t, 30*time.Second, fmt.Sprintf("/readyz answers %d", want), func() error {
			w := httptest.NewRecorder()
			s.OpsHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
			if w.Code != want {
				return fmt.Errorf("%d %s", w.Code, w.Body)
			}
			return nil
		})
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	shop, err := s.Client(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	search := func() error {
		_, err := shop.Search(t.Context(), &sdk.SearchRequest{Query: "x"})
		return err
	}
	ready(http.StatusOK)
	stop()
	ready(http.StatusServiceUnavailable)
	if err := search(); err != nil {
		t.Errorf("a call while draining: %v", err)
	}
	select {
	case err := <-ran:
		t.Errorf("Run ended before the delay: %v", err)
	default:
	}
	over, end := context.WithCancel(t.Context())
	end()
	s.Drain(over)
	if err := <-ran; err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := search(); err == nil {
		t.Error("what has ended still answers")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
