package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"connectrpc.com/connect"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
)

// rareScenes take days, a lost disk, or two operators.
var rareScenes = []scene{
	{"overdue", func(ctx context.Context, s *stage) error {
		_, err := s.overdue(ctx, silence{hurt: Cut}, "cancelled")
		return err
	}},
	{"overdue_and_taken", func(ctx context.Context, s *stage) error {
		_, err := s.overdue(ctx, silence{hurt: DropReply, works: true, placed: func(id string) error { return s.decided(ctx, id) }}, "cancelled", "completed")
		return err
	}},
	{"overdue_and_rejected", func(ctx context.Context, s *stage) error {
		_, err := s.overdue(ctx, silence{hurt: DropReply}, "rejected", "cancelled")
		return errors.Join(err, s.then(s.hold(ctx, s.members["charlie"], false), func() error { return s.onSale(ctx) }))
	}},
	{"overdue_and_given_up", func(ctx context.Context, s *stage) error {
		_, err := s.overdue(ctx, silence{hurt: Cut, meanwhile: func(id string) error { return s.givenUp(ctx, id) }}, "failed")
		return err
	}},
	{"given_up_and_made", func(ctx context.Context, s *stage) error {
		for range triesEach { // what reaches the supplier too late it does not make
			id, err := s.overdue(ctx, silence{
				hurt: DropReply, works: true, placed: func(id string) error { return s.decided(ctx, id) }, meanwhile: func(id string) error { return s.givenUp(ctx, id) },
			}, "failed")
			if err != nil {
				return err
			}
			if made, err := s.endedLate(ctx, id); made || err != nil {
				return err
			}
		}
		return errors.New("the supplier makes nothing of what is given up")
	}},
	{"end_called_off_in_line", func(ctx context.Context, s *stage) error {
		of, err := s.bought(ctx, "vm-a")
		if err != nil {
			return err
		}
		return s.inLine(ctx, func() (string, error) { return s.placed(ctx, End, "", of) })
	}},
	{"rebuilt", func(ctx context.Context, s *stage) error {
		id, err := s.placedBoth(ctx, Wish{Kind: Buy, Member: "alpha", Supplier: "charlie", Offering: "vm-b"})
		err = s.then(err, func() error { return s.until(ctx, id, "completed") })
		err = s.then(err, func() error { return s.emptied(ctx) })
		err = s.then(err, func() error { return s.until(ctx, id, "completed") })
		err = s.then(err, func() error { // it is the customer's once the portal says so
			return within(ctx, stepTime, func() error { return s.place(ctx, id) })
		})
		return s.then(err, func() error { // what the checks know an order by is its first part
			end, err := s.placedWish(ctx, Wish{Kind: End, Member: "alpha", Supplier: "charlie", Of: id, Part: 1})
			return s.then(err, func() error { return s.until(ctx, end, "completed") })
		})
	}},
	{"rebuilt_in_part", func(ctx context.Context, s *stage) error {
		bravo := s.members["bravo"]
		bravo.halt()
		id, err := s.placedBoth(ctx, Wish{Kind: Buy, Member: "alpha", Supplier: "bravo", Offering: "box-a"})
		err = s.then(err, func() error {
			return within(ctx, stepTime, func() error {
				o, err := s.read(ctx, id)
				if err == nil && o.GetItems()[0].GetState() != "completed" {
					err = fmt.Errorf("the first part of %s is %s", id, o.GetItems()[0].GetState())
				}
				return err
			})
		})
		err = s.then(err, func() error { return s.emptied(ctx) })
		bravo.life.Lock()
		failed := bravo.start(ctx)
		bravo.life.Unlock()
		return s.then(errors.Join(err, failed), func() error { return s.until(ctx, id, "partial") })
	}},
	{"new_life", func(ctx context.Context, s *stage) error {
		of, err := s.bought(ctx, "vm-a")
		if err != nil {
			return err
		}
		placed, unsigned, err := s.forked(ctx, false)
		for _, id := range unsigned {
			err = s.then(err, func() error { return s.inRecord(ctx, id, "pending.unreachable") })
		}
		err = s.then(err, func() error { return s.calledOff(ctx, unsigned[0]) })
		err = s.then(err, func() error { return s.newLife(ctx, s.members["alpha"], s.members["charlie"], of) })
		return s.then(err, func() error { return s.allEnded(ctx, append(placed, unsigned...)) })
	}},
}

