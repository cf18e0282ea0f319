package portal

import (
	"github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1/portalv1connect"
	portals "github.com/hanse-market/hanse/sidecar/internal/portal"
)

// Scopes is the table of hanse.portal.v1: procedure to the scope that it needs. What is not here is not served.
func Scopes() map[string]string {
	return map[string]string{
		portalv1connect.CatalogServiceSearchListingsProcedure:         portals.ScopeCatalogRead,
		portalv1connect.CatalogServiceGetListingProcedure:             portals.ScopeCatalogRead,
		portalv1connect.OrderServicePlaceOrderProcedure:               portals.ScopeOrdersWrite,
		portalv1connect.OrderServiceCancelOrderProcedure:              portals.ScopeOrdersWrite,
		portalv1connect.OrderServiceGetOrderProcedure:                 portals.ScopeOrdersRead,
		portalv1connect.OrderServiceListOrdersProcedure:               portals.ScopeOrdersRead,
		portalv1connect.OrderServiceWatchOrderProcedure:               portals.ScopeOrdersRead,
		portalv1connect.SubscriptionServiceListSubscriptionsProcedure: portals.ScopeSubscriptionsRead,
		portalv1connect.SubscriptionServiceGetSubscriptionProcedure:   portals.ScopeSubscriptionsRead,
		portalv1connect.SubscriptionServiceRevealAccessDataProcedure:  portals.ScopeAccessReveal,
		portalv1connect.SessionServiceCreateCustomerSessionProcedure:  portals.ScopeSessionsWrite,
	}
}
