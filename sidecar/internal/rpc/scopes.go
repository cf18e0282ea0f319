package rpc

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
	"github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1/portalv1connect"
	"github.com/hanse-market/hanse/sidecar/internal/portal"
)

// portalScopes is the table of hanse.portal.v1: procedure to the scope that it needs. What is not here is not served.
func portalScopes() map[string]string {
	return map[string]string{
		portalv1connect.CatalogServiceSearchListingsProcedure:         portal.ScopeCatalogRead,
		portalv1connect.CatalogServiceGetListingProcedure:             portal.ScopeCatalogRead,
		portalv1connect.OrderServicePlaceOrderProcedure:               portal.ScopeOrdersWrite,
		portalv1connect.OrderServiceGetOrderProcedure:                 portal.ScopeOrdersRead,
		portalv1connect.OrderServiceListOrdersProcedure:               portal.ScopeOrdersRead,
		portalv1connect.OrderServiceWatchOrderProcedure:               portal.ScopeOrdersRead,
		portalv1connect.SubscriptionServiceListSubscriptionsProcedure: portal.ScopeSubscriptionsRead,
		portalv1connect.SubscriptionServiceGetSubscriptionProcedure:   portal.ScopeSubscriptionsRead,
		portalv1connect.SubscriptionServiceRevealAccessDataProcedure:  portal.ScopeAccessReveal,
		portalv1connect.SessionServiceCreateCustomerSessionProcedure:  portal.ScopeSessionsWrite,
	}
}

// scopeOperator is what the admin token gives. Finer roles would be further values of this table.
const scopeOperator = "operator"

// operatorScopes is the table of hanse.operator.v1.
func operatorScopes() map[string]string {
	return map[string]string{
		operatorv1connect.PartnerServiceDiscoverMemberProcedure:         scopeOperator,
		operatorv1connect.PartnerServiceAddPartnerProcedure:             scopeOperator,
		operatorv1connect.PartnerServiceListPartnersProcedure:           scopeOperator,
		operatorv1connect.PartnerServiceGetPartnerProcedure:             scopeOperator,
		operatorv1connect.AgreementServiceOfferAgreementProcedure:       scopeOperator,
		operatorv1connect.AgreementServiceAcceptAgreementProcedure:      scopeOperator,
		operatorv1connect.AgreementServiceListAgreementsProcedure:       scopeOperator,
		operatorv1connect.OfferingServiceApplyOfferingsProcedure:        scopeOperator,
		operatorv1connect.OfferingServiceListOfferingsProcedure:         scopeOperator,
		operatorv1connect.OfferingServiceGetOfferingProcedure:           scopeOperator,
		operatorv1connect.ListingServiceListListingsProcedure:           scopeOperator,
		operatorv1connect.ListingServiceUpdateListingProcedure:          scopeOperator,
		operatorv1connect.ListingServiceSetMarkupProcedure:              scopeOperator,
		operatorv1connect.OrderServiceListOrdersProcedure:               scopeOperator,
		operatorv1connect.OrderServiceGetOrderProcedure:                 scopeOperator,
		operatorv1connect.SubscriptionServiceListSubscriptionsProcedure: scopeOperator,
		operatorv1connect.LedgerServiceVerifyLedgersProcedure:           scopeOperator,
		operatorv1connect.LedgerServiceListEntriesProcedure:             scopeOperator,
		operatorv1connect.PortalServiceAddPortalProcedure:               scopeOperator,
		operatorv1connect.PortalServiceRotatePortalKeyProcedure:         scopeOperator,
		operatorv1connect.PortalServiceListPortalsProcedure:             scopeOperator,
		operatorv1connect.PortalServiceRemovePortalProcedure:            scopeOperator,
		operatorv1connect.JobServiceListJobsProcedure:                   scopeOperator,
		operatorv1connect.JobServiceRetryJobProcedure:                   scopeOperator,
	}
}

// maxApplyBytes lets 16 MiB of YAML through in its base64 form too; the field's own rule is the limit on the YAML.
const maxApplyBytes = 24 << 20

// sizes overrules Config.MaxBytes.
func sizes() map[string]int {
	return map[string]int{operatorv1connect.OfferingServiceApplyOfferingsProcedure: maxApplyBytes}
}

// procedures joins the RPCs of a file with the scope table. An RPC that the table forgot is a defect that stops the start.
func procedures(file protoreflect.FileDescriptor, scopes map[string]string, maxBytes int) (map[string]procedure, error) {
	out := make(map[string]procedure)
	large := sizes()
	services := file.Services()
	for i := range services.Len() {
		methods := services.Get(i).Methods()
		for j := range methods.Len() {
			m := methods.Get(j)
			path := fmt.Sprintf("/%s/%s", services.Get(i).FullName(), m.Name())
			if scopes[path] == "" {
				return nil, fmt.Errorf("rpc: procedure %s has no scope", path)
			}
			p := procedure{method: m, scope: scopes[path], maxBytes: maxBytes}
			if size, ok := large[path]; ok {
				p.maxBytes = max(size, maxBytes)
			}
			out[path] = p
		}
	}
	return out, nil
}