// silence is how a supplier says nothing in time.
type silence struct {
	// hurt is what is wrong with its calls.
	hurt FaultKind
	// works says that it carries out what it took until it is heard again.
	works bool
	// placed and meanwhile are done when the order is placed, and before the silence ends.
	placed, meanwhile func(id string) error
}

// overdue buys of a supplier that says nothing in time, and waits for what comes of it.
func (s *stage) overdue(ctx context.Context, how silence, states ...string) (id string, err error) {
	alpha, charlie := s.members["alpha"], s.members["charlie"]
	err = s.hurry(ctx, alpha, true)
	err = s.then(err, func() error { return s.settledBooks(ctx) })
	if how.hurt == DropReply { // a call needs a token, whose answer would be lost too
		err = s.then(err, func() error {
			before, err := s.placed(ctx, Buy, "vm-a", "")
			return s.then(err, func() error { return s.allEnded(ctx, []string{before}) })
		})
	}
	if err != nil {
		return "", err
	}
	if how.works {
		s.platform.Slow(30 * time.Second)
		defer s.platform.Slow(0)
	}
	charlie.proxy.set(how.hurt)
	charlie.proxy.cut()
	defer charlie.proxy.heal()
	if states[0] == "rejected" { // the reseller has not read that it is not on sale
		if err := s.hold(ctx, charlie, true); err != nil {
			return "", err
		}
	}
	id, err = s.placed(ctx, Buy, "vm-a", "")
	for _, do := range []func(id string) error{how.placed, func(id string) error { return s.until(ctx, id, "pendingCancellation") }, how.meanwhile} {
		if do != nil {
			err = s.then(err, func() error { return do(id) })
		}
	}
	s.platform.Slow(0)
	charlie.proxy.heal()
	return id, s.then(err, func() error { return s.until(ctx, id, states...) })
}

// allEnded waits until orders have.
func (s *stage) allEnded(ctx context.Context, ids []string) error {
	for _, id := range ids {
		if err := s.until(ctx, id, "completed", "cancelled", "failed", "rejected"); err != nil {
			return err
		}
	}
	return nil
}

// decided waits until a supplier has taken an order; what it was told too late is decided in another way.
func (s *stage) decided(ctx context.Context, id string) error {
	res, err := s.explained(ctx, id)
	if err != nil {
		return err
	}
	_ = within(ctx, 2*hurriedTime, func() error {
		_, err := operatorOf(s.members["charlie"], operatorv1connect.NewOrderServiceClient).GetOrder(ctx, connect.NewRequest(&operatorv1.GetOrderRequest{Id: res, Side: "resale"}))
		return err
	})
	return nil
}

// explained is the correlation id of an order's first part.
func (s *stage) explained(ctx context.Context, id string) (correlation string, err error) {
	err = within(ctx, stepTime, func() error {
		o, err := s.ofOperator(ctx, id)
		if err == nil {
			correlation = o.GetItems()[0].GetCorrelationId()
		}
		return err
	})
	return correlation, err
}

// ofOperator is an order as the reseller's operator reads it.
func (s *stage) ofOperator(ctx context.Context, id string) (*operatorv1.Order, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	res, err := operatorOf(s.members["alpha"], operatorv1connect.NewOrderServiceClient).GetOrder(ctx, connect.NewRequest(&operatorv1.GetOrderRequest{Id: id, Side: "retail", Portal: portalName}))
	if err != nil {
		return nil, err
	}
	return res.Msg.GetOrder(), nil
}

// inRecord waits until a state stands in an order's record.
func (s *stage) inRecord(ctx context.Context, id, state string) error {
	return within(ctx, stepTime, func() error {
		o, err := s.ofOperator(ctx, id)
		if err != nil {
			return err
		}
		for _, e := range o.GetItems()[0].GetTimeline() {
			if e.GetState() == state {
				return nil
			}
		}
		return fmt.Errorf("order %s is %s", id, o.GetState())
	})
}

