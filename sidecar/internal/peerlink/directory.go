package peerlink

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/hanse-market/hanse/auth/guard"
	"github.com/hanse-market/hanse/auth/refusal"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/text"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
)

// Paths of the member's own documents.
const (
	PathMember = "/.well-known/hanse-member"
	PathKeys   = "/.well-known/hanse-keys.json"
	// TypeMember is the media type of the member document, a compact JWS.
	TypeMember = "application/jwt"
)

// Fetcher reads documents that a partner controls; *guard.Guard is one.
type Fetcher interface {
	Origin(raw string) (string, error)
	Fetch(ctx context.Context, request guard.Request) (guard.Document, error)
}

// Directory reads members from their origins.
type Directory struct {
	Fetch Fetcher
	Now   func() time.Time
}

// Member reads and verifies the documents of an origin. fault.Invalid for what is no origin, fault.Unavailable when it cannot
// be reached, fault.Precondition when its documents do not hold.
func (d *Directory) Member(ctx context.Context, origin string) (trust.Info, error) {
	canonical, err := d.Fetch.Origin(origin)
	if err != nil {
		return trust.Info{}, guarded(origin, err).At("origin").Do("give the member's origin, like https://sidecar.example")
	}
	if canonical != origin {
		return trust.Info{}, fault.New(fault.Invalid, "origin_not_canonical", "write the origin as %s", canonical).At("origin")
	}
	member, err := d.Fetch.Fetch(ctx, guard.Request{URL: origin + PathMember, Max: 16 << 10, Type: TypeMember})
	if err != nil {
		return trust.Info{}, guarded(origin, err)
	}
	published, err := d.Fetch.Fetch(ctx, guard.Request{URL: origin + PathKeys})
	if err != nil {
		return trust.Info{}, guarded(origin, err)
	}
	var set trust.KeysDocument
	if err := signed.DecodeOpen(published.Body, &set); err != nil {
		return trust.Info{}, fault.New(fault.Precondition, "member_document_invalid", "the key document of %s cannot be read", origin).Because(text.ForeignError(err))
	}
	info, err := trust.VerifyMember(origin, strings.TrimSpace(string(member.Body)), set, d.Now())
	if err == nil {
		err = info.Secret()
	}
	return info, err
}

// guarded turns a guard's refusal into a fault: what we were asked to reach may be wrong, or it may be away.
func guarded(origin string, err error) *fault.Error {
	var r *refusal.Error
	if !errors.As(err, &r) {
		return fault.New(fault.Unavailable, "member_unreachable", "%s cannot be reached", origin).Because(text.ForeignError(err))
	}
	if r.Kind == refusal.Invalid || r.Kind == refusal.Denied {
		return fault.New(fault.Invalid, r.Reason, "%s", text.Foreign(r.Text)).Because(text.ForeignError(err))
	}
	return fault.New(fault.Unavailable, r.Reason, "%s cannot be read: %s", origin, text.Foreign(r.Text)).Do(cure(origin, r.Reason)).Because(text.ForeignError(err))
}
