package federation_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/scribe"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// megabyte is what a lying partner writes wherever it may write something.
var megabyte = strings.Repeat("\x1b[2J\n lie", 1<<17)

// TestAPartnerCannotFillTheLog: each of its streams brings a megabyte of another kind, fifty times.
func TestAPartnerCannotFillTheLog(t *testing.T) {
	t.Parallel()
	s, r, _, reader, _ := setUp(t)
	alone(t, s, r)
	lies := []func(fn func(federation.LedgerPage) error) error{
		func(func(federation.LedgerPage) error) error { return errors.New(megabyte) },
		func(func(federation.LedgerPage) error) error {
			return fault.New(fault.Unavailable, "partner_unreachable", "it says: %s", megabyte).Because(errors.New(megabyte))
		},
		func(fn func(federation.LedgerPage) error) error {
			return fn(federation.LedgerPage{Checkpoint: megabyte})
		},
		func(fn func(federation.LedgerPage) error) error {
			page := s.page(t, reseller, 0, 10)
			page.Entries = [][]byte{[]byte(`{"` + megabyte + `":1}`)}
			return fn(page)
		},
	}
	clock := &timeline{now: markettest.Noon()}
	n := 0
	reader.Now = clock.Now
	m := newManager(r, reader, link{tail: func(_ context.Context, _ ledger.Position, fn func(federation.LedgerPage) error) error {
		n++
		return lies[n%len(lies)](fn)
	}})
	var out bytes.Buffer
	handler := scribe.New(slog.NewJSONHandler(&out, nil), markettest.Noon) // all within one window
	m.Logger = slog.New(handler)
	pauses(t, m, clock, 50)
	if err := handler.Flush(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if lines := bytes.Count(out.Bytes(), []byte("\n")); lines != 11 || out.Len() > 11*800 {
		t.Errorf("%d lines, %d bytes:\n%.3000s", lines, out.Len(), out.String())
	}
	if !bytes.Contains(out.Bytes(), []byte("feed interrupted: repeated 4")) {
		t.Errorf("what was held back is not told:\n%s", out.String())
	}
}

func TestWhyASubjectIsParkedIsBrief(t *testing.T) {
	t.Parallel()
	s, r, _, reader, partner := setUp(t)
	s.Append(reseller, ledger.OrderPlaced, "subject-1")
	for kind := range reader.Handlers {
		reader.Handlers[kind] = func(federation.Tx, ledger.Entry) error { return errors.New(megabyte) }
	}
	if _, err := reader.Read(t.Context(), partner, ledger.Position{}, s.page(t, reseller, 0, 10)); err != nil {
		t.Fatal(err)
	}
	err := r.Store.View(context.Background(), func(tx *store.Tx) error {
		parked, err := tx.Ledger().ParkedAll(supplier)
		if len(parked) != 1 || len(parked[0].Reason) > 300 || strings.ContainsAny(parked[0].Reason, "\x1b\n") {
			t.Errorf("parked: %.500v", parked)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
