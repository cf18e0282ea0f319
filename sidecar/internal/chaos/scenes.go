package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
)

// scene is a story that takes some edges.
type scene struct {
	name string
	play func(ctx context.Context, s *stage) error
}

// sceneTime bounds one scene, stepTime a step of it.
const (
	sceneTime = 5 * time.Minute
	stepTime  = time.Minute
	// noticeTime is how long a call to who is away may take to fail.
	noticeTime = 20 * time.Second
)

var scenes = append([]scene{
	{"buy", func(ctx context.Context, s *stage) error {
		_, err := s.bought(ctx, "vm-a")
		return err
	}},
	{"end", func(ctx context.Context, s *stage) error {
		id, err := s.bought(ctx, "vm-a")
		return s.then(err, func() error { return s.ended(ctx, End, id, "completed") })
	}},
	{"end_fails", func(ctx context.Context, s *stage) error {
		id, err := s.bought(ctx, "vm-a")
		return s.then(err, func() error {
			s.platform.Refuse(1)
			defer s.platform.Refuse(0)
			return s.ended(ctx, End, id, "failed", "completed")
		})
	}},
	{"renew", func(ctx context.Context, s *stage) error {
		id, err := s.bought(ctx, "vm-a")
		return s.then(err, func() error { return s.ended(ctx, Renew, id, "completed") })
	}},
	{"away", func(ctx context.Context, s *stage) error {
		return s.away(ctx, func(id string) error { return nil }, "completed")
	}},
	{"called_off_away", func(ctx context.Context, s *stage) error {
		return s.away(ctx, func(id string) error { return s.calledOff(ctx, id) }, "cancelled")
	}},
	{"unproven", func(ctx context.Context, s *stage) error {
		charlie := s.members["charlie"].proxy
		charlie.set(Cut)
		charlie.cut()
		defer charlie.heal()
		if err := s.again(ctx, s.members["alpha"]); err != nil { // its books with charlie are unproven now: nothing is signed
			return err
		}
		id, err := s.placed(ctx, Buy, "vm-a", "")
		err = s.then(err, func() error { return s.until(ctx, id, "pending.unreachable") })
		pause(ctx, nil, time.Second)
		charlie.heal()
		return s.then(err, func() error { return s.until(ctx, id, "completed") })
	}},
	{"called_off_soon", func(ctx context.Context, s *stage) error {
		s.members["charlie"].proxy.set(HalfOpen)
		defer s.members["charlie"].proxy.heal()
		id, err := s.placed(ctx, Buy, "vm-a", "")
		if err = s.then(err, func() error { return s.calledOff(ctx, id) }); err != nil {
			return err
		}
		s.members["charlie"].proxy.heal()
		return s.until(ctx, id, "cancelled", "completed")
	}},
	{"called_off_under_way", func(ctx context.Context, s *stage) error {
		s.platform.Slow(3 * time.Second)
		defer s.platform.Slow(0)
		id, err := s.placed(ctx, Buy, "vm-a", "")
		err = s.then(err, func() error { return s.until(ctx, id, "inProgress", "completed") })
		err = s.then(err, func() error { return s.calledOff(ctx, id) })
		s.platform.Slow(0)
		return s.then(err, func() error { return s.until(ctx, id, "cancelled", "completed") })
	}},
	{"called_off_before_it_begins", func(ctx context.Context, s *stage) error {
		s.platform.Drop(1000) // what failed waits a while for its next try
		defer s.platform.Drop(0)
		id, err := s.placed(ctx, Buy, "vm-b", "")
		err = s.then(err, func() error { return s.until(ctx, id, "inProgress", "completed") })
		pause(ctx, nil, 2*time.Second)
		err = s.then(err, func() error { return s.calledOff(ctx, id) })
		pause(ctx, nil, time.Second)
		s.platform.Drop(0)
		return s.then(err, func() error { return s.until(ctx, id, "cancelled", "completed") })
	}},
	{"fails", func(ctx context.Context, s *stage) error {
		s.platform.Refuse(1)
		defer s.platform.Refuse(0)
		id, err := s.placed(ctx, Buy, "vm-a", "")
		return s.then(err, func() error { return s.until(ctx, id, "failed", "completed") })
	}},
	{"fails_called_off", func(ctx context.Context, s *stage) error {
		s.platform.Slow(3 * time.Second)
		s.platform.Refuse(1)
		defer s.platform.Slow(0)
		defer s.platform.Refuse(0)
		id, err := s.placed(ctx, Buy, "vm-a", "")
		err = s.then(err, func() error { return s.until(ctx, id, "inProgress", "failed") })
		err = s.then(err, func() error { return s.calledOff(ctx, id) })
		s.platform.Slow(0)
		return s.then(err, func() error { return s.until(ctx, id, "failed", "cancelled", "completed") })
	}},
	{"called_off_in_line", func(ctx context.Context, s *stage) error {
		return s.inLine(ctx, func() (string, error) { return s.placed(ctx, Buy, "vm-a", "") })
	}},
	{"end_called_off_away", func(ctx context.Context, s *stage) error {
		of, err := s.bought(ctx, "vm-a")
		if err != nil {
			return err
		}
		charlie := s.members["charlie"].proxy
		charlie.set(Cut)
		charlie.cut()
		defer charlie.heal()
		id, err := s.placed(ctx, End, "", of)
		if err = s.then(err, func() error { return s.calledOff(ctx, id) }); err != nil {
			return err
		}
		charlie.heal()
		return s.until(ctx, id, "cancelled", "completed")
	}},
	{"completes_while_called_off", func(ctx context.Context, s *stage) error {
		return s.overtaken(ctx, "vm-a", func() {}, "completed")
	}},
	{"fails_while_called_off", func(ctx context.Context, s *stage) error {
		return s.overtaken(ctx, "vm-a", func() { s.platform.Refuse(1) }, "failed", "completed")
	}},
	{"held_while_called_off", func(ctx context.Context, s *stage) error {
		return s.overtaken(ctx, "vm-c", func() { s.platform.Lose(1) }, "completed", "failed")
	}},
	{"rejected_while_called_off", func(ctx context.Context, s *stage) error {
		return s.rejected(ctx, func(id string) error { return s.calledOff(ctx, id) })
	}},
	{"held", func(ctx context.Context, s *stage) error { return s.held(ctx, true, false) }},
	{"held_and_nothing_made", func(ctx context.Context, s *stage) error { return s.held(ctx, false, false) }},
	{"held_and_called_off", func(ctx context.Context, s *stage) error { return s.held(ctx, true, true) }},
	{"rejected", func(ctx context.Context, s *stage) error {
		return s.refused(ctx, func(string) error { return nil })
	}},
	{"rejected_and_called_off", func(ctx context.Context, s *stage) error {
		return s.refused(ctx, func(id string) error { return s.calledOff(ctx, id) })
	}},
	{"rejected_at_once", func(ctx context.Context, s *stage) error {
		return s.rejected(ctx, func(string) error { return nil })
	}},
	{"held_and_fails", func(ctx context.Context, s *stage) error {
		s.platform.Drop(1)
		defer s.platform.Drop(0)
		id, err := s.placed(ctx, Buy, "vm-c", "")
		err = s.then(err, func() error { return s.until(ctx, id, "held.indeterminate", "completed", "failed") })
		s.platform.Refuse(1)
		defer s.platform.Refuse(0)
		return s.then(err, func() error { return s.operated(ctx, id) })
	}},
}, rareScenes...)

