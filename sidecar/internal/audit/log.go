package audit

import (
	"encoding/hex"
	"hash/maphash"
	"slices"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/life"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/order"
)

// says are the states to which a supplier's entries move an order.
var says = map[ledger.Kind]order.State{
	ledger.OrderAccepted:  order.InProgress,
	ledger.OrderRejected:  order.Rejected,
	ledger.OrderHeld:      order.HeldIndeterminate,
	ledger.OrderCompleted: order.Completed,
	ledger.OrderFailed:    order.Failed,
	ledger.OrderCancelled: order.Cancelled,
}

// logs audits both logs with a partner: their chains, and entry by entry what each says of an order.
func (r *run) logs(p member.Partner) ([]ledger.Verify, error) {
	var trail *trail
	var done int64
	logs, err := r.Book.VerifyEach(r.ctx, p.Origin, p.EverKeys(), func(entries []ledger.Entry) error {
		if trail == nil || trail.direction != entries[0].Direction {
			if err := r.settle(p.Origin, trail); err != nil {
				return err
			}
			trail = newTrail(entries[0].Direction)
		}
		for _, e := range entries {
			r.step(trail, e)
		}
		done += int64(len(entries))
		r.progress("ledgers with "+p.Origin, done)
		return r.told(trail, p.Origin, entries)
	})
	if err == nil {
		err = r.settle(p.Origin, trail)
	}
	if err != nil {
		return nil, err
	}
	for _, v := range logs {
		r.of(chained).Checked += v.Entries
		for _, problem := range v.Problems {
			r.broken(chained, v.Partner, string(v.Direction), "%s", problem)
		}
		if v.Books.Older() {
			r.broken(chained, v.Partner, string(v.Direction), "the partner's database is older than what it signed since %s", v.Books.PartnerBehind.Since.Format("2006-01-02T15:04:05Z"))
		}
	}
	return logs, nil
}

// trail is how far each order of one log has come: a byte an order, under a hash of its id.
type trail struct {
	direction ledger.Direction
	life      int64
	// retold: it is in a later life, in which what the other side had not read is told again, from wherever it was.
	retold bool
	seed   maphash.Seed
	at     map[uint64]byte
	anew
}

// marks are what a trail keeps of the supplier's log: the state. Of the reseller's it is which documents were placed, a bit each.
var marks = []order.State{"", order.InProgress, order.Rejected, order.HeldIndeterminate, order.Completed, order.Failed, order.Cancelled}

const (
	placedMark byte = 1 << 6
	cancelMark byte = 1 << 7
)

// trailMost bounds the orders that a trail keeps: beyond it those that have ended are forgotten.
const trailMost = 4 << 20

func newTrail(dir ledger.Direction) *trail {
	return &trail{direction: dir, seed: maphash.MakeSeed(), at: map[uint64]byte{}}
}

func (t *trail) key(writer ledger.Side, id string) uint64 {
	return maphash.String(t.seed, string(writer)+"\n"+id)
}

func (t *trail) put(key uint64, mark byte) {
	if len(t.at) >= trailMost {
		for k, m := range t.at {
			if m&cancelMark != 0 || int(m) < len(marks) && marks[m].Ended() {
				delete(t.at, k)
			}
		}
	}
	t.at[key] = mark
}

// step has one entry move its order along.
func (r *run) step(t *trail, e ledger.Entry) {
	if e.Life != t.life {
		t.life, t.retold = e.Life, true
		clear(t.at)
	}
	writer := e.Kind.Writer()
	b, err := ledger.ReadBody(e)
	if writer == "" || err != nil || b.Order == "" {
		return // it parked where it was read, or is about no order
	}
	key := t.key(writer, b.Order)
	was := t.at[key]
	switch next, moves := says[e.Kind]; {
	case moves:
		before := marks[was]
		// A cancel that comes before its order ends it where it never was; one that is granted ends it without a state between.
		granted := next == order.Cancelled && (before == "" || before.CanBecome(order.AssessingCancel))
		again := before == "" && t.retold
		r.holds(before.CanBecome(next) || granted || again, legalPath, e.Partner, b.Order,
			"entry %s of the %s ledger takes it from %q to %s", e.Position(), e.Direction, before, next)
		t.put(key, byte(slices.Index(marks, next)))
	// A cancel may be placed before its order, which was acknowledged and could not be signed yet, or is not signed any more then.
	case e.Kind == ledger.OrderPlaced:
		if was&placedMark != 0 {
			t.places(e, b.Order)
		} else {
			r.looked(legalPath)
		}
		t.put(key, was|placedMark)
	case e.Kind == ledger.CancelPlaced:
		if was&cancelMark != 0 {
			t.places(e, b.Order)
		} else {
			r.looked(legalPath)
		}
		t.put(key, was|cancelMark)
	}
}

