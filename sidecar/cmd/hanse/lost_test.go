package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1/portalv1connect"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// shown is what the operator of a reseller reads of a portal's order: nobody has to name it to the Portal API for that.
func shown(t *testing.T, d *sidecartest.Daemon, id string) (*operatorv1.Order, error) {
	t.Helper()
	out, err := d.Run("order", "show", id, "--portal", "shop", "--side", "retail", "-o", "json")
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	var res operatorv1.GetOrderResponse
	if err := protojson.Unmarshal([]byte(out), &res); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return res.GetOrder(), nil
}

// second is another supplier of a pair's reseller, which sells the same; it returns the listing too.
func (p *pair) second() (d *sidecartest.Daemon, listing string) {
	t := p.t
	t.Helper()
	apps := filepath.Join(p.apps, "second")
	if err := os.MkdirAll(apps, 0o711); err != nil {
		t.Fatal(err)
	}
	d = sidecartest.NewDaemon(t, sidecartest.DaemonConfig{Name: "second", DevCA: p.ca, Extra: fmt.Sprintf(`adapters:
  connections:
    apps: {adapter: process, config: {data_dir: %q, programs: {notes: {command: "self:notes"}}, dev: true}}
`, apps)})
	d.Start()
	file := filepath.Join(d.Dir, "offerings.yaml")
	if err := os.WriteFile(file, []byte(notesOffering), 0o600); err != nil {
		t.Fatal(err)
	}
	d.Must("offering", "apply", "-f", file)
	p.reseller.Must("partner", "add", d.Origin, "--as", "supplier", "--yes")
	d.Must("agreement", "offer", p.reseller.Origin, "--discount", "20%", "--currency", "EUR")
	sidecartest.Eventually(t, 20*time.Second, "the second's offer is accepted", func() error {
		_, err := p.reseller.Run("partner", "accept", d.Origin, "--yes")
		return err
	})
	client := portalv1connect.NewCatalogServiceClient(http.DefaultClient, p.reseller.PortalURL, sidecartest.Bearer(p.portalKey))
	sidecartest.Eventually(t, 30*time.Second, "its offering is listed", func() error {
		res, err := client.SearchListings(context.Background(), connect.NewRequest(&portalv1.SearchListingsRequest{}))
		if err != nil {
			return err
		}
		for _, l := range res.Msg.GetListings() {
			if l.GetId() != p.listing {
				listing = l.GetId()
				return nil
			}
		}
		return errors.New("not yet")
	})
	return d, listing
}

// TestAnOrderOverTwoSuppliersComesBackFromBoth: the disk of their reseller is empty and one of them is away. Of the order there is under the
// portal's id what the other has, with the price that was sold, and it says for whom it waits. Nothing is bought again.
func TestAnOrderOverTwoSuppliersComesBackFromBoth(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.reseller.Must("listing", "markup", "50%")
	second, listing := p.second()
	other := p.purchase()
	other.ListingId = listing
	both := []*portalv1.OrderItem{other, p.purchase()}
	place := func() (*portalv1.Order, error) {
		res, err := p.orders().PlaceOrder(context.Background(), connect.NewRequest(&portalv1.PlaceOrderRequest{Id: "order-both", Customer: "c-1", Items: both}))
		if err != nil {
			return nil, err
		}
		return res.Msg.GetOrder(), nil
	}
	if _, err := place(); err != nil {
		t.Fatal(err)
	}
	var was *operatorv1.Order
	sidecartest.Eventually(t, time.Minute, "both have made it", func() (err error) {
		if was, err = shown(t, p.reseller, "order-both"); err == nil && was.GetState() != "completed" {
			err = fmt.Errorf("it is %s", was.GetState())
		}
		return err
	})
	p.known(p.reseller)
	p.knownTo(p.reseller, second)
	file := backedUp(t, p.reseller, "key", "export")
	p.reseller.Kill()
	second.Stop()
	elsewhere(t, p.reseller, file, nil, "key", "import")
	p.reseller.Start()
	becomes(t, p.reseller, p.supplier.Origin, "level")
	o, err := shown(t, p.reseller, "order-both")
	if err != nil {
		t.Fatalf("%v\n%s", err, tail(p.reseller.Log()))
	}
	sold, is := was.GetItems()[1], o.GetItems()[1]
	if o.GetState() != "pending.rebuilding" || len(o.GetItems()) != 2 || is.GetState() != "completed" || is.GetListingId() != p.listing ||
		is.GetSubscriptionId() != sold.GetSubscriptionId() || is.GetRetailOneOff().GetMinorUnits() != sold.GetRetailOneOff().GetMinorUnits() {
		t.Errorf("in part it is %v\n%s", o, tail(p.reseller.Log()))
	}
	if out := p.reseller.Must("order", "explain", "order-both", "--portal", "shop"); !strings.Contains(out, "books are level with "+second.Origin) {
		t.Errorf("explained it is %s", out)
	}
	p.opens()
	for range 2 { // a portal that repeats it early buys nothing
		if o, err := place(); err != nil || o.GetState() != "pending.rebuilding" || o.GetReason() != "order_rebuilding" {
			t.Errorf("repeated it is %v, %v", o, err)
		}
	}
	second.Start()
	becomes(t, p.reseller, second.Origin, "level")
	sidecartest.Eventually(t, time.Minute, "the order is whole", func() error {
		o, err := shown(t, p.reseller, "order-both")
		if err == nil && o.GetState() != "completed" {
			err = fmt.Errorf("it is %s (%s)\n%s", o.GetState(), o.GetReason(), tail(p.reseller.Log()))
		}
		return err
	})
	if o, err := place(); err != nil || o.GetState() != "completed" {
		t.Errorf("repeated again it is %v, %v", o, err)
	}
	o, err = shown(t, p.reseller, "order-both")
	for i, sold := range was.GetItems() {
		if is := o.GetItems()[i]; err != nil || is.GetRetailRecurring().GetMinorUnits() != sold.GetRetailRecurring().GetMinorUnits() || is.GetSubscriptionId() != sold.GetSubscriptionId() {
			t.Errorf("item %d is %v, %v", i, is, err)
		}
	}
	for _, at := range []string{p.apps, filepath.Join(p.apps, "second")} {
		if all, err := filepath.Glob(filepath.Join(at, "instances", "*", "instance.json")); err != nil || len(all) != 1 {
			t.Errorf("%d programs run in %s, %v", len(all), at, err)
		}
	}
	if n := told(p.reseller, "nobody gave back") + told(p.reseller, "came back without"); n != 0 {
		t.Errorf("something is lost:\n%s", tail(p.reseller.Log()))
	}
}