// lineLength is more than a supplier does at once for one partner.
const lineLength = 20

// inLine orders something behind more than its supplier does at once, and calls it off before it begins.
func (s *stage) inLine(ctx context.Context, order func() (id string, err error)) error {
	s.platform.Slow(4 * time.Second)
	defer s.platform.Slow(0)
	var before []string
	for range lineLength {
		id, err := s.placed(ctx, Buy, "vm-a", "")
		if err != nil {
			return err
		}
		before = append(before, id)
	}
	id, err := order()
	err = s.then(err, func() error { return s.until(ctx, id, "inProgress", "completed") })
	err = s.then(err, func() error { return s.calledOff(ctx, id) })
	s.platform.Slow(0)
	for _, id := range append(before, id) {
		err = s.then(err, func() error { return s.until(ctx, id, "completed", "cancelled") })
	}
	return err
}

// overtaken calls an order off while it is provisioned, in a call that waits until the supplier's word of the order has come.
func (s *stage) overtaken(ctx context.Context, offering string, hurt func(), states ...string) error {
	charlie := s.members["charlie"].proxy
	s.platform.Slow(4 * time.Second)
	hurt()
	defer s.platform.Slow(0)
	defer charlie.heal()
	id, err := s.placed(ctx, Buy, offering, "")
	err = s.then(err, func() error { return s.until(ctx, id, append(states, "inProgress", "held.indeterminate")...) })
	charlie.set(parked)
	err = s.then(err, func() error { return s.calledOff(ctx, id) })
	charlie.caught(ctx)
	s.platform.Slow(0)
	err = s.then(err, func() error {
		return within(ctx, stepTime, func() error {
			o, err := s.read(ctx, id)
			if err == nil && !o.GetEnded() && !slices.ContainsFunc(o.GetEvents(), func(e *portalv1.OrderEvent) bool { return e.GetState() == "held.indeterminate" }) {
				err = fmt.Errorf("order %s is %s", id, o.GetState())
			}
			return err
		})
	})
	charlie.heal()
	return s.then(err, func() error { return s.operated(ctx, id) })
}

