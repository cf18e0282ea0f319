package main

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// TestAReaderThatTakesNothingIsLeft, and so is one whose operator has had enough: a blocked pipe must not hold a database's log for ever.
func TestAReaderThatTakesNothingIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		out, in := io.Pipe()
		w := &impatient{ctx: ctx, to: in, wait: time.Minute}
		go func() {
			time.Sleep(59 * time.Second)
			_, _ = io.ReadFull(out, make([]byte, 5))
		}()
		if n, err := w.Write([]byte("piece")); n != 5 || err != nil {
			t.Errorf("a slow one: %d, %v", n, err)
		}
		begun := time.Now()
		if _, err := w.Write([]byte("piece")); !errors.Is(err, store.ErrTooSlow) || time.Since(begun) != time.Minute {
			t.Errorf("one that stands: %v after %s", err, time.Since(begun))
		}
		cancel()
		if _, err := w.Write([]byte("piece")); !errors.Is(err, context.Canceled) {
			t.Errorf("interrupted: %v", err)
		}
		_ = out.Close()
	})
}
