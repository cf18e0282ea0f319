package sdk

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/hanse-market/hanse/sdk/web"
)

// StorefrontConfig says where the marketplace sits in a portal and who is logged in there.
type StorefrontConfig struct {
	// Prefix is the path the handler is mounted at, with a slash at both ends. Default "/hanse/".
	Prefix string
	// Customer names the customer who is logged in, by the portal's own id. Required.
	Customer func(*http.Request) (customerID string, ok bool)
	// Origin is the portal's web origin (https://cloud.example). Empty takes the browser's Origin header where its host is
	// the request's Host, which holds behind a TLS terminator that keeps Host.
	Origin string
	// Logger gets a line where the sidecar fails. Default: none.
	Logger *slog.Logger
}

// Storefront is the marketplace of a portal: the custom elements' scripts, a session for the customer who is logged in,
// and the calls that a browser may make.
//
//	GET  {prefix}hanse.js      the elements: <script type="module" src="/hanse/hanse.js"></script>
//	POST {prefix}session       {"token", "expiresAt"} for the customer, 401 for nobody
//	POST {prefix}api/...       Connect calls with the session token; visitors without one may read the catalog
//
// The portal key never reaches the browser, the portal's cookies never reach the sidecar. Requests from other sites are
// refused.
func Storefront(c *Client, cfg StorefrontConfig) http.Handler {
	if cfg.Prefix == "" {
		cfg.Prefix = "/hanse/"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	mux := http.NewServeMux()
	mux.Handle("GET "+cfg.Prefix, http.StripPrefix(cfg.Prefix, web.Handler()))
	mux.Handle("POST "+cfg.Prefix+"session", session{client: c, cfg: cfg})
	mux.Handle("POST "+cfg.Prefix+"api/", http.StripPrefix(cfg.Prefix+"api", newRelay(c, cfg)))
	return http.NewCrossOriginProtection().Handler(mux)
}

// session mints a token for the customer who is logged in.
type session struct {
	client *Client
	cfg    StorefrontConfig
}

func (s session) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	customer, ok := s.cfg.Customer(r)
	if !ok || customer == "" {
		refuse(w, http.StatusUnauthorized, connect.CodeUnauthenticated, "login_required", "nobody is logged in")
		return
	}
	origin := s.cfg.Origin
	if origin == "" {
		origin = sameOrigin(r)
	}
	got, err := s.client.CreateSession(r.Context(), customer, origin)
	var e *Error
	switch {
	case err != nil && r.Context().Err() != nil:
		// The browser went away: nothing is wrong, and nobody reads the answer.
		refuse(w, http.StatusServiceUnavailable, connect.CodeUnavailable, "sidecar_unavailable", "the marketplace cannot be reached at the moment")
		return
	case errors.As(err, &e) && e.Code == connect.CodeUnavailable:
		s.cfg.Logger.WarnContext(r.Context(), "no customer session: sidecar unavailable", "error", err)
		refuse(w, http.StatusServiceUnavailable, connect.CodeUnavailable, "sidecar_unavailable", "the marketplace cannot be reached at the moment")
		return
	case err != nil:
		s.cfg.Logger.ErrorContext(r.Context(), "no customer session", "error", err)
		refuse(w, http.StatusBadGateway, connect.CodeInternal, "session_refused", "the marketplace is not set up correctly")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(map[string]string{
		"token": got.Token, "expiresAt": got.Expires.UTC().Format(time.RFC3339),
	})
}

// sameOrigin is the browser's Origin where it names this very host; else what the connection says.
func sameOrigin(r *http.Request) string {
	if u, err := url.Parse(r.Header.Get("Origin")); err == nil && u.Scheme != "" && strings.EqualFold(u.Host, r.Host) {
		return u.Scheme + "://" + u.Host
	}
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// refuse answers as Connect does, so that the elements read one kind of error; reason stands beside code, where Connect's
// clients ignore it and people reading the network log do not.
func refuse(w http.ResponseWriter, status int, code connect.Code, reason, cause string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	body, _ := json.Marshal(map[string]string{"code": code.String(), "message": cause, "reason": reason})
	_, _ = w.Write(body)
}
