package rpc

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

// maxHeaderBytes bounds all header names and values of a request together.
const maxHeaderBytes = 16 << 10

// HeaderRequestID names the response header by which an operator finds a call in the log.
const HeaderRequestID = "Hanse-Request-Id"

// procedure is one RPC of a surface.
type procedure struct {
	method protoreflect.MethodDescriptor
	// scope that the caller needs.
	scope    string
	maxBytes int
}

func (p procedure) streams() bool {
	return p.method.IsStreamingServer() || p.method.IsStreamingClient()
}

// caller is who calls: admit puts its principal into the context; name is for the rate limit.
type caller struct {
	ctx  context.Context
	name string
}

// guard stands before the Connect handlers of one surface and lets through only what they can safely decode, from callers
// who may.
type guard struct {
	config     Config
	procedures map[string]procedure
	// admit finds out who calls and whether it has the procedure's scope.
	admit func(r *http.Request, p procedure) (caller, error)
	write *connect.ErrorWriter
	next  http.Handler
}

// call is what the guard and the interceptor tell each other about one request.
type call struct {
	id string
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
func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := g.config.Now()
	c := &call{id: g.config.NewID()}
	name := "unknown"
	if _, known := g.procedures[r.URL.Path]; known {
		name = r.URL.Path
	}
	h := w.Header()
	h.Set(HeaderRequestID, c.id)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	defer func() {
		if c.code == "" {
			// Connect itself refused the call, for a header that only it reads.
			c.code = connect.CodeInvalidArgument.String()
		}
		g.config.Observe(name, c.code, elapsed(start, g.config.Now()))
	}()
	r = r.WithContext(context.WithValue(r.Context(), callKey{}, c))
	admitted, err := g.check(w, r)
	if err != nil {
		g.reject(w, r, c, err)
		return
	}
	g.next.ServeHTTP(w, admitted)
}

// check runs the steps in the order of their cost to us: what the headers tell, who calls, then the body.
func (g *guard) check(w http.ResponseWriter, r *http.Request) (*http.Request, error) {
	p, err := g.shape(r)
	if err != nil {
		return nil, err
	}
	who, err := g.admit(r, p)
	if err != nil {
		return nil, err
	}
	ok, after, err := g.config.Allow(r.Context(), who.name)
	if err == nil && !ok {
		f := fault.New(fault.Exhausted, "rate_limited", "too many calls").Do("slow down")
		f.RetryAfter = after
		return nil, f
	}
	if err := checkBody(w, r, p); err != nil {
		return nil, err
	}
	return r.WithContext(who.ctx), nil
}

// shape checks what the request line and the headers tell.
func (g *guard) shape(r *http.Request) (procedure, error) {
	size := 0
	for name, values := range r.Header {
		for _, v := range values {
			size += len(name) + len(v)
		}
	}
	if size > maxHeaderBytes {
		return procedure{}, fault.New(fault.Invalid, "headers_too_large", "the headers take more than %d bytes", maxHeaderBytes)
	}
	p, known := g.procedures[r.URL.Path]
	if !known {
		return procedure{}, fault.New(fault.NotFound, "procedure_unknown", "there is no such procedure here")
	}
	// Connect also takes GET for reads; here it would put a customer's ids into access logs.
	if r.Method != http.MethodPost {
		return procedure{}, fault.New(fault.Invalid, "method_not_allowed", "procedures take POST")
	}
	if len(r.Header.Values("Content-Type")) != 1 || wireOf(r, p) == nil {
		return procedure{}, fault.New(fault.Invalid, "content_type_unsupported", "the procedure takes %s", contentTypes(p))
	}
	return p, checkProtocol(r.Header)
}

var (
	connectTimeout = regexp.MustCompile(`^[0-9]{1,10}$`)
	grpcTimeout    = regexp.MustCompile(`^[0-9]{1,8}[HMSmun]$`)
)

// checkProtocol checks the headers that only Connect reads, and would refuse without a reason.
func checkProtocol(h http.Header) error {
	if v := h.Get("Connect-Protocol-Version"); v != "" && v != "1" {
		return fault.New(fault.Invalid, "protocol_version_unsupported", "this is version 1 of the Connect protocol").At("Connect-Protocol-Version")
	}
	if v := h.Get("Connect-Timeout-Ms"); v != "" && !connectTimeout.MatchString(v) {
		return fault.New(fault.Invalid, "timeout_malformed", "a timeout is up to ten digits").At("Connect-Timeout-Ms")
	}
	if v := h.Get("Grpc-Timeout"); v != "" && !grpcTimeout.MatchString(v) {
		return fault.New(fault.Invalid, "timeout_malformed", "a timeout is up to eight digits and a unit").At("Grpc-Timeout")
	}
	return nil
}

// statuses overrules the HTTP status of a code where HTTP has a word of its own.
var statuses = map[string]int{
	"method_not_allowed":       http.StatusMethodNotAllowed,
	"content_type_unsupported": http.StatusUnsupportedMediaType,
	"message_too_large":        http.StatusRequestEntityTooLarge,
	"headers_too_large":        http.StatusRequestHeaderFieldsTooLarge,
}

// reject answers in the caller's own protocol.
func (g *guard) reject(w http.ResponseWriter, r *http.Request, c *call, err error) {
	e, reason := answer(r.Context(), g.config, c, r.URL.Path, err)
	h := w.Header()
	if reason == "method_not_allowed" {
		h.Set("Allow", http.MethodPost)
	}
	if e.Code() == connect.CodeUnauthenticated {
		h.Set("WWW-Authenticate", "Bearer")
		g.config.Refused(reason)
	}
	if wires[mediaType(r)].enveloped {
		// These protocols carry their errors under status 200.
		_ = g.write.Write(w, r, e)
		return
	}
	_ = g.write.Write(&statusWriter{ResponseWriter: w, status: statuses[reason]}, r, e)
}

// answer is the error as the client sees it, logged where it is ours.
func answer(ctx context.Context, config Config, c *call, procedure string, err error) (*connect.Error, string) {
	v := judge(ctx, err)
	c.code = v.code.String()
	if v.log {
		config.Log.Log(ctx, v.level, "call failed", "procedure", procedure, "request_id", c.id, "code", c.code, "error", err)
	}
	return wireError(v, c.id), v.fault.Reason
}

// statusWriter replaces the status of an error; 0 keeps it.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status != 0 {
		status = w.status
	}
	w.ResponseWriter.WriteHeader(status)
}

// bearerToken reads the one Authorization header; "" where there is none or another scheme.
func bearerToken(r *http.Request) (string, error) {
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
