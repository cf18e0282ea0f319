package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"connectrpc.com/connect"

	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
)

const (
	exitOK       = 0
	exitFailure  = 1
	exitUsage    = 2
	exitNotFound = 3
	exitAuth     = 4
	exitConflict = 5
	exitPending  = 6
	exitDiffers  = 7
)

// exit is a code and what it means, for the help and for docs/cli.md.
type exit struct {
	code    int
	meaning string
}

func exits() []exit {
	return []exit{
		{exitOK, "done"},
		{exitFailure, "failed: the request or the configuration is wrong, or something broke"},
		{exitUsage, "the command line is wrong; nothing was done"},
		{exitNotFound, "what was named is not there"},
		{exitAuth, "not allowed: no token, a wrong one, or not this token's to do"},
		{exitConflict, "the state of things is against it: it exists already, it was changed meanwhile, it must come first"},
		{exitPending, "try again later: the sidecar, a partner or a platform cannot be reached, is not ready, or is at a limit"},
		{exitDiffers, "books differ: a verification found differences"},
	}
}

// commandError is why a command failed: what went wrong and what to do next.
type commandError struct {
	Code   int    `json:"exit_code"`
	Reason string `json:"reason"`
	Field  string `json:"field,omitempty"`
	Cause  string `json:"cause"`
	Action string `json:"action,omitempty"`
	// Progress is how far the work came that failed on the way; nil where that is not known, or nothing was begun.
	Progress *progress `json:"progress,omitempty"`
}

// progress is how much of what a command was to do is done.
type progress struct {
	Written int32 `json:"written"`
	Of      int32 `json:"of"`
	// First is the first that is not written.
	First string `json:"first_not_written,omitempty"`
}

func (e *commandError) Error() string { return e.Reason + ": " + e.Cause }

// exitCodes of what a server answers.
var exitCodes = map[connect.Code]int{
	connect.CodeNotFound:           exitNotFound,
	connect.CodeUnauthenticated:    exitAuth,
	connect.CodePermissionDenied:   exitAuth,
	connect.CodeAlreadyExists:      exitConflict,
	connect.CodeAborted:            exitConflict,
	connect.CodeFailedPrecondition: exitConflict,
	connect.CodeUnavailable:        exitPending,
	connect.CodeResourceExhausted:  exitPending,
	connect.CodeDeadlineExceeded:   exitPending,
}

// actions where the server names none.
var actions = map[connect.Code]string{
	connect.CodeUnauthenticated:  "give the sidecar's operator token: --token-file DATA_DIR/operator.token or HANSE_OPERATOR_TOKEN",
	connect.CodeUnavailable:      "repeat it later",
	connect.CodeDeadlineExceeded: "repeat it; it is safe to",
	connect.CodeInternal:         "read the sidecar's log",
	connect.CodeUnimplemented:    "use a hanse of the sidecar's version",
}

func asCommandError(err error) *commandError {
	var own *commandError
	if errors.As(err, &own) {
		return own
	}
	var remote *connect.Error
	if !errors.As(err, &remote) {
		return &commandError{Code: exitFailure, Reason: "failed", Cause: err.Error()}
	}
	out := &commandError{
		Code:   exitFailure,
		Reason: remote.Code().String(),
		Cause:  remote.Message(),
		Action: actions[remote.Code()],
	}
	if code, known := exitCodes[remote.Code()]; known {
		out.Code = code
	}
	if !connect.IsWireError(err) && !errors.Is(err, context.DeadlineExceeded) && remote.Code() == connect.CodeUnavailable {
		out.Reason = "sidecar_unreachable"
		out.Action = "start it with hanse serve, or name its Operator API with --operator URL"
	}
	for _, detail := range remote.Details() {
		value, err := detail.Value()
		if err != nil {
			continue
		}
		if info, ok := value.(*typev1.ErrorInfo); ok {
			out.Reason, out.Field = info.GetReason(), info.GetField()
			if info.GetCause() != "" {
				out.Cause = info.GetCause()
			}
			if info.GetAction() != "" {
				out.Action = info.GetAction()
			}
		}
	}
	return out
}

// report writes the error to standard error, as JSON where JSON was asked for.
func (a *app) report(e *commandError) {
	if a.json || a.flags.Output == outputJSON {
		b, err := json.Marshal(map[string]*commandError{"error": e})
		if err == nil {
			fmt.Fprintf(a.stderr, "%s\n", b)
			return
		}
	}
	where := ""
	if e.Field != "" {
		where = " (" + e.Field + ")"
	}
	fmt.Fprintf(a.stderr, "hanse: %s%s: %s\n", e.Reason, where, printable(e.Cause))
	if e.Action != "" {
		fmt.Fprintf(a.stderr, "  next: %s\n", printable(e.Action))
	}
}
