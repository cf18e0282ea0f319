package main

import (
	"bufio"
	"fmt"
	"strings"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
)

type partnerCmd struct {
	Add           partnerAddCmd           `cmd:"" help:"Discover a member, show its fingerprint, propose a partnership."`
	Accept        partnerAcceptCmd        `cmd:"" help:"Accept the agreement that a supplier offers us."`
	Vouch         partnerVouchCmd         `cmd:"" help:"Vouch for the unproven books with a partner that does not answer: this database is the one that ran last. On record."`
	Refuse        partnerRefuseCmd        `cmd:"" help:"Refuse a member that proposed to us and waits (pending); it is told the reason, and may propose again after 30 days."`
	AcceptChanges partnerAcceptChangesCmd `cmd:"" help:"Take over what a partner now declares of itself, or the role that it would have too; partner show says what would change."`
	RefuseChanges partnerRefuseChangesCmd `cmd:"" help:"Drop it: the partner stays what it is here, and may show it again."`
	List          partnerListCmd          `cmd:"" help:"List partners."`
	Show          partnerShowCmd          `cmd:"" help:"Show one partner."`
	Reconcile     partnerReconcileCmd     `cmd:"" help:"Compare with a partner what both sides have of the deals that are open or run; repairs what its ledger decides, exits with 7 where something differs."`
	Hold          partnerHoldCmd          `cmd:"" help:"Send a partner nothing more until it is flushed; nothing is lost. It refuses no business: what the partner orders is taken, what we order of it waits."`
	Flush         partnerFlushCmd         `cmd:"" help:"End a hold, and send at once everything that waits for the partner."`
}

type partnerAddCmd struct {
	Origin      string `arg:"" help:"The member: https://sidecar.example."`
	As          string `required:"" enum:"reseller,supplier" help:"What the member is to us: a supplier sells to us, a reseller buys from us."`
	Yes         bool   `short:"y" xor:"confirm" help:"Take the fingerprint as it is shown."`
	Fingerprint string `xor:"confirm" placeholder:"WORDS" help:"The six words as the partner told them over another channel; anything else is refused."`
}

func (c *partnerAddCmd) Run(a *app) error {
	found, err := call(a, operatorv1connect.NewPartnerServiceClient, operatorv1connect.PartnerServiceClient.DiscoverMember,
		&operatorv1.DiscoverMemberRequest{Origin: c.Origin})
	if err != nil {
		return err
	}
	if err := c.confirm(a, found.GetMember()); err != nil {
		return err
	}
	add := &operatorv1.AddPartnerRequest{Origin: c.Origin, Role: roles[c.As], BusinessKeyThumbprint: found.GetMember().GetBusinessKeyThumbprint()}
	if c.Fingerprint == "" { // else nothing but the key was looked at
		add.MemberDigest = found.GetMember().GetDigest()
	}
	added, err := call(a, operatorv1connect.NewPartnerServiceClient, operatorv1connect.PartnerServiceClient.AddPartner, add)
	if err != nil {
		return err
	}
	return a.show(added, func(t *table) { describePartner(t, added.GetPartner()) })
}

// confirm shows who answers under the origin and asks whether that is the partner meant: DNS and TLS alone do not say.
func (c *partnerAddCmd) confirm(a *app, m *operatorv1.Member) error {
	if c.Fingerprint != "" {
		if !strings.EqualFold(words(c.Fingerprint), words(m.GetFingerprintWords())) {
			return &commandError{
				Code: exitConflict, Reason: "fingerprint_mismatch",
				Cause:  fmt.Sprintf("%s shows %q, not %q", c.Origin, m.GetFingerprintWords(), c.Fingerprint),
				Action: "ask the partner over another channel; do not go on before the words agree",
			}
		}
		return nil
	}
	question := fmt.Sprintf("Compare the fingerprint over another channel. Add this member as our %s?", c.As)
	return a.agree(c.Yes, m, func(t *table) { describeMember(t, m) }, question, "answer y, or give --fingerprint WORDS or --yes")
}

// agree shows what a command is about and asks whether to go on. It is talk, not data: standard output carries the result alone.
func (a *app) agree(yes bool, about any, describe func(*table), question, otherwise string) error {
	talk := *a
	talk.stdout = a.stderr
	flags := *a.flags
	flags.Output = ""
	talk.flags = &flags
	if err := talk.show(about, describe); err != nil {
		return err
	}
	if yes {
		return nil
	}
	fmt.Fprintf(a.stderr, "%s [y/N] ", question)
	answer, _ := bufio.NewReader(a.stdin).ReadString('\n')
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return &commandError{Code: exitFailure, Reason: "not_confirmed", Cause: "nothing was changed", Action: otherwise}
	}
	return nil
}

