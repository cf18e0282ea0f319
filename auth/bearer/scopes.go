package bearer

import "strings"

// Scopes that exist. A token has some of these and no other.
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

// AllScopes lists them in the order of the metadata.
func AllScopes() []string {
	return []string{
		PeeringRequest, AgreementSign, CatalogRead, QuotesCreate, OrdersWrite, OrdersRead, OrdersCancel, LedgerRead, UsageRead,
		SettlementWrite, ExportRead,
	}
}

// PeerScopes is the table of hanse.peer.v1: procedure to the one scope that it needs. A procedure that is not here is denied;
// a test walks the service descriptors so that a new one cannot be forgotten.
func PeerScopes() map[string]string {
	return map[string]string{
		"/hanse.peer.v1.PeeringService/Propose":         PeeringRequest,
		"/hanse.peer.v1.AgreementService/Offer":         AgreementSign,
		"/hanse.peer.v1.AgreementService/Accept":        AgreementSign,
		"/hanse.peer.v1.CatalogService/Watch":           CatalogRead,
		"/hanse.peer.v1.OrderService/PlaceOrder":        OrdersWrite,
		"/hanse.peer.v1.OrderService/GetAccessData":     OrdersRead,
		"/hanse.peer.v1.OrderService/ConfirmAccessData": OrdersWrite,
		"/hanse.peer.v1.LedgerService/Tail":             LedgerRead,
	}
}

// NeedsAgreement tells whether a token with this scope must name an agreement.
func NeedsAgreement(scope string) bool { return strings.HasPrefix(scope, "orders:") }
