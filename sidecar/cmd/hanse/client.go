package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/hanse-market/hanse/sidecar"
)

// callTimeout covers a call that itself calls a partner.
const callTimeout = time.Minute

// connection is how a command reaches the sidecar.
type connection struct {
	http    *http.Client
	url     string
	options []connect.ClientOption
}

// connect resolves the Operator API's address and token: flags first, then the environment, then the configuration, which is
// not read where nothing is asked of it.
func (a *app) connect() (connection, error) {
	address, token := a.flags.Operator, ""
	if address == "" {
		address = a.getenv("HANSE_OPERATOR")
	}
	if a.flags.TokenFile == "" {
		token = a.getenv("HANSE_OPERATOR_TOKEN")
	}
	var cfg sidecar.Config
	if address == "" || (token == "" && a.flags.TokenFile == "") || a.flags.ConfigFile != "" {
		var err error
		if cfg, err = a.configuration(); err != nil {
			return connection{}, err
		}
		// What only serve needs may be missing.
		cfg, _ = cfg.Complete()
	}
	if address == "" {
		if err := a.mayReceiveToken(cfg); err != nil {
			return connection{}, err
		}
		address = "http://" + cfg.Listen.Operator
	}
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return connection{}, &commandError{Code: exitUsage, Reason: "usage", Field: "--operator", Cause: address + " is not an http URL", Action: "write it like http://127.0.0.1:7070"}
	}
	if token == "" {
		if token, err = a.token(cfg); err != nil {
			return connection{}, err
		}
	}
	return connection{
		http:    &http.Client{Timeout: callTimeout},
		url:     strings.TrimSuffix(address, "/"),
		options: []connect.ClientOption{connect.WithInterceptors(bearer(token))},
	}, nil
}

// mayReceiveToken refuses to send a token to another machine on the word of a file that merely lies in the working directory: it may
// have come with something downloaded. The system's own place is root's to write.
func (a *app) mayReceiveToken(cfg sidecar.Config) error {
	if a.flags.ConfigFile != "" || cfg.File == "" || cfg.File == systemConfig || a.getenv("HANSE_LISTEN_OPERATOR") != "" {
		return nil
	}
	host, _, err := net.SplitHostPort(cfg.Listen.Operator)
	ip, notIP := netip.ParseAddr(host)
	if err == nil && (host == "" || host == "localhost" || (notIP == nil && (ip.IsLoopback() || ip.IsUnspecified()))) {
		return nil
	}
	return &commandError{
		Code: exitFailure, Reason: "address_not_named", Field: "listen.operator",
		Cause:  fmt.Sprintf("%s would send the operator token to %s, and it was found here, not named", cfg.File, cfg.Listen.Operator),
		Action: "if it is yours, name it with -c, or the address with --operator URL",
	}
}

// token reads --token-file, or the file that the sidecar made in its data folder.
func (a *app) token(cfg sidecar.Config) (string, error) {
	path := a.flags.TokenFile
	if path == "" {
		path = absolute(cfg.OperatorTokenFile())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		cause := "the operator token in " + path + " cannot be read"
		if errors.Is(err, fs.ErrNotExist) {
			cause = "there is no operator token in " + path
		}
		if a.flags.TokenFile == "" {
			cause += ", where " + fileName(cfg) + " says it is"
		}
		return "", &commandError{
			Code: exitAuth, Reason: "no_operator_token", Cause: cause,
			Action: "give the sidecar's -c hanse.yaml, --token-file DATA_DIR/operator.token or HANSE_OPERATOR_TOKEN; the sidecar makes the file at its first start",
		}
	}
	return strings.TrimSpace(string(b)), nil
}

// bearer puts the operator token on every call.
type bearer string

func (b bearer) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		req.Header().Set("Authorization", "Bearer "+string(b))
		return next(ctx, req)
	}
}

func (b bearer) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, spec connect.Spec) connect.StreamingClientConn {
		conn := next(ctx, spec)
		conn.RequestHeader().Set("Authorization", "Bearer "+string(b))
		return conn
	}
}

func (b bearer) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}

// call makes one call: the client's constructor, then its method.
func call[C, Req, Res any](
	a *app,
	client func(connect.HTTPClient, string, ...connect.ClientOption) C,
	method func(C, context.Context, *connect.Request[Req]) (*connect.Response[Res], error),
	req *Req,
) (*Res, error) {
	return callWithin(a, callTimeout, client, method, req)
}

// callLong is call for what takes as long as there is to look at.
func callLong[C, Req, Res any](
	a *app,
	client func(connect.HTTPClient, string, ...connect.ClientOption) C,
	method func(C, context.Context, *connect.Request[Req]) (*connect.Response[Res], error),
	req *Req,
) (*Res, error) {
	return callWithin(a, 0, client, method, req)
}

func callWithin[C, Req, Res any](
	a *app,
	timeout time.Duration,
	client func(connect.HTTPClient, string, ...connect.ClientOption) C,
	method func(C, context.Context, *connect.Request[Req]) (*connect.Response[Res], error),
	req *Req,
) (*Res, error) {
	c, err := a.connect()
	if err != nil {
		return nil, err
	}
	c.http.Timeout = timeout
	res, err := method(client(c.http, c.url, c.options...), a.ctx, connect.NewRequest(req))
	if err != nil {
		return nil, err
	}
	return res.Msg, nil
}
