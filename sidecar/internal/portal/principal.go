package portal

import "slices"

// Principal is who calls the Portal API.
type Principal struct {
	// Portal is the portal client's name.
	Portal string
	// Customer is set on a session, which sees and does only what is this customer's.
	Customer string
	Scopes   []string
	// Origin is the web origin that a session is for; "" is any.
	Origin string
	// Session tells a customer's session from a portal's key.
	Session bool

	generation int64
}

// Has reports whether the principal has the scope.
func (p Principal) Has(scope string) bool { return slices.Contains(p.Scopes, scope) }

// CheckOrigin refuses a session that another web origin presents. A request without an Origin header is no browser's
// cross-site call; a session without an origin is not bound.
func (p Principal) CheckOrigin(header string) error {
	if p.Origin != "" && header != "" && p.Origin != header {
		return errOrigin()
	}
	return nil
}
