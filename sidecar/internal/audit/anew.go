package audit

import (
	"slices"

	"github.com/hanse-market/hanse/sidecar/internal/ledger"
)

// placing is a document of an order that a reseller's log places in one life: the order, or its cancel.
type placing struct {
	kind  ledger.Kind
	order string
	life  int64
}

// anew are the documents that a reseller's log places more than once. That is no fault where the first one was never decided and the later one
// is another: a reseller that was put back reads its entry back and not the document, which nobody has, and signs it anew when the portal
// repeats the order.
type anew struct {
	again map[placing]bool
	// unlike are entries that name another document than the one that is here.
	unlike []heard
}

func (a *anew) places(e ledger.Entry, id string) {
	if a.again == nil {
		a.again = map[placing]bool{}
	}
	a.again[placing{e.Kind, id, e.Life}] = true
}

// settle reads a log, and what the other one decided, once more for what was placed more than once.
func (r *run) settle(partner string, t *trail) error {
	if t == nil {
		return nil
	}
	if len(t.again) == 0 {
		for _, h := range t.unlike {
			r.unlike(h)
		}
		return nil
	}
	placed := map[placing][]ledger.Entry{}
	var inOrder []placing        // by the first place of each
	decided := map[string]bool{} // of each document that is placed there
	if err := r.each(partner, t.direction, func(e ledger.Entry, b ledger.Told) {
		p := placing{e.Kind, b.Order, e.Life}
		if !t.again[p] {
			return
		}
		if len(placed[p]) == 0 {
			inOrder = append(inOrder, p)
		}
		placed[p] = append(placed[p], e)
		decided[b.Document] = false
	}); err != nil {
		return err
	}
	other := ledger.Own
	if t.direction == other {
		other = ledger.Theirs
	}
	if err := r.each(partner, other, func(e ledger.Entry, b ledger.Told) {
		if _, asked := decided[b.Document]; asked && (e.Kind.Decides(ledger.OrderDoc) || e.Kind.Decides(ledger.CancelDoc)) {
			decided[b.Document] = true
		}
	}); err != nil {
		return err
	}
	void := map[ledger.Position]bool{} // places of what was placed anew since
	for _, p := range inOrder {
		entries := placed[p]
		for i, e := range entries {
			b, _ := ledger.ReadBody(e)
			later := entries[i+1:]
			if len(later) == 0 {
				continue
			}
			void[e.Position()] = !decided[b.Document] && !slices.ContainsFunc(later, func(l ledger.Entry) bool {
				same, _ := ledger.ReadBody(l)
				return same.Document == b.Document
			})
			what := "places"
			if p.kind == ledger.CancelPlaced {
				what = "cancels"
			}
			r.holds(void[e.Position()], legalPath, partner, p.order, "entry %s of the %s ledger %s it again", later[0].Position(), t.direction, what)
		}
	}
	for _, h := range t.unlike {
		if h.Kind != ledger.OrderPlaced || !void[h.Position()] {
			r.unlike(h)
		}
	}
	return nil
}

// each calls fn with all entries of a log about orders.
func (r *run) each(partner string, dir ledger.Direction, fn func(ledger.Entry, ledger.Told)) error {
	for after := (ledger.Position{}); ; {
		var page []ledger.Entry
		err := r.Work.View(r.ctx, func(tx Tx) (err error) {
			page, err = tx.Ledger().Entries(partner, dir, after, anewPage)
			return err
		})
		if err != nil {
			return err
		}
		for _, e := range page {
			after = e.Position()
			if b, err := ledger.ReadBody(e); err == nil && b.Order != "" {
				fn(e, b)
			}
		}
		if len(page) < anewPage {
			return nil
		}
	}
}

// anewPage is how many entries are read in one view.
const anewPage = 500

// unlike is an entry that names another document than the order's.
func (r *run) unlike(h heard) {
	r.holds(false, authorised, h.Partner, h.told.Order, "entry %s (%s) of the %s ledger names another document than the order's", h.Position(), h.Kind, h.Direction)
}
