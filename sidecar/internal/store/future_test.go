package store_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/listing"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/money"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/portal"
	"github.com/hanse-market/hanse/sidecar/internal/price"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/store/storepb"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// writtenOnce are the records that are never written again, so that there is nothing to lose. What else record.proto has
// must stand in rewritten.
var writtenOnce = []proto.Message{&storepb.LedgerEntry{}, &storepb.StepSecret{}}

// rewritten is a record that version N writes over what version N+1 wrote.
type rewritten struct {
	table, where string
	record       proto.Message
	// put inserts the record with every message in it set; change writes it again, and changed reports whether that shows.
	put, change func(tx *store.Tx) error
	changed     func(tx *store.Tx) bool
}

func rewrittenRecords() map[string]rewritten {
	eur := func(minor int64) *money.Amount { return &money.Amount{Minor: minor, Currency: "EUR"} }
	p := fullPartner()
	a := agreement.Agreement{ID: "agr", Terms: agreement.Terms{WholesaleDiscountBP: 2000, Currency: "EUR"}}
	o := fullOrder()
	for i := range o.Items {
		o.Items[i].Wholesale, o.Items[i].Retail = price.Line{OneOff: eur(1), Recurring: eur(2)}, price.Line{OneOff: eur(3), Recurring: eur(4)}
	}
	r := fullResale()
	r.Wholesale = o.Items[0].Wholesale
	st := fullStep()
	u := fullSubscription()
	l := listing.Override{ListingID: "lst-1", Partner: them, OfferingID: "vm"}
	c := portal.Client{Name: "shop", KeyHash: []byte{1}}
	b := ledger.Books{Partner: them, State: ledger.Forked, Epoch: 1, Since: start, Reason: "ledger_fork", Shown: "a.b.c"}
	return map[string]rewritten{
		"books": {
			`books`, `partner = '` + them + `'`, &storepb.Books{},
			func(tx *store.Tx) (err error) { b, err = tx.Ledger().PutBooks(b); return err },
			func(tx *store.Tx) error {
				b.State, b.Shown = ledger.Level, ""
				_, err := tx.Ledger().PutBooks(b)
				return err
			},
			func(tx *store.Tx) bool { return must(tx.Ledger().Books(them)).State == ledger.Level },
		},
		"partner": {
			`partner`, `origin = '` + p.Origin + `'`, &storepb.Partner{},
			func(tx *store.Tx) (err error) { p, err = tx.Partners().Put(p); return err },
			func(tx *store.Tx) error {
				p.State, p.Roles = member.Suspended, nil
				_, err := tx.Partners().Put(p)
				return err
			},
			func(tx *store.Tx) bool { return must(tx.Partners().Get(p.Origin)).State == member.Suspended },
		},
		"agreement": {
			`agreement`, `id = 'agr'`, &storepb.Agreement{},
			func(tx *store.Tx) (err error) { a, err = tx.Agreements().Put(a); return err },
			func(tx *store.Tx) error {
				a.Terms.WholesaleDiscountBP = 5
				_, err := tx.Agreements().Put(a)
				return err
			},
			func(tx *store.Tx) bool {
				return must(tx.Agreements().Get(a.Supplier, "agr")).Terms.WholesaleDiscountBP == 5
			},
		},
		// The record of a revision stays as it is; what makes way for the next one stands beside it.
		"offering": {
			`offering`, `id = 'vm' AND revision = 1`, &storepb.Offering{},
			func(tx *store.Tx) error { return tx.Catalog().PutRevision(offering("vm", 1)) },
			func(tx *store.Tx) error { return tx.Catalog().PutRevision(offering("vm", 2)) },
			func(tx *store.Tx) bool { return !must(tx.Catalog().Revision("vm", 1)).SupersededAt.IsZero() },
		},
		"foreign offering": {
			`foreign_offering`, `id = 'vm'`, &storepb.ForeignOffering{},
			func(tx *store.Tx) error { _, err := tx.Catalog().PutForeign(foreign("vm", 1, 1)); return err },
			func(tx *store.Tx) error {
				must(tx.Catalog().PutForeign(foreign("vm", 2, 1)))
				_, err := tx.Catalog().SweepForeign(them, 2, []string{"vm"}, start)
				return err
			},
			func(tx *store.Tx) bool {
				f := must(tx.Catalog().Foreign(them, "vm"))
				return f.Revision == 2 && f.Digest == [32]byte{2} && f.Tombstone
			},
		},
		"listing override": {
			`listing_override`, `listing_id = 'lst-1'`, &storepb.ListingOverride{},
			func(tx *store.Tx) (err error) { l, err = tx.Listings().PutOverride(l); return err },
			func(tx *store.Tx) error { l.Hidden = true; _, err := tx.Listings().PutOverride(l); return err },
			func(tx *store.Tx) bool { return must(tx.Listings().OverridesOf([]string{"lst-1"}))["lst-1"].Hidden },
		},
		"listing rule": {
			`listing_rule`, `partner = '' AND category = 'database'`, &storepb.ListingRule{},
			func(tx *store.Tx) error {
				return tx.Listings().PutRule(listing.Rule{Category: "database", MarkupBP: 1})
			},
			func(tx *store.Tx) error {
				return tx.Listings().PutRule(listing.Rule{Category: "database", MarkupBP: 2})
			},
			func(tx *store.Tx) bool { return must(tx.Listings().Rules())[0].MarkupBP == 2 },
		},
		"retail order": {
			`retail_order`, `id = 'o-1'`, &storepb.RetailOrder{},
			func(tx *store.Tx) (err error) { o, err = tx.RetailOrders().Put(o); return err },
			func(tx *store.Tx) error {
				o.Items[0].Item = must(o.Items[0].Move(start.Add(time.Second), order.InProgress, "", "accepted", "their ledger 2"))
				o.Items[0].Retail.OneOff = eur(5)
				_, err := tx.RetailOrders().Put(o)
				return err
			},
			func(tx *store.Tx) bool {
				got := must(tx.RetailOrders().Get("shop", "o-1")).Items[0]
				return got.State == order.InProgress && got.Retail.OneOff.Minor == 5 && len(got.Events) == 2
			},
		},
		"resale order": {
			`resale_order`, `id = 'c-1'`, &storepb.ResaleOrder{},
			func(tx *store.Tx) (err error) { r, err = tx.ResaleOrders().Put(r); return err },
			func(tx *store.Tx) error {
				r.Item = must(r.Move(start.Add(time.Second), order.InProgress, "", "accepted", "own ledger 2"))
				_, err := tx.ResaleOrders().Put(r)
				return err
			},
			func(tx *store.Tx) bool {
				return must(tx.ResaleOrders().Get("https://r.example", "c-1")).State == order.InProgress
			},
		},
		"step": {
			`provision_step`, `name = 'main'`, &storepb.Step{},
			func(tx *store.Tx) (err error) { st, err = tx.Steps().Put(st); return err },
			func(tx *store.Tx) error { st.Refusal = "permanent"; _, err := tx.Steps().Put(st); return err },
			func(tx *store.Tx) bool { return must(tx.Steps().Of(st.Subscription))[0].Refusal == "permanent" },
		},
		"subscription": {
			`subscription`, `id = 'sub-1'`, &storepb.Subscription{},
			func(tx *store.Tx) (err error) { u, err = tx.Subscriptions().Put(u); return err },
			func(tx *store.Tx) error {
				u.State = subscription.Active
				_, err := tx.Subscriptions().Put(u)
				return err
			},
			func(tx *store.Tx) bool {
				return must(tx.Subscriptions().Get(subscription.RetailKey("sub-1"))).State == subscription.Active
			},
		},
		"portal client": {
			`portal_client`, `name = 'shop'`, &storepb.PortalClient{},
			func(tx *store.Tx) (err error) { c, err = tx.Portals().Put(c); return err },
			func(tx *store.Tx) error {
				c.Scopes = []string{portal.ScopeOrdersRead}
				_, err := tx.Portals().Put(c)
				return err
			},
			func(tx *store.Tx) bool { return len(must(tx.Portals().Get("shop")).Scopes) == 1 },
		},
	}
}

