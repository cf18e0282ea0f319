package store_test

import (
	"encoding/json"
	"fmt"
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
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
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
		BusinessKey: []byte(`{"kty":"EC"}`), Thumbprint: "t", NextKeyDigest: "n", SealingKey: []byte(`{"kty":"EC","x":"1"}`),
		Proposal: "a.b.c", CreatedAt: start, UpdatedAt: start.Add(time.Second),
	}
}

func fullOrder() order.Order {
	return order.Order{
		Side: order.Retail, ID: "o-1", CorrelationID: "c-1", Partner: "https://s.example", Portal: "shop", Customer: "cust",
		State: order.Acknowledged, Reason: "r", Message: "m", Action: order.Add, Intent: order.Purchase,
		AgreementID: "agr", OfferingID: "vm", Revision: 3, ListingID: "lst-1", Name: "VM", Quantity: 2, SubscriptionID: "sub-c-1",
		WholesaleOneOff: &money.Amount{Minor: 100, Currency: "EUR"}, RetailRecurring: &money.Amount{Minor: -5, Currency: "NOK"},
		Period: "P1M", RequestDigest: []byte{1}, Document: "h.p.s", PayloadDigest: []byte{2}, InputsSalt: []byte{3}, DecisionSeq: 9,
		PlacedAt: start, UpdatedAt: start,
		Events: []order.Event{{At: start, State: order.Acknowledged, Message: "placed", Source: "own ledger 1"}},
	}
}

func fullSubscription() subscription.Subscription {
	return subscription.Subscription{
		ID: "sub-1", Side: subscription.Retail, Partner: "https://s.example", Portal: "shop", Customer: "cust", Pseudonym: "px",
		OrderID: "shop/o-1", AgreementID: "agr", OfferingID: "vm", Revision: 3, ListingID: "lst-1", Name: "VM", Quantity: 1,
		State: subscription.PendingActive, OneOff: &money.Amount{Minor: 1, Currency: "EUR"},
		Recurring: &money.Amount{Minor: 2, Currency: "EUR"}, Period: "P1M", Adapter: "process", Binding: []byte(`{}`),
		AccessDigest: []byte{4}, AccessReady: true, ActiveSince: start, EndedAt: start.Add(time.Hour), CreatedAt: start, UpdatedAt: start,
	}
}

