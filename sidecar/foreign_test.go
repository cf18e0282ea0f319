package sidecar_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/hanse-market/hanse/adapters"
	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
	"github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1/peerv1connect"
	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1/portalv1connect"
	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
	"github.com/hanse-market/hanse/sidecar"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// in is what a command of the foreign member takes.
type in = map[string]any

// partnerAt is the operator's view of a partner.
func partnerAt(t *testing.T, m *sidecartest.Member, origin string) *operatorv1.Partner {
	t.Helper()
	res, err := operatorv1connect.NewPartnerServiceClient(http.DefaultClient, m.OperatorURL, m.OperatorAuth()).
		GetPartner(context.Background(), connect.NewRequest(&operatorv1.GetPartnerRequest{Origin: origin}))
	if err != nil {
		t.Fatal(err)
	}
	return res.Msg.GetPartner()
}

func addPartner(t *testing.T, m *sidecartest.Member, origin string, role operatorv1.Role) {
	t.Helper()
	_, err := operatorv1connect.NewPartnerServiceClient(http.DefaultClient, m.OperatorURL, m.OperatorAuth()).
		AddPartner(context.Background(), connect.NewRequest(&operatorv1.AddPartnerRequest{Origin: origin, Role: role}))
	if err != nil {
		t.Fatal(err)
	}
}

// logLine is an entry as far as these tests read it.
type logLine struct {
	Seq           int64
	Kind, Subject string
	Prev, Hash    string
}

func logOf(t *testing.T, m *sidecartest.Member, partner, direction string) []logLine {
	t.Helper()
	res, err := operatorv1connect.NewLedgerServiceClient(http.DefaultClient, m.OperatorURL, m.OperatorAuth()).
		ListEntries(context.Background(), connect.NewRequest(&operatorv1.ListEntriesRequest{Partner: partner, Direction: direction, PageSize: 1000}))
	if err != nil {
		t.Fatal(err)
	}
	lines := make([]logLine, len(res.Msg.GetEntries()))
	for i, raw := range res.Msg.GetEntries() {
		if err := json.Unmarshal([]byte(raw), &lines[i]); err != nil {
			t.Fatal(err)
		}
	}
	return lines
}

func kindsOf(lines []logLine) (kinds []string) {
	for _, l := range lines {
		kinds = append(kinds, l.Kind)
	}
	return kinds
}

// level waits until nothing is left to do and both sides have the same two logs, hash by hash: a log is a chain, so the hash of its
// end stands for all before.
func level(t *testing.T, m *sidecartest.Member, f *sidecartest.Foreign) {
	t.Helper()
	sidecartest.Eventually(t, 20*time.Second, "both sides have the same two ledgers", func() error {
		for _, j := range booksOf(t, m).Jobs {
			if j.GetPartner() == f.Origin {
				return fmt.Errorf("a job is %v", j)
			}
		}
		theirs := f.Books(m.Origin)
		for direction, have := range map[string]sidecartest.Place{"own": theirs.Theirs, "theirs": theirs.Own} {
			lines := logOf(t, m, f.Origin, direction)
			if int64(len(lines)) != have.Seq || have.Seq > 0 && lines[have.Seq-1].Hash != have.Hash {
				return fmt.Errorf("of the log %s we have %v, they %+v", direction, lines, have)
			}
		}
		if theirs.State != "level" || len(theirs.Faults) > 0 {
			t.Fatalf("the foreign member says of the books: %s, %v", theirs.State, theirs.Faults)
		}
		return nil
	})
	if p := partnerAt(t, m, f.Origin); p.GetBooks() != "level" || len(p.GetParkedSubjects()) > 0 {
		t.Errorf("the partner is %v", p)
	}
}

// verifies runs hanse ledger verify against a member and returns its exit code and what it wrote.
func verifies(t *testing.T, m *sidecartest.Member) (int, string) {
	t.Helper()
	return m.Command("ledger", "verify", "-o", "json")
}

// foreignReseller is a foreign member that may buy of ours.
type foreignReseller struct {
	*sidecartest.Foreign
	t    *testing.T
	ours *sidecartest.Member
}

