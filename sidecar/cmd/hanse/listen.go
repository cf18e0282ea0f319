package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"syscall"

	"github.com/hanse-market/hanse/sidecar"
)

// listenAddress is one address that the daemon binds.
type listenAddress struct{ key, address string }

// listeners are all of them: portal, operator, peer, ops.
func listeners(cfg sidecar.Config) []listenAddress {
	return []listenAddress{
		{"listen.portal", cfg.Listen.Portal},
		{"listen.operator", cfg.Listen.Operator},
		{"listen.peer", cfg.Listen.Peer},
		{"listen.ops", cfg.Listen.Ops},
	}
}

type refusedListener struct {
	listenAddress
	err error
}

// cannotListen says for each address why it could not be bound, and what to write instead.
func cannotListen(cfg sidecar.Config, failed []refusedListener) error {
	var causes, actions []string
	for _, f := range failed {
		cause, action := f.explain(cfg)
		causes = append(causes, f.key+": "+cause)
		actions = append(actions, action)
	}
	return &commandError{
		Code: exitFailure, Reason: "cannot_listen", Field: failed[0].key, Cause: strings.Join(causes, "; "), Action: strings.Join(actions, "; "),
	}
}

func (f refusedListener) explain(cfg sidecar.Config) (cause, action string) {
	switch {
	case errors.Is(f.err, syscall.EADDRINUSE):
		cause = "another program, or another sidecar, listens on " + f.address
		action = "end it, or set " + f.key + " to another address"
		if free := freeBeside(f.address); free != "" {
			action += ", " + free + " is free"
		}
		if cfg.Dev && f.key == "listen.peer" {
			action = "end it, or give origin another port"
		}
	case errors.Is(f.err, syscall.EADDRNOTAVAIL):
		cause = f.address + " is no address of this machine"
		action = "set " + f.key + " to one of its addresses, or leave the host out: that is all of them"
	case errors.Is(f.err, fs.ErrPermission):
		cause = "this user may not listen on " + f.address
		action = "set " + f.key + " to a port above 1023, or allow it with CAP_NET_BIND_SERVICE"
	default:
		cause = f.err.Error()
		action = "set " + f.key + " to an address of this machine"
	}
	return cause, action
}

// freeBeside is an address of the same host that nobody listens on now.
func freeBeside(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return ""
	}
	defer func() { _ = l.Close() }()
	return net.JoinHostPort(host, fmt.Sprint(l.Addr().(*net.TCPAddr).Port))
}