// words brings a fingerprint to one spelling: people read it out with spaces or hyphens.
func words(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == '-' || r == ',' || r == '\t' }), " ")
}

var roles = map[string]operatorv1.Role{
	"supplier": operatorv1.Role_ROLE_SUPPLIER,
	"reseller": operatorv1.Role_ROLE_RESELLER,
}

func roleNames(of []operatorv1.Role) string {
	var names []string
	for _, r := range of {
		names = append(names, strings.ToLower(strings.TrimPrefix(r.String(), "ROLE_")))
	}
	return strings.Join(names, ", ")
}

type partnerAcceptCmd struct {
	Origin    string `arg:"" help:"The supplier: https://sidecar.example."`
	Agreement string `placeholder:"ID" help:"Which of several offered agreements."`
	DryRun    bool   `xor:"confirm" help:"Show the agreement and what it would change; sign nothing."`
	Yes       bool   `short:"y" xor:"confirm" help:"Sign it as it is shown."`
	Digest    string `xor:"confirm" placeholder:"HEX" help:"The digest of the agreement as --dry-run gave it; another one is not signed."`
}

func (c *partnerAcceptCmd) Run(a *app) error {
	ask := &operatorv1.AcceptAgreementRequest{Supplier: c.Origin, AgreementId: c.Agreement, Digest: c.Digest, DryRun: c.Digest == ""}
	res, err := call(a, operatorv1connect.NewAgreementServiceClient, operatorv1connect.AgreementServiceClient.AcceptAgreement, ask)
	if err != nil {
		return err
	}
	describe := func(t *table) {
		describeAgreement(t, res.GetAgreement())
		describeEffects(t, res.GetEffects(), res.GetAgreement().GetWholesaleDiscountBp(), res.GetAgreement().GetCurrency())
	}
	if c.Digest != "" || c.DryRun {
		return a.show(res, describe)
	}
	if err := a.agree(c.Yes, res, describe, "Compare the supplier's key over another channel. Sign this agreement?", "answer y, or give --digest HEX or --yes"); err != nil {
		return err
	}
	ask = &operatorv1.AcceptAgreementRequest{Supplier: c.Origin, AgreementId: res.GetAgreement().GetId(), Digest: res.GetAgreement().GetDigest()}
	if res, err = call(a, operatorv1connect.NewAgreementServiceClient, operatorv1connect.AgreementServiceClient.AcceptAgreement, ask); err != nil {
		return err
	}
	return a.show(res, describe)
}

type partnerRefuseCmd struct {
	Origin string `arg:"" help:"The member: https://sidecar.example."`
	Reason string `placeholder:"TEXT" help:"One line that the member is told, at most 200 characters; default none."`
}

func (c *partnerRefuseCmd) Run(a *app) error {
	res, err := call(a, operatorv1connect.NewPartnerServiceClient, operatorv1connect.PartnerServiceClient.RefusePartner,
		&operatorv1.RefusePartnerRequest{Origin: c.Origin, Reason: c.Reason})
	if err != nil {
		return err
	}
	return a.show(res, func(t *table) { describePartner(t, res.GetPartner()) })
}

type partnerAcceptChangesCmd struct {
	Origin string `arg:"" help:"The partner: https://sidecar.example."`
	Yes    bool   `short:"y" xor:"confirm" help:"Take them as they are shown."`
	Digest string `xor:"confirm" placeholder:"HEX" help:"The digest of the changes as partner show gave it; other changes are refused."`
}

func (c *partnerAcceptChangesCmd) Run(a *app) error {
	digest := c.Digest
	if digest == "" {
		changes, err := changesOf(a, c.Origin)
		if err != nil {
			return err
		}
		if err := a.agree(c.Yes, changes, func(t *table) { describeChanges(t, changes) }, "Is this right? Take it over?", "answer y, or give --digest HEX or --yes"); err != nil {
			return err
		}
		digest = changes.GetDigest()
	}
	res, err := call(a, operatorv1connect.NewPartnerServiceClient, operatorv1connect.PartnerServiceClient.AcceptPartnerChanges,
		&operatorv1.AcceptPartnerChangesRequest{Origin: c.Origin, Digest: digest})
	if err != nil {
		return err
	}
	return a.show(res, func(t *table) { describePartner(t, res.GetPartner()) })
}

type partnerRefuseChangesCmd struct {
	Origin string `arg:"" help:"The partner: https://sidecar.example."`
}

