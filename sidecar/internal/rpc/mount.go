package rpc

import (
	"net/http"

	"buf.build/go/protovalidate"
	"connectrpc.com/connect"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// surface builds the guarded handler of one API.
type surface struct {
	config Config
	file   protoreflect.FileDescriptor
	scopes map[string]string
	admit  func(r *http.Request, p procedure) (caller, error)
	// mount registers the Connect handlers.
	mount func(mux *http.ServeMux, options ...connect.HandlerOption)
}

func (s surface) handler() (http.Handler, error) {
	known, err := procedures(s.file, s.scopes, s.config.MaxBytes)
	if err != nil {
		return nil, err
	}
	validator, err := protovalidate.New()
	if err != nil {
		return nil, err
	}
	options := []connect.HandlerOption{
		connect.WithInterceptors(&interceptor{config: s.config, validator: validator}),
		// The guard has measured already; this is for the day when somebody mounts a handler without it.
		connect.WithConditionalHandlerOptions(func(spec connect.Spec) []connect.HandlerOption {
			return []connect.HandlerOption{connect.WithReadMaxBytes(known[spec.Procedure].maxBytes)}
		}),
		connect.WithCompressMinBytes(1024),
	}
	mux := http.NewServeMux()
	s.mount(mux, options...)
	return &guard{
		config: s.config, procedures: known, admit: s.admit, write: connect.NewErrorWriter(), next: mux,
	}, nil
}