// unknown is a field as version N+1 of us may add it, in every message.
var unknown = protowire.AppendString(protowire.AppendTag(nil, 1900, protowire.BytesType), "from the future")

func TestFieldsOfANewerVersionSurviveAnUpdate(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		for name, r := range rewrittenRecords() {
			t.Run(name, func(t *testing.T) {
				do(t, s, r.put)
				var newer []string
				do(t, s, func(tx *store.Tx) error {
					newer = newer[:0]
					rec := r.read(tx)
					for path, m := range messagesIn(t, rec.ProtoReflect(), name) {
						m.SetUnknown(unknown)
						newer = append(newer, path)
					}
					return tx.SetRecord(r.table, r.where, must(proto.Marshal(rec)))
				})
				do(t, s, r.change)
				view(t, s, func(tx *store.Tx) error {
					if !r.changed(tx) {
						t.Error("the update itself is lost")
					}
					now := messagesIn(t, r.read(tx).ProtoReflect(), name)
					for _, path := range newer {
						if m := now[path]; m == nil || !bytes.Equal(m.GetUnknown(), unknown) {
							t.Errorf("%s lost the field of the newer version", path)
						}
					}
					return nil
				})
			})
		}
	})
}

func (r rewritten) read(tx *store.Tx) proto.Message {
	rec := r.record.ProtoReflect().New().Interface()
	must(0, proto.Unmarshal(must(tx.Record(r.table, r.where)), rec))
	return rec
}

