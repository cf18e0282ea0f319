package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/listing"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/money"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/portal"
	"github.com/hanse-market/hanse/sidecar/internal/price"
	"github.com/hanse-market/hanse/sidecar/internal/provision"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

func ptr[T any](v T) *T { return &v }

// versioned runs the rules of every record that changes by compare-and-swap: a full record comes back as it was, an insert
// does not overwrite, a stale writer loses and changes nothing.
func versioned[T any](t *testing.T, s *store.Store, full T, change func(T) T, version func(*T) *int64,
	put func(*store.Tx, T) (T, error), get func(*store.Tx) (T, error),
) {
	t.Helper()
	var first T
	do(t, s, func(tx *store.Tx) (err error) { first, err = put(tx, full); return err })
	*version(&full) = 1
	if diff := cmp.Diff(full, first); diff != "" {
		t.Fatalf("inserted (-want +got):\n%s", diff)
	}
	view(t, s, func(tx *store.Tx) error {
		if diff := cmp.Diff(full, must(get(tx))); diff != "" {
			t.Fatalf("read back (-want +got):\n%s", diff)
		}
		return nil
	})
	again := full
	*version(&again) = 0
	err := s.Do(t.Context(), func(tx *store.Tx) error { _, err := put(tx, again); return err })
	if !fault.Is(err, fault.Conflict) {
		t.Fatalf("second insert: %v", err)
	}
	changed := change(full)
	do(t, s, func(tx *store.Tx) (err error) { changed, err = put(tx, changed); return err })
	if *version(&changed) != 2 {
		t.Fatalf("version %d after an update", *version(&changed))
	}
	err = s.Do(t.Context(), func(tx *store.Tx) error { _, err := put(tx, full); return err })
	if !fault.Is(err, fault.Conflict) {
		t.Fatalf("stale update: %v", err)
	}
	view(t, s, func(tx *store.Tx) error {
		if diff := cmp.Diff(changed, must(get(tx))); diff != "" {
			t.Fatalf("updated (-want +got):\n%s", diff)
		}
		return nil
	})
}

func fullPartner() member.Partner {
	return member.Partner{
		Origin: "https://sidecar.nordkube.example", PartnershipID: "p-1", Name: "NordKube", LegalName: "NordKube AS",
		Country: "NO", RegistrationID: "NO 915 000 000", Contact: "partner@nordkube.example",
		Roles: []member.Role{member.Supplier, member.Reseller}, State: member.Active,
		BusinessKey: []byte(`{"kty":"EC"}`), Thumbprint: "t", NextKeyDigest: "n", Documents: []string{"hanse-order/1"}, SealingKey: []byte(`{"kty":"EC","x":"1"}`),
		Past:     []member.PastKey{{Key: []byte(`{"kty":"EC","x":"0"}`), Thumbprint: "p", From: start, Until: start.Add(time.Minute)}},
		Proposal: "a.b.c", Refusal: "why", RefusedUntil: start.Add(time.Hour), CreatedAt: start, UpdatedAt: start.Add(time.Second),
		Hold: &member.Hold{Since: start, By: "operator", Reason: "they move"},
		Changes: &member.Changes{
			Facts: member.Facts{Name: "Nord", LegalName: "Nord AS", Country: "SE", RegistrationID: "SE 1", Contact: "new@nordkube.example"},
			Roles: []member.Role{member.Supplier, member.Reseller}, Proposal: "d.e.f", Since: start.Add(time.Minute),
		},
	}
}

func fullItem() order.Item {
	return order.Item{
		Action: order.Add, Intent: order.Purchase, AgreementID: "agr", OfferingID: "vm", Revision: 3, Name: "VM", Quantity: 2,
		SubscriptionID: "sub-c-1", Wholesale: price.Line{OneOff: &money.Amount{Minor: 100, Currency: "EUR"}, Period: "P1M"},
		Document: "h.p.s", PayloadDigest: []byte{2}, InputsSalt: []byte{3}, State: order.Acknowledged, Reason: "r", Message: "m",
		Events: []order.Event{{At: start, State: order.Acknowledged, Reason: "r", Message: "placed", Source: "own ledger 1"}},
	}
}