// givenUp has the reseller's operator give an order up, as soon as that may be.
func (s *stage) givenUp(ctx context.Context, id string) error {
	s.history.change(id, func(o *placed) { o.given = true })
	return within(ctx, stepTime, func() error {
		if o, err := s.read(ctx, id); err == nil && o.GetState() == "failed" { // who died of it had done it
			return nil
		}
		_, err := s.members["alpha"].operate(ctx, "order", "abandon", id, "--portal", portalName, "--reason", "nobody answers", "--yes")
		return err
	})
}

// endedLate waits until all has come of an order that was given up, and says whether its supplier had made it and it was ended.
func (s *stage) endedLate(ctx context.Context, id string) (made bool, err error) {
	if err := s.settledBooks(ctx); err != nil {
		return false, err
	}
	o, err := s.ofOperator(ctx, id)
	if err != nil {
		return false, err
	}
	here, err := s.readSide(ctx, s.members["alpha"])
	if err != nil {
		return false, err
	}
	state := here.subscriptions[of("retail "+s.members["charlie"].origin, o.GetItems()[0].GetSubscriptionId())].GetState()
	if state != "terminated" && state != "aborted" {
		err = fmt.Errorf("the subscription of order %s, which was given up, is %q", id, state)
	}
	return state == "terminated", err
}

// placedBoth buys of charlie, and something else with it.
func (s *stage) placedBoth(ctx context.Context, also Wish) (id string, err error) {
	return s.placedWish(ctx, Wish{Kind: Buy, Member: "alpha", Supplier: "charlie", Offering: "vm-a", Also: []Wish{also}})
}

// settledBooks waits until alpha and charlie have read all that the other wrote, and charlie has nothing to do.
func (s *stage) settledBooks(ctx context.Context) error {
	alpha, charlie := s.members["alpha"], s.members["charlie"]
	return within(ctx, stepTime, func() error {
		for _, who := range []*member{alpha, charlie} {
			jobs, err := s.jobs(ctx, who)
			if err != nil {
				return err
			}
			for _, j := range jobs {
				if who == charlie || j.GetPartner() == charlie.origin {
					_, _ = s.operators(ctx) // some of it waits for one
					return fmt.Errorf("%s has %s to do", who.name, j.GetKind())
				}
			}
		}
		if err := s.level(ctx, alpha, charlie); err != nil {
			return err
		}
		return errors.Join(s.hasRead(ctx, alpha, charlie), s.hasRead(ctx, charlie, alpha))
	})
}

// emptied takes alpha's disk away; it is made again from its keys.
func (s *stage) emptied(ctx context.Context) error {
	if err := s.settledBooks(ctx); err != nil {
		return err
	}
	id := s.copyID()
	if err := s.copy(ctx, Copy{ID: id, Member: "alpha", How: ByKeys}); err != nil {
		return err
	}
	return s.putBack(ctx, "alpha", id)
}

func (s *stage) copyID() int {
	s.copied++
	return s.copied
}

// forked makes a fork as they are made: alpha is put back from a copy while charlie is away, its operator vouches for it, and it signs anew where
// it had signed before: orders. Others it takes after another start, when nobody vouched, and signs nothing of them. It returns both.
func (s *stage) forked(ctx context.Context, hurried bool) (placed, unsigned []string, err error) {
	alpha, charlie := s.members["alpha"], s.members["charlie"]
	if err := s.settledBooks(ctx); err != nil {
		return nil, nil, err
	}
	id := s.copyID()
	if err := s.copy(ctx, Copy{ID: id, Member: "alpha", How: ByFolder}); err != nil {
		return nil, nil, err
	}
	if err := s.offer(ctx); err != nil {
		return nil, nil, err
	}
	if err := s.settledBooks(ctx); err != nil {
		return nil, nil, err
	}
	open := []func(){alpha.proxy.shut(), charlie.proxy.shut()}
	err = s.putBack(ctx, "alpha", id)
	err = s.then(err, func() error { return s.vouched(ctx, alpha, charlie) })
	order := func(to *[]string) { // as much as it had signed, and more
		for range 2 {
			err = s.then(err, func() error {
				id, err := s.placed(ctx, Buy, "vm-a", "")
				*to = append(*to, id)
				return err
			})
		}
	}
	order(&placed)
	err = s.then(err, func() error { return s.hurry(ctx, alpha, hurried) })
	order(&unsigned)
	for _, open := range open {
		open()
	}
	return placed, unsigned, s.then(err, func() error { return s.knowsOfFork(ctx, alpha, charlie) })
}