// result is what the foreign member says became of a document.
type result struct{ Order, Subscription, State, Reason, Cancel string }

// newForeignReseller goes from the proposal to an active agreement.
func newForeignReseller(t *testing.T, ours *sidecartest.Member, name string) foreignReseller {
	t.Helper()
	f := foreignReseller{Foreign: sidecartest.NewForeign(t, ours.DevCA, name, "json"), t: t, ours: ours}
	var proposed struct{ State string }
	f.Do("propose", in{"origin": ours.Origin, "as": "supplier"}, &proposed)
	if p := partnerAt(t, ours, f.Origin); proposed.State != "pending" || p.GetState() != "pending" || p.GetMember().GetLegalName() != name+" OÜ" {
		t.Fatalf("after the proposal it hears %q, and is %v", proposed.State, p)
	}
	addPartner(t, ours, f.Origin, operatorv1.Role_ROLE_RESELLER)
	offered, err := operatorv1connect.NewAgreementServiceClient(http.DefaultClient, ours.OperatorURL, ours.OperatorAuth()).
		OfferAgreement(context.Background(), connect.NewRequest(&operatorv1.OfferAgreementRequest{Reseller: f.Origin, WholesaleDiscountBp: 2000, Currency: "EUR", Territory: []string{"EE", "DE"}}))
	if err != nil {
		t.Fatal(err)
	}
	var accepted struct{ ID, State string }
	f.Do("accept", in{"origin": ours.Origin, "id": offered.Msg.GetAgreement().GetId()}, &accepted)
	if accepted.State != "active" {
		t.Fatalf("the agreement is %+v", accepted)
	}
	return f
}

// buys waits until an order is accepted, and returns its subscription.
func (f foreignReseller) buys(id string) string {
	f.t.Helper()
	var r result
	sidecartest.Eventually(f.t, 20*time.Second, "the offering can be ordered", func() error {
		return f.Try("order", in{"origin": f.ours.Origin, "offering": "db", "quantity": 1, "inputs": in{"title": "mine"}, "id": id}, &r)
	})
	if r.State != "accepted" && r.State != "completed" {
		f.t.Fatalf("the order is %+v", r)
	}
	return r.Subscription
}

