package gate

import (
	"fmt"
	"net/http"
	"regexp"

	"buf.build/go/protovalidate"
	"connectrpc.com/connect"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

// Procedure is one RPC of a surface.
type Procedure struct {
	method protoreflect.MethodDescriptor
	// Scope that the caller needs.
	Scope    string
	maxBytes int
}

func (p Procedure) streams() bool {
	return p.method.IsStreamingServer() || p.method.IsStreamingClient()
}

// Surface is one Connect API: it lets through only what the handlers can safely decode, from callers who may.
type Surface struct {
	Config Config
	File   protoreflect.FileDescriptor
	// Scopes is the table procedure to scope; an RPC of File that it leaves out stops the start.
	Scopes map[string]string
	// Sizes overrules Config.MaxBytes for procedures that take more.
	Sizes map[string]int
	// Admit finds out who calls and whether it has the procedure's scope.
	Admit func(r *http.Request, p Procedure) (Caller, error)
	// Mount registers the Connect handlers.
	Mount func(mux *http.ServeMux, options ...connect.HandlerOption)
}

// Handler makes the gate and the handlers behind it.
func (s Surface) Handler() (http.Handler, error) {
	known, err := s.procedures()
	if err != nil {
		return nil, err
	}
	validator, err := protovalidate.New()
	if err != nil {
		return nil, err
	}
	options := []connect.HandlerOption{
		connect.WithInterceptors(&interceptor{config: s.Config, validator: validator}),
		// The gate has measured already; this is for the day when somebody mounts a handler without it.
		connect.WithConditionalHandlerOptions(func(spec connect.Spec) []connect.HandlerOption {
			return []connect.HandlerOption{connect.WithReadMaxBytes(known[spec.Procedure].maxBytes)}
		}),
		// What most calls answer is small, and compressing it costs more than sending it: an order's whole way is shorter.
		connect.WithCompressMinBytes(64 << 10),
	}
	mux := http.NewServeMux()
	s.Mount(mux, options...)
	write := connect.NewErrorWriter()
	return &Gate{
		Config: s.Config,
		Name: func(r *http.Request) string {
			if _, ok := known[r.URL.Path]; ok {
				return r.URL.Path
			}
			return "unknown"
		},
		Shape: func(r *http.Request) error { return shape(r, known) },
		Admit: func(r *http.Request) (Caller, error) { return s.Admit(r, known[r.URL.Path]) },
		Body:  func(w http.ResponseWriter, r *http.Request) error { return checkBody(w, r, known[r.URL.Path]) },
		Refuse: func(w http.ResponseWriter, r *http.Request, e *connect.Error, status int) {
			if wires[mediaType(r)].enveloped {
				status = 0 // these protocols carry their errors under status 200
			}
			_ = write.Write(&statusWriter{ResponseWriter: w, status: status}, r, e)
		},
		Next: mux,
	}, nil
}

// procedures joins the RPCs of the file with the scope table. An RPC that the table forgot is a defect that stops the start.
func (s Surface) procedures() (map[string]Procedure, error) {
	out := make(map[string]Procedure)
	services := s.File.Services()
	for i := range services.Len() {
		methods := services.Get(i).Methods()
		for j := range methods.Len() {
			m := methods.Get(j)
			path := fmt.Sprintf("/%s/%s", services.Get(i).FullName(), m.Name())
			if s.Scopes[path] == "" {
				return nil, fmt.Errorf("rpc/gate: procedure %s has no scope", path)
			}
			out[path] = Procedure{method: m, Scope: s.Scopes[path], maxBytes: max(s.Sizes[path], s.Config.MaxBytes)}
		}
	}
	return out, nil
}

// shape checks what the request line and the headers tell.
func shape(r *http.Request, known map[string]Procedure) error {
	p, ok := known[r.URL.Path]
	if !ok {
		return fault.New(fault.NotFound, "procedure_unknown", "there is no such procedure here")
	}
	// Connect also takes GET for reads; here it would put a customer's ids into access logs.
	if r.Method != http.MethodPost {
		return fault.New(fault.Invalid, "method_not_allowed", "procedures take POST")
	}
	if len(r.Header.Values("Content-Type")) != 1 || wireOf(r, p) == nil {
		return fault.New(fault.Invalid, "content_type_unsupported", "the procedure takes %s", contentTypes(p))
	}
	return checkProtocol(r.Header)
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
