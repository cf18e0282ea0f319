package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hanse-market/hanse/adapters"
	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// Orphan is what runs on a platform under a name of ours without a subscription that it is for.
type Orphan struct {
	Connection, Adapter, Tag string
	// Partner is the reseller that it was made for; "" where none of our partners is.
	Partner string
	// Doubt says why it may have a subscription all the same; "" where nothing speaks for that.
	Doubt string
}

// Survey is what was found on the platforms.
type Survey struct {
	// Orphans by connection and tag.
	Orphans []Orphan
	// Seen is how many names of ours there are, of subscriptions or of none.
	Seen int
	// Unseen are the connections of which nobody knows what they have, with why.
	Unseen map[string]string
}

// verbDestroy is what stands on record before an orphan is removed.
const verbDestroy = "orphan destroy"

// listPage is how many names a platform is asked for at once, subscriptionPage how many subscriptions are read in one view.
const (
	listPage         = 1000
	subscriptionPage = 500
)

// Orphans asks all platforms what they have, and finds what no subscription is for. Nothing is changed.
func (s *Service) Orphans(ctx context.Context) (Survey, error) {
	found := Survey{Unseen: map[string]string{}}
	listed := map[string]Orphan{}
	owners := map[string]string{}
	for _, name := range s.Connections.Names() {
		if err := s.list(ctx, name, listed, owners); err != nil {
			found.Unseen[name] = err.Error()
		}
	}
	found.Seen = len(listed)
	// What is listed was made for a subscription that is there by now, if ever.
	if err := s.keep(ctx, listed); err != nil {
		return Survey{}, fmt.Errorf("find orphans: %w", err)
	}
	for tag, o := range listed {
		there, err := s.stillThere(ctx, o) // its subscription may have ended since it was listed, and taken it along
		if err != nil {
			found.Unseen[o.Connection] = err.Error()
		}
		if err != nil || !there {
			delete(listed, tag)
		}
	}
	if err := s.belong(ctx, listed, owners); err != nil {
		return Survey{}, fmt.Errorf("find orphans: %w", err)
	}
	for _, o := range listed {
		found.Orphans = append(found.Orphans, o)
	}
	slices.SortFunc(found.Orphans, func(a, b Orphan) int {
		return cmp.Or(cmp.Compare(a.Connection, b.Connection), cmp.Compare(a.Tag, b.Tag))
	})
	return found, nil
}

// list adds what a connection's platform has of ours. Two connections of one platform show the same things once.
func (s *Service) list(ctx context.Context, connection string, into map[string]Orphan, owners map[string]string) error {
	lister, w, err := s.lister(connection)
	if err != nil {
		return err
	}
	prefix := tagPrefix(s.Orders.Self)
	for after := ""; ; {
		var page []adapters.Listed
		err := s.call(ctx, w, "list", func(ctx context.Context) (err error) {
			page, err = lister.List(ctx, w.request.Connection, prefix, after, listPage)
			return err
		})
		if err != nil {
			return err
		}
		for _, l := range page {
			if _, known := into[l.Tag]; !known {
				into[l.Tag] = Orphan{Connection: connection, Adapter: w.step.Adapter, Tag: l.Tag}
			}
			owners[l.Tag], after = l.Owner, l.Tag
		}
		if len(page) < listPage {
			return nil
		}
	}
}

func (s *Service) lister(connection string) (adapters.Lister, *work, error) {
	adapter, c, err := s.Connections.Connection(connection)
	if err != nil {
		return nil, nil, err
	}
	lister, able := adapter.(adapters.Lister)
	if !able {
		return nil, nil, fmt.Errorf("adapter %s cannot say what there is: look with the platform's own tools", adapter.Describe().Name)
	}
	return lister, &work{adapter: adapter, step: Step{Adapter: adapter.Describe().Name}, request: adapters.Request{Connection: c}}, nil
}