func fullOrder() retail.Order {
	second := retail.Item{Item: fullItem(), CorrelationID: "c-1b", Partner: "https://t.example"}
	second.State, second.Wholesale = order.InProgress, price.Line{}
	second.Abandoned = &retail.Abandoned{At: start}
	return retail.Order{
		Portal: "shop", ID: "o-1", Customer: "cust", RequestDigest: []byte{1}, PlacedAt: start, UpdatedAt: start,
		Items: []retail.Item{
			{
				Item: fullItem(), CorrelationID: "c-1", Partner: "https://s.example", ListingID: "lst-1",
				Retail:    price.Line{Recurring: &money.Amount{Minor: -5, Currency: "NOK"}, Period: "P1M"},
				Abandoned: &retail.Abandoned{At: start, There: order.InProgress, Ending: "c-3"},
			},
			second,
		},
	}
}

// smallOrder is an order of one item.
func smallOrder(id string) retail.Order {
	o := fullOrder()
	o.ID, o.Items = id, o.Items[:1]
	o.Items[0].CorrelationID = "c-" + id
	return o
}

func fullResale() resale.Order {
	return resale.Order{
		Item: fullItem(), Partner: "https://r.example", ID: "c-1", PlacedAt: start, UpdatedAt: start,
	}
}

func fullSubscription() subscription.Subscription {
	return subscription.Subscription{
		ID: "sub-1", Side: subscription.Retail, Partner: "https://s.example", Portal: "shop", Customer: "cust", Pseudonym: "px",
		OrderID: "o-1", AgreementID: "agr", OfferingID: "vm", Revision: 3, ListingID: "lst-1", Name: "VM", Quantity: 1,
		State: subscription.PendingActive, Before: subscription.Suspended,
		Price: price.Line{
			OneOff: &money.Amount{Minor: 1, Currency: "EUR"}, Recurring: &money.Amount{Minor: 2, Currency: "EUR"}, Period: "P1M",
		},
		Adapter: "process", Binding: []byte(`{}`),
		AccessDigest: []byte{4}, AccessOrder: "order-0", AccessReady: true, ActiveSince: start, EndedAt: start.Add(time.Hour), CreatedAt: start, UpdatedAt: start,
	}
}

func fullStep() provision.Step {
	return provision.Step{
		Subscription: subscription.ResaleKey("https://r.example", "sub-c-1"), Name: "main", Generation: 1, Order: "c-1",
		Adapter: "process", Connection: "local", Tag: "h1", Phase: provision.Applied, Refusal: "quota",
		State: []byte{1}, Outputs: map[string]string{"url": "https://x"}, Sensitive: map[string]string{"password": "p"}, UpdatedAt: start,
	}
}