// messagesIn are a message and all below it, by path. Each field of a message's type must be set: otherwise nobody knows
// whether an update keeps what is in it.
func messagesIn(t *testing.T, m protoreflect.Message, path string) map[string]protoreflect.Message {
	t.Helper()
	all := map[string]protoreflect.Message{path: m}
	below := func(m protoreflect.Message, path string) {
		for p, sub := range messagesIn(t, m, path) {
			all[p] = sub
		}
	}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		sub := path + "." + string(fd.Name())
		switch {
		case fd.IsMap():
			t.Fatalf("%s is a map, which this test does not walk", sub)
		case fd.Message() == nil:
		case !m.Has(fd):
			t.Errorf("%s is not set", sub)
		case fd.IsList():
			for j := range m.Get(fd).List().Len() {
				below(m.Get(fd).List().Get(j).Message(), fmt.Sprintf("%s[%d]", sub, j))
			}
		default:
			below(m.Get(fd).Message(), sub)
		}
	}
	return all
}

func TestEveryRecordIsKnownToSurviveAnUpdate(t *testing.T) {
	t.Parallel()
	listed := map[protoreflect.FullName]bool{}
	var list func(d protoreflect.MessageDescriptor)
	list = func(d protoreflect.MessageDescriptor) {
		if listed[d.FullName()] {
			return
		}
		listed[d.FullName()] = true
		for i := range d.Fields().Len() {
			if below := d.Fields().Get(i).Message(); below != nil {
				list(below)
			}
		}
	}
	for _, r := range rewrittenRecords() {
		list(r.record.ProtoReflect().Descriptor())
	}
	for _, m := range writtenOnce {
		if name := m.ProtoReflect().Descriptor().FullName(); listed[name] {
			t.Errorf("%s is said to be written once and written again", name)
		}
		list(m.ProtoReflect().Descriptor())
	}
	messages := storepb.File_hanse_store_v1_record_proto.Messages()
	for i := range messages.Len() {
		if name := messages.Get(i).FullName(); !listed[name] {
			t.Errorf("nobody tried whether an update of %s keeps the fields of a newer version: add it to rewrittenRecords", name)
		}
	}
}
