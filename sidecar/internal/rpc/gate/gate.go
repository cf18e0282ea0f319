package gate

import (
	"context"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/hanse-market/hanse/auth/bearer"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

// maxHeaderBytes bounds all header names and values of a request together.
const maxHeaderBytes = 16 << 10

// HeaderRequestID names the response header by which an operator finds a call in the log.
const HeaderRequestID = "Hanse-Request-Id"

// Caller is who calls.
type Caller struct {
	// Context carries the caller's principal to the handler.
	Context context.Context
	// Name is for the rate limit.
	Name string
	// Partner is the origin of the partner who calls, for the log; "" where none does.
	Partner string
}

// Gate lets callers through to any http.Handler: it names the call, finds out who calls, limits, and says in one way why not.
type Gate struct {
	Config Config
	// Name is what a call is observed under; one of a bounded number of words.
	Name func(r *http.Request) string
	// Shape refuses what the headers alone tell to be wrong; nil refuses nothing.
	Shape func(r *http.Request) error
	// Admit finds out who calls and whether it may.
	Admit func(r *http.Request) (Caller, error)
	// Body refuses a body that the handler cannot safely read; nil refuses nothing.
	Body func(w http.ResponseWriter, r *http.Request) error
	// Refuse writes an error as this kind of caller understands it; status overrules the HTTP status where it is not 0.
	Refuse func(w http.ResponseWriter, r *http.Request, e *connect.Error, status int)
	Next   http.Handler
}

// call is what the gate and the handlers behind it tell each other about one request.
type call struct {
	id string
	// partner is the Caller's.
	partner string
	// code is set by whoever decided the outcome.
	code string
}

type callKey struct{}

func callOf(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}
	return &call{}
}

// ServeHTTP implements http.Handler.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := g.Config.Now()
	c := &call{id: g.Config.NewID()}
	h := w.Header()
	h.Set(HeaderRequestID, c.id)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	name := g.Name(r)
	defer func() {
		if c.code == "" {
			// The handler's library itself refused the call, for a header that only it reads.
			c.code = connect.CodeInvalidArgument.String()
		}
		g.Config.Observe(name, c.code, elapsed(start, g.Config.Now()))
	}()
	r = r.WithContext(context.WithValue(r.Context(), callKey{}, c))
	admitted, err := g.check(w, r)
	if err != nil {
		g.reject(w, r, c, err)
		return
	}
	g.Next.ServeHTTP(w, admitted)
}

// check runs the steps in the order of their cost to us: what the headers tell, who calls, then the body.
func (g *Gate) check(w http.ResponseWriter, r *http.Request) (*http.Request, error) {
	size := 0
	for name, values := range r.Header {
		for _, v := range values {
			size += len(name) + len(v)
		}
	}
	if size > maxHeaderBytes {
		return nil, fault.New(fault.Invalid, "headers_too_large", "the headers take more than %d bytes", maxHeaderBytes)
	}
	if g.Shape != nil {
		if err := g.Shape(r); err != nil {
			return nil, err
		}
	}
	who, err := g.Admit(r)
	if err != nil {
		return nil, err
	}
	callOf(r.Context()).partner = who.Partner
	ok, after, err := g.Config.Allow(r.Context(), who.Name)
	if err == nil && !ok {
		f := fault.New(fault.Exhausted, "rate_limited", "too many calls").Do("slow down")
		f.RetryAfter = after
		return nil, f
	}
	if g.Body != nil {
		if err := g.Body(w, r); err != nil {
			return nil, err
		}
	}
	return r.WithContext(who.Context), nil
}

// statuses overrules the HTTP status of a code where HTTP has a word of its own.
var statuses = map[string]int{
	"method_not_allowed":       http.StatusMethodNotAllowed,
	"content_type_unsupported": http.StatusUnsupportedMediaType,
	"message_too_large":        http.StatusRequestEntityTooLarge,
	"headers_too_large":        http.StatusRequestHeaderFieldsTooLarge,
}

// reject says why a call is not let through.
func (g *Gate) reject(w http.ResponseWriter, r *http.Request, c *call, err error) {
	e, reason := answer(r.Context(), g.Config, c, r.URL.Path, err)
	h := w.Header()
	if reason == "method_not_allowed" {
		h.Set("Allow", http.MethodPost)
	}
	if e.Code() == connect.CodeUnauthenticated {
		h.Set("WWW-Authenticate", "Bearer")
		g.Config.Refused(reason)
	}
	bearer.Finish(w, r)
	g.Refuse(w, r, e, statuses[reason])
}

// answer is the error as the client sees it, logged where it is ours.
func answer(ctx context.Context, config Config, c *call, procedure string, err error) (*connect.Error, string) {
	v := judge(ctx, err)
	c.code = v.code.String()
	if v.log {
		log := config.Log
		if c.partner != "" {
			log = log.With("partner", c.partner)
		}
		log.Log(ctx, v.level, "call failed", "procedure", procedure, "request_id", c.id, "code", c.code, "error", err)
	}
	return wireError(v, c.id), v.fault.Reason
}

// BearerToken reads the one Authorization header; "" where there is none or another scheme.
func BearerToken(r *http.Request) (string, error) {
	values := r.Header.Values("Authorization")
	if len(values) > 1 {
		return "", fault.New(fault.Unauthenticated, "key_multiple", "the call carries more than one Authorization header")
	}
	if len(values) == 0 {
		return "", nil
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", fault.New(fault.Unauthenticated, "key_scheme", "the Authorization header's scheme is not Bearer")
	}
	return strings.TrimSpace(token), nil
}

// elapsed is a guard against clocks that step back.
func elapsed(from, to time.Time) time.Duration { return max(0, to.Sub(from)) }