func TestVersionedRecords(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		t.Run("partner", func(t *testing.T) {
			p := fullPartner()
			versioned(t, s, p, func(p member.Partner) member.Partner { p.State, p.Roles = member.Suspended, nil; return p },
				func(p *member.Partner) *int64 { return &p.Version },
				func(tx *store.Tx, p member.Partner) (member.Partner, error) { return tx.Partners().Put(p) },
				func(tx *store.Tx) (member.Partner, error) { return tx.Partners().Get(p.Origin) })
		})
		t.Run("agreement", func(t *testing.T) {
			a := agreement.Agreement{
				ID: "agr", Supplier: "https://s.example", Reseller: "https://r.example", State: agreement.Offered,
				Terms:   agreement.Terms{WholesaleDiscountBP: 2000, Currency: "EUR", Territory: []string{"DE", "NO"}},
				Payload: []byte(`{"a":1}`), Digest: [32]byte{1, 2}, SupplierJWS: "s", ResellerJWS: "r",
				ActiveSince: start, CreatedAt: start, UpdatedAt: start,
			}
			versioned(t, s, a, func(a agreement.Agreement) agreement.Agreement { a.State = agreement.Agreed; return a },
				func(a *agreement.Agreement) *int64 { return &a.Version },
				func(tx *store.Tx, a agreement.Agreement) (agreement.Agreement, error) { return tx.Agreements().Put(a) },
				func(tx *store.Tx) (agreement.Agreement, error) { return tx.Agreements().Get(a.Supplier, a.ID) })
		})
		t.Run("retail order", func(t *testing.T) {
			versioned(t, s, fullOrder(),
				func(o retail.Order) retail.Order {
					o.Items = slices.Clone(o.Items)
					o.Items[0].Item = must(o.Items[0].Move(start.Add(time.Second), order.InProgress, "", "accepted", "their ledger 2"))
					return o
				},
				func(o *retail.Order) *int64 { return &o.Version },
				func(tx *store.Tx, o retail.Order) (retail.Order, error) { return tx.RetailOrders().Put(o) },
				func(tx *store.Tx) (retail.Order, error) { return tx.RetailOrders().Get("shop", "o-1") })
		})
		t.Run("resale order", func(t *testing.T) {
			versioned(t, s, fullResale(),
				func(o resale.Order) resale.Order {
					o.Item = must(o.Move(start.Add(time.Second), order.InProgress, "", "accepted", "own ledger 2"))
					return o
				},
				func(o *resale.Order) *int64 { return &o.Version },
				func(tx *store.Tx, o resale.Order) (resale.Order, error) { return tx.ResaleOrders().Put(o) },
				func(tx *store.Tx) (resale.Order, error) { return tx.ResaleOrders().Get("https://r.example", "c-1") })
		})
		t.Run("step", func(t *testing.T) {
			versioned(t, s, fullStep(),
				func(st provision.Step) provision.Step {
					st.Phase, st.State, st.Outputs, st.Sensitive = provision.Destroyed, nil, nil, nil
					return st
				},
				func(st *provision.Step) *int64 { return &st.Version },
				func(tx *store.Tx, st provision.Step) (provision.Step, error) { return tx.Steps().Put(st) },
				func(tx *store.Tx) (provision.Step, error) {
					all, err := tx.Steps().Of(fullStep().Subscription)
					if len(all) != 1 {
						return provision.Step{}, fault.New(fault.NotFound, "step_not_found", "%d steps", len(all))
					}
					return all[0], err
				})
		})
		t.Run("subscription", func(t *testing.T) {
			versioned(t, s, fullSubscription(),
				func(u subscription.Subscription) subscription.Subscription {
					u.State, u.Price, u.Binding = subscription.Active, price.Line{}, nil
					return u
				},
				func(u *subscription.Subscription) *int64 { return &u.Version },
				func(tx *store.Tx, u subscription.Subscription) (subscription.Subscription, error) {
					return tx.Subscriptions().Put(u)
				},
				func(tx *store.Tx) (subscription.Subscription, error) {
					return tx.Subscriptions().Get(subscription.RetailKey("sub-1"))
				})
		})
		t.Run("listing", func(t *testing.T) {
			o := listing.Override{
				ListingID: "lst-1", Partner: "https://s.example", OfferingID: "vm", Name: ptr("Mine"), Description: ptr(""),
				Hidden: true, MarkupBP: ptr(int32(-50)),
			}
			versioned(t, s, o, func(o listing.Override) listing.Override { o.Name, o.MarkupBP = nil, ptr(int32(0)); return o },
				func(o *listing.Override) *int64 { return &o.Version },
				func(tx *store.Tx, o listing.Override) (listing.Override, error) { return tx.Listings().PutOverride(o) },
				func(tx *store.Tx) (listing.Override, error) {
					of, err := tx.Listings().OverridesOf([]string{"lst-0", "lst-1"})
					return of["lst-1"], err
				})
		})
		t.Run("portal", func(t *testing.T) {
			c := portal.Client{
				Name: "shop", Scopes: []string{portal.ScopeOrdersRead}, KeyHash: []byte{1}, OldKeyHash: []byte{2},
				OldKeyUntil: start, CreatedAt: start, RotatedAt: start,
			}
			versioned(t, s, c,
				func(c portal.Client) portal.Client { c.KeyHash, c.OldKeyHash = []byte{3}, nil; return c },
				func(c *portal.Client) *int64 { return &c.Version },
				func(tx *store.Tx, c portal.Client) (portal.Client, error) { return tx.Portals().Put(c) },
				func(tx *store.Tx) (portal.Client, error) { return tx.Portals().Get("shop") })
		})
	})
}

