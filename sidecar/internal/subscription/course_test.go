package subscription_test

import (
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

var noon = markettest.Noon()

func course(t *testing.T, i order.Intent) subscription.Course {
	t.Helper()
	for _, action := range []order.Action{order.Add, order.Modify, order.Delete} {
		if row, taken := order.RowOf(action, i); taken {
			return row.Course
		}
	}
	t.Fatalf("there is no intent %s", i)
	return subscription.Course{}
}

// step is one verb on the subscription of a story.
type step struct {
	verb   string
	intent order.Intent
	// want is the state afterwards; refused the reason where the verb refuses and nothing changes.
	want    subscription.State
	refused string
}

func TestASubscriptionMovesAlongTheCoursesOfItsOrdersOnly(t *testing.T) {
	t.Parallel()
	begin := func(i order.Intent, want subscription.State) step { return step{"begin", i, want, ""} }
	finish := func(i order.Intent, want subscription.State) step { return step{"finish", i, want, ""} }
	undo := func(i order.Intent, want subscription.State) step { return step{"undo", i, want, ""} }
	refused := func(verb string, i order.Intent, want subscription.State) step {
		return step{verb, i, want, "subscription_state"}
	}
	bought := []step{begin(order.Purchase, subscription.PendingActive), finish(order.Purchase, subscription.Active)}
	cases := map[string][]step{
		"bought, and told twice":     append(bought, finish(order.Purchase, subscription.Active)),
		"never made, and told twice": {begin(order.Purchase, subscription.PendingActive), undo(order.Purchase, subscription.Aborted), undo(order.Purchase, subscription.Aborted)},
		"made after it was given up": {
			begin(order.Purchase, subscription.PendingActive), undo(order.Purchase, subscription.Aborted), refused("finish", order.Purchase, subscription.Aborted),
		},
		"given up after it was made":     append(bought, undo(order.Purchase, subscription.Active)),
		"ended":                          append(bought, begin(order.Terminate, subscription.PendingTerminate), finish(order.Terminate, subscription.Terminated)),
		"an end that comes to nothing":   append(bought, begin(order.Terminate, subscription.PendingTerminate), undo(order.Terminate, subscription.Active)),
		"ended before it runs":           {begin(order.Purchase, subscription.PendingActive), refused("begin", order.Terminate, subscription.PendingActive)},
		"ended while it ends":            append(bought, begin(order.Terminate, subscription.PendingTerminate), refused("begin", order.Terminate, subscription.PendingTerminate)),
		"an end without its beginning":   append(bought, step{"finish", order.Terminate, subscription.Terminated, ""}),
		"bought again after it ended":    append(bought, begin(order.Terminate, subscription.PendingTerminate), finish(order.Terminate, subscription.Terminated), refused("begin", order.Purchase, subscription.Terminated)),
		"revived by a late completion":   append(bought, begin(order.Terminate, subscription.PendingTerminate), finish(order.Terminate, subscription.Terminated), refused("finish", order.Purchase, subscription.Terminated)),
		"changed":                        append(bought, begin(order.Rotate, subscription.ActivePendingChange), finish(order.Rotate, subscription.Active)),
		"a change that comes to nothing": append(bought, begin(order.Rotate, subscription.ActivePendingChange), undo(order.Rotate, subscription.Active)),
		"ended while it changes":         append(bought, begin(order.Rotate, subscription.ActivePendingChange), refused("begin", order.Terminate, subscription.ActivePendingChange)),
		"bought anew while it changes":   append(bought, begin(order.Rotate, subscription.ActivePendingChange), refused("finish", order.Purchase, subscription.ActivePendingChange)),
		"a late failure of the purchase": append(bought, begin(order.Terminate, subscription.PendingTerminate), undo(order.Purchase, subscription.PendingTerminate)),
	}
	for name, story := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := markettest.NewMember(t, "https://seller.example").Store
			key := subscription.ResaleKey("https://buyer.example", "sub-1")
			for i, s := range story {
				err := st.Do(t.Context(), func(tx *store.Tx) (err error) {
					switch s.verb {
					case "begin":
						sub, err := tx.Subscriptions().Get(key)
						if fault.Is(err, fault.NotFound) {
							sub = subscription.Subscription{ID: key.ID, Side: key.Side, Partner: key.Partner}
						} else if err != nil {
							return err
						}
						if _, err := subscription.Begin(tx, sub, course(t, s.intent), noon); err != nil || sub.Version != 0 {
							return err
						}
						return tx.Subscriptions().PutSecret(key, subscription.SecretInputs, []byte("Ada"))
					case "finish":
						_, err = subscription.Finish(tx, key, course(t, s.intent), subscription.Result{Adapter: "x", AccessDigest: []byte("d")}, noon)
					case "undo":
						_, err = subscription.Undo(tx, key, course(t, s.intent), noon)
					}
					return err
				})
				if fault.ReasonOf(err) != s.refused {
					t.Fatalf("step %d, %s of %s: %v, want reason %q", i, s.verb, s.intent, err, s.refused)
				}
				wantRecord(t, st, key, s.want)
			}
		})
	}
}

