package retail

import (
	"context"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/failpoint"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/listing"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/recipe"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Tx is what this package needs of a transaction.
type Tx interface {
	RetailOrders() Store
	Subscriptions() subscription.Store
	Agreements() agreement.Store
	Partners() member.Store
	Ledger() ledger.Store
	Jobs() job.Store
}

// Offers finds what a listing stands for now; fault.NotFound with reason listing_not_found or
// listing_withdrawn.
type Offers interface {
	Offer(ctx context.Context, listingID string) (listing.Offer, error)
}

// Submission is one item on its way to its supplier.
type Submission struct {
	Partner     string
	AgreementID string
	Document    string
	Inputs      []byte
	InputsSalt  []byte
}

// Link sends an item. No error of it is a decision; one of kind Invalid, NotFound, Precondition or Conflict will not pass by waiting.
type Link interface {
	PlaceOrder(ctx context.Context, s Submission) (order.Receipt, error)
}

// JobSubmit sends an item until its supplier has decided; its key is the correlation id.
const JobSubmit = "order.submit"

// Service takes retail orders and follows them.
type Service struct {
	Self    string
	Work    unit.Work[Tx]
	Offers  Offers
	Schemas *recipe.Schemas
	Link    Link
	Book    *ledger.Book
	Signer  signed.Signer
	// Pseudonym hides a customer from a partner.
	Pseudonym func(partner, portal, customer string) string
	// Away reports whether a partner cannot be reached now; nil is never.
	Away func(partner string) bool
	// AcceptWithin is how long a supplier may take to decide, by its own clock; 0 is 7 days.
	AcceptWithin time.Duration
	Now          func() time.Time
	NewID        func() string
	Rand         func([]byte)
	Fail         *failpoint.Points
}

// Get reads a portal's order; with a customer, only that customer's. fault.NotFound.
func (s *Service) Get(ctx context.Context, portal, customer, id string) (o Order, err error) {
	err = s.Work.View(ctx, func(tx Tx) error {
		o, err = tx.RetailOrders().Get(portal, id)
		if err == nil && customer != "" && o.Customer != customer {
			return fault.New(fault.NotFound, "order_not_found", "there is no order %s", id)
		}
		return err
	})
	return s.asNow(o), err
}

// asNow adds what is true at the moment and not worth a record: an item under way waits when its supplier is away.
func (s *Service) asNow(o Order) Order {
	for i, it := range o.Items {
		if it.State == order.InProgress && s.Away != nil && s.Away(it.Partner) {
			o.Items[i].Reason, o.Items[i].Message = reasonUnreachable, explain(reasonUnreachable)
		}
	}
	return o
}

// List pages through a portal's orders, newest first; customer "" is all customers'.
func (s *Service) List(ctx context.Context, portal, customer, pageToken string, limit int) (list []Order, next string, err error) {
	err = s.Work.View(ctx, func(tx Tx) error {
		list, next, err = tx.RetailOrders().OfCustomer(portal, customer, pageToken, limit)
		return err
	})
	for i := range list {
		list[i] = s.asNow(list[i])
	}
	return list, next, err
}