// told looks whether the orders that a page of entries is about are here, and are what it says.
func (r *run) told(t *trail, partner string, entries []ledger.Entry) error {
	found := make([]heard, 0, len(entries))
	err := r.Work.View(r.ctx, func(tx Tx) error {
		found = found[:0]
		for _, e := range entries {
			h, err := r.hear(tx, partner, e)
			if err != nil {
				return err
			}
			if h != nil {
				found = append(found, *h)
			}
		}
		return nil
	})
	for _, h := range found {
		r.weigh(t, h)
	}
	return err
}

// heard is an entry about an order, with what this store has of the order.
type heard struct {
	ledger.Entry
	told ledger.Told
	// there says that the order is here, about the entry's subject and with its partner.
	there  bool
	state  order.State
	digest string
	// late says that the order was given up here: its state is the one that the supplier's ledger was heard to give it since.
	late bool
	// agreed says that both operators gave the order its end, whatever a ledger says.
	agreed bool
	// aside says that the entry waits for an operator, or was left aside by one.
	aside bool
}

// hear reads it; nil where the entry says nothing of an order that must be here. What a reseller placed is here once it is decided, and that
// stands in our own log.
func (r *run) hear(tx Tx, partner string, e ledger.Entry) (*heard, error) {
	b, err := ledger.ReadBody(e)
	writer := e.Kind.Writer()
	if writer == "" || err != nil || b.Order == "" || writer == ledger.Reseller && e.Direction == ledger.Theirs {
		return nil, nil
	}
	h := &heard{Entry: e, told: b}
	if writer == ledger.Supplier && e.Direction == ledger.Own {
		o, err := tx.ResaleOrders().Get(partner, b.Order)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return nil, err
		}
		h.there, h.state, h.digest = err == nil && o.SubscriptionID == e.Subject, o.State, hex.EncodeToString(o.PayloadDigest)
		// A cancel that came before its order left no order, and that may be erased too.
		h.aside = err != nil && (e.Kind == ledger.OrderCancelled || e.Kind == ledger.OrderErased)
		return h, r.given(tx, h)
	}
	o, i, err := tx.RetailOrders().ByCorrelation(b.Order)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return nil, err
	}
	if err == nil {
		it := o.Items[i]
		h.there, h.state, h.digest = it.Partner == partner && it.SubscriptionID == e.Subject, it.State, hex.EncodeToString(it.PayloadDigest)
		h.agreed = it.Agreed()
		if h.late = it.Abandoned != nil; h.late {
			h.state = it.Abandoned.There
		}
	}
	if e.Direction == ledger.Own {
		return h, r.given(tx, h)
	}
	parked, err := tx.Ledger().ParkedSubject(partner, e.Subject, 1)
	if err != nil {
		return nil, err
	}
	if h.aside = len(parked) > 0; h.aside || h.there && h.names() && h.fits() {
		return h, nil
	}
	// Of what an ended life says nothing follows: both operators signed what counts, or it was told again (PEER-1, L-30).
	head, err := tx.Ledger().Head(partner, e.Direction)
	if h.aside = e.Life < head.Life; h.aside || err != nil {
		return h, err
	}
	acts, err := tx.Acts().About(partner, e.Subject)
	for _, a := range acts {
		h.aside = h.aside || a.Verb == "ledger parked release"
	}
	return h, err
}

// given leaves aside what an entry of our own log tells of and nobody gave back after a store was lost, where both operators signed its end since.
func (r *run) given(tx Tx, h *heard) (err error) {
	if !h.there && !h.aside {
		h.aside, err = life.EndedSince(tx, h.Entry)
	}
	return err
}

func (r *run) weigh(t *trail, h heard) {
	if h.aside {
		return
	}
	r.holds(h.there, everywhere, h.Partner, h.told.Order, "entry %s (%s) of the %s ledger is about an order that is not here", h.Position(), h.Kind, h.Direction)
	if !h.there {
		return
	}
	if h.isAbout() {
		if h.names() {
			r.looked(authorised)
		} else {
			t.unlike = append(t.unlike, h)
		}
	}
	if _, moves := says[h.Kind]; !moves {
		return
	}
	r.holds(h.fits(), sameState, h.Partner, h.told.Order, "it is %q here, entry %s of the %s ledger says %s", h.state, h.Position(), h.Direction, h.Kind)
}

// isAbout reports whether the entry names the order's document.
func (h heard) isAbout() bool {
	return h.Kind == ledger.OrderPlaced || h.Kind.Decides(ledger.OrderDoc) && h.Kind != ledger.OrderCancelled
}

// names reports whether it names the one that is here.
func (h heard) names() bool { return !h.isAbout() || h.told.Document == h.digest }

// fits reports whether the order is here what the entry says, or what may have become of that.
func (h heard) fits() bool {
	next, moves := says[h.Kind]
	switch {
	case !moves, h.agreed:
		return true
	case next.Ended():
		return h.state == next
	}
	return h.state != "" && !h.state.Undecided() && h.state != order.Rejected
}