// rejected buys of a supplier that takes its offerings off sale while the order is on its way.
func (s *stage) rejected(ctx context.Context, meanwhile func(id string) error) error {
	charlie := s.members["charlie"]
	charlie.proxy.set(parked)
	defer charlie.proxy.heal()
	id, err := s.placed(ctx, Buy, "vm-a", "")
	charlie.proxy.caught(ctx) // a cancel overtakes no call that is under way
	err = s.then(err, func() error { return s.hold(ctx, charlie, true) })
	err = s.then(err, func() error { return meanwhile(id) })
	charlie.proxy.heal()
	err = s.then(err, func() error { return s.until(ctx, id, "rejected", "completed", "cancelled") })
	return errors.Join(err, s.onSale(ctx))
}

// operated waits until an order has ended, and has operators do what is theirs.
func (s *stage) operated(ctx context.Context, id string) error {
	return within(ctx, stepTime, func() error {
		if _, err := s.operators(ctx); err != nil {
			return err
		}
		o, err := s.read(ctx, id)
		if err == nil && !o.GetEnded() {
			err = fmt.Errorf("order %s is %s", id, o.GetState())
		}
		return err
	})
}

// then goes on where nothing failed yet.
func (s *stage) then(err error, fn func() error) error {
	if err != nil {
		return err
	}
	return fn()
}

// placed wishes for something and has it acknowledged.
func (s *stage) placed(ctx context.Context, kind WishKind, offering, of string) (id string, err error) {
	return s.placedWish(ctx, Wish{Kind: kind, Member: "alpha", Supplier: "charlie", Offering: offering, Of: of})
}

func (s *stage) placedWish(ctx context.Context, w Wish) (id string, err error) {
	s.n++
	id = fmt.Sprintf("order-edge-%d", s.n)
	w.ID = id
	s.history.want(w)
	return id, within(ctx, stepTime, func() error { return s.place(ctx, id) })
}

func (s *stage) bought(ctx context.Context, offering string) (id string, err error) {
	id, err = s.placed(ctx, Buy, offering, "")
	return id, s.then(err, func() error { return s.until(ctx, id, "completed") })
}

func (s *stage) ended(ctx context.Context, kind WishKind, of string, states ...string) error {
	id, err := s.placed(ctx, kind, "", of)
	return s.then(err, func() error { return s.until(ctx, id, states...) })
}

func (s *stage) calledOff(ctx context.Context, id string) error {
	return within(ctx, stepTime, func() error { return s.callOff(ctx, id) })
}

// until waits for an order's state.
func (s *stage) until(ctx context.Context, id string, states ...string) error {
	return within(ctx, stepTime, func() error {
		o, err := s.read(ctx, id)
		if err == nil && !slices.Contains(states, o.GetState()) {
			err = fmt.Errorf("order %s is %s, not %v", id, o.GetState(), states)
		}
		return err
	})
}

// away buys while the supplier is away, does something meanwhile, and waits for what comes of it.
func (s *stage) away(ctx context.Context, meanwhile func(id string) error, states ...string) error {
	charlie := s.members["charlie"].proxy
	charlie.set(Cut)
	charlie.cut()
	defer charlie.heal()
	id, err := s.placed(ctx, Buy, "vm-a", "")
	err = s.then(err, func() error { return s.until(ctx, id, "pending.unreachable") })
	_ = within(ctx, noticeTime, func() error { // what is shown says so at once, the record only where the call itself failed
		o, err := s.read(ctx, id)
		if err == nil && !slices.ContainsFunc(o.GetEvents(), func(e *portalv1.OrderEvent) bool { return e.GetState() == "pending.unreachable" }) {
			err = errors.New("it is not in the record")
		}
		return err
	})
	if err = s.then(err, func() error { return meanwhile(id) }); err != nil {
		return err
	}
	charlie.heal()
	return s.until(ctx, id, states...)
}

// refused buys while the supplier is away and takes its offerings off sale.
func (s *stage) refused(ctx context.Context, meanwhile func(id string) error) error {
	err := s.away(ctx, func(id string) error {
		return s.then(s.hold(ctx, s.members["charlie"], true), func() error { return meanwhile(id) })
	}, "rejected", "cancelled")
	return errors.Join(err, s.onSale(ctx))
}

// onSale waits until the reseller lists everything again.
func (s *stage) onSale(ctx context.Context) error {
	return within(ctx, stepTime, func() error {
		return s.then(s.hold(ctx, s.members["charlie"], false), func() error { return s.readListings(ctx) })
	})
}

// held has an order wait for an operator, who then says what the platform made of it.
func (s *stage) held(ctx context.Context, made, calledOff bool) error {
	if made {
		s.platform.Lose(1)
	} else {
		s.platform.Drop(1)
	}
	defer s.platform.Lose(0)
	defer s.platform.Drop(0)
	id, err := s.placed(ctx, Buy, "vm-c", "")
	err = s.then(err, func() error { return s.until(ctx, id, "held.indeterminate", "completed", "failed") })
	if calledOff {
		err = s.then(err, func() error { return s.calledOff(ctx, id) })
	}
	if err != nil {
		return err
	}
	return s.operated(ctx, id)
}