// TestAForeignResellerBuysOfOurs: everything from the proposal to the end of what it bought.
func TestAForeignResellerBuysOfOurs(t *testing.T) {
	t.Parallel()
	working, until := make(chan string, 8), make(chan struct{})
	release := sync.OnceFunc(func() { close(until) })
	ours := newMembers(t, func(r adapters.Request) (adapters.Result, error) {
		working <- r.Tag
		<-until
		return adapters.Result{Outputs: map[string]string{"url": "https://service.example/" + r.Tag}}, nil
	}, func(*sidecar.Config) {}, "supplier")[0]
	t.Cleanup(release) // before the sidecar ends, which waits for its adapters
	ours.Apply(strings.Replace(shopOffering, "PRICE", "10.00", 1))
	f := newForeignReseller(t, ours, "foreign")
	var catalog struct {
		Offerings []struct{ ID, Name, Currency string }
	}
	sidecartest.Eventually(t, 20*time.Second, "it sees the catalog", func() error {
		f.Do("catalog", in{"origin": ours.Origin}, &catalog)
		if len(catalog.Offerings) != 1 || catalog.Offerings[0].ID != "db" || catalog.Offerings[0].Name != "Database" {
			return fmt.Errorf("it sees %+v", catalog)
		}
		return nil
	})

	order := func(id string) (r result) {
		t.Helper()
		f.Do("order", in{"origin": ours.Origin, "offering": "db", "quantity": 1, "inputs": in{"title": "mine"}, "id": id}, &r)
		return r
	}
	bought := order("order-foreign-1")
	if bought.State != "accepted" {
		t.Fatalf("the order is %+v", bought)
	}
	<-working
	// Work on it began: a cancel is too late, and the order goes on.
	var late result
	f.Do("cancel", in{"order": bought.Order}, &late)
	if late.Cancel != "refused" {
		t.Errorf("the late cancel is %+v", late)
	}
	release()
	f.Do("await", in{"order": bought.Order, "state": "completed"}, nil)
	f.Do("await", in{"subscription": bought.Subscription, "state": "active"}, nil)
	var access struct {
		Fields []struct{ Name, Value string }
	}
	f.Do("access", in{"subscription": bought.Subscription}, &access)
	if len(access.Fields) != 1 || access.Fields[0].Name != "url" || !strings.HasPrefix(access.Fields[0].Value, "https://service.example/h") {
		t.Errorf("the access data are %+v", access)
	}

	// What an order may not be: a decision, and no effect.
	var refused result
	f.Do("order", in{"origin": ours.Origin, "offering": "db", "quantity": 2, "inputs": in{"title": "mine"}, "id": "order-foreign-many"}, &refused)
	if refused.State != "rejected" || refused.Reason != "quantity_range" {
		t.Errorf("too many pieces are %+v", refused)
	}

	// A cancel that arrives with or before its order ends it.
	ours.Cut(func(r *http.Request) bool { return r.URL.Path == peerv1connect.ExchangeServiceSubmitProcedure })
	placed := make(chan error, 1)
	go func() {
		placed <- f.Try("order", in{"origin": ours.Origin, "offering": "db", "quantity": 1, "inputs": in{"title": "mine"}, "id": "order-foreign-2"}, nil)
	}()
	sidecartest.Eventually(t, 20*time.Second, "the order is placed", func() error {
		return f.Try("await", in{"order": "order-foreign-2", "state": "placed", "seconds": 1}, nil)
	})
	before := f.Books(ours.Origin).Own.Seq
	cancelled := make(chan error, 1)
	go func() { cancelled <- f.Try("cancel", in{"order": "order-foreign-2"}, nil) }()
	sidecartest.Eventually(t, 20*time.Second, "the cancel is placed", func() error {
		if own := f.Books(ours.Origin).Own; own.Seq == before {
			return fmt.Errorf("its log ends at %+v", own)
		}
		return nil
	})
	ours.Cut(nil)
	if err := <-cancelled; err != nil {
		t.Fatal(err)
	}
	if err := <-placed; err != nil {
		t.Fatal(err)
	}
	f.Do("await", in{"order": "order-foreign-2", "state": "cancelled"}, nil)

	var rotated result
	f.Do("rotate", in{"subscription": bought.Subscription}, &rotated)
	f.Do("await", in{"subscription": bought.Subscription, "state": "active"}, nil)

	var ended result
	f.Do("terminate", in{"subscription": bought.Subscription}, &ended)
	f.Do("await", in{"subscription": bought.Subscription, "state": "terminated"}, nil)

	var compared struct{ Level bool }
	f.Do("compare", in{"origin": ours.Origin}, &compared)
	if !compared.Level {
		t.Errorf("compared: %+v", compared)
	}
	level(t, ours, f.Foreign)
	if got, want := kindsOf(logOf(t, ours, f.Origin, "own")), []string{
		"agreement.offered", "agreement.active", "order.accepted", "cancel.refused", "order.completed", "access.deleted", "order.rejected",
		"order.cancelled", "order.accepted", "order.completed", "access.deleted", "order.accepted", "order.completed",
	}; !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
		t.Errorf("our log is %v", got)
	}
	if code, said := verifies(t, ours); code != 0 || strings.Contains(said, `"needs_partner"`) {
		t.Errorf("hanse ledger verify exits with %d: %s", code, said)
	}
}

// foreignMarket is ours as the reseller of a foreign supplier, which sells one offering under its name for 10.00 and 4.90 a month.
type foreignMarket struct {
	market
	foreign *sidecartest.Foreign
}