// keep takes away what is for a subscription that has not ended.
func (s *Service) keep(ctx context.Context, listed map[string]Orphan) error {
	for token := ""; ; {
		err := s.Work.View(ctx, func(tx Tx) error {
			page, next, err := tx.Subscriptions().List(subscription.Resale, token, subscriptionPage)
			if err != nil {
				return err
			}
			for _, sub := range page {
				if !sub.State.Ended() {
					delete(listed, Tag(s.Orders.Self, sub.Partner, sub.ID, mainStep))
				}
			}
			token = next
			return nil
		})
		if err != nil {
			return err
		}
		if token == "" {
			break
		}
	}
	return s.Work.View(ctx, func(tx Tx) error {
		claims, err := tx.Steps().Claims()
		if err != nil {
			return err
		}
		for _, c := range claims {
			if _, is := listed[c.Tag]; !is {
				continue
			}
			sub, err := tx.Subscriptions().Get(c.Subscription)
			if err != nil && !fault.Is(err, fault.NotFound) {
				return err
			}
			if err == nil && !sub.State.Ended() {
				delete(listed, c.Tag)
			}
		}
		return nil
	})
}

func (s *Service) stillThere(ctx context.Context, o Orphan) (there bool, err error) {
	lister, w, err := s.lister(o.Connection)
	if err != nil {
		return false, err
	}
	err = s.call(ctx, w, "list", func(ctx context.Context) error {
		page, err := lister.List(ctx, w.request.Connection, o.Tag, "", 1)
		there = len(page) == 1 && page[0].Tag == o.Tag
		return err
	})
	return there, err
}

// belong says whose the orphans are, and where books are not level yet: what is missing here may still be read back.
func (s *Service) belong(ctx context.Context, listed map[string]Orphan, owners map[string]string) error {
	if len(listed) == 0 {
		return nil
	}
	return s.Work.View(ctx, func(tx Tx) error {
		partners, err := tx.Partners().List()
		if err != nil {
			return err
		}
		closed := ""
		for _, p := range partners {
			doubt := ""
			if err := ledger.Closed(tx, p.Origin); err != nil {
				doubt = "our books with " + p.Origin + " are not level: what it belongs to may still come back"
				closed = doubt
			}
			for tag, o := range listed {
				if owners[tag] != "" && owners[tag] == adapters.OwnerOf(Tenant(p.Origin), tag) {
					o.Partner, o.Doubt = p.Origin, doubt
					listed[tag] = o
				}
			}
		}
		for tag, o := range listed {
			if o.Partner == "" {
				o.Doubt = closed
				listed[tag] = o
			}
		}
		return s.doubtLost(tx, listed)
	})
}

// jobLost is recovery.JobLost; that package is above this one.
const jobLost = "recovery.lost"