func (c *partnerRefuseChangesCmd) Run(a *app) error {
	changes, err := changesOf(a, c.Origin)
	if err != nil {
		return err
	}
	if err := a.agree(true, changes, func(t *table) { describeChanges(t, changes) }, "", ""); err != nil {
		return err
	}
	res, err := call(a, operatorv1connect.NewPartnerServiceClient, operatorv1connect.PartnerServiceClient.RefusePartnerChanges,
		&operatorv1.RefusePartnerChangesRequest{Origin: c.Origin, Digest: changes.GetDigest()})
	if err != nil {
		return err
	}
	return a.show(res, func(t *table) { describePartner(t, res.GetPartner()) })
}

// changesOf reads what a partner would change.
func changesOf(a *app, origin string) (*operatorv1.PartnerChanges, error) {
	res, err := call(a, operatorv1connect.NewPartnerServiceClient, operatorv1connect.PartnerServiceClient.GetPartner, &operatorv1.GetPartnerRequest{Origin: origin})
	if err != nil {
		return nil, err
	}
	changes := res.GetPartner().GetChanges()
	if changes == nil {
		return nil, &commandError{Code: exitNotFound, Reason: "changes_not_found", Cause: origin + " shows nothing that is not known", Action: "hanse partner show tells what is known"}
	}
	return changes, nil
}

type partnerVouchCmd struct {
	Origin string `arg:"" help:"The partner: https://sidecar.example."`
	Reason string `required:"" placeholder:"TEXT" help:"Why nobody can have put an older copy of this sidecar's database back, at most 200 characters; kept on record."`
	Yes    bool   `short:"y" help:"Do not ask."`
}

func (c *partnerVouchCmd) Run(a *app) error {
	found, err := call(a, operatorv1connect.NewPartnerServiceClient, operatorv1connect.PartnerServiceClient.GetPartner, &operatorv1.GetPartnerRequest{Origin: c.Origin})
	if err != nil {
		return err
	}
	question := "If this database is older than what it signed, services are bought or built twice from now on. Is it the one that ran last?"
	if err := a.agree(c.Yes, found.GetPartner(), func(t *table) { describePartner(t, found.GetPartner()) }, question, "answer y, or give --yes"); err != nil {
		return err
	}
	res, err := call(a, operatorv1connect.NewPartnerServiceClient, operatorv1connect.PartnerServiceClient.VouchPartner,
		&operatorv1.VouchPartnerRequest{Origin: c.Origin, Reason: c.Reason})
	if err != nil {
		return err
	}
	return a.show(res, func(t *table) { describePartner(t, res.GetPartner()) })
}

type partnerListCmd struct{}

func (c *partnerListCmd) Run(a *app) error {
	res, err := call(a, operatorv1connect.NewPartnerServiceClient, operatorv1connect.PartnerServiceClient.ListPartners, &operatorv1.ListPartnersRequest{})
	if err != nil {
		return err
	}
	return a.show(res, func(t *table) {
		t.row("ORIGIN", "NAME", "ROLES", "STATE", "REACHABLE", "HELD BACK", "BOOKS", "OFFERINGS", "PARKED", "LAST CONTACT")
		for _, p := range res.GetPartners() {
			t.row(p.GetMember().GetOrigin(), p.GetMember().GetName(), roleNames(p.GetRoles()), p.GetState(), p.GetReachability(), yesNo(p.GetHeldSince() != nil), standing(p),
				number(p.GetOfferings()), number(len(p.GetParkedSubjects())), when(p.GetLastContact()))
		}
	})
}

type partnerShowCmd struct {
	Origin string `arg:"" help:"The partner: https://sidecar.example."`
}

func (c *partnerShowCmd) Run(a *app) error {
	res, err := call(a, operatorv1connect.NewPartnerServiceClient, operatorv1connect.PartnerServiceClient.GetPartner, &operatorv1.GetPartnerRequest{Origin: c.Origin})
	if err != nil {
		return err
	}
	return a.show(res, func(t *table) { describePartner(t, res.GetPartner()) })
}

type partnerHoldCmd struct {
	Origin string `arg:"" help:"The partner: https://sidecar.example."`
	Reason string `placeholder:"TEXT" help:"Why, for the record, at most 200 characters; the partner is not told. Default none."`
}

func (c *partnerHoldCmd) Run(a *app) error {
	res, err := call(a, operatorv1connect.NewPartnerServiceClient, operatorv1connect.PartnerServiceClient.HoldPartner,
		&operatorv1.HoldPartnerRequest{Origin: c.Origin, Reason: c.Reason})
	if err != nil {
		return err
	}
	return a.show(res, func(t *table) { describePartner(t, res.GetPartner()) })
}

