package agreement_test

import (
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// TestAllStepsOfAnAgreementMayHappenAtOnce: the operator clicks twice, the offer and the acceptance are repeated on the wire, the
// feed brings what the reply brings, and somebody writes the partner's record. Nobody hears of it.
func TestAllStepsOfAnAgreementMayHappenAtOnce(t *testing.T) {
	t.Parallel()
	s, b, _ := newMarket(t)
	const agreements = 8
	for range agreements {
		a := s.delivered(buyer, terms)
		signature := b.accept(seller, a.ID).ResellerJWS
		var group errgroup.Group
		for range 3 {
			group.Go(func() error { _, err := b.receive(t.Context(), seller, a.SupplierJWS); return err })
			group.Go(func() error { _, err := b.agree(seller, a.ID); return err })
			group.Go(func() error { _, err := s.receive(t.Context(), buyer, signature); return err })
			group.Go(func() error {
				return b.send(job.Job{Kind: agreement.JobAccept, Key: a.ID, Partner: seller})
			})
			for _, m := range []*side{s, b} {
				group.Go(func() error {
					return m.Store.Do(t.Context(), func(tx *store.Tx) error {
						p, err := tx.Partners().Get(map[*side]string{s: buyer, b: seller}[m])
						if err != nil {
							return err
						}
						_, err = tx.Partners().Put(p)
						return err
					})
				})
			}
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		if s.state(a.ID) != agreement.Active || b.state(a.ID) != agreement.Active {
			t.Errorf("agreement %s is %s and %s", a.ID, s.state(a.ID), b.state(a.ID))
		}
		if err := b.hear(s, ledger.AgreementActive, a.ID); err != nil {
			t.Errorf("the feed, late: %v", err)
		}
	}
	if p := s.partnership(buyer); p.State != member.Active {
		t.Errorf("the partnership is %s", p.State)
	}
}