func newForeignMarket(t *testing.T, ours *sidecartest.Member, name, encoding string) *foreignMarket {
	t.Helper()
	m := &foreignMarket{market: market{t: t, reseller: ours}, foreign: sidecartest.NewForeign(t, ours.DevCA, name, encoding)}
	f := m.foreign
	addPartner(t, ours, f.Origin, operatorv1.Role_ROLE_SUPPLIER)
	sidecartest.Eventually(t, 20*time.Second, "the proposal arrives and is approved", func() error {
		return f.Try("approve", in{"origin": ours.Origin, "as": "reseller"}, nil)
	})
	f.Do("publish", in{
		"id": "db", "name": "Database of " + name, "currency": "EUR", "prices": []in{
			{"id": "setup", "name": "Setup", "kind": "one_off", "amount": "10.00"},
			{"id": "monthly", "name": "Monthly fee", "kind": "recurring", "period": "P1M", "amount": "4.90"},
		},
		"inputs": in{
			"type": "object", "additionalProperties": false, "required": []string{"title"},
			"properties": in{"title": in{"type": "string", "minLength": 1, "maxLength": 20}},
		},
	}, nil)
	var offered struct{ ID string }
	sidecartest.Eventually(t, 20*time.Second, "the agreement is offered", func() error {
		return f.Try("offer", in{"origin": ours.Origin, "currency": "EUR", "wholesale_discount_bp": 2000, "territory": []string{"DE"}}, &offered)
	})
	accept(t, ours, f.Origin, offered.ID)
	f.Do("await", in{"agreement": offered.ID, "state": "active"}, nil)
	_, err := operatorv1connect.NewListingServiceClient(http.DefaultClient, ours.OperatorURL, ours.OperatorAuth()).
		SetMarkup(context.Background(), connect.NewRequest(&operatorv1.SetMarkupRequest{MarkupBp: 2500}))
	if err != nil {
		t.Fatal(err)
	}
	m.key = ours.AddPortal("shop-" + name)
	m.see(name)
	return m
}

// see waits for the one listing that a search finds; orders are for it from now on.
func (m *market) see(query string) {
	m.t.Helper()
	sidecartest.Eventually(m.t, 20*time.Second, "the offering is listed", func() error {
		res, err := m.catalog().SearchListings(context.Background(), connect.NewRequest(&portalv1.SearchListingsRequest{Query: query}))
		if err != nil || len(res.Msg.GetListings()) != 1 {
			return fmt.Errorf("listings are %v: %w", res, err)
		}
		got, err := m.catalog().GetListing(context.Background(), connect.NewRequest(&portalv1.GetListingRequest{Id: res.Msg.GetListings()[0].GetId()}))
		if err == nil {
			m.listing = got.Msg.GetListing()
		}
		return err
	})
}

// accept signs an offered agreement at the reseller.
func accept(t *testing.T, reseller *sidecartest.Member, supplier, id string) {
	t.Helper()
	agreements := operatorv1connect.NewAgreementServiceClient(http.DefaultClient, reseller.OperatorURL, reseller.OperatorAuth())
	sidecartest.Eventually(t, 20*time.Second, "the agreement is accepted", func() error {
		shown, err := agreements.AcceptAgreement(context.Background(), connect.NewRequest(&operatorv1.AcceptAgreementRequest{Supplier: supplier, AgreementId: id, DryRun: true}))
		if err != nil {
			return err
		}
		_, err = agreements.AcceptAgreement(context.Background(), connect.NewRequest(&operatorv1.AcceptAgreementRequest{
			Supplier: supplier, AgreementId: id, Digest: shown.Msg.GetAgreement().GetDigest(),
		}))
		return err
	})
}

// reveal waits for access data.
func (m *market) reveal(subscription string) []*portalv1.AccessField {
	m.t.Helper()
	subscriptions := portalv1connect.NewSubscriptionServiceClient(http.DefaultClient, m.reseller.PortalURL, sidecartest.Bearer(m.key))
	var fields []*portalv1.AccessField
	sidecartest.Eventually(m.t, 20*time.Second, "the access data are revealed", func() error {
		res, err := subscriptions.RevealAccessData(context.Background(), connect.NewRequest(&portalv1.RevealAccessDataRequest{SubscriptionId: subscription}))
		if err == nil {
			fields = res.Msg.GetFields()
		}
		return err
	})
	return fields
}

