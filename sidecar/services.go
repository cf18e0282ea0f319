package sidecar

import (
	"context"
	"sync"
	"time"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/listing"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/peerlink"
	"github.com/hanse-market/hanse/sidecar/internal/rpc"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// The small joints between packages that must not know each other.

// partnerStatus answers what an operator sees of a partner beside its record.
type partnerStatus struct {
	store *store.Store
	reach *peerlink.Status
}

// PartnerStatus implements rpc.PartnerStatus.
func (p partnerStatus) PartnerStatus(ctx context.Context, origin string) (rpc.Status, error) {
	reach := p.reach.Of(origin)
	s := rpc.Status{Known: reach.Known, Up: reach.Up, LastContact: reach.LastSuccess, LastError: reach.LastError}
	err := p.store.View(ctx, func(tx *store.Tx) error {
		own, err := tx.Ledger().Head(origin, ledger.Own)
		if err != nil {
			return err
		}
		theirs, err := tx.Ledger().Head(origin, ledger.Theirs)
		if err != nil {
			return err
		}
		s.OwnSeq, s.TheirSeq = own.Seq, theirs.Seq
		parked, err := tx.Ledger().ParkedAll(origin)
		if err != nil {
			return err
		}
		s.Parked = ledger.Subjects(parked)
		s.Offerings, err = tx.Catalog().CountForeign(origin)
		return err
	})
	return s, err
}

// ledgers answers the operator about the ledgers.
type ledgers struct {
	store *store.Store
	book  *ledger.Book
	keys  *keys.Manager
}

// ownBusinessKeys are our published business keys as JWKs.
func ownBusinessKeys(m *keys.Manager) [][]byte {
	var out [][]byte
	for _, k := range m.Public(keys.Business) {
		if raw, err := k.MarshalJSON(); err == nil {
			out = append(out, raw)
		}
	}
	return out
}

// Verify implements rpc.Ledgers.
func (l ledgers) Verify(ctx context.Context, partner string) ([]ledger.Verify, error) {
	var partners []member.Partner
	err := l.store.View(ctx, func(tx *store.Tx) (err error) {
		if partner == "" {
			partners, err = tx.Partners().List()
			return err
		}
		p, err := tx.Partners().Get(partner)
		partners = []member.Partner{p}
		return err
	})
	if err != nil {
		return nil, err
	}
	var out []ledger.Verify
	for _, p := range partners {
		v, err := l.book.VerifyPartner(ctx, p.Origin, p.BusinessKey, ownBusinessKeys(l.keys)...)
		if err != nil {
			return nil, err
		}
		out = append(out, v...)
	}
	return out, nil
}

// Entries implements rpc.Ledgers.
func (l ledgers) Entries(ctx context.Context, partner string, dir ledger.Direction, afterSeq int64, limit int) (list []ledger.Entry, err error) {
	err = l.store.View(ctx, func(tx *store.Tx) error {
		list, err = tx.Ledger().Entries(partner, dir, afterSeq, limit)
		return err
	})
	return list, err
}

// checkpoints takes what partners countersigned of our ledger.
type checkpoints struct {
	self  string
	store *store.Store
	keys  *keys.Manager

	// opened keeps the last one of each partner: commands carry the same one until the partner has read on.
	mu     sync.Mutex
	opened map[string]openedCheckpoint
}

type openedCheckpoint struct {
	jws        string
	checkpoint ledger.Checkpoint
	own        string
}

// Open implements rpc.Checkpoints.
func (c *checkpoints) Open(ctx context.Context, partner, jws string) (ledger.Checkpoint, string, error) {
	c.mu.Lock()
	last := c.opened[partner]
	c.mu.Unlock()
	if last.jws == jws {
		return last.checkpoint, last.own, nil
	}
	var p member.Partner
	err := c.store.View(ctx, func(tx *store.Tx) (err error) {
		p, err = tx.Partners().Get(partner)
		return err
	})
	if err != nil {
		return ledger.Checkpoint{}, "", err
	}
	checkpoint, own, err := ledger.OpenSeen(jws, partner, p.BusinessKey, c.self, ownBusinessKeys(c.keys)...)
	if err != nil {
		return checkpoint, own, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.opened == nil {
		c.opened = make(map[string]openedCheckpoint)
	}
	c.opened[partner] = openedCheckpoint{jws: jws, checkpoint: checkpoint, own: own}
	return checkpoint, own, nil
}

// Accept implements rpc.Checkpoints.
func (c *checkpoints) Accept(ctx context.Context, partner, jws string) error {
	cp, own, err := c.Open(ctx, partner, jws)
	if err != nil {
		return err
	}
	return c.store.Do(ctx, func(tx *store.Tx) error { return ledger.AcceptSeen(tx, partner, cp, own) })
}

// jobAdmin shows the durable jobs.
type jobAdmin struct {
	store *store.Store
	now   func() time.Time
}

// List implements rpc.Jobs.
func (j jobAdmin) List(ctx context.Context, limit int) (list []job.Job, err error) {
	err = j.store.View(ctx, func(tx *store.Tx) error {
		list, err = tx.Jobs().List(limit)
		return err
	})
	return list, err
}

// Retry implements rpc.Jobs.
func (j jobAdmin) Retry(ctx context.Context, id int64) error {
	return j.store.Do(ctx, func(tx *store.Tx) error {
		return tx.Jobs().Retry(id, j.now())
	})
}

// audience is who receives our catalog: resellers with an active agreement, each in the agreement's currency.
type audience struct{ self string }

// Resellers implements catalog.Audience.
func (a audience) Resellers(tx catalog.Tx) ([]catalog.AudienceEntry, error) {
	all, err := tx.(interface{ Agreements() agreement.Store }).Agreements().List()
	if err != nil {
		return nil, err
	}
	var out []catalog.AudienceEntry
	for _, g := range all {
		if g.Supplier == a.self && g.State == agreement.Active {
			out = append(out, catalog.AudienceEntry{Partner: g.Reseller, Currency: g.Terms.Currency})
		}
	}
	return out, nil
}

// publisher fills a reseller's feed when its agreement becomes active.
type publisher struct{}

// PublishAll implements agreement.Publisher.
func (publisher) PublishAll(tx agreement.Tx, partner, currency string) error {
	return catalog.PublishAll(tx.(catalog.Tx), partner, currency)
}

func isNotFound(err error) bool { return fault.Is(err, fault.NotFound) }

// offers finds what an order's listing stands for.
type offers struct{ listings *listing.Service }

// Offer implements order.Offers.
func (o offers) Offer(ctx context.Context, id string) (order.Offer, error) {
	found, err := o.listings.Offer(ctx, id)
	return order.Offer(found), err
}

// ownOfferings shows what we sell to the operator.
type ownOfferings struct {
	*catalog.Service
	store *store.Store
}

// List implements rpc.Offerings; the page token is the last id of the page before.
func (o ownOfferings) List(ctx context.Context, pageToken string, limit int) (list []catalog.Offering, next string, err error) {
	err = o.store.View(ctx, func(tx *store.Tx) error {
		list, err = tx.Catalog().List(pageToken, limit)
		return err
	})
	if len(list) == limit && limit > 0 {
		next = list[limit-1].ID
	}
	return list, next, err
}

// Get implements rpc.Offerings.
func (o ownOfferings) Get(ctx context.Context, id string) (out catalog.Offering, err error) {
	err = o.store.View(ctx, func(tx *store.Tx) error {
		out, err = tx.Catalog().Current(id)
		return err
	})
	return out, err
}
