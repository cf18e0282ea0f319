package main

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
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

// connect resolves the Operator API's address and token: flags first, then the environment, then the configuration.
func (a *app) connect() (connection, error) {
	cfg, err := a.config()
	if err != nil {
		return connection{}, err
	}
	address := a.flags.Operator
	if address == "" {
		address = a.getenv("HANSE_OPERATOR")
	}
	if address == "" {
		address = "http://" + cfg.Listen.Operator
	}
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return connection{}, &commandError{Code: exitUsage, Reason: "usage", Field: "--operator", Cause: address + " is not an http URL", Action: "write it like http://127.0.0.1:7070"}
	}
	token, err := a.token(cfg)
	if err != nil {
		return connection{}, err
	}
	return connection{
		http:    &http.Client{Timeout: callTimeout},
		url:     strings.TrimSuffix(address, "/"),
		options: []connect.ClientOption{connect.WithInterceptors(bearer(token))},
	}, nil
}

// config is the configuration that -c names, or the defaults; what only serve needs may be missing.
func (a *app) config() (sidecar.Config, error) {
	cfg := sidecar.Config{}
	if a.flags.Config != "" {
		var err error
		if cfg, err = sidecar.LoadConfig(a.flags.Config, a.getenv); err != nil {
			return cfg, configError(err)
		}
	}
	cfg, _ = cfg.Complete()
	return cfg, nil
}

func (a *app) token(cfg sidecar.Config) (string, error) {
	if token := a.getenv("HANSE_OPERATOR_TOKEN"); token != "" && a.flags.TokenFile == "" {
		return token, nil
	}
	path := a.flags.TokenFile
	if path == "" {
		path = cfg.OperatorTokenFile()
	}
	b, err := os.ReadFile(path)
	if err != nil {
		cause := "the operator token in " + path + " cannot be read"
		if errors.Is(err, fs.ErrNotExist) {
			cause = "there is no operator token in " + path
		}
		return "", &commandError{
			Code: exitAuth, Reason: "no_operator_token", Cause: cause,
			Action: "give the sidecar's -c hanse.yaml, --token-file DATA_DIR/operator.token or HANSE_OPERATOR_TOKEN; the sidecar makes the file at its first start",
		}
	}
	return strings.TrimSpace(string(b)), nil
}

func configError(err error) error {
	return &commandError{Code: exitFailure, Reason: "bad_configuration", Cause: strings.ReplaceAll(err.Error(), "\n", " | "), Action: "docs/configuration.md lists every key"}
}

// bearer puts the operator token on every unary call; the Operator API has no streams.
func bearer(token string) connect.UnaryInterceptorFunc {
	return func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
			req.Header().Set("Authorization", "Bearer "+token)
			return next(ctx, req)
		}
	}
}

// call makes one call: the client's constructor, then its method.
func call[C, Req, Res any](
	a *app,
	client func(connect.HTTPClient, string, ...connect.ClientOption) C,
	method func(C, context.Context, *connect.Request[Req]) (*connect.Response[Res], error),
	req *Req,
) (*Res, error) {
	c, err := a.connect()
	if err != nil {
		return nil, err
	}
	res, err := method(client(c.http, c.url, c.options...), a.ctx, connect.NewRequest(req))
	if err != nil {
		return nil, err
	}
	return res.Msg, nil
}
