package bearer

import "github.com/hanse-market/hanse/auth/scope"

// PeerScopes is the table of hanse.peer.v1: procedure to the one scope that it needs. A procedure that is not here is denied;
// a test walks the service descriptors so that a new one cannot be forgotten.
func PeerScopes() map[string]string {
	return map[string]string{
		"/hanse.peer.v1.PeeringService/Propose":     scope.PeeringRequest,
		"/hanse.peer.v1.ExchangeService/Submit":     scope.LedgerRead, // and those of its documents: scope.OfDocument
		"/hanse.peer.v1.ExchangeService/Compare":    scope.LedgerRead,
		"/hanse.peer.v1.ExchangeService/Recall":     scope.ExportRead,
		"/hanse.peer.v1.ExchangeService/States":     scope.LedgerRead,
		"/hanse.peer.v1.CatalogService/Watch":       scope.CatalogRead,
		"/hanse.peer.v1.OrderService/GetAccessData": scope.OrdersRead,
		"/hanse.peer.v1.LedgerService/Tail":         scope.LedgerRead,
	}
}
