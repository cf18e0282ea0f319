package resale

import (
	"encoding/hex"
	"fmt"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/price"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// facts are what our books say about an order. What is not there is the zero value.
type facts struct {
	partner      member.Partner
	agreement    agreement.Agreement
	offering     catalog.Offering
	current      catalog.Offering
	subscription subscription.Subscription
}

// Read reads the facts. An agreement that is not the partner's with us is fault.Denied.
func (s *Service) Read(l *Look, r *Received) (err error) {
	d := r.Document
	var f facts
	if f.partner, err = l.partnership(); err != nil {
		return err
	}
	if f.agreement, err = l.agreement(d.Agreement); err != nil {
		return err
	}
	if f.agreement.Reseller != r.Partner || f.agreement.Supplier != s.Self {
		return fault.New(fault.Denied, "agreement_not_yours", "there is no agreement %s between us", d.Agreement)
	}
	if d.Action != order.Add || r.taken {
		if f.subscription, err = l.subscription(d.Subscription); err != nil {
			return err
		}
	}
	if d.Action == order.Add {
		if f.offering, err = l.revision(d.Offering, d.Revision); err != nil {
			return err
		}
		f.current, err = l.currentOf(d.Offering)
	}
	r.facts = f
	return err
}

// verdict is what the facts come to.
type verdict struct {
	// refusal is nil where the order is taken.
	refusal *fault.Error
	// name of what is ordered, and the price that offering and agreement give.
	name string
	line price.Line
}

func refuse(reason, message string) verdict {
	return verdict{refusal: fault.New(fault.Precondition, reason, "%s", message)}
}

// Assess decides by the facts alone, outside any transaction. An error is a defect of ours and no decision.
func (s *Service) Assess(r *Received) (err error) {
	r.verdict, err = s.assess(r, r.facts)
	return err
}

func (s *Service) assess(r *Received, f facts) (verdict, error) {
	d := r.Document
	switch {
	case hex.EncodeToString(f.agreement.Digest[:]) != d.AgreementSHA256:
		return refuse("agreement_digest", "the order names other agreement terms than those signed"), nil
	case s.Now().After(r.acceptBy):
		return refuse("accept_by_passed", "the order could not be decided in time"), nil
	case d.Action != order.Add:
		return assessChange(d, f), nil
	case f.agreement.State != agreement.Active:
		return refuse("agreement_inactive", "the agreement is "+string(f.agreement.State)), nil
	case f.partner.State != member.Active:
		return refuse("agreement_inactive", "the partnership is not active"), nil
	case f.subscription.ID != "":
		return refuse("subscription_exists", "there is such a subscription already"), nil
	}
	return s.assessAdd(r, f)
}

func (s *Service) assessAdd(r *Received, f facts) (verdict, error) {
	d := r.Document
	if f.offering.ID == "" || f.current.ID == "" {
		return refuse("offering_unknown", "the offering or its revision is not known"), nil
	}
	doc, err := s.Documents.Of(d.Offering, d.Revision, func() (catalog.Offering, error) { return f.offering, nil })
	if err != nil {
		return verdict{}, err
	}
	if d.Quantity > doc.Most() {
		return refuse("quantity_range", fmt.Sprintf("the offering is sold in orders of up to %d", doc.Most())), nil
	}
	line, err := doc.PriceList().Line(d.Quantity, price.Terms{DiscountBP: f.agreement.Terms.WholesaleDiscountBP})
	if err != nil {
		return refuse("price_overflow", "the price of this quantity is out of range"), nil
	}
	switch {
	case f.current.State != catalog.Orderable:
		return refuse("offering_not_orderable", "the offering cannot be ordered now"), nil
	case !catalog.Honoured(f.offering, s.Now()):
		return refuse("offering_revision_stale", "the offering changed; this revision is not honoured any more"), nil
	case hex.EncodeToString(f.offering.Digest[:]) != d.OfferingSHA256:
		return refuse("offering_digest", "the order names another content of the revision"), nil
	case doc.Currency != f.agreement.Terms.Currency:
		return refuse("currency_mismatch", "the offering is sold in another currency than the agreement's"), nil
	case !d.Asks(line, doc.Currency):
		return refuse("price_mismatch", "the price is not the one that offering and agreement give"), nil
	case order.InputsDigest(r.InputsSalt, r.Inputs) != d.InputsSHA256:
		return refuse("inputs_digest", "the inputs are not those that were signed"), nil
	}
	// A reseller may leave to us what the recipe gives by default.
	_, err = s.Schemas.Complete("", doc.Inputs, r.Inputs)
	switch {
	case fault.ReasonOf(err) == "inputs_invalid":
		return refuse("inputs_invalid", "the inputs do not satisfy the recipe"), nil
	case err != nil:
		// Ours, whatever kind it has: a decision would say for ever that the reseller was wrong.
		return verdict{}, fault.New(fault.Internal, "offering_unreadable", "offering %s revision %d", d.Offering, d.Revision).Because(err)
	}
	return verdict{name: doc.Name, line: line}, nil
}

func assessChange(d order.Document, f facts) verdict {
	row, _ := order.RowOf(d.Action, d.Intent)
	switch {
	case f.subscription.ID == "":
		return refuse("subscription_unknown", "there is no such subscription")
	case f.subscription.AgreementID != f.agreement.ID:
		return refuse("agreement_digest", "the subscription runs under another agreement")
	case !row.Course.Allows(f.subscription.State):
		return refuse("subscription_state", "the subscription is "+string(f.subscription.State))
	}
	return verdict{name: f.subscription.Name}
}