func TestVersionedRecords(t *testing.T) {
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
				func(tx *store.Tx) (agreement.Agreement, error) { return tx.Agreements().Get(a.ID) })
		})
		t.Run("order", func(t *testing.T) {
			versioned(t, s, fullOrder(),
				func(o order.Order) order.Order {
					return must(o.Move(start.Add(time.Second), order.InProgress, "", "accepted", "their ledger 2"))
				},
				func(o *order.Order) *int64 { return &o.Version },
				func(tx *store.Tx, o order.Order) (order.Order, error) { return tx.Orders().Put(o) },
				func(tx *store.Tx) (order.Order, error) { return tx.Orders().Get(order.Retail, "shop/o-1") })
		})
		t.Run("subscription", func(t *testing.T) {
			versioned(t, s, fullSubscription(),
				func(u subscription.Subscription) subscription.Subscription {
					u.State, u.OneOff, u.Binding = subscription.Active, nil, nil
					return u
				},
				func(u *subscription.Subscription) *int64 { return &u.Version },
				func(tx *store.Tx, u subscription.Subscription) (subscription.Subscription, error) {
					return tx.Subscriptions().Put(u)
				},
				func(tx *store.Tx) (subscription.Subscription, error) {
					return tx.Subscriptions().Get(subscription.Retail, "sub-1")
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
				func(tx *store.Tx) (listing.Override, error) { return tx.Listings().Override("lst-1") })
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
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		o := fullOrder()
		o.Quantity, o.Events = 0, nil
		do(t, s, func(tx *store.Tx) error { _, err := tx.Orders().Put(o); return err })
		const callers = 64
		var lost atomic.Int64
		together(callers, func(caller int) {
			for done := false; !done; {
				var read order.Order
				must(0, s.View(t.Context(), func(tx *store.Tx) (err error) {
					read, err = tx.Orders().Get(order.Retail, o.Key())
					return err
				}))
				read.Quantity++
				// Half of them read again in the writing transaction, half write what they read in an earlier one.
				err := s.Do(t.Context(), func(tx *store.Tx) error {
					next := read
					if caller%2 == 0 {
						next = must(tx.Orders().Get(order.Retail, o.Key()))
						next.Quantity++
					}
					_, err := tx.Orders().Put(next)
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
			got := must(tx.Orders().Get(order.Retail, o.Key()))
			if got.Quantity != callers || got.Version != callers+1 {
				t.Fatalf("%d increments gave %d at version %d", callers, got.Quantity, got.Version)
			}
			return nil
		})
		t.Logf("%d lost races, %d retries inside", lost.Load(), s.Stats().Retries)
	})
}

func TestListsAreNewestFirstAndPaged(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		const n = 25
		do(t, s, func(tx *store.Tx) error {
			for i := range n {
				o := fullOrder()
				o.ID, o.CorrelationID = fmt.Sprintf("o-%02d", i), fmt.Sprintf("c-%02d", i)
				o.PlacedAt = start.Add(time.Duration(i/3) * time.Second) // ties
				o.Customer = fmt.Sprint("customer ", i%2)
				if i%5 == 0 {
					o.State = order.Completed
				}
				if i%4 == 0 {
					o.Side = order.Resale
					o.Portal = ""
				}
				must(tx.Orders().Put(o))
				u := fullSubscription()
				u.ID, u.CreatedAt, u.Customer = o.CorrelationID, o.PlacedAt, o.Customer
				must(tx.Subscriptions().Put(u))
			}
			return nil
		})
		lists := map[string]struct {
			want int
			page func(tx *store.Tx, token string) (keys []string, next string, err error)
		}{
			"all orders": {n, orderPage(func(tx *store.Tx, token string) ([]order.Order, string, error) {
				return tx.Orders().List("", false, token, 4)
			})},
			"open orders": {20, orderPage(func(tx *store.Tx, token string) ([]order.Order, string, error) {
				return tx.Orders().List("", true, token, 4)
			})},
			"resale": {7, orderPage(func(tx *store.Tx, token string) ([]order.Order, string, error) {
				return tx.Orders().List(order.Resale, false, token, 4)
			})},
			"resale open": {5, orderPage(func(tx *store.Tx, token string) ([]order.Order, string, error) {
				return tx.Orders().List(order.Resale, true, token, 4)
			})},
			"portal": {18, orderPage(func(tx *store.Tx, token string) ([]order.Order, string, error) {
				return tx.Orders().OfCustomer("shop", "", token, 4)
			})},
			"customer": {12, orderPage(func(tx *store.Tx, token string) ([]order.Order, string, error) {
				return tx.Orders().OfCustomer("shop", "customer 1", token, 4)
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
			_, _, err := tx.Orders().List("", false, "garbage!", 4)
			return err
		})
		wantKind(t, err, fault.Invalid, "page_token")
	})
}

func orderPage(list func(*store.Tx, string) ([]order.Order, string, error)) func(*store.Tx, string) ([]string, string, error) {
	return func(tx *store.Tx, token string) (keys []string, next string, err error) {
		all, next, err := list(tx, token)
		for _, o := range all {
			keys = append(keys, fmt.Sprint(o.PlacedAt.UnixNano(), o.Side, o.Key()))
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
	onEach(t, func(t *testing.T, s *store.Store, woken *topics) {
		retail, resale := fullOrder(), fullOrder()
		resale.Side, resale.ID, resale.Portal, resale.Partner = order.Resale, "c-1", "", "https://r.example"
		resale.State, resale.PlacedAt = order.InProgress, start.Add(-time.Hour)
		done := fullOrder()
		done.ID, done.CorrelationID, done.State, done.PlacedAt = "o-2", "c-2", order.Completed, start.Add(-2*time.Hour)
		do(t, s, func(tx *store.Tx) error {
			must(tx.Orders().Put(retail))
			must(tx.Orders().Put(resale))
			must(tx.Orders().Put(done))
			return nil
		})
		if diff := cmp.Diff([]string{"order/shop/o-1", "order/shop/o-2"}, woken.take()); diff != "" {
			t.Fatal(diff)
		}
		view(t, s, func(tx *store.Tx) error {
			if got := must(tx.Orders().ByCorrelation(order.Resale, "https://r.example", "c-1")); got.ID != "c-1" {
				t.Errorf("resale: %+v", got)
			}
			_, err := tx.Orders().ByCorrelation(order.Resale, "https://other.example", "c-1")
			wantKind(t, err, fault.NotFound, "order_not_found")
			if got := must(tx.Orders().ByCorrelation(order.Retail, "", "c-1")); got.ID != "o-1" {
				t.Errorf("retail: %+v", got)
			}
			if got := must(tx.Orders().Find("c-1")); len(got) != 2 {
				t.Errorf("find: %d orders", len(got))
			}
			counts, oldest, err := tx.Orders().Count()
			if err != nil {
				return err
			}
			wantCounts := map[order.Side]map[order.State]int64{
				order.Retail: {order.Acknowledged: 1, order.Completed: 1}, order.Resale: {order.InProgress: 1},
			}
			if diff := cmp.Diff(wantCounts, counts); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(map[order.Side]time.Time{order.Retail: start, order.Resale: start.Add(-time.Hour)}, oldest); diff != "" {
				t.Error(diff)
			}
			return nil
		})
	})
}

func TestListingRules(t *testing.T) {
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
			if diff := cmp.Diff(listing.Override{ListingID: "lst-none"}, must(tx.Listings().Override("lst-none"))); diff != "" {
				t.Error(diff)
			}
			return nil
		})
	})
}

func TestPortalKeys(t *testing.T) {
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
		do(t, s, func(tx *store.Tx) error { return tx.Portals().Remove("shop") })
		wantKind(t, s.Do(t.Context(), func(tx *store.Tx) error { return tx.Portals().Remove("shop") }), fault.NotFound, "portal_not_found")
		view(t, s, func(tx *store.Tx) error {
			if n := len(must(tx.Portals().List())); n != 1 {
				t.Errorf("%d portals", n)
			}
			return nil
		})
	})
}

func TestAgreementsOfAPair(t *testing.T) {
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

func entryOf(seq int64, prev [32]byte, subject string) ledger.Entry {
	hash := prev
	hash[0], hash[1] = byte(seq), byte(seq>>8)|1
	return ledger.Entry{
		Seq: seq, At: start, Kind: ledger.OrderPlaced, Subject: subject, Body: json.RawMessage(`{"n":1}`), Prev: prev, Hash: hash,
		Bytes: []byte(fmt.Sprintf(`{"seq":%d}`, seq)),
	}
}
