package subscription_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// refusing is a supplier that says no to everything about access data.
type refusing struct{ err error }

func (r refusing) AccessData(context.Context, string, string, string) (string, error) {
	return "", r.err
}

// TestWhatASupplierRefusesForGoodIsParked: the same question gets the same answer, so an operator must look; what may pass is
// asked again.
func TestWhatASupplierRefusesForGoodIsParked(t *testing.T) {
	t.Parallel()
	const supplier = "https://supplier.localhost:1"
	m := markettest.NewMember(t, "https://reseller.localhost:1")
	m.Do(func(tx *store.Tx) error {
		_, err := tx.Subscriptions().Put(subscription.Subscription{
			ID: "sub-1", Side: subscription.Retail, Partner: supplier, State: subscription.Active, AccessDigest: []byte("00"),
		})
		return err
	})
	for name, c := range map[string]struct {
		err    error
		parked bool
		text   string
	}{
		"the data are gone":        {fault.New(fault.NotFound, "access_data_gone", "nothing to fetch"), true, "order again"},
		"no such subscription":     {fault.New(fault.NotFound, "subscription_not_found", "nothing"), true, "subscription_not_found"},
		"an invalid question":      {fault.New(fault.Invalid, "invalid_field", "text"), true, "invalid_field"},
		"something else is there":  {fault.New(fault.Conflict, "access_digest", "text"), true, "access_digest"},
		"a state that forbids it":  {fault.New(fault.Precondition, "partnership_state", "text"), true, "partnership_state"},
		"not allowed now":          {fault.New(fault.Denied, "scope_denied", "text"), false, "scope_denied"},
		"not recognised now":       {fault.New(fault.Unauthenticated, "assertion_key", "text"), false, "assertion_key"},
		"too much":                 {fault.New(fault.Exhausted, "rate_limited", "text"), false, "rate_limited"},
		"away":                     {fault.New(fault.Unavailable, "partner_unreachable", "text"), false, "partner_unreachable"},
		"something of the machine": {errors.New("disk full"), false, "disk full"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &subscription.Service{
				Self: m.Origin, Work: store.For[subscription.Tx](m.Store), Link: refusing{c.err}, Book: m.Book, Signer: m.Keys, Now: m.Clock.Now,
			}
			err := s.FetchAccess(t.Context(), job.Job{Kind: subscription.JobAccessFetch, Key: "sub-1", Partner: supplier})
			var parked *job.ParkError
			if !errors.Is(err, c.err) || errors.As(err, &parked) != c.parked || !strings.Contains(err.Error(), fault.ReasonOf(c.err)) {
				t.Errorf("it ends with %v", err)
			}
			if !strings.Contains(err.Error(), c.text) {
				t.Errorf("an operator reads %v", err)
			}
		})
	}
}