type partnerFlushCmd struct {
	Origin string `arg:"" help:"The partner: https://sidecar.example."`
}

func (c *partnerFlushCmd) Run(a *app) error {
	res, err := call(a, operatorv1connect.NewPartnerServiceClient, operatorv1connect.PartnerServiceClient.FlushPartner, &operatorv1.FlushPartnerRequest{Origin: c.Origin})
	if err != nil {
		return err
	}
	return a.show(res, func(t *table) { describePartner(t, res.GetPartner()) })
}

func describeMember(t *table, m *operatorv1.Member) {
	t.fact("Origin", m.GetOrigin())
	t.fact("Name", m.GetName())
	t.fact("Legal name", m.GetLegalName())
	t.fact("Country", m.GetCountry())
	t.fact("Registration", m.GetRegistrationId())
	t.fact("Contact", m.GetContact())
	t.fact("Protocol versions", strings.Join(m.GetProtocolVersions(), ", "))
	t.fact("Key", m.GetBusinessKeyThumbprint())
	t.fact("Fingerprint", m.GetFingerprintWords())
	t.fact("Sealing key", m.GetSealingKeyThumbprint())
}

func describeChanges(t *table, c *operatorv1.PartnerChanges) {
	for _, change := range c.GetChanges() {
		t.fact("Would change", fmt.Sprintf("%s from %q to %q", change.GetWhat(), change.GetFrom(), change.GetTo()))
	}
	t.fact("Shown since", when(c.GetSince()))
	t.fact("Changes' digest", c.GetDigest())
}

func describePartner(t *table, p *operatorv1.Partner) {
	describeMember(t, p.GetMember())
	describePast(t, p.GetPastKeys())
	t.fact("Roles", roleNames(p.GetRoles()))
	t.fact("State", p.GetState())
	if p.GetWaitsSince() != nil {
		t.fact("Waits since", when(p.GetWaitsSince()))
	}
	if p.GetChanges() != nil {
		describeChanges(t, p.GetChanges())
	}
	if p.GetState() == "refused" {
		t.fact("Refused because", p.GetRefusal())
		t.fact("Refused until", when(p.GetRefusedUntil()))
	}
	if p.GetHeldSince() != nil {
		t.fact("Held back", fmt.Sprintf("since %s by %s: %s; hanse partner flush %s", when(p.GetHeldSince()), p.GetHeldBy(), p.GetHeldReason(), p.GetMember().GetOrigin()))
	}
	t.fact("Reachable", p.GetReachability())
	t.fact("Last contact", when(p.GetLastContact()))
	t.fact("Last error", p.GetLastError())
	t.fact("Our ledger", number(p.GetOwnLedgerSeq()))
	t.fact("Their ledger", number(p.GetTheirLedgerSeq()))
	t.fact("Books", books(p))
	if v := p.GetVouch(); v != nil {
		t.fact("Vouched for", when(v.GetAt())+" by "+v.GetBy()+": "+v.GetReason())
	}
	if p.GetBehindSince() != nil {
		t.fact("Partner's books", "behind since "+when(p.GetBehindSince())+": its database is older than what it signed; there is no new business until it has recovered")
	}
	if p.GetComparedAt() != nil {
		t.fact("Compared", fmt.Sprintf("%s: %d deals, %d differ", when(p.GetComparedAt()), p.GetComparedDeals(), p.GetDifferingDeals()))
	}
	t.fact("Parked", strings.Join(p.GetParkedSubjects(), ", "))
	t.fact("Offerings", kept(p))
}

// kept says more where not all of a catalog is.
func kept(p *operatorv1.Partner) string {
	if p.GetOfferingsLeftOut() == 0 {
		return number(p.GetOfferings())
	}
	return fmt.Sprintf("%d, and %d changes found no room: limits.max_offerings is %d, and of limits.max_catalog_mib %d MiB are used of %d",
		p.GetOfferings(), p.GetOfferingsLeftOut(), p.GetMaxOfferings(), p.GetCatalogBytes()>>20, p.GetMaxCatalogBytes()>>20)
}

// standing is the state of the books in a word or two.
func standing(p *operatorv1.Partner) string {
	if p.GetBehindSince() != nil {
		return p.GetBooks() + ", partner behind"
	}
	return p.GetBooks()
}

// books says more where an operator is wanted.
func books(p *operatorv1.Partner) string {
	if p.GetBooksReason() == "" {
		return p.GetBooks()
	}
	return p.GetBooks() + " since " + when(p.GetBooksSince()) + ": " + p.GetBooksReason()
}
