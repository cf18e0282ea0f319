package operator

import (
	"context"
	"encoding/hex"
	"slices"

	"connectrpc.com/connect"

	"github.com/hanse-market/hanse/auth/keys"
	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	desk "github.com/hanse-market/hanse/sidecar/internal/operator"
	"github.com/hanse-market/hanse/sidecar/internal/rpc/gate"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
)

// partnerService implements hanse.operator.v1.PartnerService.
type partnerService struct {
	partners   Partners
	desk       Desk
	reconciler Reconciler
	words      func(thumbprint string) string
}

// DiscoverMember implements operatorv1connect.PartnerServiceHandler.
func (h *partnerService) DiscoverMember(ctx context.Context, req *connect.Request[operatorv1.DiscoverMemberRequest]) (*connect.Response[operatorv1.DiscoverMemberResponse], error) {
	info, err := h.partners.Discover(ctx, req.Msg.GetOrigin())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.DiscoverMemberResponse{Member: discovered(info)}), nil
}

// AddPartner implements operatorv1connect.PartnerServiceHandler.
func (h *partnerService) AddPartner(ctx context.Context, req *connect.Request[operatorv1.AddPartnerRequest]) (*connect.Response[operatorv1.AddPartnerResponse], error) {
	role, err := memberRole(req.Msg.GetRole())
	if err != nil {
		return nil, err
	}
	p, err := h.partners.Add(ctx, req.Msg.GetOrigin(), role,
		member.Shown{Thumbprint: req.Msg.GetBusinessKeyThumbprint(), Digest: req.Msg.GetMemberDigest()})
	if err != nil {
		return nil, err
	}
	out, err := h.partner(ctx, p)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.AddPartnerResponse{Partner: out}), nil
}

// RefusePartner implements operatorv1connect.PartnerServiceHandler.
func (h *partnerService) RefusePartner(ctx context.Context, req *connect.Request[operatorv1.RefusePartnerRequest]) (*connect.Response[operatorv1.RefusePartnerResponse], error) {
	p, err := h.partners.Refuse(ctx, req.Msg.GetOrigin(), req.Msg.GetReason())
	if err != nil {
		return nil, err
	}
	out, err := h.partner(ctx, p)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.RefusePartnerResponse{Partner: out}), nil
}

// AcceptPartnerChanges implements operatorv1connect.PartnerServiceHandler.
func (h *partnerService) AcceptPartnerChanges(ctx context.Context, req *connect.Request[operatorv1.AcceptPartnerChangesRequest]) (*connect.Response[operatorv1.AcceptPartnerChangesResponse], error) {
	p, err := h.partners.AcceptChanges(ctx, req.Msg.GetOrigin(), req.Msg.GetDigest())
	if err != nil {
		return nil, err
	}
	out, err := h.partner(ctx, p)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.AcceptPartnerChangesResponse{Partner: out}), nil
}

// RefusePartnerChanges implements operatorv1connect.PartnerServiceHandler.
func (h *partnerService) RefusePartnerChanges(ctx context.Context, req *connect.Request[operatorv1.RefusePartnerChangesRequest]) (*connect.Response[operatorv1.RefusePartnerChangesResponse], error) {
	p, err := h.partners.RefuseChanges(ctx, req.Msg.GetOrigin(), req.Msg.GetDigest())
	if err != nil {
		return nil, err
	}
	out, err := h.partner(ctx, p)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.RefusePartnerChangesResponse{Partner: out}), nil
}

// VouchPartner implements operatorv1connect.PartnerServiceHandler.
func (h *partnerService) VouchPartner(ctx context.Context, req *connect.Request[operatorv1.VouchPartnerRequest]) (*connect.Response[operatorv1.VouchPartnerResponse], error) {
	if err := h.desk.Vouch(ctx, req.Msg.GetOrigin(), req.Msg.GetReason()); err != nil {
		return nil, err
	}
	p, err := h.partners.Get(ctx, req.Msg.GetOrigin())
	if err != nil {
		return nil, err
	}
	out, err := h.partner(ctx, p)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.VouchPartnerResponse{Partner: out}), nil
}

// ListPartners implements operatorv1connect.PartnerServiceHandler.
func (h *partnerService) ListPartners(ctx context.Context, _ *connect.Request[operatorv1.ListPartnersRequest]) (*connect.Response[operatorv1.ListPartnersResponse], error) {
	list, err := h.partners.List(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]*operatorv1.Partner, 0, len(list))
	for _, p := range list {
		converted, err := h.partner(ctx, p)
		if err != nil {
			return nil, err
		}
		out = append(out, converted)
	}
	return connect.NewResponse(&operatorv1.ListPartnersResponse{Partners: out}), nil
}

// GetPartner implements operatorv1connect.PartnerServiceHandler.
func (h *partnerService) GetPartner(ctx context.Context, req *connect.Request[operatorv1.GetPartnerRequest]) (*connect.Response[operatorv1.GetPartnerResponse], error) {
	p, err := h.partners.Get(ctx, req.Msg.GetOrigin())
	if err != nil {
		return nil, err
	}
	out, err := h.partner(ctx, p)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.GetPartnerResponse{Partner: out}), nil
}

