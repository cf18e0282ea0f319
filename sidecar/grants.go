package sidecar

import (
	"context"
	"errors"
	"strings"

	"github.com/hanse-market/hanse/auth/authserver"
	"github.com/hanse-market/hanse/auth/bearer"
	"github.com/hanse-market/hanse/auth/refusal"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

// Reasons of the relation between members, beside those of package auth.
const (
	reasonNoScope = "scope_not_granted"
)

// grants answers the authorization server and the resource server from the table partnership state × agreement state.
type grants struct{ relations *agreement.Relations }

// Grant implements authserver.Grants: a client gets what it asked for or an error, never silently less.
func (g grants) Grant(ctx context.Context, r authserver.GrantRequest) (authserver.Granted, error) {
	if err := g.allow(ctx, r.Origin, r.Agreement, r.Scopes); err != nil {
		return authserver.Granted{}, err
	}
	return authserver.Granted{Scopes: r.Scopes, Agreement: r.Agreement}, nil
}

// Relation is bearer.Config.Relation: the state may have changed since the token was made.
func (g grants) Relation(ctx context.Context, p bearer.Principal) error {
	return g.allow(ctx, p.Origin, p.Agreement, []string{p.Scope})
}

func (g grants) allow(ctx context.Context, origin, agreementID string, scopes []string) error {
	allowed, err := g.relations.Allowed(ctx, origin, agreementID, scopes)
	var f *fault.Error
	switch {
	case errors.As(err, &f) && f.Kind == fault.Denied:
		return refusal.New(refusal.Denied, f.Reason, "%s", f.Cause)
	case err != nil:
		return err
	case len(allowed) < len(scopes):
		return refusal.New(refusal.Denied, reasonNoScope, "the partnership does not give all of: %s", strings.Join(scopes, " "))
	}
	return nil
}
