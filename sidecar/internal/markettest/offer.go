package markettest

import (
	"cmp"
	"fmt"

	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// Offering is a small one: a database with one price for its setup, made by adapter x on connection y.
type Offering struct {
	// ID is "db" unless said otherwise, Price "10.00" euros.
	ID, Price string
	// MaxQuantity is 1 unless said otherwise.
	MaxQuantity int
	// Inputs and Outputs are schemas in YAML; any object unless said otherwise.
	Inputs, Outputs string
}

// Offer applies the offering through the catalog and returns what is current then.
func (m *Member) Offer(o Offering) (current catalog.Offering) {
	m.t.Helper()
	o.ID = cmp.Or(o.ID, "db")
	o.MaxQuantity = cmp.Or(o.MaxQuantity, 1)
	with := "{}"
	if o.MaxQuantity > 1 {
		with = `{count: "${quantity}"}`
	}
	service := &catalog.Service{Self: m.Origin, Work: store.For[catalog.Tx](m.Store), Now: m.Clock.Now}
	_, wrong, err := service.Apply(m.t.Context(), fmt.Appendf(nil, `apiVersion: hanse/v1
kind: Offering
id: %s
name: Database
summary: A database.
category: database
region: helsinki
country: FI
currency: EUR
max_quantity: %d
prices:
  - {id: setup, name: Setup, kind: one_off, amount: "%s"}
recipe:
  inputs: %s
  outputs: %s
  step: {adapter: x, connection: y, with: %s}
`, o.ID, o.MaxQuantity, cmp.Or(o.Price, "10.00"), cmp.Or(o.Inputs, "{type: object}"), cmp.Or(o.Outputs, "{type: object}"), with), catalog.Options{})
	if err != nil || len(wrong) > 0 {
		m.t.Fatal(wrong, err)
	}
	m.View(func(tx *store.Tx) (err error) {
		current, err = tx.Catalog().Current(o.ID)
		return err
	})
	return current
}
