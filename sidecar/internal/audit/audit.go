package audit

import (
	"context"
	"slices"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/life"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Tx is what this package needs of a transaction.
type Tx interface {
	Partners() member.Store
	Agreements() agreement.Store
	Catalog() catalog.Store
	Cursors() catalog.CursorStore
	RetailOrders() retail.Store
	ResaleOrders() resale.Store
	Subscriptions() subscription.Store
	Ledger() ledger.Store
	Jobs() job.Store
	Acts() act.Store
	Lives() life.Store
}

// Auditor looks.
type Auditor struct {
	// Self is our own origin.
	Self string
	Work unit.Work[Tx]
	Book *ledger.Book
	Now  func() time.Time
}

// Report is what one audit found.
type Report struct {
	Ledgers    []ledger.Verify
	Invariants []Invariant
}

// Progress is told of what is looked at and how much of it was; it is called after each page.
type Progress func(what string, done int64)

// page is how many records one View reads.
const page = 200

// Run audits what is shared with one partner, or with partner "" everything; what is in the catalog is looked at whole. fault.NotFound where
// there is no such partner.
func (a *Auditor) Run(ctx context.Context, partner string, progress Progress) (Report, error) {
	if progress == nil {
		progress = func(string, int64) {}
	}
	r := &run{Auditor: a, ctx: ctx, only: partner, findings: newFindings(), progress: progress, partners: map[string]member.Partner{}, deals: map[dealKey]terms{}}
	err := a.Work.View(ctx, func(tx Tx) error {
		clear(r.partners)
		list, err := tx.Partners().List()
		if partner != "" {
			var one member.Partner
			one, err = tx.Partners().Get(partner)
			list = []member.Partner{one}
		}
		for _, p := range list {
			r.partners[p.Origin] = p
		}
		r.order = list
		return err
	})
	if err != nil {
		return Report{}, err
	}
	var report Report
	for _, p := range r.order {
		logs, err := r.logs(p)
		if err != nil {
			return Report{}, err
		}
		report.Ledgers = append(report.Ledgers, logs...)
	}
	for _, part := range []func() error{r.bought, r.sold, r.offerings, r.foreign, r.jobs} {
		if err := part(); err != nil {
			return Report{}, err
		}
	}
	if len(r.order) > 0 {
		for _, n := range shared {
			if inv := r.of(n); inv.Result == OK {
				inv.Result = NeedsPartner
			}
		}
	}
	report.Invariants = r.list
	return report, nil
}

// Differs adds a deal of which the partner showed something else than is here, or that one side alone has.
func (r *Report) Differs(one bool, e Example) {
	number := sameState
	if one {
		number = everywhere
	}
	f := findingsIn(r.Invariants)
	f.broken(number, e.Partner, e.Subject, "%s", e.What)
}

// Compared adds how many deals were compared with partners, and whether with all of them.
func (r *Report) Compared(all bool, deals int64) {
	f := findingsIn(r.Invariants)
	for _, n := range shared {
		inv := f.of(n)
		inv.Checked += deals
		if all && inv.Result == NeedsPartner {
			inv.Result = OK
		}
	}
}

// Broken reports whether anything is.
func (r Report) Broken() bool {
	return slices.ContainsFunc(r.Invariants, func(i Invariant) bool { return i.Result == Broken })
}

// run is one audit.
type run struct {
	*Auditor
	*findings
	ctx      context.Context
	only     string
	progress Progress
	order    []member.Partner
	partners map[string]member.Partner
	// deals are the agreements that were looked at, documents the revisions.
	deals     map[dealKey]terms
	documents catalog.Documents
	theirs    catalog.Documents
	// floors are catalog.Floors.
	floors []int64
}

// concerns reports whether what is shared with a partner is looked at.
func (r *run) concerns(partner string) bool { return r.only == "" || r.only == partner }
