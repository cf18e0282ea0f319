package sidecar_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/hanse-market/hanse/adapters"
	"github.com/hanse-market/hanse/auth/scope"
	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
	"github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1/peerv1connect"
	"github.com/hanse-market/hanse/sidecar"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

func isSubmit(r *http.Request) bool {
	return r.URL.Path == peerv1connect.ExchangeServiceSubmitProcedure
}

// holding keeps back the answers to Submit until the returned function is called, or the test ends.
func holding(t *testing.T, m *sidecartest.Member) (release func()) {
	t.Helper()
	until := make(chan struct{})
	release = sync.OnceFunc(func() { m.Alter("", nil); close(until) })
	t.Cleanup(release)
	m.Alter(peerv1connect.ExchangeServiceSubmitProcedure, func(r *http.Request, _ *httptest.ResponseRecorder) {
		select {
		case <-until:
		case <-r.Context().Done():
		}
	})
	return release
}

// isFrom reports whether a call is a member's, by the token that it shows.
func isFrom(r *http.Request, m *sidecartest.Member) bool {
	parts := strings.Split(r.Header.Get("Authorization"), ".")
	if len(parts) != 3 {
		return false
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	return err == nil && strings.Contains(string(claims), m.Origin)
}

// TestTheAnswerToAnotherIsABadPage: a supplier gives a reseller what it answered to another one, or to an earlier call.
func TestTheAnswerToAnotherIsABadPage(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, reason string
		earlier      bool
	}{
		{"the answer to another reseller", "checkpoint_parties", false},
		{"the answer to an earlier call", "page_old", true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			members := newMembers(t, nil, func(*sidecar.Config) {}, "reseller", "supplier", "rival")
			reseller, supplier, rival := members[0], members[1], members[2]
			m := openMarket(t, members)
			sidecartest.Connect(t, rival, supplier, 1000, "EUR")
			other := &market{t: t, reseller: rival, supplier: supplier, key: rival.AddPortal("shop")}
			if c.earlier {
				other = m
			}
			other.see("datab")
			var kept atomic.Pointer[httptest.ResponseRecorder]
			supplier.Alter(peerv1connect.ExchangeServiceSubmitProcedure, func(r *http.Request, a *httptest.ResponseRecorder) {
				if isFrom(r, other.reseller) {
					kept.CompareAndSwap(nil, a)
				}
			})
			if _, err := other.order("order-other", nil); err != nil {
				t.Fatal(err)
			}
			other.reaches("order-other", "completed")
			settled(t, supplier, other.reseller)

			supplier.Alter(peerv1connect.ExchangeServiceSubmitProcedure, func(r *http.Request, a *httptest.ResponseRecorder) {
				if isFrom(r, reseller) {
					*a = *kept.Load()
					a.Body = bytes.NewBuffer(kept.Load().Body.Bytes())
				}
			})
			supplier.Cut(func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/Tail") }) // the feed would tell
			if _, err := m.order("order-misled", nil); err != nil {
				t.Fatal(err)
			}
			sidecartest.Eventually(t, 20*time.Second, "the page is refused", func() error {
				if n := counted(t, reseller, supplier.Origin); n[c.reason] == 0 {
					return fmt.Errorf("refused were %v", n)
				}
				return nil
			})
			supplier.Alter("", nil)
			supplier.Cut(nil)
			m.retryJobs()
			m.reaches("order-misled", "completed")
			if p := partnerAt(t, reseller, supplier.Origin); p.GetBooks() != "level" {
				t.Errorf("the partner is %v", p)
			}
			m.verified()
		})
	}
}

func TestAnAnswerThatTheTailHasPassedIsNoFork(t *testing.T) {
	t.Parallel()
	m := newMarket(t, nil)
	settled(t, m.supplier, m.reseller)
	release := holding(t, m.supplier)
	if _, err := m.order("order-overtaken", nil); err != nil {
		t.Fatal(err)
	}
	m.reaches("order-overtaken", "completed") // the feed alone told it
	release()
	if _, err := m.order("order-next", nil); err != nil {
		t.Fatal(err)
	}
	m.reaches("order-next", "completed")
	settled(t, m.supplier, m.reseller)
	settled(t, m.reseller, m.supplier)
	if n := counted(t, m.reseller, m.supplier.Origin); len(n) > 0 {
		t.Errorf("pages were refused: %v", n)
	}
	if p := partnerAt(t, m.reseller, m.supplier.Origin); p.GetBooks() != "level" {
		t.Errorf("the partner is %v", p)
	}
	m.verified()
}

