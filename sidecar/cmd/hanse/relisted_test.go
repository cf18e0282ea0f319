package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1/portalv1connect"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// offers has the supplier offer its notes under a summary.
func (p *pair) offers(summary string) {
	p.t.Helper()
	file := filepath.Join(p.supplier.Dir, "offerings.yaml")
	if err := os.WriteFile(file, []byte(strings.Replace(notesOffering, "A private place for notes and checklists.", summary, 1)), 0o600); err != nil {
		p.t.Fatal(err)
	}
	sidecartest.Eventually(p.t, 20*time.Second, "it is offered", func() error { // numbers may go on from another one meanwhile
		out, err := p.supplier.Run("offering", "apply", "-f", file)
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}

// shows waits until customers of the reseller read the summary.
func (p *pair) shows(summary string) {
	p.t.Helper()
	client := portalv1connect.NewCatalogServiceClient(http.DefaultClient, p.reseller.PortalURL, sidecartest.Bearer(p.portalKey))
	sidecartest.Eventually(p.t, 30*time.Second, "the listing is shown as "+summary, func() error {
		res, err := client.GetListing(context.Background(), connect.NewRequest(&portalv1.GetListingRequest{Id: p.listing}))
		if err != nil {
			return err
		}
		if got := res.Msg.GetListing().GetSummary().GetSummary(); got != summary {
			return fmt.Errorf("it is shown as %s\n%s", got, tail(p.reseller.Log()))
		}
		return nil
	})
}

// TestAListingIsWhatASupplierOffersThatLostItsDisk: by a clock that was ahead when it was put back before, its revisions had come further than the
// clock is now, and nothing that it has left says so.
func TestAListingIsWhatASupplierOffersThatLostItsDisk(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	early := backedUp(t, p.supplier, "backup")
	p.supplier.Kill()
	elsewhere(t, p.supplier, early, nil, "restore")
	p.supplier.Start("HANSE_DEV_CLOCK_OFFSET=2m")
	becomes(t, p.supplier, p.reseller.Origin, "level")
	p.offers("Of the disk that is lost.")
	p.shows("Of the disk that is lost.")
	p.known(p.supplier)
	left := backedUp(t, p.supplier, "key", "export")
	p.supplier.Kill()
	elsewhere(t, p.supplier, left, nil, "key", "import")
	p.supplier.Start()
	becomes(t, p.supplier, p.reseller.Origin, "level")
	p.offers("Of the new disk.")
	p.shows("Of the new disk.")
	p.offers("As it was changed since.")
	p.shows("As it was changed since.")
}

// TestAListingIsWhatACopyOffersThatNobodyNoticed: the folder of a supplier that rested is put back, with all that its ledgers have.
func TestAListingIsWhatACopyOffersThatNobodyNoticed(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.offers("Of the copy.")
	p.shows("Of the copy.")
	putBack := copied(t, p.supplier)
	becomes(t, p.supplier, p.reseller.Origin, "level")
	p.offers("Of what came after it.")
	p.shows("Of what came after it.")
	putBack()
	p.shows("Of the copy.")
	p.offers("As it was changed since.")
	p.shows("As it was changed since.")
	if out, err := p.supplier.Run("ledger", "verify"); err != nil {
		t.Error(err, out)
	}
}
