package sidecar

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/hanse-market/hanse/auth/guard"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// pathStore is where our own processes ask which store stands behind our origin. It is no part of the protocol between members.
const pathStore = "/.well-known/hanse-store/"

const (
	// firstLook bounds the look before the loops start, lookPause is the pause after a later one without an answer; it doubles up to 15
	// minutes.
	firstLook = 5 * time.Second
	lookPause = 500 * time.Millisecond
)

// twins finds a second store behind our origin: a copy of the database with which another process was started. A nonce that is in our store
// alone is asked for through the origin, and whoever answers there says whether its store has it too. Replicas have one store.
type twins struct {
	origin string
	// key is derived from the site key, which a copy has too: who does not have it neither asks nor answers.
	key   []byte
	store *store.Store
	fetch func(ctx context.Context, request guard.Request) (guard.Document, error)
	log   *slog.Logger
	// unreached says that nobody answered yet.
	unreached atomic.Bool
}

// ErrTwin ends a process that found another store behind its origin.
var ErrTwin = errors.New("another sidecar with another database answers under our origin: this one was started from a copy, and two would sign for one member")

func (t *twins) mac(word, nonce string) string {
	mac := hmac.New(sha256.New, t.key)
	fmt.Fprintf(mac, "%s\x00%s\x00%s", t.origin, word, nonce)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (t *twins) register(mux *http.ServeMux) {
	mux.HandleFunc("GET "+pathStore+"{nonce}/{mac}", func(w http.ResponseWriter, r *http.Request) {
		nonce := r.PathValue("nonce")
		if !hmac.Equal([]byte(r.PathValue("mac")), []byte(t.mac("ask", nonce))) {
			http.NotFound(w, r)
			return
		}
		here, err := t.store.Begun(r.Context(), nonce)
		if err != nil {
			http.Error(w, "the store cannot be read now", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = fmt.Fprint(w, t.says(here, nonce))
	})
}

func (t *twins) says(here bool, nonce string) string {
	if here {
		return t.mac("same", nonce)
	}
	return t.mac("other", nonce)
}

// look asks once: ErrTwin where another store answers, any other error where nobody does.
func (t *twins) look(ctx context.Context) error {
	random := make([]byte, 32)
	fillRandom(random)
	nonce := base64.RawURLEncoding.EncodeToString(random)
	end, err := t.store.Begin(ctx, nonce)
	if err != nil {
		return err
	}
	defer end()
	answer, err := t.fetch(ctx, guard.Request{URL: t.origin + pathStore + nonce + "/" + t.mac("ask", nonce), Type: "text/plain", Max: 1024})
	if err != nil {
		return err
	}
	switch string(answer.Body) {
	case t.says(true, nonce):
		return nil
	case t.says(false, nonce):
		return ErrTwin
	}
	return errors.New("who answers there has another site key, or is no sidecar")
}

// first looks before the loops start; found says that no other store is there.
func (t *twins) first(ctx context.Context) (alone bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, firstLook)
	defer cancel()
	if err = t.look(ctx); errors.Is(err, ErrTwin) {
		return false, err
	}
	t.unreached.Store(err != nil)
	return err == nil, nil
}

// wait looks until somebody answers; until then it is not known whether another store is there, and no books are proved.
func (t *twins) wait(ctx context.Context) error {
	for failures := 1; ; failures++ {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(job.BackOff(lookPause, failures, mathrand.Float64())):
		}
		err := t.look(ctx)
		if err == nil || errors.Is(err, ErrTwin) {
			t.unreached.Store(false)
			return err
		}
		if failures == 1 && ctx.Err() == nil {
			t.log.Warn("our own origin gives this host no answer, so no books are proved level; if this network cannot reach it, set origin_unreachable: true",
				"origin", t.origin, "error", text.ForeignError(err))
		}
	}
}
