package subscription

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/dispatch"
	"github.com/hanse-market/hanse/sidecar/internal/failpoint"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/text"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// AccessField is one value that the customer needs to use a subscription.
type AccessField struct {
	Name  string `json:"name"`
	Title string `json:"title,omitempty"`
	Value string `json:"value"`
	// Sensitive values are not shown unasked.
	Sensitive bool `json:"sensitive,omitempty"`
}

// AccessData is what is sealed: the recipe's outputs in its order.
type AccessData struct {
	Subscription string        `json:"subscription"`
	Fields       []AccessField `json:"fields"`
}

// Names of the secrets that a subscription keeps.
const (
	SecretInputs = "inputs"
	// SecretSealed is the JWE at the supplier until the reseller has confirmed; SecretAccess the opened data at the reseller.
	SecretSealed = "sealed"
	SecretAccess = "access"
)

// Tx is what this package needs of a transaction.
type Tx interface {
	Subscriptions() Store
	Partners() member.Store
	Ledger() ledger.Store
	Jobs() job.Store
}

// Link reads access data at the supplier.
type Link interface {
	AccessData(ctx context.Context, partner, agreementID, subscriptionID string) (jwe string, err error)
}

// Opener opens what was sealed to us.
type Opener interface {
	Open(jwe string) ([]byte, error)
}

// Job kinds.
const (
	// JobAccessFetch fetches the access data of a subscription that became active.
	JobAccessFetch = "access.fetch"
	// JobAccessConfirm tells the supplier that it may delete its copy.
	JobAccessConfirm = "access.confirm"
)

// reasonGone: the supplier has no copy of the access data any more.
const reasonGone = "access_data_gone"

// Service reads subscriptions and moves access data.
type Service struct {
	Self string
	Work unit.Work[Tx]
	Link Link
	// Outbox sends receipts at once; nil leaves them to the jobs.
	Outbox dispatch.Outbox
	Book   *ledger.Book
	Signer signed.Signer
	Opener Opener
	Now    func() time.Time
	Fail   *failpoint.Points
}

// Get reads a portal's subscription; with a customer, only that customer's. fault.NotFound.
func (s *Service) Get(ctx context.Context, portal, customer, id string) (sub Subscription, err error) {
	err = s.Work.View(ctx, func(tx Tx) error {
		sub, err = owned(tx, portal, customer, id)
		return err
	})
	return sub, err
}

func owned(tx Tx, portal, customer, id string) (Subscription, error) {
	sub, err := tx.Subscriptions().Get(RetailKey(id))
	if err != nil {
		return sub, err
	}
	if sub.Portal != portal || (customer != "" && sub.Customer != customer) {
		return Subscription{}, fault.New(fault.NotFound, "subscription_not_found", "there is no subscription %s", id)
	}
	return sub, nil
}

// List pages through a portal's subscriptions, newest first.
func (s *Service) List(ctx context.Context, portal, customer, pageToken string, limit int) (list []Subscription, next string, err error) {
	err = s.Work.View(ctx, func(tx Tx) error {
		list, next, err = tx.Subscriptions().OfCustomer(portal, customer, pageToken, limit)
		return err
	})
	return list, next, err
}

// All pages through the subscriptions of a side ("" is both) for the operator.
func (s *Service) All(ctx context.Context, side Side, pageToken string, limit int) (list []Subscription, next string, err error) {
	err = s.Work.View(ctx, func(tx Tx) error {
		list, next, err = tx.Subscriptions().List(side, pageToken, limit)
		return err
	})
	return list, next, err
}

// Reveal opens the access data for the customer. fault.Precondition access_data_pending while they are not here.
func (s *Service) Reveal(ctx context.Context, portal, customer, id string) ([]AccessField, error) {
	var plain []byte
	err := s.Work.View(ctx, func(tx Tx) error {
		sub, err := owned(tx, portal, customer, id)
		if err != nil {
			return err
		}
		if sub.State.Ended() {
			return fault.New(fault.Precondition, "subscription_ended", "the subscription has ended; its access data are erased")
		}
		if !sub.AccessReady {
			return fault.New(fault.Precondition, "access_data_pending", "the access data are not here yet").Do("try again in a moment")
		}
		plain, err = tx.Subscriptions().Secret(RetailKey(id), SecretAccess)
		return err
	})
	if err != nil {
		return nil, err
	}
	var data AccessData
	if err := signed.Decode(plain, &data); err != nil {
		return nil, fmt.Errorf("reveal access data of %s: %w", id, err)
	}
	for i, f := range data.Fields {
		if !text.Visible(f.Title) {
			data.Fields[i].Title = f.Name
		}
	}
	return data.Fields, nil
}