func TestASupplierThatDoesNotAnswerHoldsUpItsOwnOrdersAlone(t *testing.T) {
	t.Parallel()
	members := newMembers(t, nil, func(*sidecar.Config) {}, "reseller", "slow", "fast")
	slow := openMarket(t, members)
	members[2].Apply(strings.NewReplacer("PRICE", "10.00", "name: Database", "name: Elsewhere").Replace(shopOffering))
	sidecartest.Connect(t, members[0], members[2], 2000, "EUR")
	fast := &market{t: t, reseller: members[0], supplier: members[2], key: slow.key}
	fast.see("elsewhere")

	members[1].Cut(func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/Tail") }) // the feed would tell
	release := holding(t, members[1])
	for i := range 20 {
		if _, err := slow.order(fmt.Sprintf("order-slow-%02d", i), nil); err != nil {
			t.Fatal(err)
		}
		if _, err := fast.order(fmt.Sprintf("order-fast-%02d", i), nil); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		fast.reaches(fmt.Sprintf("order-fast-%02d", i), "completed")
	}
	members[1].Cut(nil)
	release()
	for i := range 20 {
		slow.reaches(fmt.Sprintf("order-slow-%02d", i), "completed")
	}
	slow.verified()
	fast.verified()
}

func TestFiftyCallsWithOneDocumentHaveOneEffect(t *testing.T) {
	t.Parallel()
	m := newMarket(t, nil)
	settled(t, m.supplier, m.reseller)
	agreed := agreementOf(t, m.reseller)
	offering, err := operatorv1connect.NewOfferingServiceClient(http.DefaultClient, m.supplier.OperatorURL, m.supplier.OperatorAuth()).
		GetOffering(context.Background(), connect.NewRequest(&operatorv1.GetOfferingRequest{Id: "db"}))
	if err != nil {
		t.Fatal(err)
	}
	owner := newHand(t, m.supplier.DevCA, m.reseller.Origin, m.reseller.Keys())
	salt, inputs := []byte(strings.Repeat("salt", 8)), []byte(`{"title":"mine"}`)
	sum := sha256.Sum256(append(slices.Clone(salt), inputs...))
	oneOff, monthly := int64(800), int64(392)
	document := order.Document{
		Type: signed.OrderV1, Issuer: m.reseller.Origin, Audience: m.supplier.Origin, ID: "order-fifty", PlacedAt: time.Now().UTC().Format(time.RFC3339),
		AcceptBy: time.Now().Add(time.Hour).UTC().Format(time.RFC3339), Action: order.Add, Intent: order.Purchase, Agreement: agreed.GetId(),
		AgreementSHA256: agreed.GetDigest(), Subscription: order.SubscriptionID("order-fifty"), Customer: "cus-1", Offering: "db",
		Revision: 1, OfferingSHA256: offering.Msg.GetOffering().GetDigest(), Quantity: 1, InputsSHA256: hex.EncodeToString(sum[:]),
		OneOffMinor: &oneOff, RecurringMinor: &monthly, Period: "P1M", Currency: "EUR",
	}
	submission := func(d order.Document) map[string]any {
		jws := owner.document(signed.Order, d)["document"]
		message := owner.submission(m.supplier.Origin)
		message["documents"] = []map[string]any{{"jws": jws, "inputs": inputs, "inputsSalt": salt}}
		return message
	}
	submit := func(message map[string]any) heard {
		call := func(h *hand) heard {
			return h.call(m.supplier.Origin, peerv1connect.ExchangeServiceSubmitProcedure, agreed.GetId(), []string{scope.LedgerRead, scope.OrdersWrite}, message)
		}
		got := call(owner)
		for range 20 { // the sidecar may have asked about the books in the second of the token: it is sent again under a new one (B-11)
			if got.reason != "books_asked" {
				break
			}
			time.Sleep(500 * time.Millisecond)
			got = call(newHand(t, m.supplier.DevCA, m.reseller.Origin, m.reseller.Keys()))
		}
		return got
	}
	type place struct {
		Outcomes []struct{ Decided struct{ Seq string } }
	}

	answers := make([]heard, 50)
	var all sync.WaitGroup
	message := submission(document)
	for i := range answers {
		all.Go(func() { answers[i] = submit(message) })
	}
	all.Wait()
	at := map[string]bool{}
	for _, a := range answers {
		var p place
		if err := json.Unmarshal([]byte(a.body), &p); err != nil || len(p.Outcomes) != 1 || p.Outcomes[0].Decided.Seq == "" {
			t.Fatalf("an answer is %+v", a)
		}
		at[p.Outcomes[0].Decided.Seq] = true
	}
	lines := logOf(t, m.supplier, m.reseller.Origin, "own")
	accepted := 0
	for _, l := range lines {
		if l.Kind == "order.accepted" {
			accepted++
		}
	}
	if len(at) != 1 || accepted != 1 || len(booksOf(t, m.supplier).Orders) != 1 || len(booksOf(t, m.supplier).Subscriptions) != 1 {
		t.Errorf("decided at %v; the log is %v", at, kindsOf(lines))
	}
	document.Customer = "cus-2"
	if got := submit(submission(document)); got.reason != "document_conflict" {
		t.Errorf("the same id with other content: %+v", got)
	}
}

// replicas are a reseller of two processes on one database and one Redis.
func replicas(t *testing.T, apply func(adapters.Request) (adapters.Result, error)) (here, there *market) {
	t.Helper()
	redis, dsn, siteKey := servers.Redis(t).Socket, servers.Postgres(t).Database(t), filepath.Join(t.TempDir(), "site.key")
	shared := func(name string, cfg *sidecar.Config) {
		cfg.Platforms = map[string]adapters.Adapter{"providing": providing{apply: apply}}
		cfg.Adapters.Connections = map[string]sidecar.Connection{"nowhere": {Adapter: "providing"}}
		if name == "reseller" {
			cfg.Database = sidecar.Database{Driver: "postgres", DSN: dsn}
			cfg.Redis.Addresses = []string{redis}
			cfg.SiteKeyFile = siteKey
		}
	}
	members := sidecartest.New(t, shared, "reseller", "supplier")
	here = openMarket(t, members)
	second := *here
	second.reseller = sidecartest.Replica(t, members[0], shared)
	second.see("datab")
	return here, &second
}

// runs counts a process's finished jobs of a kind.
func runs(t *testing.T, m *sidecartest.Member, kind string) string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^hanse_job_runs_total\{kind="` + kind + `",result="finished"\} (\d+)`).FindStringSubmatch(opsPage(t, m, "/metrics"))
	if found == nil {
		return "0"
	}
	return found[1]
}

func TestTwoReplicasSubmitEachItsOwn(t *testing.T) {
	t.Parallel()
	here, there := replicas(t, nil)
	const each = 20
	var all sync.WaitGroup
	for name, m := range map[string]*market{"here": here, "there": there} {
		all.Go(func() {
			for i := range each {
				if _, err := m.order(fmt.Sprintf("order-%s-%02d", name, i), nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	// Each process knows the orders of both.
	for i := range each {
		here.reaches(fmt.Sprintf("order-there-%02d", i), "completed")
		there.reaches(fmt.Sprintf("order-here-%02d", i), "completed")
	}
	if a, b := runs(t, here.reseller, "order.submit"), runs(t, there.reseller, "order.submit"); a == "0" || b == "0" {
		t.Errorf("one process submitted %s orders, the other %s", a, b)
	}
	settled(t, here.supplier, here.reseller)
	settled(t, here.reseller, here.supplier)
	decided := map[string]int{}
	for _, l := range logOf(t, here.supplier, here.reseller.Origin, "own") {
		decided[l.Kind+" "+l.Subject]++
	}
	for what, n := range decided {
		if n != 1 {
			t.Errorf("%s stands in the log %d times", what, n)
		}
	}
	if orders := booksOf(t, here.supplier).Orders; len(orders) != 2*each {
		t.Errorf("the supplier has %d orders", len(orders))
	}
	here.verified()
	there.verified()
}

func TestTwoDocumentsOfOneSubscriptionStayInOrderAcrossReplicas(t *testing.T) {
	t.Parallel()
	until := make(chan struct{})
	release := sync.OnceFunc(func() { close(until) })
	here, there := replicas(t, func(r adapters.Request) (adapters.Result, error) {
		<-until
		return adapters.Result{Outputs: map[string]string{"url": "https://service.example/" + r.Tag}}, nil
	})
	t.Cleanup(release) // before the sidecars end, which wait for their adapters
	if _, err := here.order("order-two-of-one", nil); err != nil {
		t.Fatal(err)
	}
	subscription := here.reaches("order-two-of-one", "inProgress").GetItems()[0].GetSubscriptionId()
	// The receipt of the access data waits in one process, and the end of the subscription, placed in the other, behind it.
	here.supplier.Cut(isSubmit)
	release()
	here.reaches("order-two-of-one", "completed")
	sidecartest.Eventually(t, 20*time.Second, "the receipt is placed", func() error {
		if kinds := kindsOf(logOf(t, here.reseller, here.supplier.Origin, "own")); !slices.Contains(kinds, "access.confirmed") {
			return fmt.Errorf("the log is %v", kinds)
		}
		return nil
	})
	there.end("order-the-end-there", subscription)
	here.supplier.Cut(nil)
	there.retryJobs()
	there.reaches("order-the-end-there", "completed")
	settled(t, here.supplier, here.reseller)
	var kinds []string
	for _, l := range logOf(t, here.supplier, here.reseller.Origin, "own") {
		if l.Subject == subscription {
			kinds = append(kinds, l.Kind)
		}
	}
	if want := []string{"order.accepted", "order.completed", "access.deleted", "order.accepted", "order.completed"}; !slices.Equal(kinds, want) {
		t.Errorf("the supplier decided %v", kinds)
	}
	here.verified()
}