func TestCallersThatRaceForOneRecordAllCount(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		o := smallOrder("o-1")
		o.Items[0].Quantity, o.Items[0].Events = 0, nil
		do(t, s, func(tx *store.Tx) error { _, err := tx.RetailOrders().Put(o); return err })
		const callers = 64
		var lost atomic.Int64
		together(callers, func(caller int) {
			for done := false; !done; {
				var read retail.Order
				must(0, s.View(t.Context(), func(tx *store.Tx) (err error) {
					read, err = tx.RetailOrders().Get(o.Portal, o.ID)
					return err
				}))
				read.Items[0].Quantity++
				// Half of them read again in the writing transaction, half write what they read in an earlier one.
				err := s.Do(t.Context(), func(tx *store.Tx) error {
					next := read
					if caller%2 == 0 {
						next = must(tx.RetailOrders().Get(o.Portal, o.ID))
						next.Items[0].Quantity++
					}
					_, err := tx.RetailOrders().Put(next)
					return err
				})
				switch {
				case err == nil:
					done = true
				case fault.Is(err, fault.Conflict):
					lost.Add(1)
				default:
					t.Error(err)
					return
				}
			}
		})
		view(t, s, func(tx *store.Tx) error {
			got := must(tx.RetailOrders().Get(o.Portal, o.ID))
			if got.Items[0].Quantity != callers || got.Version != callers+1 {
				t.Fatalf("%d increments gave %d at version %d", callers, got.Items[0].Quantity, got.Version)
			}
			return nil
		})
		t.Logf("%d lost races, %d retries inside", lost.Load(), s.Stats().Retries)
	})
}

func TestListsAreNewestFirstAndPaged(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		const n = 25
		do(t, s, func(tx *store.Tx) error {
			for i := range n {
				o := smallOrder(fmt.Sprintf("o-%02d", i))
				o.PlacedAt = start.Add(time.Duration(i/3) * time.Second) // ties
				o.Customer = fmt.Sprint("customer ", i%2)
				r := fullResale()
				r.ID, r.Partner, r.PlacedAt = o.Items[0].CorrelationID, fmt.Sprint("https://r", i%2, ".example"), o.PlacedAt
				if i%5 == 0 {
					o.Items[0].State, r.State = order.Completed, order.Completed
				}
				must(tx.RetailOrders().Put(o))
				must(tx.ResaleOrders().Put(r))
				u := fullSubscription()
				u.ID, u.CreatedAt, u.Customer = o.Items[0].CorrelationID, o.PlacedAt, o.Customer
				must(tx.Subscriptions().Put(u))
			}
			return nil
		})
		lists := map[string]struct {
			want int
			page func(tx *store.Tx, token string) (keys []string, next string, err error)
		}{
			"retail": {n, placed(func(tx *store.Tx, at order.Place) ([]retail.Order, error) {
				return tx.RetailOrders().List(false, at, 4)
			})},
			"retail open": {20, placed(func(tx *store.Tx, at order.Place) ([]retail.Order, error) { return tx.RetailOrders().List(true, at, 4) })},
			"resale": {n, placed(func(tx *store.Tx, at order.Place) ([]resale.Order, error) {
				return tx.ResaleOrders().List(false, at, 4)
			})},
			"resale open": {20, placed(func(tx *store.Tx, at order.Place) ([]resale.Order, error) { return tx.ResaleOrders().List(true, at, 4) })},
			"portal": {n, orderPage(func(tx *store.Tx, token string) ([]retail.Order, string, error) {
				return tx.RetailOrders().OfCustomer("shop", "", token, 4)
			})},
			"customer": {12, orderPage(func(tx *store.Tx, token string) ([]retail.Order, string, error) {
				return tx.RetailOrders().OfCustomer("shop", "customer 1", token, 4)
			})},
			"another portal": {0, orderPage(func(tx *store.Tx, token string) ([]retail.Order, string, error) {
				return tx.RetailOrders().OfCustomer("other", "", token, 4)
			})},
			"subscriptions": {n, subPage(func(tx *store.Tx, token string) ([]subscription.Subscription, string, error) {
				return tx.Subscriptions().List("", token, 4)
			})},
			"subscriptions of a side": {n, subPage(func(tx *store.Tx, token string) ([]subscription.Subscription, string, error) {
				return tx.Subscriptions().List(subscription.Retail, token, 4)
			})},
			"subscriptions of nobody": {0, subPage(func(tx *store.Tx, token string) ([]subscription.Subscription, string, error) {
				return tx.Subscriptions().OfCustomer("shop", "nobody", token, 4)
			})},
			"subscriptions of a portal": {n, subPage(func(tx *store.Tx, token string) ([]subscription.Subscription, string, error) {
				return tx.Subscriptions().OfCustomer("shop", "", token, 4)
			})},
		}
		for name, list := range lists {
			view(t, s, func(tx *store.Tx) error {
				seen := map[string]bool{}
				last, token := "\xff", ""
				for {
					keys, next, err := list.page(tx, token)
					if err != nil {
						return err
					}
					for _, k := range keys {
						if seen[k] || k > last {
							t.Errorf("%s: %q after %q, seen %v", name, k, last, seen[k])
						}
						seen[k], last = true, k
					}
					if token = next; token == "" {
						break
					}
				}
				if len(seen) != list.want {
					t.Errorf("%s: %d of %d", name, len(seen), list.want)
				}
				return nil
			})
		}
		err := s.View(t.Context(), func(tx *store.Tx) error {
			_, _, err := tx.RetailOrders().OfCustomer("shop", "", "garbage!", 4)
			return err
		})
		wantKind(t, err, fault.Invalid, "page_token")
	})
}

