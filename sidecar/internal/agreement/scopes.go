package agreement

import (
	"github.com/hanse-market/hanse/auth/bearer"
	"github.com/hanse-market/hanse/sidecar/internal/member"
)

// windDown is what stays when new business is blocked, so that customers can leave.
var windDown = []string{
	bearer.LedgerRead, bearer.OrdersRead, bearer.OrdersCancel, bearer.UsageRead, bearer.SettlementWrite, bearer.ExportRead,
}

// partnershipScopes is what a partnership in a state gives by itself.
var partnershipScopes = map[member.State][]string{
	"":               {bearer.PeeringRequest},
	member.Proposed:  {bearer.PeeringRequest},
	member.Pending:   {bearer.PeeringRequest, bearer.AgreementSign},
	member.Qualified: {bearer.PeeringRequest, bearer.AgreementSign, bearer.LedgerRead},
	member.Refused:   {bearer.PeeringRequest},
	member.Active:    {bearer.PeeringRequest, bearer.AgreementSign, bearer.LedgerRead, bearer.OrdersRead},
	member.Suspended: windDown,
	member.Ended:     windDown,
}

// agreementScopes is what an agreement in a state adds under an active partnership.
var agreementScopes = map[State][]string{
	Active:     {bearer.CatalogRead, bearer.QuotesCreate, bearer.OrdersWrite, bearer.OrdersRead, bearer.OrdersCancel, bearer.UsageRead, bearer.SettlementWrite, bearer.ExportRead},
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
