package peerlink

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/hanse-market/hanse/auth/guard"
	"github.com/hanse-market/hanse/auth/refusal"
	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
)

// lie is what the partner answers: a text that would clear the screen of whoever reads the log; one call gets a megabyte of it.
var (
	lie     = strings.Repeat("\x1b[2J\n\u202e!", 1<<10)
	longLie = strings.Repeat(lie, 1<<7)
)

// liar answers every procedure with an error whose every text is the lie.
func liar(code connect.Code, reason, lie string) http.Handler {
	err := connect.NewError(code, errors.New(lie))
	if detail, derr := connect.NewErrorDetail(&typev1.ErrorInfo{Reason: reason, Field: lie, Cause: lie, Action: lie}); derr == nil {
		err.AddDetail(detail)
	}
	mux := http.NewServeMux()
	writer := connect.NewErrorWriter()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { _ = writer.Write(w, r, err) })
	return mux
}

// direct is Transports without authentication; failing is one whose token endpoint lies.
type direct struct{ http.RoundTripper }

func (d direct) Transport(string, []string, string) http.RoundTripper { return d.RoundTripper }
func (direct) Renew(string)                                           {}

type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

type nothing struct{}

func (nothing) SeenCheckpoint(context.Context, string) (string, error) { return "", nil }
func (nothing) OwnCheckpoint(context.Context, string) (string, error)  { return "", nil }

// lyingFetcher is a guard whose every word is the partner's.
type lyingFetcher struct{ kind refusal.Kind }

func (lyingFetcher) Origin(raw string) (string, error) { return raw, nil }
func (f lyingFetcher) Fetch(context.Context, guard.Request) (guard.Document, error) {
	return guard.Document{}, refusal.New(f.kind, "fetch_refused", "%s", lie).Because(errors.New(lie))
}

// brief is what any error of this package says, whatever the partner said: our words and at most three foreign texts.
func brief(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	said := err.Error()
	if len(said) > 1200 || strings.ContainsAny(said, "\x1b\n\u202e") {
		t.Errorf("%d bytes, as %.300q", len(said), said)
	}
	if reason := fault.ReasonOf(err); len(reason) > 64 || reason == "" {
		t.Errorf("the reason has %d bytes", len(reason))
	}
	var f *fault.Error
	if errors.As(err, &f) && (len(f.Cause) > 400 || len(f.Field) > 64 || len(f.Action) > 400) {
		t.Errorf("cause of %d bytes, field of %d, action of %d", len(f.Cause), len(f.Field), len(f.Action))
	}
}

// TestWhateverAPartnerSaysIsBrief calls a partner that lies in every way that it has, by every call that we make.
func TestWhateverAPartnerSaysIsBrief(t *testing.T) {
	t.Parallel()
	html := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; "+strings.Repeat("x", 4000))
		w.WriteHeader(http.StatusBadGateway)
		_, _ = io.WriteString(w, lie)
	})
	junk := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		_, _ = io.WriteString(w, lie)
	})
	handlers := map[string]http.Handler{
		"a refusal": liar(connect.CodeFailedPrecondition, lie, lie), "a reason": liar(connect.CodeInvalidArgument, "order_invalid", lie),
		"no reason": liar(connect.CodeUnavailable, "", lie), "an unknown code": liar(connect.Code(99), "x", lie), "a megabyte": liar(connect.CodeInternal, "x", longLie), "a page": html, "junk": junk,
	}
	transports := map[string]Transports{}
	for name, h := range handlers {
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		transports[name] = direct{rewrite{server}}
	}
	for name, err := range map[string]error{
		"a token endpoint": refusal.New(refusal.Denied, lie, "%s", lie).Because(errors.New(lie)), "a dial": errors.New(lie),
	} {
		transports[name] = direct{failing{err}}
	}
	const partner = "http://partner.localhost:1"
	for name, tr := range transports {
		status := &Status{}
		l := &Link{Transports: tr, Book: nothing{}, Status: status, Now: time.Now}
		calls := map[string]func() error{
			"propose": func() error { _, err := l.Propose(t.Context(), partner, "d"); return err },
			"submit":  func() error { _, err := l.Submit(t.Context(), partner, exchange.Submission{}); return err },
			"compare": func() error { _, err := l.Compare(t.Context(), partner, make([]byte, 16)); return err },
			"access":  func() error { _, err := l.AccessData(t.Context(), partner, "a", "s"); return err },
			"tail": func() error {
				return l.TailLedger(t.Context(), partner, ledger.Position{}, func(federation.LedgerPage) error { return nil })
			},
			"watch": func() error {
				return l.WatchCatalog(t.Context(), partner, nil, func(federation.CatalogPage) error { return nil })
			},
		}
		for call, do := range calls {
			if name == "a megabyte" && call != "submit" {
				continue // once is enough: it takes seconds to read
			}
			t.Run(name+" to "+call, func(t *testing.T) {
				brief(t, do())
				if last := status.Of(partner).LastError; len(last) > 450 || strings.ContainsAny(last, "\x1b\n") {
					t.Errorf("the last error shown has %d bytes", len(last))
				}
			})
		}
	}
	for _, kind := range []refusal.Kind{refusal.Invalid, refusal.Denied, refusal.Unavailable, refusal.Exhausted} {
		d := Directory{Fetch: lyingFetcher{kind}, Now: time.Now}
		_, err := d.Member(t.Context(), "https://partner.example")
		brief(t, err)
	}
}

// rewrite sends every request to a server.
type rewrite struct{ to *httptest.Server }

func (w rewrite) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Host = strings.TrimPrefix(w.to.URL, "http://")
	return w.to.Client().Transport.RoundTrip(r)
}