// HoldPartner implements operatorv1connect.PartnerServiceHandler.
func (h *partnerService) HoldPartner(ctx context.Context, req *connect.Request[operatorv1.HoldPartnerRequest]) (*connect.Response[operatorv1.HoldPartnerResponse], error) {
	p, err := h.partners.SetHold(ctx, req.Msg.GetOrigin(), word(req.Msg.GetReason()))
	if err != nil {
		return nil, err
	}
	out, err := h.partner(ctx, p)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.HoldPartnerResponse{Partner: out}), nil
}

// FlushPartner implements operatorv1connect.PartnerServiceHandler.
func (h *partnerService) FlushPartner(ctx context.Context, req *connect.Request[operatorv1.FlushPartnerRequest]) (*connect.Response[operatorv1.FlushPartnerResponse], error) {
	p, err := h.partners.Flush(ctx, req.Msg.GetOrigin(), word(""))
	if err != nil {
		return nil, err
	}
	out, err := h.partner(ctx, p)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.FlushPartnerResponse{Partner: out}), nil
}

func (h *partnerService) partner(ctx context.Context, p member.Partner) (*operatorv1.Partner, error) {
	status, err := h.desk.PartnerStatus(ctx, p.Origin)
	if err != nil {
		return nil, err
	}
	reachability := "unknown"
	switch {
	case status.Known && status.Up:
		reachability = "up"
	case status.Known:
		reachability = "down"
	}
	out := &operatorv1.Partner{
		Member: &operatorv1.Member{
			Origin: p.Origin, Name: p.Name, LegalName: p.LegalName, Country: p.Country, RegistrationId: p.RegistrationID,
			Contact: p.Contact, FingerprintWords: h.words(p.Thumbprint), BusinessKeyThumbprint: p.Thumbprint,
			SealingKeyThumbprint: keys.Thumbprint(p.SealingKey),
		},
		Roles: gate.Each(p.Roles, roleOf), State: string(p.State), Reachability: reachability, LastError: status.LastError,
		LastContact: gate.Timestamp(status.LastContact), OwnLedgerSeq: status.OwnSeq, TheirLedgerSeq: status.TheirSeq,
		ParkedSubjects: status.Parked, Offerings: status.Kept.Offerings, MaxOfferings: status.MaxOfferings,
		OfferingsLeftOut: status.Kept.LeftOut.Changes, CatalogBytes: status.Kept.Bytes, MaxCatalogBytes: status.MaxBytes,
		Refusal: p.Refusal, RefusedUntil: gate.Timestamp(p.RefusedUntil),
		Books: string(status.Books.State), BooksSince: gate.Timestamp(status.Books.Since), BooksReason: status.Books.Reason,
	}
	for _, k := range p.Past {
		out.PastKeys = append(out.PastKeys, &operatorv1.PastKey{Thumbprint: k.Thumbprint, From: gate.Timestamp(k.From), Until: gate.Timestamp(k.Until)})
	}
	if v := status.Books.Vouched; !v.At.IsZero() {
		out.Vouch = &operatorv1.Vouch{At: gate.Timestamp(v.At), By: v.By, Reason: v.Reason}
	}
	out.BehindSince, out.BehindEvidence = gate.Timestamp(status.Books.PartnerBehind.Since), status.Books.PartnerBehind.Proof
	if c := status.Compared; !c.At.IsZero() {
		out.ComparedAt, out.ComparedDeals, out.DifferingDeals = gate.Timestamp(c.At), c.Deals, c.Differ
	}
	if p.Hold != nil {
		out.HeldSince, out.HeldBy, out.HeldReason = gate.Timestamp(p.Hold.Since), p.Hold.By, p.Hold.Reason
	}
	if p.State == member.Pending {
		out.WaitsSince = gate.Timestamp(p.UpdatedAt)
	}
	if p.Changes != nil {
		out.Changes = &operatorv1.PartnerChanges{
			Since: gate.Timestamp(p.Changes.Since), Digest: p.ChangesDigest(),
			Changes: gate.Each(p.Proposed(), func(c member.Change) *operatorv1.PartnerChange {
				return &operatorv1.PartnerChange{What: c.What, From: c.From, To: c.To}
			}),
		}
	}
	return out, nil
}

func discovered(info trust.Info) *operatorv1.Member {
	d := info.Document
	return &operatorv1.Member{
		Origin: info.Origin, Name: d.Name, LegalName: d.LegalName, Country: d.Country, RegistrationId: d.RegistrationID,
		Contact: d.Contact, FingerprintWords: info.Words, BusinessKeyThumbprint: info.Thumbprint,
		ProtocolVersions: slices.Clone(d.Versions), SealingKeyThumbprint: info.Sealing, Digest: info.Digest(),
	}
}

