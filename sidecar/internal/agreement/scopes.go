package agreement

import (
	"github.com/hanse-market/hanse/auth/scope"
	"github.com/hanse-market/hanse/sidecar/internal/member"
)

// windDown is what stays when new business is blocked, so that customers can leave.
var windDown = []string{
	scope.LedgerRead, scope.OrdersRead, scope.OrdersCancel, scope.UsageRead, scope.SettlementWrite, scope.ExportRead,
}

// partnershipScopes is what a partnership in a state gives by itself.
var partnershipScopes = map[member.State][]string{
	"":               {scope.PeeringRequest},
	member.Proposed:  {scope.PeeringRequest},
	member.Pending:   {scope.PeeringRequest, scope.AgreementSign, scope.LedgerRead, scope.ExportRead},
	member.Qualified: {scope.PeeringRequest, scope.AgreementSign, scope.LedgerRead, scope.ExportRead},
	member.Refused:   {scope.PeeringRequest},
	member.Active:    {scope.PeeringRequest, scope.AgreementSign, scope.LedgerRead, scope.OrdersRead, scope.ExportRead},
	member.Suspended: windDown,
	member.Ended:     windDown,
}

// agreementScopes is what an agreement in a state adds under an active partnership.
var agreementScopes = map[State][]string{
	Active:     {scope.CatalogRead, scope.QuotesCreate, scope.OrdersWrite, scope.OrdersRead, scope.OrdersCancel, scope.UsageRead, scope.SettlementWrite, scope.ExportRead},
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
