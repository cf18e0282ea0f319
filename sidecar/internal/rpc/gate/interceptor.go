package gate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"

	"buf.build/go/protovalidate"
	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

// interceptor stands between Connect and the handlers: deadline, validation, panics, and errors. It is a whole
// connect.Interceptor, because connect.UnaryInterceptorFunc silently leaves streams alone.
type interceptor struct {
	config    Config
	validator protovalidate.Validator
}

// WrapUnary implements connect.Interceptor.
func (i *interceptor) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		ctx, cancel := context.WithTimeout(ctx, i.config.Deadline)
		defer cancel()
		var res connect.AnyResponse
		err := i.protect(func() (err error) {
			if err = i.validate(req.Any()); err != nil {
				return err
			}
			res, err = next(ctx, req)
			return err
		})
		if err != nil {
			return nil, i.finish(ctx, req.Spec().Procedure, err)
		}
		callOf(ctx).code = "ok"
		return res, nil
	}
}

// WrapStreamingHandler implements connect.Interceptor.
func (i *interceptor) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		err := i.protect(func() error { return next(ctx, &validatingConn{StreamingHandlerConn: conn, interceptor: i}) })
		if err != nil {
			return i.finish(ctx, conn.Spec().Procedure, err)
		}
		callOf(ctx).code = "ok"
		return nil
	}
}

// WrapStreamingClient implements connect.Interceptor; handlers have none.
func (i *interceptor) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// finish turns an error into what the client sees.
func (i *interceptor) finish(ctx context.Context, procedure string, err error) error {
	e, _ := answer(ctx, i.config, callOf(ctx), procedure, err)
	return e
}

func (i *interceptor) validate(message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return fmt.Errorf("validate %T: not a message", message)
	}
	if err := checkValues(m); err != nil {
		return err
	}
	return i.validator.Validate(m)
}

// protect turns a panic into an internal error; the stack goes to the log alone.
func (i *interceptor) protect(fn func() error) (err error) {
	defer func() {
		switch r := recover(); r {
		case nil:
		case http.ErrAbortHandler:
			panic(r)
		default:
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return fn()
}

// validatingConn validates what a stream receives.
type validatingConn struct {
	connect.StreamingHandlerConn
	interceptor *interceptor
}

// Receive implements connect.StreamingHandlerConn.
func (c *validatingConn) Receive(message any) error {
	err := c.StreamingHandlerConn.Receive(message)
	if err == nil {
		return c.interceptor.validate(message)
	}
	if errors.Is(err, io.EOF) {
		return err
	}
	return fault.New(fault.Invalid, "message_malformed", "the message cannot be read").Because(err)
}