// FetchAccess is the handler of the job that fetches, opens and keeps access data, and enqueues the confirmation.
func (s *Service) FetchAccess(ctx context.Context, j job.Job) error {
	var sub Subscription
	err := s.Work.View(ctx, func(tx Tx) (err error) {
		if sub, err = tx.Subscriptions().Get(RetailKey(j.Key)); err != nil {
			return err
		}
		return job.UntilLevel(ledger.Closed(tx, sub.Partner)) // what cannot be confirmed need not be fetched yet
	})
	if err != nil || sub.AccessReady || len(sub.AccessDigest) == 0 || sub.State.Ended() {
		return err
	}
	s.Fail.Hit("retail.access.before_fetch")
	jwe, err := s.Link.AccessData(ctx, sub.Partner, sub.AgreementID, sub.ID)
	if fault.ReasonOf(err) == reasonGone {
		return &job.ParkError{Err: fmt.Errorf(
			"the supplier has no access data of %s any more: it deletes them once we confirmed them, and may have lost them where its store was put back before: order new ones with hanse subscription rotate %s, or take them from a backup of this store: %w", sub.ID, sub.ID, err)}
	}
	if err != nil {
		return job.Decided(fmt.Errorf("fetch access data of %s: %w", sub.ID, err))
	}
	s.Fail.Hit("retail.access.after_fetch")
	if signed.Digest([]byte(jwe)) != string(sub.AccessDigest) {
		return &job.ParkError{Err: fault.New(fault.Invalid, "access_digest", "the access data are not those that the supplier's ledger names")}
	}
	plain, err := s.Opener.Open(jwe)
	if err != nil {
		return &job.ParkError{Err: fmt.Errorf("open access data of %s: %w", sub.ID, err)}
	}
	var data AccessData
	if err := signed.Decode(plain, &data); err != nil {
		return &job.ParkError{Err: fmt.Errorf("read access data of %s: %w", sub.ID, err)}
	}
	if data.Subscription != sub.ID {
		return &job.ParkError{Err: errors.New("the access data are for another subscription")}
	}
	receipt, digest, err := s.receipt(sub)
	if err != nil {
		return err
	}
	send := dispatch.Sender{Outbox: s.Outbox}
	s.Fail.Hit("retail.access.before_commit")
	err = job.Done(ctx, s.Work, j, func(tx Tx) error {
		send.Begin()
		have, err := tx.Subscriptions().Get(RetailKey(sub.ID))
		if err != nil || have.AccessReady || have.State.Ended() {
			return err
		}
		if string(have.AccessDigest) != string(sub.AccessDigest) {
			return unit.ErrStale // others are there now, and this job fetches them when it runs again
		}
		have.AccessReady, have.Receipt, have.ReceiptDigest, have.UpdatedAt = true, receipt, digest, s.Now()
		if err := tx.Subscriptions().PutSecret(RetailKey(sub.ID), SecretAccess, plain); err != nil {
			return err
		}
		if _, err := tx.Subscriptions().Put(have); err != nil {
			return err
		}
		if _, err := s.Book.Append(tx, sub.Partner, ledger.AccessConfirmed, sub.ID, have.confirmation()); err != nil {
			return err
		}
		return send.Add(tx, have.confirming(), have.receiptDocument(), s.Now())
	})
	if errors.Is(err, job.ErrFinished) {
		s.Fail.Hit("retail.access.after_commit")
		send.Send()
	}
	return err
}

// SealedAccess reads the sealed access data for the partner whose subscription it is. fault.NotFound once confirmed.
func (s *Service) SealedAccess(ctx context.Context, partner, agreementID, id string) (string, error) {
	var jwe []byte
	err := s.Work.View(ctx, func(tx Tx) error {
		if _, err := resold(tx, partner, agreementID, id); err != nil {
			return err
		}
		var err error
		jwe, err = tx.Subscriptions().Secret(ResaleKey(partner, id), SecretSealed)
		if fault.Is(err, fault.NotFound) {
			return fault.New(fault.NotFound, reasonGone, "there are no access data to fetch for %s", id)
		}
		return err
	})
	s.Fail.Hit("resale.access.before_send")
	return string(jwe), err
}

// resold proves that a subscription of ours is the partner's under the agreement.
func resold(tx Tx, partner, agreementID, id string) (Subscription, error) {
	sub, err := tx.Subscriptions().Get(ResaleKey(partner, id))
	if err == nil && sub.AgreementID != agreementID {
		return Subscription{}, fault.New(fault.NotFound, "subscription_not_found", "there is no subscription %s", id)
	}
	return sub, err
}
