package peerlink

import (
	"context"
	"errors"
	"strings"

	"connectrpc.com/connect"

	"github.com/hanse-market/hanse/auth/client"
	"github.com/hanse-market/hanse/auth/guard"
	"github.com/hanse-market/hanse/auth/refusal"
	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/text"
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

// reasonUnknown is ours for a partner's reason that is no code.
const reasonUnknown = "unknown_reason"

// uncalled is a refusal that ended a call before it began: the guard's, the token client's, or the word of the partner's token
// endpoint. That one is there if it denies. None is a decision about what we wanted to send: what the guard and we ourselves
// find invalid in a partner's answers is as good as none. Where our own part fails it is a defect here, and no word about the partner.
func uncalled(partner string, refused *refusal.Error) *fault.Error {
	kind, answered := fault.Unavailable, errors.Is(refused, client.ErrAnswered)
	switch refused.Kind {
	case refusal.Internal:
		if !answered {
			kind = fault.Internal
		}
	case refusal.Denied:
		kind = fault.Denied
	case refusal.Unauthenticated:
		kind = fault.Unauthenticated
	case refusal.Exhausted:
		kind = fault.Exhausted
	}
	f := fault.New(kind, text.Reason(refused.Reason, reasonUnknown), "%s cannot be called: %s", partner, text.Foreign(refused.Text))
	f.RetryAfter = refused.RetryAfter
	if !answered {
		return f.Do(cure(partner, refused.Reason))
	}
	// The partner's word: what its guard met, it met on the way to us.
	if strings.HasPrefix(refused.Reason, "tls_") || strings.HasPrefix(refused.Reason, "fetch_") || refused.Reason == guard.ReasonAddress {
		return f.Do("the partner cannot read our documents: check from outside that our origin is reachable, with a valid certificate and its chain")
	}
	return f
}

// cure is what operators do about what the guard met on the way to a partner, "" where its text says it.
func cure(partner, reason string) string {
	switch reason {
	case guard.ReasonTLSAuthority:
		if strings.Contains(partner, ".localhost") {
			return "give both members the same dev_ca_dir, as hanse init does, and start them again: in dev mode each trusts the CA in it alone"
		}
		return "the partner serves its full certificate chain from a public authority; here the system's CA certificates must be installed"
	case client.ReasonSkew:
		return "one of the two clocks is wrong: let NTP set this machine's; if it is right, the partner sets theirs"
	case guard.ReasonTLSName:
		return "the partner serves a certificate for the host of its origin; check the origin and where its name leads"
	case guard.ReasonTLSExpired:
		return "the partner renews its certificate; check this machine's clock too"
	case guard.ReasonTLSProtocol:
		return "the partner serves TLS 1.2 or newer under its origin; check the port, and tls.terminated_in_front without a proxy"
	case guard.ReasonTLS:
		return "the partner checks its certificate and its log; what this side met is in our log"
	}
	return ""
}

// translate is a call's error in the domain's words. The partner's text stays in the log, as much of it as text.Foreign leaves.
func translate(partner string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	var refused *refusal.Error
	if errors.As(err, &refused) {
		return uncalled(partner, refused).Because(text.ForeignError(err))
	}
	var c *connect.Error
	if !errors.As(err, &c) || !connect.IsWireError(err) {
		return fault.New(fault.Unavailable, "partner_unreachable", "%s cannot be reached", partner).Because(text.ForeignError(err))
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
		f := fault.New(kind, text.Reason(info.GetReason(), reasonUnknown), "%s refused the call: %s", partner, text.Foreign(info.GetCause()))
		f.RetryAfter = client.RetryAfter(c.Meta())
		return f.Because(text.ForeignError(err))
	}
	// Without a reason of the protocol it is the word of something on the way, a proxy for instance, and decides nothing.
	return fault.New(fault.Unavailable, "partner_unreachable", "%s cannot be reached: %s", partner, c.Code()).Because(text.ForeignError(err))
}
