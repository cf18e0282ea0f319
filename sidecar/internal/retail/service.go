package retail

import (
	"context"
	"log/slog"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/dispatch"
	"github.com/hanse-market/hanse/sidecar/internal/failpoint"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/listing"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/plant"
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
	Acts() act.Store
	// Together runs fn and writes its new rows with few statements. Whatever of fn is written must be undone when it fails.
	Together(fn func() error) error
}

// Offers finds what a listing stands for now; fault.NotFound with reason listing_not_found or
// listing_withdrawn.
type Offers interface {
	Offer(ctx context.Context, listingID string) (listing.Offer, error)
}

// Jobs that send documents; their key is the item's correlation id.
const (
	// JobSubmit sends an item until its supplier has decided.
	JobSubmit = "order.submit"
	// JobCancel sends the cancel of an item.
	JobCancel = "order.cancel"
	// JobSign signs an item that was acknowledged unsigned, and JobSignCancel its cancel, once our books with its supplier are level; their
	// key is the correlation id too.
	JobSign       = "order.sign"
	JobSignCancel = "order.sign_cancel"
	// JobErase sends the request to erase an item.
	JobErase = "order.erase"
	// JobRebuild says what is lost of an order that came back in part, once every partner has given back what it keeps; its key is the
	// correlation id of the order's first item, and it has no partner.
	JobRebuild = "order.rebuild"
)

// Service takes retail orders and follows them.
type Service struct {
	Self   string
	Work   unit.Work[Tx]
	Offers Offers
	// Remembered is Offers from memory, which may be a moment old; nil is none. Only an order that it lets pass rests on it.
	Remembered Offers
	Schemas    *recipe.Schemas
	// Outbox sends what is placed at once; nil leaves it to the jobs.
	Outbox dispatch.Outbox
	Book   *ledger.Book
	Signer signed.Signer
	// Pseudonym hides a customer from a partner.
	Pseudonym func(partner, portal, customer string) string
	// Away reports whether a partner cannot be reached now; nil is never.
	Away func(partner string) bool
	// AcceptWithin is how long a supplier may take to decide, by its own clock; 0 is 7 days.
	AcceptWithin time.Duration
	Now          func() time.Time
	// Correlate gives an item its correlation id, the same for the same item of the same order, for ever: 8 to 56 characters of
	// ledger.PlainText.
	Correlate func(portal, orderID string, position int) string
	// Escrow seals what a supplier keeps for us beside a purchase; nil leaves nothing there.
	Escrow *Escrow
	Rand   func([]byte)
	// Logger says what is lost of orders; nil is silent.
	Logger *slog.Logger
	Fail   *failpoint.Points

	placing unit.Gather[*placing]
	signing unit.Gather[*signing]
}

// Get reads a portal's order; with a customer, only that customer's. fault.NotFound.
func (s *Service) Get(ctx context.Context, portal, customer, id string) (Order, error) {
	o, err := s.read(ctx, portal, customer, id)
	return s.asNow(o), err
}

// asNow adds what is true at the moment and not worth a record: an item waits when its supplier is away, whether it was tried since
// or stands behind one that was.
func (s *Service) asNow(o Order) Order {
	for i, it := range o.Items {
		if it.State.Ended() || it.State == order.HeldIndeterminate || it.State == order.PendingCancellation || it.Reason == reasonCheck || s.Away == nil || !s.Away(it.Partner) {
			continue
		}
		o.Items[i].Reason, o.Items[i].Message = reasonUnreachable, explanations[reasonUnreachable]
		if it.State == order.Acknowledged {
			o.Items[i].State = order.PendingUnreachable
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
	if plant.On(plant.ListWithoutTheNewest) && len(list) > 0 {
		list = list[1:]
	}
	for i := range list {
		list[i] = s.asNow(list[i])
	}
	return list, next, err
}