// placed pages by the place of the last order of a page; its token is that place as text.
func placed[T interface{ Place() order.Place }](list func(*store.Tx, order.Place) ([]T, error)) func(*store.Tx, string) ([]string, string, error) {
	return func(tx *store.Tx, token string) (keys []string, next string, err error) {
		var at order.Place
		if token != "" {
			must(0, json.Unmarshal([]byte(token), &at))
		}
		all, err := list(tx, at)
		for _, o := range all {
			at = o.Place()
			keys = append(keys, fmt.Sprint(at.At.UnixNano(), at.Key))
		}
		if len(all) == 0 {
			return nil, "", err
		}
		return keys, string(must(json.Marshal(at))), err
	}
}

func orderPage(list func(*store.Tx, string) ([]retail.Order, string, error)) func(*store.Tx, string) ([]string, string, error) {
	return func(tx *store.Tx, token string) (keys []string, next string, err error) {
		all, next, err := list(tx, token)
		for _, o := range all {
			keys = append(keys, fmt.Sprint(o.PlacedAt.UnixNano(), o.ID))
		}
		return keys, next, err
	}
}

func subPage(list func(*store.Tx, string) ([]subscription.Subscription, string, error)) func(*store.Tx, string) ([]string, string, error) {
	return func(tx *store.Tx, token string) (keys []string, next string, err error) {
		all, next, err := list(tx, token)
		for _, u := range all {
			keys = append(keys, fmt.Sprint(u.CreatedAt.UnixNano(), u.Side, u.ID))
		}
		return keys, next, err
	}
}

