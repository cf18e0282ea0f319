package provision_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/adapters"
	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/provision"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// lister is a platform that says what it has, by tag: whose it is.
type lister struct {
	*platform
	has map[string]string
	// listed runs after each answer.
	listed func()
	// fails is what it says instead.
	fails error
}

func (l *lister) List(_ context.Context, _ adapters.Connection, prefix, after string, limit int) (page []adapters.Listed, err error) {
	if l.fails != nil {
		return nil, l.fails
	}
	for tag, owner := range l.has {
		if strings.HasPrefix(tag, prefix) && tag > after {
			page = append(page, adapters.Listed{Tag: tag, Owner: owner})
		}
	}
	slices.SortFunc(page, func(a, b adapters.Listed) int { return strings.Compare(a.Tag, b.Tag) })
	if l.listed != nil {
		l.listed()
	}
	return page[:min(len(page), limit)], nil
}

func (l *lister) Destroy(ctx context.Context, r adapters.Request) error {
	if l.has[r.Tag] != adapters.OwnerOf(r.Tenant, r.Tag) {
		return adapters.Errorf(adapters.Conflict, "another's")
	}
	delete(l.has, r.Tag)
	return l.platform.Destroy(ctx, r)
}

func (l *lister) Connection(string) (adapters.Adapter, adapters.Connection, error) {
	return l, adapters.Connection{Name: "y"}, nil
}

func (l *lister) make(tenant, tag string) string {
	l.has[tag] = adapters.OwnerOf(tenant, tag)
	return tag
}

func newListed(t *testing.T) (*site, *lister) {
	s := newSite(t, promisesNothing)
	l := &lister{platform: s.platform, has: map[string]string{}}
	s.service.Connections = l
	return s, l
}

var operator = act.Word{By: "operator", Reason: "seen on the platform"}

func (s *site) orphans() (tags []string) {
	s.t.Helper()
	found, err := s.service.Orphans(s.t.Context())
	if err != nil || len(found.Unseen) > 0 {
		s.t.Fatalf("orphans: %+v, %v", found, err)
	}
	for _, o := range found.Orphans {
		tags = append(tags, o.Tag)
	}
	return tags
}

func TestOrphans_AreWhatNoLivingSubscriptionIsFor(t *testing.T) {
	s, l := newListed(t)
	mine := l.make(provision.Tenant(buyer), provision.Tag(self, buyer, thing.ID, "main"))
	lost := l.make(provision.Tenant(buyer), provision.Tag(self, buyer, "sub-nobody-knows", "main"))
	l.make(provision.Tenant(buyer), provision.Tag("https://neighbour.localhost:9", buyer, "sub-of-a-neighbour", "main"))
	if got := s.orphans(); !slices.Equal(got, []string{lost}) {
		t.Errorf("while the order is open: %q, want %q alone", got, lost)
	}
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.orphans(); !slices.Equal(got, []string{lost}) {
		t.Errorf("while it runs: %q", got)
	}
	s.Do(func(tx *store.Tx) error {
		sub, err := tx.Subscriptions().Get(thing)
		if err != nil {
			return err
		}
		sub.State = subscription.Terminated
		_, err = tx.Subscriptions().Put(sub)
		return err
	})
	if got := s.orphans(); len(got) != 2 || !slices.Contains(got, mine) {
		t.Errorf("after it ended: %q, want %q too", got, mine)
	}
	// What goes while we look is none.
	l.listed = func() { delete(l.has, mine) }
	if got := s.orphans(); slices.Contains(got, mine) {
		t.Errorf("what is gone is listed: %q", got)
	}
}

