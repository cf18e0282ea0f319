// Package scope names what a member may do at another one. The names stand alone, without a dependency, so that the rules
// about them need not know how a token is checked.
package scope

import "strings"

// Scopes that exist (PEER-1). A token has some of these and no other.
const (
	PeeringRequest  = "peering:request"
	AgreementSign   = "agreement:sign"
	CatalogRead     = "catalog:read"
	QuotesCreate    = "quotes:create"
	OrdersWrite     = "orders:write"
	OrdersRead      = "orders:read"
	OrdersCancel    = "orders:cancel"
	LedgerRead      = "ledger:read"
	UsageRead       = "usage:read"
	SettlementWrite = "settlement:write"
	ExportRead      = "export:read"
)

// All lists them in the order of the metadata.
func All() []string {
	return []string{
		PeeringRequest, AgreementSign, CatalogRead, QuotesCreate, OrdersWrite, OrdersRead, OrdersCancel, LedgerRead, UsageRead,
		SettlementWrite, ExportRead,
	}
}

// NeedsAgreement reports whether a token with this scope must name an agreement: what is done with it happens under one. A catalog and
// the log that a member reads back are the partnership's.
func NeedsAgreement(name string) bool {
	return strings.HasPrefix(name, "orders:") || name == QuotesCreate || name == UsageRead || name == SettlementWrite
}