func TestOrdersAreFoundAndCounted(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, woken *topics) {
		two, one, theirs := fullOrder(), smallOrder("o-2"), fullResale()
		one.Items[0].State, one.PlacedAt = order.Completed, start.Add(-2*time.Hour)
		theirs.State, theirs.PlacedAt = order.InProgress, start.Add(-time.Hour)
		// Another partner may have chosen the same id.
		others := fullResale()
		others.Partner = "https://q.example"
		do(t, s, func(tx *store.Tx) error {
			must(tx.RetailOrders().Put(two))
			must(tx.RetailOrders().Put(one))
			must(tx.ResaleOrders().Put(theirs))
			must(tx.ResaleOrders().Put(others))
			return nil
		})
		if diff := cmp.Diff([]string{"order/shop/o-1", "order/shop/o-2"}, woken.take()); diff != "" {
			t.Fatal(diff)
		}
		view(t, s, func(tx *store.Tx) error {
			for i, id := range []string{"c-1", "c-1b"} {
				if got, at, err := tx.RetailOrders().ByCorrelation(id); err != nil || got.ID != "o-1" || at != i {
					t.Errorf("%s: item %d of %+v, %v", id, at, got, err)
				}
				if got := must(tx.RetailOrders().Find(id)); len(got) != 1 || got[0].ID != "o-1" {
					t.Errorf("find %s: %+v", id, got)
				}
			}
			if got := must(tx.RetailOrders().Find("o-2")); len(got) != 1 || got[0].ID != "o-2" {
				t.Errorf("find by id: %+v", got)
			}
			_, _, err := tx.RetailOrders().ByCorrelation("c-none")
			wantKind(t, err, fault.NotFound, "order_not_found")
			if got := must(tx.ResaleOrders().Get("https://r.example", "c-1")); got.State != order.InProgress {
				t.Errorf("resale: %+v", got)
			}
			if got := must(tx.ResaleOrders().Find("c-1")); len(got) != 2 {
				t.Errorf("find: %d orders", len(got))
			}
			_, err = tx.ResaleOrders().Get("https://other.example", "c-1")
			wantKind(t, err, fault.NotFound, "order_not_found")
			counts, oldest, err := tx.RetailOrders().CountOpen()
			if diff := cmp.Diff(map[order.State]int64{order.InProgress: 1}, counts); err != nil || diff != "" || !oldest.Equal(start) {
				t.Error(diff, oldest, err)
			}
			if diff := cmp.Diff(map[order.State]int64{order.Completed: 1}, must(tx.RetailOrders().CountEnded())); diff != "" {
				t.Error(diff)
			}
			counts, oldest, err = tx.ResaleOrders().CountOpen()
			if diff := cmp.Diff(map[order.State]int64{order.InProgress: 1, order.Acknowledged: 1}, counts); err != nil || diff != "" || !oldest.Equal(theirs.PlacedAt) {
				t.Error(diff, oldest, err)
			}
			if diff := cmp.Diff(map[order.State]int64{}, must(tx.ResaleOrders().CountEnded())); diff != "" {
				t.Error(diff)
			}
			return nil
		})
	})
}

// TestWhatAScrapeCountsIsCountedAlongAnIndex: neither the records of orders and subscriptions are read, nor what ended where the open
// ones are counted.
func TestWhatAScrapeCountsIsCountedAlongAnIndex(t *testing.T) {
	t.Parallel()
	s := open(t, store.Config{Path: t.TempDir() + "/hanse.db"})
	do(t, s, func(tx *store.Tx) error {
		var steps []string
		tx.Plans(func(_, step string) { steps = append(steps, step) })
		for _, orders := range []interface {
			CountOpen() (map[order.State]int64, time.Time, error)
			CountEnded() (map[order.State]int64, error)
		}{tx.RetailOrders(), tx.ResaleOrders()} {
			_, _, err := orders.CountOpen()
			must(orders.CountEnded())
			must(0, err)
		}
		must(tx.Subscriptions().Count())
		want := []string{
			"SCAN retail_order USING COVERING INDEX retail_order_open", "USE TEMP B-TREE FOR GROUP BY",
			"SCAN retail_order USING COVERING INDEX retail_order_open", "SCAN retail_order USING COVERING INDEX retail_order_ended",
			"SCAN resale_order USING COVERING INDEX resale_order_open", "USE TEMP B-TREE FOR GROUP BY",
			"SCAN resale_order USING COVERING INDEX resale_order_open", "SCAN resale_order USING COVERING INDEX resale_order_ended",
			"SCAN subscription USING COVERING INDEX subscription_state",
		}
		if diff := cmp.Diff(want, steps); diff != "" {
			t.Error(diff)
		}
		return nil
	})
}

