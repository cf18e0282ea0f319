package peerlink

import (
	"context"
	"errors"

	"connectrpc.com/connect"

	"github.com/hanse-market/hanse/auth/guard"
	"github.com/hanse-market/hanse/auth/refusal"
	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

// kinds is what a partner's code means here. An authentication that fails between sidecars is for operators to mend, never a
// decision about an order.
var kinds = map[connect.Code]fault.Kind{
	connect.CodeInvalidArgument:    fault.Invalid,
	connect.CodeOutOfRange:         fault.Invalid,
	connect.CodeNotFound:           fault.NotFound,
	connect.CodeAlreadyExists:      fault.Conflict,
	connect.CodeAborted:            fault.Conflict,
	connect.CodeFailedPrecondition: fault.Precondition,
	connect.CodePermissionDenied:   fault.Denied,
	connect.CodeUnauthenticated:    fault.Unauthenticated,
	connect.CodeResourceExhausted:  fault.Exhausted,
}

// cures say what to do where waiting does not help.
var cures = map[string]string{
	guard.ReasonTLS: "the origin's own host must answer with a certificate for its name and the whole chain; in dev mode all members need " +
		"the same dev_ca_dir, which hanse init gives them, and a restart after a change",
}

// translate is a call's error in the domain's words. The partner's text stays in the log.
func translate(partner string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	var refused *refusal.Error
	if errors.As(err, &refused) {
		return fault.New(fault.Unavailable, refused.Reason, "%s cannot be called: %s", partner, refused.Text).Do(cures[refused.Reason]).Because(err)
	}
	var c *connect.Error
	if !errors.As(err, &c) || !connect.IsWireError(err) {
		return fault.New(fault.Unavailable, "partner_unreachable", "%s cannot be reached", partner).Because(err)
	}
	for _, d := range c.Details() {
		v, verr := d.Value()
		info, ok := v.(*typev1.ErrorInfo)
		if verr != nil || !ok || info.GetReason() == "" {
			continue
		}
		kind, known := kinds[c.Code()]
		if !known {
			kind = fault.Unavailable
		}
		return fault.New(kind, info.GetReason(), "%s refused the call: %s", partner, info.GetCause()).Because(err)
	}
	// Without a reason of the protocol it is the word of something on the way, a proxy for instance, and decides nothing.
	return fault.New(fault.Unavailable, "partner_unreachable", "%s cannot be reached: %s", partner, c.Code()).Because(err)
}
