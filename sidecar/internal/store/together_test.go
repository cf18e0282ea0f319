package store_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

func newThing(id string) subscription.Subscription {
	return subscription.Subscription{ID: id, Side: subscription.Retail, Portal: "shop", Customer: "c", State: subscription.Active, CreatedAt: start}
}

// things are those of the subscriptions that there are.
func things(tx *store.Tx) (ids []string) {
	all, _, err := tx.Subscriptions().List(subscription.Retail, "", 1000)
	if err != nil {
		panic(err)
	}
	for _, s := range all {
		ids = append(ids, s.ID)
	}
	return ids
}

func TestTogether(t *testing.T) {
	t.Parallel()
	put := func(tx *store.Tx, id string) error {
		_, err := tx.Subscriptions().Put(newThing(id))
		return err
	}
	failed := errors.New("failed")
	for name, c := range map[string]struct {
		run func(tx *store.Tx) error
		// want is the error; stale is a conflict.
		want, stale bool
		// left is how many subscriptions there are then, beside the one that was there.
		left int
	}{
		"few": {run: func(tx *store.Tx) error {
			return tx.Together(func() error { return errors.Join(put(tx, "a"), put(tx, "b")) })
		}, left: 2},
		"many": {run: func(tx *store.Tx) error {
			return tx.Together(func() error {
				for i := range 150 {
					if err := put(tx, fmt.Sprint("many-", i)); err != nil {
						return err
					}
				}
				return nil
			})
		}, left: 150},
		"one that is there": {run: func(tx *store.Tx) error {
			return tx.Together(func() error { return errors.Join(put(tx, "a"), put(tx, "there")) })
		}, want: true, stale: true},
		"one twice": {run: func(tx *store.Tx) error {
			return tx.Together(func() error { return errors.Join(put(tx, "a"), put(tx, "a")) })
		}, want: true, stale: true},
		"what was inserted is read": {run: func(tx *store.Tx) error {
			return tx.Together(func() error {
				if err := put(tx, "a"); err != nil {
					return err
				}
				if ids := things(tx); len(ids) != 2 {
					return fmt.Errorf("read %v", ids)
				}
				return put(tx, "b")
			})
		}, left: 2},
		"what was inserted is changed": {run: func(tx *store.Tx) error {
			return tx.Together(func() error {
				s, err := tx.Subscriptions().Put(newThing("a"))
				if err != nil {
					return err
				}
				s.State = subscription.Terminated
				_, err = tx.Subscriptions().Put(s)
				return err
			})
		}, left: 1},
		"a conflict that nobody hears of": {run: func(tx *store.Tx) error {
			return tx.Together(func() error {
				if err := put(tx, "there"); err != nil {
					return err
				}
				_, _ = tx.Partners().Get("https://absent.example") // it is written before that is asked
				return put(tx, "b")
			})
		}, want: true, stale: true},
		"fn fails": {run: func(tx *store.Tx) error {
			return tx.Together(func() error { return errors.Join(put(tx, "a"), failed) })
		}, want: true},
		"a part that is undone": {run: func(tx *store.Tx) error {
			return tx.Together(func() error {
				if err := put(tx, "a"); err != nil {
					return err
				}
				if err := tx.Savepoint(func() error { return errors.Join(put(tx, "b"), failed) }); !errors.Is(err, failed) {
					return fmt.Errorf("the part said %w", err)
				}
				return put(tx, "c")
			})
		}, left: 2},
		"a part with a conflict": {run: func(tx *store.Tx) error {
			return tx.Together(func() error {
				if err := tx.Savepoint(func() error { return put(tx, "there") }); !errors.Is(err, unit.ErrStale) {
					return fmt.Errorf("the part said %w", err)
				}
				return put(tx, "c")
			})
		}, left: 1},
		"one in another": {run: func(tx *store.Tx) error {
			return tx.Together(func() error {
				if err := tx.Together(func() error { return put(tx, "a") }); err != nil {
					return err
				}
				return put(tx, "b")
			})
		}, left: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
				do(t, s, func(tx *store.Tx) error { return put(tx, "there") })
				err := s.Do(t.Context(), c.run)
				if (err != nil) != c.want || errors.Is(err, unit.ErrStale) != c.stale {
					t.Errorf("error is %v", err)
				}
				view(t, s, func(tx *store.Tx) error {
					if ids := things(tx); len(ids) != c.left+1 {
						t.Errorf("left %v", ids)
					}
					return nil
				})
			})
		})
	}
}