// wantRecord checks the state and what hangs on it: an ended subscription keeps no secret, one between states knows where it came from.
func wantRecord(t *testing.T, st *store.Store, key subscription.Key, want subscription.State) {
	t.Helper()
	err := st.View(t.Context(), func(tx *store.Tx) error {
		sub, err := tx.Subscriptions().Get(key)
		if err != nil {
			return err
		}
		ended := want == subscription.Aborted || want == subscription.Terminated
		_, err = tx.Subscriptions().Secret(key, subscription.SecretInputs)
		switch {
		case sub.State != want:
			t.Fatalf("the subscription is %s, want %s", sub.State, want)
		case ended != !sub.EndedAt.IsZero() || ended != fault.Is(err, fault.NotFound):
			t.Fatalf("%s: ended at %v, secret %v", want, sub.EndedAt, err)
		case want == subscription.Active && (sub.ActiveSince.IsZero() || sub.Adapter != "x" || string(sub.AccessDigest) != "d"):
			t.Fatalf("active without its result: %+v", sub)
		case (want == subscription.PendingTerminate || want == subscription.ActivePendingChange) != (sub.Before == subscription.Active):
			t.Fatalf("%s: before %q", want, sub.Before)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPartnersMayChooseTheSameId(t *testing.T) {
	t.Parallel()
	st := markettest.NewMember(t, "https://seller.example").Store
	keys := []subscription.Key{
		subscription.RetailKey("sub-1"), subscription.ResaleKey("https://a.example", "sub-1"), subscription.ResaleKey("https://b.example", "sub-1"),
	}
	for i, k := range keys {
		err := st.Do(t.Context(), func(tx *store.Tx) error {
			_, err := subscription.Begin(tx, subscription.Subscription{ID: k.ID, Side: k.Side, Partner: k.Partner, Quantity: int64(i + 1)}, course(t, order.Purchase), noon)
			if err != nil {
				return err
			}
			return tx.Subscriptions().PutSecret(k, subscription.SecretInputs, []byte{byte(i)})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	err := st.Do(t.Context(), func(tx *store.Tx) error { return tx.Subscriptions().Erase(keys[1]) })
	if err != nil {
		t.Fatal(err)
	}
	for i, k := range keys {
		err := st.View(t.Context(), func(tx *store.Tx) error {
			sub, err := tx.Subscriptions().Get(k)
			if err != nil || sub.Quantity != int64(i+1) {
				t.Errorf("%v: %+v, %v", k, sub, err)
			}
			secret, err := tx.Subscriptions().Secret(k, subscription.SecretInputs)
			if i == 1 != fault.Is(err, fault.NotFound) || i != 1 && (len(secret) != 1 || int(secret[0]) != i) {
				t.Errorf("%v: secret %v, %v", k, secret, err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestAnOrderThatEndsLateBringsItsAccessData: the course has ended so already, with another's.
func TestAnOrderThatEndsLateBringsItsAccessData(t *testing.T) {
	t.Parallel()
	m := markettest.NewMember(t, "https://reseller.localhost:1")
	rotation := subscription.Course{From: []subscription.State{subscription.Active}, While: subscription.ActivePendingChange, Done: subscription.Active}
	key := subscription.RetailKey("sub-1")
	m.Do(func(tx *store.Tx) error {
		_, err := tx.Subscriptions().Put(subscription.Subscription{
			ID: "sub-1", Side: subscription.Retail, Partner: "p", State: subscription.Active, AccessDigest: []byte("a"), AccessOrder: "one", AccessReady: true,
		})
		return err
	})
	for _, c := range []struct {
		brings subscription.Result
		want   string
		ready  bool
	}{
		{subscription.Result{}, "a", true},
		{subscription.Result{AccessDigest: []byte("other"), Order: "one"}, "a", true},
		{subscription.Result{AccessDigest: []byte("b"), Order: "two"}, "b", false},
	} {
		m.Do(func(tx *store.Tx) error {
			got, err := subscription.Finish(tx, key, rotation, c.brings, m.Clock.Now())
			if string(got.AccessDigest) != c.want || got.AccessReady != c.ready || got.State != subscription.Active {
				t.Errorf("%+v leaves %q, ready %t", c.brings, got.AccessDigest, got.AccessReady)
			}
			return err
		})
	}
}