func TestOrphans_NameThePlatformThatCannotSay(t *testing.T) {
	s := newSite(t, promisesNothing)
	found, err := s.service.Orphans(t.Context())
	if err != nil || !strings.Contains(found.Unseen["y"], "cannot say") {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestDestroyOrphan_RemovesWhatIsOursToRemoveAlone(t *testing.T) {
	s, l := newListed(t)
	mine := l.make(provision.Tenant(buyer), provision.Tag(self, buyer, thing.ID, "main"))
	lost := l.make(provision.Tenant(buyer), provision.Tag(self, buyer, "sub-nobody-knows", "main"))
	foreign := l.make("tenant-of-nobody", provision.Tag(self, "https://gone.localhost:7", "sub-of-one-who-left", "main"))
	for tag, reason := range map[string]string{mine: "orphan_not_found", "h-there-is-none": "orphan_not_found", foreign: "orphan_owner_unknown"} {
		if _, err := s.service.DestroyOrphan(t.Context(), tag, operator); fault.ReasonOf(err) != reason {
			t.Errorf("%s: %v, want %s", tag, err, reason)
		}
	}
	s.stand(ledger.Unproven)
	if _, err := s.service.DestroyOrphan(t.Context(), lost, operator); fault.ReasonOf(err) != "orphan_doubted" {
		t.Errorf("while the books are not level: %v", err)
	}
	if len(l.has) != 3 || slices.Contains(l.calls, "destroy") {
		t.Fatalf("something was removed: %v, %v", l.has, l.calls)
	}
	s.stand(ledger.Level)
	if _, err := s.service.DestroyOrphan(t.Context(), lost, operator); err != nil || l.has[lost] != "" {
		t.Errorf("not removed: %v", err)
	}
	s.View(func(tx *store.Tx) error {
		acts, err := tx.Acts().About(buyer, lost)
		if err != nil || len(acts) != 1 || acts[0].Verb != "orphan destroy" || acts[0].Reason != operator.Reason {
			t.Errorf("on record: %+v, %v", acts, err)
		}
		return nil
	})
}

func TestClaimOrphan_GivesARunningSubscriptionWhatItLacks(t *testing.T) {
	s, l := newListed(t)
	own := l.make(provision.Tenant(buyer), provision.Tag(self, buyer, thing.ID, "main"))
	lost := l.make(provision.Tenant(buyer), provision.Tag(self, buyer, "sub-nobody-knows", "main"))
	if _, err := s.service.ClaimOrphan(t.Context(), lost, thing.ID, operator); fault.ReasonOf(err) != "subscription_state" {
		t.Errorf("for one that is being made: %v", err)
	}
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.service.ClaimOrphan(t.Context(), lost, thing.ID, operator); fault.ReasonOf(err) != "subscription_provided" {
		t.Errorf("for one that has its own: %v", err)
	}
	delete(l.has, own)
	const rotated = "order-rotated"
	s.Do(func(tx *store.Tx) error {
		if _, err := tx.ResaleOrders().Put(resale.Order{
			Item:    order.Item{Action: order.Modify, Intent: order.Rotate, State: order.Completed, SubscriptionID: thing.ID},
			Partner: buyer, ID: rotated, PlacedAt: s.Clock.Now(), UpdatedAt: s.Clock.Now(),
		}); err != nil {
			return err
		}
		return errors.Join(tx.Jobs().At(resale.JobLook, bought, buyer, s.Clock.Now()), tx.Jobs().At(resale.JobLook, rotated, buyer, s.Clock.Now()))
	})
	if _, err := s.service.ClaimOrphan(t.Context(), lost, "sub-there-is-none", operator); fault.ReasonOf(err) != "subscription_not_found" {
		t.Errorf("for none: %v", err)
	}
	if _, err := s.service.ClaimOrphan(t.Context(), lost, thing.ID, operator); err != nil {
		t.Fatal(err)
	}
	if got := s.orphans(); len(got) != 0 {
		t.Errorf("still an orphan: %q", got)
	}
	s.View(func(tx *store.Tx) error {
		steps, err := tx.Steps().Of(thing)
		if err != nil || len(steps) != 1 || steps[0].Tag != lost || !steps[0].Claimed || steps[0].Phase != provision.Applied {
			t.Errorf("steps: %+v, %v", steps, err)
		}
		for _, id := range []string{bought, rotated} {
			if _, found, err := tx.Jobs().Find(resale.JobLook, buyer, id); found || err != nil {
				t.Errorf("the look of %s is still to do: %v", id, err)
			}
		}
		return nil
	})
	// What ends the subscription ends what it claimed.
	s.terminate()
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(l.has) != 0 || l.last.Tag != lost {
		t.Errorf("left: %v, last removed %q", l.has, l.last.Tag)
	}
}

// another is a second subscription of the buyer, which runs and has nothing on its platform.
func (s *site) another() string {
	s.t.Helper()
	const id = "sub-another"
	s.Do(func(tx *store.Tx) error {
		sub, err := tx.Subscriptions().Get(thing)
		if err != nil {
			return err
		}
		sub.ID, sub.OrderID, sub.State, sub.Version = id, "order-another", subscription.Active, 0
		_, err = tx.Subscriptions().Put(sub)
		return err
	})
	return id
}

// TestAnOrphanIsClaimedOnce: who claims or destroys it on what was listed before finds that it is somebody's.
func TestAnOrphanIsClaimedOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		// lists is after how many answers of the platform another claims it.
		lists int
		does  func(s *site, tag string) error
	}{
		"another claims it": {3, func(s *site, tag string) error {
			_, err := s.service.ClaimOrphan(s.t.Context(), tag, thing.ID, operator)
			return err
		}},
		"another destroys it": {2, func(s *site, tag string) error {
			_, err := s.service.DestroyOrphan(s.t.Context(), tag, operator)
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, l := newListed(t)
			if err := s.run(t.Context()); err != nil {
				t.Fatal(err)
			}
			other := s.another()
			lost := l.make(provision.Tenant(buyer), provision.Tag(self, buyer, "sub-nobody-knows", "main"))
			lists := 0
			l.listed = func() {
				if lists++; lists == c.lists {
					l.listed = nil
					if _, err := s.service.ClaimOrphan(t.Context(), lost, other, operator); err != nil {
						t.Error(err)
					}
				}
			}
			if err := c.does(s, lost); fault.ReasonOf(err) != "orphan_claimed" {
				t.Errorf("what was claimed meanwhile: %v", err)
			}
			if l.has[lost] == "" || slices.Contains(l.calls, "destroy") {
				t.Error("it was destroyed")
			}
			s.View(func(tx *store.Tx) error {
				claims, err := tx.Steps().Claims()
				if err != nil || len(claims) != 1 || claims[0].Subscription.ID != other {
					t.Errorf("claimed by %+v, %v", claims, err)
				}
				return nil
			})
		})
	}
}