// TestARowIsReadOnce: what a transaction knows of a row is what it would read.
func TestARowIsReadOnce(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		partner := member.Partner{Origin: them, State: member.Qualified, PartnershipID: "p"}
		do(t, s, func(tx *store.Tx) error {
			if _, err := tx.Partners().Get(them); !fault.Is(err, fault.NotFound) {
				t.Errorf("before: %v", err)
			}
			put, err := tx.Partners().Put(partner)
			if err != nil {
				return err
			}
			if got, err := tx.Partners().Get(them); err != nil || got.Version != put.Version {
				t.Errorf("what was absent is not there: %+v, %v", got, err)
			}
			undone := tx.Savepoint(func() error {
				put.LegalName = "Other"
				if _, err := tx.Partners().Put(put); err != nil {
					return err
				}
				return errors.New("undone")
			})
			if got, err := tx.Partners().Get(them); err != nil || got.LegalName != "" || undone.Error() != "undone" {
				t.Errorf("what was undone is known: %+v, %v", got, err)
			}
			if err := tx.Partners().Remove(them); err != nil {
				return err
			}
			if got, err := tx.Partners().Get(them); !fault.Is(err, fault.NotFound) {
				t.Errorf("what was removed is known: %+v, %v", got, err)
			}
			return nil
		})
	})
}

func TestOrdersThatThereAreAreFoundTogether(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		var keys []retail.Key
		do(t, s, func(tx *store.Tx) error {
			for i := range 130 {
				k := retail.Key{Portal: []string{"shop", "other"}[i%2], ID: fmt.Sprint("order-", i)}
				keys = append(keys, k)
				if i%3 == 0 {
					must(tx.RetailOrders().Put(retail.Order{Portal: k.Portal, ID: k.ID, PlacedAt: start}))
				}
			}
			return nil
		})
		view(t, s, func(tx *store.Tx) error {
			for _, n := range []int{0, 1, 64, 65, 130} {
				there := must(tx.RetailOrders().There(keys[:n]))
				for i, k := range keys[:n] {
					if there[k] != (i%3 == 0) {
						t.Errorf("of %d, %v is there: %v", n, k, there[k])
					}
				}
			}
			if there := must(tx.RetailOrders().There([]retail.Key{{Portal: "other", ID: "order-0"}})); len(there) != 0 {
				t.Errorf("another portal's is found: %v", there)
			}
			return nil
		})
	})
}

// TestTheFirstSecretComesWithItsSubscription: its key is made without a look, once.
func TestTheFirstSecretComesWithItsSubscription(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		thing := newThing("sub-1")
		k := thing.Key()
		do(t, s, func(tx *store.Tx) error {
			return tx.Together(func() error {
				must(tx.Subscriptions().Put(thing))
				for name, value := range map[string]string{"a": "1", "b": "2"} {
					if err := tx.Subscriptions().PutSecret(k, name, []byte(value)); err != nil {
						return err
					}
				}
				return tx.Subscriptions().PutSecret(k, "a", []byte("3"))
			})
		})
		read := func(name string) string {
			var value []byte
			view(t, s, func(tx *store.Tx) (err error) { value, err = tx.Subscriptions().Secret(k, name); return err })
			return string(value)
		}
		if a, b := read("a"), read("b"); a != "3" || b != "2" {
			t.Errorf("read %s and %s", a, b)
		}
		do(t, s, func(tx *store.Tx) error { return tx.Subscriptions().Erase(k) })
		err := s.Do(t.Context(), func(tx *store.Tx) error { return tx.Subscriptions().PutSecret(k, "a", []byte("4")) })
		if fault.ReasonOf(err) != "subscription_erased" {
			t.Errorf("after the erasure: %v", err)
		}
		err = s.Do(t.Context(), func(tx *store.Tx) error {
			return tx.Together(func() error {
				again := newThing("sub-2")
				if err := tx.Subscriptions().Erase(again.Key()); err != nil {
					return err
				}
				must(tx.Subscriptions().Put(again))
				return tx.Subscriptions().PutSecret(again.Key(), "a", []byte("5"))
			})
		})
		if fault.ReasonOf(err) != "subscription_erased" {
			t.Errorf("with a key that was destroyed before: %v", err)
		}
	})
}