func TestListingRules(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, woken *topics) {
		rules := []listing.Rule{{MarkupBP: 1500}, {Category: "database", MarkupBP: 10}, {Partner: "https://s.example", MarkupBP: -5}}
		do(t, s, func(tx *store.Tx) error {
			for _, r := range rules {
				must(0, tx.Listings().PutRule(listing.Rule{Partner: r.Partner, Category: r.Category, MarkupBP: 1}))
				must(0, tx.Listings().PutRule(r))
			}
			return nil
		})
		if diff := cmp.Diff([]string{"listing"}, woken.take()); diff != "" {
			t.Fatal(diff)
		}
		view(t, s, func(tx *store.Tx) error {
			if diff := cmp.Diff(rules, must(tx.Listings().Rules())); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(map[string]listing.Override{}, must(tx.Listings().OverridesOf([]string{"lst-none"}))); diff != "" {
				t.Error(diff)
			}
			return nil
		})
	})
}

func TestPortalKeys(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		do(t, s, func(tx *store.Tx) error {
			must(tx.Portals().Put(portal.Client{Name: "shop", KeyHash: []byte("new"), OldKeyHash: []byte("old")}))
			must(tx.Portals().Put(portal.Client{Name: "plain", KeyHash: []byte("only")}))
			return nil
		})
		view(t, s, func(tx *store.Tx) error {
			for hash, name := range map[string]string{"new": "shop", "old": "shop", "only": "plain"} {
				if got := must(tx.Portals().ByKeyHash([]byte(hash))); got.Name != name {
					t.Errorf("%s opens %q", hash, got.Name)
				}
			}
			for _, none := range [][]byte{nil, {}, []byte("other")} {
				_, err := tx.Portals().ByKeyHash(none)
				wantKind(t, err, fault.NotFound, "portal_not_found")
			}
			return nil
		})
		do(t, s, func(tx *store.Tx) error {
			c := must(tx.Portals().Get("shop"))
			c.KeyHash, c.OldKeyHash, c.RemovedAt = nil, nil, start
			must(tx.Portals().Put(c))
			return nil
		})
		view(t, s, func(tx *store.Tx) error {
			for _, gone := range [][]byte{nil, {}, []byte("new"), []byte("old")} {
				_, err := tx.Portals().ByKeyHash(gone)
				wantKind(t, err, fault.NotFound, "portal_not_found")
			}
			if list := must(tx.Portals().List()); len(list) != 2 || !list[1].RemovedAt.Equal(start) || list[0].Removed() {
				t.Errorf("listed are %+v", list)
			}
			return nil
		})
	})
}

func TestAgreementsOfAPair(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		do(t, s, func(tx *store.Tx) error {
			for i, id := range []string{"first", "second", "third"} {
				must(tx.Agreements().Put(agreement.Agreement{
					ID: id, Supplier: "https://s.example", Reseller: "https://r.example", CreatedAt: start.Add(time.Duration(i) * time.Second),
				}))
			}
			must(tx.Agreements().Put(agreement.Agreement{ID: "reverse", Supplier: "https://r.example", Reseller: "https://s.example"}))
			return nil
		})
		view(t, s, func(tx *store.Tx) error {
			var ids []string
			for _, a := range must(tx.Agreements().Between("https://s.example", "https://r.example")) {
				ids = append(ids, a.ID)
			}
			if diff := cmp.Diff([]string{"third", "second", "first"}, ids); diff != "" {
				t.Error(diff)
			}
			if n := len(must(tx.Agreements().List())); n != 4 {
				t.Errorf("%d agreements", n)
			}
			return nil
		})
	})
}

func TestAPartnerGoesWithWhatItOffered(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		do(t, s, func(tx *store.Tx) error {
			for _, origin := range []string{"https://s.example", "https://r.example"} {
				must(tx.Partners().Put(member.Partner{Origin: origin}))
				must(tx.Agreements().Put(agreement.Agreement{ID: "of " + origin, Supplier: origin, Reseller: "https://us.example"}))
			}
			return tx.Partners().Remove("https://s.example")
		})
		wantKind(t, s.Do(t.Context(), func(tx *store.Tx) error { return tx.Partners().Remove("https://s.example") }), fault.NotFound, "partner_not_found")
		view(t, s, func(tx *store.Tx) error {
			partners, agreements := must(tx.Partners().List()), must(tx.Agreements().List())
			if len(partners) != 1 || partners[0].Origin != "https://r.example" || len(agreements) != 1 || agreements[0].Supplier != "https://r.example" {
				t.Errorf("left are %v and %v", partners, agreements)
			}
			return nil
		})
	})
}

