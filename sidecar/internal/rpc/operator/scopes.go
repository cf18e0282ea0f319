package operator

import "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"

// scopeOperator is what the admin token gives. Finer roles would be further values of this table.
const scopeOperator = "operator"

// Scopes is the table of hanse.operator.v1.
func Scopes() map[string]string {
	return map[string]string{
		operatorv1connect.PartnerServiceDiscoverMemberProcedure:         scopeOperator,
		operatorv1connect.PartnerServiceAddPartnerProcedure:             scopeOperator,
		operatorv1connect.PartnerServiceRefusePartnerProcedure:          scopeOperator,
		operatorv1connect.PartnerServiceAcceptPartnerChangesProcedure:   scopeOperator,
		operatorv1connect.PartnerServiceRefusePartnerChangesProcedure:   scopeOperator,
		operatorv1connect.PartnerServiceVouchPartnerProcedure:           scopeOperator,
		operatorv1connect.PartnerServiceListPartnersProcedure:           scopeOperator,
		operatorv1connect.PartnerServiceGetPartnerProcedure:             scopeOperator,
		operatorv1connect.PartnerServiceHoldPartnerProcedure:            scopeOperator,
		operatorv1connect.PartnerServiceFlushPartnerProcedure:           scopeOperator,
		operatorv1connect.PartnerServiceReconcilePartnerProcedure:       scopeOperator,
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
		operatorv1connect.OrderServiceCancelOrderProcedure:              scopeOperator,
		operatorv1connect.OrderServiceAbandonOrderProcedure:             scopeOperator,
		operatorv1connect.OrderServiceEraseOrderProcedure:               scopeOperator,
		operatorv1connect.OrderServiceGetOrderProcedure:                 scopeOperator,
		operatorv1connect.OrderServiceExplainOrderProcedure:             scopeOperator,
		operatorv1connect.OrderServiceResolveOrderProcedure:             scopeOperator,
		operatorv1connect.SubscriptionServiceListSubscriptionsProcedure: scopeOperator,
		operatorv1connect.LedgerServiceVerifyLedgersProcedure:           scopeOperator,
		operatorv1connect.LedgerServiceVerifyProcedure:                  scopeOperator,
		operatorv1connect.LedgerServiceListEntriesProcedure:             scopeOperator,
		operatorv1connect.LedgerServiceListParkedProcedure:              scopeOperator,
		operatorv1connect.LedgerServiceApplyParkedProcedure:             scopeOperator,
		operatorv1connect.LedgerServiceReleaseParkedProcedure:           scopeOperator,
		operatorv1connect.LedgerServiceShowForkProcedure:                scopeOperator,
		operatorv1connect.LedgerServiceProposeLifeProcedure:             scopeOperator,
		operatorv1connect.LedgerServiceSignLifeProcedure:                scopeOperator,
		operatorv1connect.LedgerServiceRefuseLifeProcedure:              scopeOperator,
		operatorv1connect.PortalServiceAddPortalProcedure:               scopeOperator,
		operatorv1connect.PortalServiceRotatePortalKeyProcedure:         scopeOperator,
		operatorv1connect.PortalServiceListPortalsProcedure:             scopeOperator,
		operatorv1connect.PortalServiceRemovePortalProcedure:            scopeOperator,
		operatorv1connect.JobServiceListJobsProcedure:                   scopeOperator,
		operatorv1connect.JobServiceRetryJobProcedure:                   scopeOperator,
		operatorv1connect.JobServiceParkJobProcedure:                    scopeOperator,
		operatorv1connect.JobServiceDropJobProcedure:                    scopeOperator,
		operatorv1connect.KeyServiceGetKeyProcedure:                     scopeOperator,
		operatorv1connect.KeyServiceRotateKeyProcedure:                  scopeOperator,
		operatorv1connect.SubscriptionServiceRotateAccessProcedure:      scopeOperator,
		operatorv1connect.OrphanServiceListOrphansProcedure:             scopeOperator,
		operatorv1connect.OrphanServiceClaimOrphanProcedure:             scopeOperator,
		operatorv1connect.OrphanServiceDestroyOrphanProcedure:           scopeOperator,
		operatorv1connect.StatusServiceGetStatusProcedure:               scopeOperator,
	}
}

// maxApplyBytes lets 16 MiB of YAML through in its base64 form too; the field's own rule is the limit on the YAML.
const maxApplyBytes = 24 << 20

// sizes overrules Config.MaxBytes.
func sizes() map[string]int {
	return map[string]int{operatorv1connect.OfferingServiceApplyOfferingsProcedure: maxApplyBytes}
}
