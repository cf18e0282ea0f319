package member_test

import (
	"context"
	"errors"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// TestOffersEndWithTheRefusalOfAPartnership: whoever made them, whoever refused, and with them what we
// signed and had no answer to. What was signed by both and known to both stays, and so does what others offer.
func TestOffersEndWithTheRefusalOfAPartnership(t *testing.T) {
	t.Parallel()
	const third = "https://third.example"
	for name, c := range map[string]struct {
		refuse func(h *house) error
		why    string
	}{
		"by us": {func(h *house) error {
			if _, err := h.proposes(them, h.moveIn(them)); err != nil {
				return err
			}
			_, err := h.service.Refuse(context.Background(), them, "We do not know you.")
			return err
		}, "the partnership was refused"},
		"by the partner": {func(h *house) error {
			h.moveIn(them)
			h.add(them, member.Reseller)
			h.answer = member.Refused
			h.add(them, member.Reseller)
			return nil
		}, "the partner refused the partnership"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			all := map[string]agreement.Agreement{
				"theirs": {Supplier: them, Reseller: self, State: agreement.Offered},
				"agreed": {Supplier: them, Reseller: self, State: agreement.Agreed}, // we signed, and have no answer yet
				"ours":   {Supplier: self, Reseller: them, State: agreement.Offered},
				"signed": {Supplier: self, Reseller: them, State: agreement.Active},
				"third":  {Supplier: third, Reseller: self, State: agreement.Offered},
			}
			err := h.store.Do(t.Context(), func(tx *store.Tx) error {
				for id, a := range all {
					a.ID = id
					if _, err := tx.Agreements().Put(a); err != nil {
						return err
					}
				}
				for _, id := range []string{"agreed", "of another"} {
					if err := tx.Jobs().At(agreement.JobAccept, id, them, h.clock.Now()); err != nil {
						return err
					}
				}
				return nil
			})
			if err == nil {
				err = c.refuse(h)
			}
			if err != nil {
				t.Fatal(err)
			}
			err = h.store.View(t.Context(), func(tx *store.Tx) error {
				list, err := tx.Agreements().List()
				for _, a := range list {
					state, why := all[a.ID].State, ""
					if a.ID == "theirs" || a.ID == "ours" || a.ID == "agreed" {
						state, why = agreement.Refused, c.why
					}
					if a.State != state || a.Refusal != why || (why != "") != a.UpdatedAt.Equal(h.clock.Now()) {
						t.Errorf("%s is %s for %q since %s, want %s for %q", a.ID, a.State, a.Refusal, a.UpdatedAt, state, why)
					}
				}
				if len(list) != len(all) {
					t.Errorf("%d are left", len(list))
				}
				jobs, failed := tx.Jobs().List(9)
				if len(jobs) != 1 || jobs[0].Key != "of another" {
					t.Errorf("left to send: %+v", jobs)
				}
				return errors.Join(err, failed)
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}