func entryOf(at ledger.Position, prev [32]byte, subject string) ledger.Entry {
	hash := prev
	hash[0], hash[1] = byte(at.Seq), byte(at.Seq>>8)|1
	return ledger.Entry{
		Life: at.Life, Seq: at.Seq, At: start, Kind: ledger.OrderPlaced, Subject: subject, Body: json.RawMessage(`{"n":1}`), Prev: prev, Hash: hash,
		Bytes: []byte(fmt.Sprintf(`{"at":"x","body":{"n":1},"hash":"x","seq":%d}`, at.Seq)),
	}
}

// TestAnOrdersItemsGoIntoAnother, which has another name and is found by the same items.
func TestAnOrdersItemsGoIntoAnother(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		one := smallOrder("o-2")
		do(t, s, func(tx *store.Tx) error {
			one = must(tx.RetailOrders().Put(one))
			return nil
		})
		stale := one
		stale.Version++
		err := s.Do(t.Context(), func(tx *store.Tx) error { return tx.RetailOrders().Take(stale) })
		if !errors.Is(err, unit.ErrStale) {
			t.Errorf("one that has changed: %v", err)
		}
		named := one
		named.ID, named.Version = "o-3", 0
		do(t, s, func(tx *store.Tx) error {
			if err := tx.RetailOrders().Take(one); err != nil {
				return err
			}
			must(tx.RetailOrders().Put(named))
			return nil
		})
		view(t, s, func(tx *store.Tx) error {
			_, err := tx.RetailOrders().Get(one.Portal, "o-2")
			wantKind(t, err, fault.NotFound, "order_not_found")
			got, i, err := tx.RetailOrders().ByCorrelation(one.Items[0].CorrelationID)
			if err != nil || got.ID != "o-3" || i != 0 {
				t.Errorf("its item is in %+v, %v", got, err)
			}
			return nil
		})
	})
}

// TestOpenOrdersThatWerePlacedBeforeAreListedOldestFirst from a place on; what has ended is not among them.
func TestOpenOrdersThatWerePlacedBeforeAreListedOldestFirst(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		do(t, s, func(tx *store.Tx) error {
			for i := range 12 {
				o := smallOrder(fmt.Sprintf("o-%02d", i))
				o.PlacedAt = start.Add(time.Duration(i/2) * time.Second) // ties
				if i%4 == 0 {
					o.Items[0].State = order.Completed
				}
				must(tx.RetailOrders().Put(o))
			}
			return nil
		})
		view(t, s, func(tx *store.Tx) error {
			var ids []string
			for after := (order.Place{}); ; {
				page := must(tx.RetailOrders().PlacedBefore(start.Add(4*time.Second), after, 2))
				for _, o := range page {
					ids, after = append(ids, o.ID), o.Place()
				}
				if len(page) < 2 {
					break
				}
			}
			if want := []string{"o-01", "o-02", "o-03", "o-05", "o-06", "o-07"}; !slices.Equal(ids, want) {
				t.Errorf("listed are %v, want %v", ids, want)
			}
			return nil
		})
	})
}

// TestASubscriptionRunsWithThePartnerThatItHasNow: one that was signed again after a loss may be another partner's than was noted first.
func TestASubscriptionRunsWithThePartnerThatItHasNow(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		sub := subscription.Subscription{ID: "sub-1", Side: subscription.Retail, Partner: "https://p.example", State: subscription.Active, CreatedAt: start}
		do(t, s, func(tx *store.Tx) (err error) { sub, err = tx.Subscriptions().Put(sub); return err })
		sub.Partner = "https://q.example"
		do(t, s, func(tx *store.Tx) (err error) { sub, err = tx.Subscriptions().Put(sub); return err })
		for partner, want := range map[string]int{"https://p.example": 0, "https://q.example": 1} {
			view(t, s, func(tx *store.Tx) error {
				list, err := tx.Subscriptions().Running(partner, "", "", 9)
				if len(list) != want {
					t.Errorf("with %s run %d, want %d", partner, len(list), want)
				}
				return err
			})
		}
	})
}