func memberRole(r operatorv1.Role) (member.Role, error) {
	switch r {
	case operatorv1.Role_ROLE_SUPPLIER:
		return member.Supplier, nil
	case operatorv1.Role_ROLE_RESELLER:
		return member.Reseller, nil
	}
	return "", fault.New(fault.Invalid, "role_unknown", "a partner is a supplier or a reseller").At("role")
}

func roleOf(r member.Role) operatorv1.Role {
	switch r {
	case member.Supplier:
		return operatorv1.Role_ROLE_SUPPLIER
	case member.Reseller:
		return operatorv1.Role_ROLE_RESELLER
	}
	return operatorv1.Role_ROLE_UNSPECIFIED
}

// agreementService implements hanse.operator.v1.AgreementService.
type agreementService struct {
	agreements Agreements
	desk       Desk
}

// OfferAgreement implements operatorv1connect.AgreementServiceHandler. Its effects are those before it was made.
func (h *agreementService) OfferAgreement(ctx context.Context, req *connect.Request[operatorv1.OfferAgreementRequest]) (*connect.Response[operatorv1.OfferAgreementResponse], error) {
	reseller, terms := req.Msg.GetReseller(), agreement.Terms{
		WholesaleDiscountBP: req.Msg.GetWholesaleDiscountBp(), Currency: req.Msg.GetCurrency(), Territory: req.Msg.GetTerritory(),
	}
	if err := h.agreements.MayOffer(ctx, reseller, terms); err != nil {
		return nil, err
	}
	effects, err := h.desk.OfferEffects(ctx, reseller, terms.Currency)
	if err != nil {
		return nil, err
	}
	out := &operatorv1.OfferAgreementResponse{Effects: effectsOf(effects)}
	if !req.Msg.GetDryRun() {
		a, err := h.agreements.Offer(ctx, reseller, terms)
		if err != nil {
			return nil, err
		}
		out.Agreement = agreementOf(a)
	}
	return connect.NewResponse(out), nil
}

// AcceptAgreement implements operatorv1connect.AgreementServiceHandler. Its effects are those before it was accepted.
func (h *agreementService) AcceptAgreement(ctx context.Context, req *connect.Request[operatorv1.AcceptAgreementRequest]) (*connect.Response[operatorv1.AcceptAgreementResponse], error) {
	a, err := h.agreements.Offered(ctx, req.Msg.GetSupplier(), req.Msg.GetAgreementId())
	if err != nil {
		return nil, err
	}
	effects, err := h.desk.AcceptEffects(ctx, a.Supplier, a.Terms.Currency)
	if err != nil {
		return nil, err
	}
	if effects.Replaces != nil && effects.Replaces.ID == a.ID {
		effects.Replaces = nil // it is accepted already
	}
	if !req.Msg.GetDryRun() {
		if a, err = h.agreements.Accept(ctx, a.Supplier, a.ID, req.Msg.GetDigest()); err != nil {
			return nil, err
		}
	}
	return connect.NewResponse(&operatorv1.AcceptAgreementResponse{Agreement: agreementOf(a), Effects: effectsOf(effects)}), nil
}

func effectsOf(e desk.Effects) *operatorv1.AgreementEffects {
	out := &operatorv1.AgreementEffects{
		ApprovesKey: e.ApprovesKey, Offerings: e.Offerings, Unsold: gate.Each(e.Unsold, func(u desk.Unsold) *operatorv1.UnsoldOfferings {
			return &operatorv1.UnsoldOfferings{Currency: u.Currency, Offerings: u.Offerings, Reason: u.Reason, Cause: u.Cause}
		}),
	}
	if e.Replaces != nil {
		out.Replaces = agreementOf(*e.Replaces)
	}
	return out
}

// ListAgreements implements operatorv1connect.AgreementServiceHandler.
func (h *agreementService) ListAgreements(ctx context.Context, _ *connect.Request[operatorv1.ListAgreementsRequest]) (*connect.Response[operatorv1.ListAgreementsResponse], error) {
	list, err := h.agreements.List(ctx)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.ListAgreementsResponse{Agreements: gate.Each(list, agreementOf)}), nil
}

// agreementOf shows every member of the document, since somebody signs it for what is seen here.
func agreementOf(a agreement.Agreement) *operatorv1.Agreement {
	d, _ := a.Document() // what is stored was read before
	return &operatorv1.Agreement{
		Type: d.Type, Id: a.ID, Supplier: a.Supplier, Reseller: a.Reseller, State: string(a.State),
		WholesaleDiscountBp: a.Terms.WholesaleDiscountBP, Currency: a.Terms.Currency, Territory: slices.Clone(a.Terms.Territory),
		Scope: d.Scope, ValidFrom: d.ValidFrom, SupplierKey: d.SupplierKey, SupplierNextKey: d.SupplierNextKey,
		ResellerKey: d.ResellerKey, ResellerNextKey: d.ResellerNextKey,
		Digest: hex.EncodeToString(a.Digest[:]), ActiveSince: gate.Timestamp(a.ActiveSince), Refusal: a.Refusal,
	}
}
