package sidecar_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// placesAnew has a reseller place an order once more, as another document or the same.
func (c copied) placesAnew(correlation string, another bool) {
	c.do(func(tx *store.Tx, book *ledger.Book) error {
		o, i, err := tx.RetailOrders().ByCorrelation(correlation)
		if err != nil {
			return err
		}
		o.Items = slices.Clone(o.Items)
		it := &o.Items[i]
		if another {
			payload, err := signed.Payload(it.Document)
			if err != nil {
				return err
			}
			d, _, err := order.ParseDocument(payload)
			if err != nil {
				return err
			}
			placed, err := signed.ParseTime(d.PlacedAt)
			if err != nil {
				return err
			}
			d.PlacedAt = placed.Add(time.Hour).Format(time.RFC3339)
			if payload, err = json.Marshal(d); err != nil {
				return err
			}
			sum := sha256.Sum256(payload)
			it.PayloadDigest = sum[:]
			if it.Document, err = book.Signer.Sign(keys.Business, signed.Order, payload); err != nil {
				return err
			}
			if _, err := tx.RetailOrders().Put(o); err != nil {
				return err
			}
		}
		_, err = book.Append(tx, c.partner, ledger.OrderPlaced, it.SubscriptionID, order.Body{
			Action: it.Action, Intent: it.Intent, Agreement: it.AgreementID, DocumentSHA256: hex.EncodeToString(it.PayloadDigest), Order: it.CorrelationID, Subscription: it.SubscriptionID,
		})
		return err
	})
}

// TestVerify_AnOrderIsPlacedAnewWhereNobodyDecidedIt: a reseller that was put back reads the entry back that placed it, and its document nobody
// has; when the portal repeats the order it is another one.
func TestVerify_AnOrderIsPlacedAnewWhereNobodyDecidedIt(t *testing.T) {
	reseller, _ := storeCopies(t)
	for name, test := range map[string]struct {
		want []int
		with func(c copied)
	}{
		"another document of what was never decided": {nil, func(c copied) { c.placesAnew(c.waiting, true) }},
		"another one, twice": {nil, func(c copied) {
			c.placesAnew(c.waiting, true)
			c.placesAnew(c.waiting, true)
		}},
		"the same document": {[]int{4}, func(c copied) { c.placesAnew(c.waiting, false) }},
		"the same one, after another": {[]int{4}, func(c copied) {
			c.placesAnew(c.waiting, true)
			c.placesAnew(c.waiting, false)
		}},
		"another one of what was decided": {[]int{4, 12}, func(c copied) { c.placesAnew(c.running, true) }},
	} {
		t.Run(name, func(t *testing.T) {
			if broken, said := reseller.breaks(t, test.with); !slices.Equal(broken, test.want) {
				t.Errorf("%v are broken, not %v:\n%s", broken, test.want, said)
			}
		})
	}
}