// TestWhatIsBeingDestroyedIsNotClaimed: the platform may remove it at any time.
func TestWhatIsBeingDestroyedIsNotClaimed(t *testing.T) {
	t.Parallel()
	s, l := newListed(t)
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	lost := l.make(provision.Tenant(buyer), provision.Tag(self, buyer, "sub-nobody-knows", "main"))
	l.destroy = func() error {
		l.make(provision.Tenant(buyer), lost)
		return adapters.Errorf(adapters.UnknownOutcome, "the answer was lost")
	}
	if _, err := s.service.DestroyOrphan(t.Context(), lost, operator); fault.ReasonOf(err) != "orphan_not_destroyed" {
		t.Fatal(err)
	}
	if _, err := s.service.ClaimOrphan(t.Context(), lost, s.another(), operator); fault.ReasonOf(err) != "orphan_claimed" {
		t.Errorf("it is claimed: %v", err)
	}
}

// TestWhatCameBackLostIsNoOrphan until an operator drops the job that tells of it: the reseller has it, and our own log says so.
func TestWhatCameBackLostIsNoOrphan(t *testing.T) {
	t.Parallel()
	s, l := newListed(t)
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	const lostSub = "sub-came-back-lost"
	lost := l.make(provision.Tenant(buyer), provision.Tag(self, buyer, lostSub, "main"))
	var key string
	s.Do(func(tx *store.Tx) error {
		e, err := s.Book.Append(tx, buyer, ledger.OrderAccepted, lostSub, order.Body{
			Order: "order-lost", Subscription: lostSub, Agreement: "agr-1", DocumentSHA256: strings.Repeat("ab", 32), Action: order.Add,
		})
		if err != nil {
			return err
		}
		key = fmt.Sprintf("%d.%d", e.Life, e.Seq)
		return tx.Jobs().At("recovery.lost", key, buyer, s.Clock.Now())
	})
	_, err := s.service.DestroyOrphan(t.Context(), lost, operator)
	if fault.ReasonOf(err) != "orphan_doubted" || !strings.Contains(err.Error(), "was not read back") || l.has[lost] == "" {
		t.Errorf("what the reseller has is destroyed: %v", err)
	}
	if _, err := s.service.ClaimOrphan(t.Context(), lost, thing.ID, operator); fault.ReasonOf(err) != "orphan_doubted" {
		t.Errorf("what the reseller has is claimed for another: %v", err)
	}
	s.Do(func(tx *store.Tx) error { return tx.Jobs().Drop("recovery.lost", key, buyer) })
	if _, err := s.service.DestroyOrphan(t.Context(), lost, operator); err != nil || l.has[lost] != "" {
		t.Errorf("once it is settled: %v", err)
	}
}