func (m *market) end(id, subscription string) {
	m.t.Helper()
	if _, err := m.order(id, func(r *portalv1.PlaceOrderRequest) {
		r.Items[0] = &portalv1.OrderItem{Action: typev1.OrderItemAction_ORDER_ITEM_ACTION_DELETE, SubscriptionId: subscription}
	}); err != nil {
		m.t.Fatal(err)
	}
}

func TestAForeignSupplierSellsThroughOurs(t *testing.T) {
	t.Parallel()
	ours := newMembers(t, nil, func(*sidecar.Config) {}, "reseller")[0]
	m := newForeignMarket(t, ours, "foreign", "proto")
	f := m.foreign

	placed, err := m.order("order-abroad-1", nil)
	if err != nil {
		t.Fatal(err)
	}
	if line := placed.GetItems()[0]; line.GetOneOff().GetMinorUnits() != 1000 || line.GetRecurring().GetMinorUnits() != 490 {
		t.Errorf("the customer pays %v", line)
	}
	subscription := m.reaches("order-abroad-1", "completed").GetItems()[0].GetSubscriptionId()
	fields := m.reveal(subscription)
	if len(fields) != 2 || fields[0].GetName() != "url" || !strings.HasSuffix(fields[0].GetValue(), ".foreign.localhost/") || !fields[1].GetSensitive() {
		t.Errorf("revealed %v", fields)
	}

	// The supplier has never seen this order when the cancel comes.
	f.Unplug()
	if _, err := m.order("order-abroad-2", nil); err != nil {
		t.Fatal(err)
	}
	m.reaches("order-abroad-2", "pending.unreachable")
	if _, err := m.cancel("order-abroad-2"); err != nil {
		t.Fatal(err)
	}
	m.cancelTried()
	f.Plug()
	m.retryJobs()
	m.reaches("order-abroad-2", "cancelled")

	m.end("order-abroad-end", subscription)
	m.reaches("order-abroad-end", "completed")
	level(t, ours, f)

	// The other side gives its signed word on what it holds of ours.
	hand := newHand(t, ours.DevCA, ours.Origin, ours.Keys())
	answer := hand.call(f.Origin, peerv1connect.ExchangeServiceCompareProcedure, "", []string{"ledger:read"}, in{"nonce": []byte("nonce of 16 byte")})
	if answer.status != http.StatusOK || !strings.Contains(answer.body, "document") {
		t.Errorf("Compare answers %+v", answer)
	}
	if code, said := verifies(t, ours); code != 0 {
		t.Errorf("hanse ledger verify exits with %d: %s", code, said)
	}
}

// TestAForeignMemberFollowsOurRollover, whichever side it is on: it buys and sells on, and both ledgers verify.
func TestAForeignMemberFollowsOurRollover(t *testing.T) {
	t.Parallel()
	ours := newMembers(t, nil, func(*sidecar.Config) {}, "supplier", "reseller")
	ours[0].Apply(strings.Replace(shopOffering, "PRICE", "10.00", 1))
	buyer := newForeignReseller(t, ours[0], "buyer")
	buyer.buys("order-before")
	seller := newForeignMarket(t, ours[1], "seller", "proto")
	if _, err := seller.order("order-before", nil); err != nil {
		t.Fatal(err)
	}
	seller.reaches("order-before", "completed")
	for _, m := range ours {
		rolls(t, m)
	}
	buyer.buys("order-after")
	if _, err := seller.order("order-after", nil); err != nil {
		t.Fatal(err)
	}
	seller.reaches("order-after", "completed")
	level(t, ours[0], buyer.Foreign)
	level(t, ours[1], seller.foreign)
	for _, m := range ours {
		if code, said := verifies(t, m); code != 0 {
			t.Errorf("hanse ledger verify exits with %d: %s", code, said)
		}
	}
}

// TestTheForeignMemberReadsEveryVector: it takes what it should and refuses the rest for the reason there.
func TestTheForeignMemberReadsEveryVector(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("node", "--test", "--test-reporter=dot")
	cmd.Dir = "foreignpeer"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
