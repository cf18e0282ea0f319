package agreement

import (
	"github.com/hanse-market/hanse/sidecar/internal/member"
)

// OAuth scopes between peers.
const (
	ScopePeeringRequest  = "peering:request"
	ScopeAgreementSign   = "agreement:sign"
	ScopeCatalogRead     = "catalog:read"
	ScopeQuotesCreate    = "quotes:create"
	ScopeOrdersWrite     = "orders:write"
	ScopeOrdersRead      = "orders:read"
	ScopeOrdersCancel    = "orders:cancel"
	ScopeLedgerRead      = "ledger:read"
	ScopeUsageRead       = "usage:read"
	ScopeSettlementWrite = "settlement:write"
	ScopeExportRead      = "export:read"
)

// windDown is what stays when new business is blocked, so that customers can leave.
var windDown = []string{
	ScopeLedgerRead, ScopeOrdersRead, ScopeOrdersCancel, ScopeUsageRead, ScopeSettlementWrite, ScopeExportRead,
}

// partnershipScopes is what a partnership in a state gives by itself.
var partnershipScopes = map[member.State][]string{
	"":               {ScopePeeringRequest},
	member.Proposed:  {ScopePeeringRequest},
	member.Pending:   {ScopePeeringRequest},
	member.Qualified: {ScopePeeringRequest, ScopeAgreementSign, ScopeLedgerRead},
	member.Refused:   {ScopePeeringRequest},
	member.Active:    {ScopePeeringRequest, ScopeAgreementSign, ScopeLedgerRead, ScopeOrdersRead},
	member.Suspended: windDown,
	member.Ended:     windDown,
}

// agreementScopes is what an agreement in a state adds under an active partnership.
var agreementScopes = map[State][]string{
	Active:     {ScopeCatalogRead, ScopeQuotesCreate, ScopeOrdersWrite, ScopeOrdersRead, ScopeOrdersCancel, ScopeUsageRead, ScopeSettlementWrite, ScopeExportRead},
	Suspended:  windDown,
	InNotice:   windDown,
	Expired:    windDown,
	Terminated: windDown,
}

// Scopes is what a partner may be given, deny by default.
func Scopes(p member.State, agreements ...State) map[string]bool {
	granted := make(map[string]bool)
	for _, s := range partnershipScopes[p] {
		granted[s] = true
	}
	if p == member.Active {
		for _, a := range agreements {
			for _, s := range agreementScopes[a] {
				granted[s] = true
			}
		}
	}
	return granted
}
