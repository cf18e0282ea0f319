package sdk

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/http/httputil"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1/portalv1connect"
)

// Bounds of a browser's call.
const (
	maxCall = 256 << 10
	// slowReader ends a stream whose browser takes nothing for this long.
	slowReader = 30 * time.Second
)

// access says what a browser needs for a procedure.
type access int

const (
	// visitors may call it without a session; the portal key stands in.
	visitors access = iota + 1
	// customers need a session token.
	customers
)

// browserSafe is every procedure a browser may call; all others are refused, minting sessions above all.
func browserSafe() map[string]access {
	return map[string]access{
		portalv1connect.CatalogServiceSearchListingsProcedure:         visitors,
		portalv1connect.CatalogServiceGetListingProcedure:             visitors,
		portalv1connect.OrderServicePlaceOrderProcedure:               customers,
		portalv1connect.OrderServiceCancelOrderProcedure:              customers,
		portalv1connect.OrderServiceGetOrderProcedure:                 customers,
		portalv1connect.OrderServiceListOrdersProcedure:               customers,
		portalv1connect.OrderServiceWatchOrderProcedure:               customers,
		portalv1connect.SubscriptionServiceListSubscriptionsProcedure: customers,
		portalv1connect.SubscriptionServiceGetSubscriptionProcedure:   customers,
		portalv1connect.SubscriptionServiceRevealAccessDataProcedure:  customers,
	}
}

// relay forwards browsers' calls to the sidecar.
type relay struct {
	key   string
	allow map[string]access
	proxy *httputil.ReverseProxy
}

func newRelay(c *Client, cfg StorefrontConfig) *relay {
	return &relay{key: c.key, allow: browserSafe(), proxy: &httputil.ReverseProxy{
		Transport:     roundTripper{c.http},
		FlushInterval: -1, // a watch stream is read message by message
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host = c.base.Scheme, c.base.Host
			p.Out.URL.Path, p.Out.URL.RawPath, p.Out.URL.RawQuery = c.base.Path+p.In.URL.Path, "", ""
			p.Out.Host = c.base.Host
			// Only what Connect needs: cookies and the rest are the portal's.
			p.Out.Header = http.Header{}
			for _, name := range []string{"Authorization", "Content-Type", "Connect-Protocol-Version", "Connect-Timeout-Ms", "Origin"} {
				if v := p.In.Header.Get(name); v != "" {
					p.Out.Header.Set(name, v)
				}
			}
			p.Out.Header.Set("User-Agent", "hanse-storefront")
			p.Out.Header.Set("Accept-Encoding", "identity")
		},
		ModifyResponse: func(res *http.Response) error {
			for name := range res.Header {
				switch {
				case name == "Content-Type", name == "Content-Length", name == "Retry-After", strings.HasPrefix(name, "Trailer-"):
				default:
					res.Header.Del(name)
				}
			}
			res.Header.Set("Cache-Control", "no-store")
			res.Header.Set("X-Accel-Buffering", "no") // nginx would hold a stream's messages back until a buffer is full
			res.Header.Set("X-Content-Type-Options", "nosniff")
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil {
				cfg.Logger.WarnContext(r.Context(), "browser call not forwarded", "path", r.URL.Path, "error", err)
			}
			refuse(w, http.StatusServiceUnavailable, connect.CodeUnavailable, "sidecar_unavailable", "the marketplace cannot be reached at the moment")
		},
	}}
}

func (p *relay) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	need, known := p.allow[r.URL.Path]
	if !known {
		refuse(w, http.StatusNotFound, connect.CodeUnimplemented, "procedure_unknown", "no such call")
		return
	}
	if !connectContent(r.Header.Get("Content-Type")) {
		refuse(w, http.StatusUnsupportedMediaType, connect.CodeInvalidArgument, "content_type", "the content type is not one of Connect's")
		return
	}
	r = r.Clone(r.Context())
	if !hasToken(r.Header.Get("Authorization")) {
		// Of a page behind HTTP Basic the browser sends the portal's password along; it is no session, and not the sidecar's.
		r.Header.Del("Authorization")
	}
	if r.Header.Get("Authorization") == "" && need != visitors {
		refuse(w, http.StatusUnauthorized, connect.CodeUnauthenticated, "session_required", "the call needs a customer session")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCall))
	if err != nil {
		refuseBody(w, err)
		return
	}
	control := http.NewResponseController(w)
	// The call has arrived; the server's ReadTimeout must not end a watch stream now.
	_ = control.SetReadDeadline(time.Time{})
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	if r.Header.Get("Authorization") == "" {
		r.Header.Set("Authorization", "Bearer "+p.key)
		r.Header.Del("Origin") // a portal key is not bound to an origin
	}
	p.proxy.ServeHTTP(&patient{ResponseWriter: w, control: control}, r)
}

// hasToken reports whether an Authorization header has a token, RFC 6750 section 2.1; a scheme's case does not matter, RFC 9110
// section 11.1.
func hasToken(authorization string) bool {
	scheme, token, _ := strings.Cut(authorization, " ")
	return strings.EqualFold(scheme, "Bearer") && token != ""
}

func refuseBody(w http.ResponseWriter, err error) {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		refuse(w, http.StatusRequestEntityTooLarge, connect.CodeResourceExhausted, "request_too_large", "the request is too large")
		return
	}
	refuse(w, http.StatusBadRequest, connect.CodeInvalidArgument, "request_cut", "the request did not arrive in full")
}

func connectContent(value string) bool {
	kind, _, err := mime.ParseMediaType(value)
	if err != nil {
		return false
	}
	switch kind {
	case "application/json", "application/proto", "application/connect+json", "application/connect+proto":
		return true
	default:
		return false
	}
}

// patient gives each write its own deadline, so that a server's WriteTimeout does not cut a watch stream and a browser
// that reads nothing does not hold one.
type patient struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (p *patient) Write(b []byte) (int, error) {
	_ = p.control.SetWriteDeadline(time.Now().Add(slowReader)) // not every writer has deadlines
	n, err := p.ResponseWriter.Write(b)
	return n, err
}

func (p *patient) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// roundTripper lets the reverse proxy send through the client's HTTPClient.
type roundTripper struct{ client HTTPClient }

func (t roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	out := r.Clone(r.Context())
	out.RequestURI = "" // set on a server's request, refused on a client's
	return t.client.Do(out)
}