// vouched has a member's operator say that no copy was put back, which is not true.
func (s *stage) vouched(ctx context.Context, who, with *member) error {
	return within(ctx, stepTime, func() error {
		_, err := who.operate(ctx, "partner", "vouch", with.origin, "--reason", "no copy was put back", "--yes")
		return err
	})
}

func (s *stage) knowsOfFork(ctx context.Context, who, with *member) error {
	return within(ctx, stepTime, func() error {
		p, err := s.partner(ctx, who, with.origin)
		if err == nil && p.GetBooks() != "forked" {
			err = fmt.Errorf("the books of %s with %s are %s", who.name, with.name, p.GetBooks())
		}
		return err
	})
}

// offer has charlie offer something that changes nothing until it is accepted; alpha signs that it has it.
func (s *stage) offer(ctx context.Context) error {
	s.offered++
	discount := fmt.Sprintf("%d.%02d%%", 20+s.offered/100%50, s.offered%100)
	return within(ctx, stepTime, func() error {
		_, err := s.members["charlie"].operate(ctx, "agreement", "offer", s.members["alpha"].origin, "--discount", discount, "--currency", "EUR")
		return err
	})
}

// newLife has both operators agree on a new life in which what an order of alpha bought has ended: who knows of the fork proposes it.
func (s *stage) newLife(ctx context.Context, proposer, signer *member, of string) error {
	var subscription string
	err := within(ctx, stepTime, func() error {
		o, err := s.ofOperator(ctx, of)
		if err == nil {
			subscription = o.GetItems()[0].GetSubscriptionId()
		}
		return err
	})
	if err != nil {
		return err
	}
	return within(ctx, 2*stepTime, func() error {
		if s.level(ctx, proposer, signer) == nil {
			return nil
		}
		theirs, err := s.fork(ctx, signer, proposer)
		if err != nil {
			return err
		}
		for _, d := range theirs.GetDocuments() {
			if !d.GetOurs() && d.GetState() == "proposed" {
				_, err := operatorOf(signer, operatorv1connect.NewLedgerServiceClient).SignLife(ctx, connect.NewRequest(&operatorv1.SignLifeRequest{Partner: proposer.origin, Id: d.GetId(), Sha256: d.GetSha256(), Reason: "as told on the phone"}))
				return errors.Join(err, errors.New("the new life has not begun"))
			}
		}
		return errors.Join(s.propose(ctx, proposer, signer, subscription), errors.New("the new life is proposed"))
	})
}

func (s *stage) fork(ctx context.Context, who, with *member) (*operatorv1.ShowForkResponse, error) {
	res, err := operatorOf(who, operatorv1connect.NewLedgerServiceClient).ShowFork(ctx, connect.NewRequest(&operatorv1.ShowForkRequest{Partner: with.origin}))
	if err != nil {
		return nil, err
	}
	return res.Msg, nil
}

// propose has a member propose a life without a subscription, unless a proposal of it waits.
func (s *stage) propose(ctx context.Context, proposer, signer *member, subscription string) error {
	mine, err := s.fork(ctx, proposer, signer)
	if err != nil {
		return err
	}
	for _, d := range mine.GetDocuments() {
		if d.GetOurs() && d.GetState() == "proposed" {
			return nil
		}
	}
	if mine.GetDraft() == "" {
		return errors.New(mine.GetMissing())
	}
	var document map[string]any
	if err := json.Unmarshal([]byte(mine.GetDraft()), &document); err != nil {
		return err
	}
	var subjects []any
	all, _ := document["subjects"].([]any)
	for _, subject := range all {
		if of, is := subject.(map[string]any); !is || of["subscription"] != subscription {
			subjects = append(subjects, subject)
		}
	}
	document["subjects"] = append(subjects, map[string]any{"subscription": subscription, "supplier": s.members["charlie"].origin, "state": "terminated", "pays": "supplier"})
	raw, err := json.Marshal(document)
	if err != nil {
		return err
	}
	file := filepath.Join(s.dir, "life.json")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		return err
	}
	_, err = proposer.operate(ctx, "ledger", "fork", "propose", signer.origin, "--file", file, "--yes")
	return err
}
