package sidecar_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1/portalv1connect"
	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
	"github.com/hanse-market/hanse/sidecar"
	"github.com/hanse-market/hanse/sidecar/internal/testpeer"
	"github.com/hanse-market/hanse/sidecar/internal/tlsdev"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// testers counts the runs of this process.
var testers atomic.Int64

// plays runs cases of the member that tests against an origin, whose people do at once what they are asked for.
func plays(t *testing.T, devCA, origin string, side testpeer.Side, asked func(testpeer.Wish), cases []testpeer.Case) testpeer.Report {
	t.Helper()
	return playsAs(t, devCA, origin, side, asked, cases, t.Output())
}

// playsAs is plays that tells its progress to somebody.
func playsAs(t *testing.T, devCA, origin string, side testpeer.Side, asked func(testpeer.Wish), cases []testpeer.Case, progress io.Writer) testpeer.Report {
	t.Helper()
	ca, err := tlsdev.Open(devCA, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	report, err := testpeer.Run(t.Context(), testpeer.Config{
		// Each run is another party, for what a member fetches of one has a limit.
		Origin: fmt.Sprintf("https://tester%d.localhost:%s", testers.Add(1), port), Target: origin, Side: side, Dev: true, Listener: listener, Roots: ca.Pool(), Inputs: []byte(`{"title":"mine"}`), Asked: asked,
		Certificate: func(host string) (tls.Certificate, error) { return ca.Certificate(host) },
		Patience:    30 * time.Second, Wait: 30 * time.Second, Progress: progress,
	}, cases)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// sells is the operator of a supplier, who offers an agreement to whoever asks.
func sells(t *testing.T, m *sidecartest.Member) func(testpeer.Wish) {
	return func(w testpeer.Wish) {
		_, err := operatorv1connect.NewAgreementServiceClient(http.DefaultClient, m.OperatorURL, m.OperatorAuth()).
			OfferAgreement(context.Background(), connect.NewRequest(&operatorv1.OfferAgreementRequest{Reseller: w.Origin, WholesaleDiscountBp: 1000, Currency: "EUR"}))
		if err != nil {
			t.Errorf("offer an agreement to %s: %v", w.Origin, err)
		}
	}
}

// named are the cases of those names.
func named(t *testing.T, side testpeer.Side, names ...string) (cases []testpeer.Case) {
	t.Helper()
	for _, name := range names {
		for _, c := range testpeer.Cases(side) {
			if c.Name == name {
				cases = append(cases, c)
			}
		}
	}
	if len(cases) != len(names) {
		t.Fatalf("of %v there are %d", names, len(cases))
	}
	return cases
}

// isKept fails where a case is not.
func isKept(t *testing.T, report testpeer.Report) {
	t.Helper()
	for _, f := range report.Findings {
		if f.Verdict != testpeer.Kept {
			t.Errorf("%s is %s: %s expected %s, saw %s", f.Case, f.Verdict, f.Rule, f.Expected, f.Seen)
		}
	}
}

// TestTestPeer_FindsThatOursKeepsTheRulesAsASupplier: the honest story and every misbehaviour of a reseller. They are played by several
// partners at once, since a reader asks a partner whose pages are bad ever more seldom.
func TestTestPeer_FindsThatOursKeepsTheRulesAsASupplier(t *testing.T) {
	t.Parallel()
	ours := newMembers(t, nil, func(*sidecar.Config) {}, "supplier")[0]
	ours.Apply(strings.Replace(shopOffering, "PRICE", "10.00", 1))
	all := testpeer.Cases(testpeer.Reseller)
	if len(all) < 21 {
		t.Fatalf("there are %d cases", len(all))
	}
	parts := map[string][]testpeer.Case{}
	bad := 0
	for _, c := range all {
		part, _, _ := strings.Cut(c.Name, "-")
		switch part {
		case "ledger":
			part = fmt.Sprintf("ledger %d", bad/3)
			bad++
		case "flood", "slow", "fork", "books":
		default:
			part = "others"
		}
		parts[part] = append(parts[part], c)
	}
	for part, cases := range parts {
		t.Run(part, func(t *testing.T) {
			t.Parallel()
			isKept(t, plays(t, ours.DevCA, ours.Origin, testpeer.Reseller, sells(t, ours), cases))
		})
	}
}

// buys is the operator of a reseller who accepts what is offered, and a customer who orders what is asked for.
func buys(t *testing.T, m *sidecartest.Member) func(testpeer.Wish) {
	key := m.AddPortal("shop")
	ctx := context.Background()
	_, err := operatorv1connect.NewListingServiceClient(http.DefaultClient, m.OperatorURL, m.OperatorAuth()).
		SetMarkup(ctx, connect.NewRequest(&operatorv1.SetMarkupRequest{MarkupBp: 2500}))
	if err != nil {
		t.Fatal(err)
	}
	catalog := portalv1connect.NewCatalogServiceClient(http.DefaultClient, m.PortalURL, sidecartest.Bearer(key))
	orders := portalv1connect.NewOrderServiceClient(http.DefaultClient, m.PortalURL, sidecartest.Bearer(key))
	agreements := operatorv1connect.NewAgreementServiceClient(http.DefaultClient, m.OperatorURL, m.OperatorAuth())
	return func(w testpeer.Wish) {
		if w.Command != "" {
			shown, err := agreements.AcceptAgreement(ctx, connect.NewRequest(&operatorv1.AcceptAgreementRequest{Supplier: w.Origin, DryRun: true}))
			if err == nil {
				_, err = agreements.AcceptAgreement(ctx, connect.NewRequest(&operatorv1.AcceptAgreementRequest{Supplier: w.Origin, Digest: shown.Msg.GetAgreement().GetDigest()}))
			}
			if err != nil {
				t.Errorf("accept what %s offers: %v", w.Origin, err)
			}
			return
		}
		sidecartest.Eventually(t, 20*time.Second, w.Offering+" is ordered", func() error {
			found, err := catalog.SearchListings(ctx, connect.NewRequest(&portalv1.SearchListingsRequest{Query: w.Offering}))
			if err != nil || len(found.Msg.GetListings()) != 1 {
				return fmt.Errorf("listings %v %w", found, err)
			}
			listing, err := catalog.GetListing(ctx, connect.NewRequest(&portalv1.GetListingRequest{Id: found.Msg.GetListings()[0].GetId()}))
			if err != nil {
				return err
			}
			_, err = orders.PlaceOrder(ctx, connect.NewRequest(&portalv1.PlaceOrderRequest{Id: fmt.Sprintf("order-%d", time.Now().UnixNano()), Customer: "c-1", Items: []*portalv1.OrderItem{{
				Action: typev1.OrderItemAction_ORDER_ITEM_ACTION_ADD, ListingId: listing.Msg.GetListing().GetSummary().GetId(), ListingDigest: listing.Msg.GetListing().GetDigest(),
			}}}))
			return err
		})
	}
}

// TestTestPeer_FindsThatOursKeepsTheRulesAsAReseller: the honest story and every misbehaviour of a supplier.
func TestTestPeer_FindsThatOursKeepsTheRulesAsAReseller(t *testing.T) {
	t.Parallel()
	ours := newMembers(t, nil, func(*sidecar.Config) {}, "reseller")[0]
	isKept(t, plays(t, ours.DevCA, ours.Origin, testpeer.Supplier, buys(t, ours), testpeer.Cases(testpeer.Supplier)))
}