// doubtLost says which orphans an entry of our own log may have made that was read back without its document, until an operator says that this
// is settled: the reseller has the service, and our books tell of it.
func (s *Service) doubtLost(tx Tx, listed map[string]Orphan) error {
	return jobsOf(tx, jobLost, func(j job.Job) error {
		life, seq, _ := strings.Cut(j.Key, ".")
		var at ledger.Position
		at.Life, _ = strconv.ParseInt(life, 10, 64)
		at.Seq, _ = strconv.ParseInt(seq, 10, 64)
		e, err := tx.Ledger().Entry(j.Partner, ledger.Own, at)
		if fault.Is(err, fault.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		tag := Tag(s.Orders.Self, j.Partner, e.Subject, mainStep)
		if o, is := listed[tag]; is && o.Doubt == "" {
			o.Doubt = fmt.Sprintf("entry %s of our ledger towards %s is about it, and what it had made was not read back: the reseller may have it (hanse job list); hanse job drop %d once that is settled", at, j.Partner, j.ID)
			listed[tag] = o
		}
		return nil
	})
}

// jobsOf calls fn with the jobs of a kind.
func jobsOf(tx Tx, kind string, fn func(job.Job) error) error {
	for after := int64(0); ; {
		page, err := tx.Jobs().After(after, listPage)
		if err != nil {
			return err
		}
		for _, j := range page {
			if after = j.ID; j.Kind != kind {
				continue
			}
			if err := fn(j); err != nil {
				return err
			}
		}
		if len(page) < listPage {
			return nil
		}
	}
}

// orphan is the one with a tag, as it is now. Errors: fault.NotFound orphan_not_found; fault.Precondition orphan_doubted, orphan_owner_unknown.
func (s *Service) orphan(ctx context.Context, tag string) (Orphan, error) {
	found, err := s.Orphans(ctx)
	if err != nil {
		return Orphan{}, err
	}
	at := slices.IndexFunc(found.Orphans, func(o Orphan) bool { return o.Tag == tag })
	switch {
	case at < 0:
		return Orphan{}, fault.New(fault.NotFound, "orphan_not_found", "no platform has %q without a subscription", tag).At("tag").Do("hanse orphan list")
	case found.Orphans[at].Doubt != "":
		return Orphan{}, fault.New(fault.Precondition, "orphan_doubted", "%s", found.Orphans[at].Doubt).At("tag").Do("hanse partner list")
	case found.Orphans[at].Partner == "":
		return Orphan{}, fault.New(fault.Precondition, "orphan_owner_unknown", "%q was made for nobody who is a partner of ours, so adapter %s does not touch it", tag, found.Orphans[at].Adapter).
			At("tag").Do("remove it with the platform's own tools")
	}
	return found.Orphans[at], nil
}

// DestroyOrphan removes what runs without a subscription, by an operator's word; one that is gone is fault.NotFound. Errors as of orphan and unclaimed, and the adapter's.
func (s *Service) DestroyOrphan(ctx context.Context, tag string, w act.Word) (Orphan, error) {
	o, err := s.orphan(ctx, tag)
	if err != nil {
		return o, err
	}
	adapter, c, err := s.Connections.Connection(o.Connection)
	if err != nil {
		return o, fmt.Errorf("destroy orphan %s: connection %q: %w", tag, o.Connection, err)
	}
	// On record before it is done: what was begun and cut off is somebody's word too.
	err = s.Work.Do(ctx, func(tx Tx) error {
		if err := ledger.Closed(tx, o.Partner); err != nil {
			return err
		}
		if err := unclaimed(tx, tag); err != nil {
			return err
		}
		return tx.Acts().Add(w.On(s.Now(), verbDestroy, o.Partner, tag, "connection "+o.Connection))
	})
	if err != nil {
		return o, fmt.Errorf("destroy orphan %s: %w", tag, err)
	}
	about := &work{adapter: adapter, step: Step{Adapter: o.Adapter}, request: adapters.Request{Tag: tag, Tenant: Tenant(o.Partner), Generation: 1, Connection: c}}
	if err := s.gone(ctx, about); err != nil {
		s.Logger.Error("an orphan was not destroyed", "tag", tag, "adapter", o.Adapter, "partner", o.Partner, "error", err)
		return o, fault.New(fault.Unavailable, "orphan_not_destroyed", "adapter %s did not remove %q: %v", o.Adapter, tag, err).At("tag").Do("call it again: removing twice does no harm")
	}
	s.Logger.Info("an orphan was destroyed by an operator", "tag", tag, "adapter", o.Adapter, "partner", o.Partner)
	return o, nil
}

// ClaimOrphan makes what runs without a subscription that of a running one which has nothing on its platform, by an operator's word. Errors as of
// orphan and unclaimed; fault.NotFound subscription_not_found; fault.Precondition subscription_state, subscription_provided.
func (s *Service) ClaimOrphan(ctx context.Context, tag, id string, w act.Word) (Orphan, error) {
	o, err := s.orphan(ctx, tag)
	if err != nil {
		return o, err
	}
	key := subscription.ResaleKey(o.Partner, id)
	var own Orphan
	var looks []string
	err = s.Work.View(ctx, func(tx Tx) error {
		sub, step, err := claimable(tx, key)
		if err != nil {
			return err
		}
		own = Orphan{Connection: o.Connection, Tag: Tag(s.Orders.Self, sub.Partner, sub.ID, mainStep)}
		if step.Tag != "" {
			own.Tag, own.Connection = step.Tag, step.Connection
		}
		looks, err = looksFor(tx, key)
		return err
	})
	if err != nil {
		return o, err
	}
	if there, err := s.stillThere(ctx, own); err != nil {
		return o, fault.New(fault.Unavailable, "platform_unknown", "it is not known what subscription %s has on connection %q: %v", id, own.Connection, err).At("subscription").Do("call it again")
	} else if there {
		return o, fault.New(fault.Precondition, "subscription_provided", "subscription %s has %q on its platform: what runs beside it is not its own", id, own.Tag).
			At("subscription").Do("hanse orphan destroy " + tag)
	}
	err = s.Work.Do(ctx, func(tx Tx) error {
		if err := ledger.Closed(tx, o.Partner); err != nil {
			return err
		}
		if err := errors.Join(unclaimed(tx, tag), undestroyed(tx, o)); err != nil {
			return err
		}
		sub, step, err := claimable(tx, key)
		if err != nil {
			return err
		}
		if step.Name == "" {
			step = Step{Subscription: key, Name: mainStep, Generation: 1, Order: sub.OrderID}
		}
		step.Tag, step.Claimed, step.Adapter, step.Connection = tag, true, o.Adapter, o.Connection
		step.Phase, step.UpdatedAt = Applied, s.Now().UTC()
		if _, err := tx.Steps().Put(step); err != nil {
			return err
		}
		for _, id := range looks {
			if err := tx.Jobs().Drop(resale.JobLook, id, o.Partner); err != nil {
				return err
			}
		}
		return tx.Acts().Add(w.On(s.Now(), "orphan claim", o.Partner, sub.OrderID, tag+" is what subscription "+id+" has on connection "+o.Connection))
	})
	if err != nil {
		return o, fmt.Errorf("claim orphan %s: %w", tag, err)
	}
	s.Logger.Info("an orphan was claimed for a subscription by an operator", "tag", tag, "adapter", o.Adapter, "partner", o.Partner, "subscription", id)
	return o, nil
}

// unclaimed refuses what was claimed since it was listed, for a subscription that has not ended: fault.Conflict orphan_claimed.
func unclaimed(tx Tx, tag string) error {
	claims, err := tx.Steps().Claims()
	if err != nil {
		return err
	}
	for _, c := range claims {
		if c.Tag != tag {
			continue
		}
		sub, err := tx.Subscriptions().Get(c.Subscription)
		if fault.Is(err, fault.NotFound) || err == nil && sub.State.Ended() {
			continue
		}
		if err != nil {
			return err
		}
		return fault.New(fault.Conflict, "orphan_claimed", "%q was claimed meanwhile for subscription %s", tag, sub.ID).At("tag").Do("hanse orphan list")
	}
	return nil
}

// undestroyed refuses what an operator began to destroy: the platform may be removing it.
func undestroyed(tx Tx, o Orphan) error {
	acts, err := tx.Acts().About(o.Partner, o.Tag)
	if err == nil && slices.ContainsFunc(acts, func(a act.Act) bool { return a.Verb == verbDestroy }) {
		err = fault.New(fault.Conflict, "orphan_claimed", "an operator began to destroy %q: it may go at any time", o.Tag).At("tag").Do("hanse orphan destroy " + o.Tag)
	}
	return err
}

// looksFor are the orders of a subscription for each of which its platform was to be asked.
func looksFor(tx Tx, k subscription.Key) (ids []string, err error) {
	err = jobsOf(tx, resale.JobLook, func(j job.Job) error {
		if j.Partner != k.Partner {
			return nil
		}
		o, err := tx.ResaleOrders().Get(j.Partner, j.Key)
		if err == nil && o.Subscription() == k {
			ids = append(ids, j.Key)
		}
		return err
	})
	return ids, err
}

// claimable is a running subscription, and its newest step if it has one.
func claimable(tx Tx, k subscription.Key) (sub subscription.Subscription, step Step, err error) {
	if sub, err = tx.Subscriptions().Get(k); err != nil {
		return sub, step, err
	}
	if sub.State != subscription.Active && sub.State != subscription.Suspended {
		return sub, step, fault.New(fault.Precondition, "subscription_state", "subscription %s is %s: it has nothing of its own to run", k.ID, sub.State).At("subscription")
	}
	steps, err := tx.Steps().Of(k)
	if len(steps) > 0 {
		step = steps[len(steps)-1]
	}
	return sub, step, err
}
