package sidecar_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sdk"
	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1/portalv1connect"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// The gate: what orders, searches and an idle sidecar cost, in counts. A clock says little on a busy machine, a count says the same
// everywhere. Each bound is what stood when it was last lowered and a margin for what really varies. Whoever saves something lowers
// the bound; whoever must raise one says why in the commit.

// tally are the counts of a pipe's members, and of the process, so far.
type tally struct{ statements, views, commits, signatures, verifications, bytes float64 }

// idle bounds what a sidecar that has nothing to do comes to in a second. All of it is polls.
var idle = tally{statements: 9, views: 3.5, commits: 0.5}

func (p *realPipe) counts() (c tally) {
	for _, m := range p.members {
		s := m.StoreStats()
		c.statements += float64(s.Statements)
		c.views += float64(s.Views)
		c.commits += float64(s.Commits)
	}
	signatures, verifications := keys.Counted()
	c.signatures, c.verifications = float64(signatures), float64(verifications)
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	c.bytes = float64(memory.TotalAlloc)
	return c
}

// plus adds so many of another tally.
func (c tally) plus(other tally, times float64) tally {
	return tally{
		c.statements + other.statements*times, c.views + other.views*times, c.commits + other.commits*times,
		c.signatures + other.signatures*times, c.verifications + other.verifications*times, c.bytes + other.bytes*times,
	}
}

// each is one of n equal parts.
func (c tally) each(n int) tally { return tally{}.plus(c, 1/float64(n)) }

// within fails a subtest for each count above its bound.
func (c tally) within(t *testing.T, an string, most tally) {
	t.Helper()
	for _, b := range []struct {
		what       string
		have, most float64
	}{
		{"SQL statements", c.statements, most.statements},
		{"views", c.views, most.views},
		{"commits", c.commits, most.commits},
		{"signatures", c.signatures, most.signatures},
		{"verifications", c.verifications, most.verifications},
		{"bytes allocated", c.bytes, most.bytes},
	} {
		if b.most == 0 {
			continue // not counted
		}
		t.Run(b.what+" "+an, func(t *testing.T) {
			t.Logf("%.2f, at most %.2f", b.have, b.most)
			if b.have > b.most {
				t.Errorf("%.2f %s %s, the bound is %.2f", b.have, b.what, an, b.most)
			}
		})
	}
}

// TestGate_Orders counts both members and their callers. A lone order waits for nothing and nobody, so that its counts vary by a few
// percent: an entry that comes with the feed, a token that is renewed. Polls while a slow machine is at it come on top, by the bound of
// an idle sidecar. One caller's orders are the more alone the slower the machine is. With many callers the counts depend on how many
// orders share a batch, which the machine's load moves between 20 and 64: their bounds are for batches of a third of what they may
// hold. Allocation has a tenth to a third more under the race detector, which is in its bounds.
func TestGate_Orders(t *testing.T) {
	p := newRealPipe(t, 1)
	p.run(t, 64, 64)
	for _, load := range []struct {
		an            string
		orders        int
		callers, runs int
		most          tally
	}{
		{an: "an order that is alone", orders: 1, callers: 1, runs: 30, most: tally{86, 17, 8, 9, 11, 650e3}},
		{an: "an order of one caller", orders: 100, callers: 1, runs: 1, most: tally{60, 11, 5.5, 7, 8, 510e3}},
		{an: "an order of 64 callers", orders: 512, callers: 64, runs: 1, most: tally{14, 1.2, 1, 1.6, 1.6, 297e3}},
	} {
		before, began := p.counts(), time.Now()
		for range load.runs {
			p.run(t, load.orders, load.callers)
		}
		n := load.orders * load.runs
		polls := time.Since(began).Seconds() * float64(len(p.members)) / float64(n)
		p.counts().plus(before, -1).each(n).within(t, load.an, load.most.plus(idle, polls))
	}
}

// TestGate_Searches counts a reseller's work for what a browser asks of a catalog of 60 listings: one view, and
// in it four statements for a page of up to 64. The median of several has no poll in it.
func TestGate_Searches(t *testing.T) {
	members := sidecartest.New(t, acceptingMember, "reseller", "supplier")
	var offerings []string
	for i := range 60 {
		offerings = append(offerings, strings.Replace(benchOffering, "id: bench", fmt.Sprintf("id: bench-%d", i), 1))
	}
	members[1].Apply(strings.Join(offerings, "---\n"))
	sidecartest.Connect(t, members[0], members[1], 2000, "EUR")
	p := &realPipe{members: members[:1]}
	key := members[0].AddPortal("shop")
	client, err := sdk.New(members[0].PortalURL, key)
	if err != nil {
		t.Fatal(err)
	}
	relay := sdk.Storefront(client, sdk.StorefrontConfig{Customer: func(*http.Request) (string, bool) { return "", false }})
	catalog := portalv1connect.NewCatalogServiceClient(http.DefaultClient, members[0].PortalURL, sidecartest.Bearer(key))
	search := func(r *portalv1.SearchListingsRequest) []*portalv1.ListingSummary {
		res, err := catalog.SearchListings(t.Context(), connect.NewRequest(r))
		if err != nil {
			t.Fatal(err)
		}
		return res.Msg.GetListings()
	}
	var shown []*portalv1.ListingSummary
	sidecartest.Eventually(t, 30*time.Second, "all are listed", func() error {
		if shown = search(&portalv1.SearchListingsRequest{PageSize: 100}); len(shown) != 60 {
			return fmt.Errorf("%d are", len(shown))
		}
		return nil
	})
	for _, asked := range []struct {
		a    string
		ask  func()
		most tally
	}{
		{"a search of 24 listings", func() { search(&portalv1.SearchListingsRequest{Query: "bench"}) }, tally{statements: 4, views: 1}},
		{"a search of 60 listings", func() { search(&portalv1.SearchListingsRequest{Query: "bench", PageSize: 100}) }, tally{statements: 4, views: 1}},
		{"a search of families", func() { search(&portalv1.SearchListingsRequest{Query: "bench", Group: true}) }, tally{statements: 4, views: 1}},
		{"a catalog page through the portal's relay", func() {
			r := httptest.NewRequest(http.MethodPost, "/hanse/api"+portalv1connect.CatalogServiceSearchListingsProcedure, strings.NewReader("{}"))
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			relay.ServeHTTP(w, r)
			if w.Code != http.StatusOK {
				t.Fatalf("status %d: %s", w.Code, w.Body)
			}
		}, tally{statements: 4, views: 1}},
		{"a listing", func() {
			if _, err := catalog.GetListing(t.Context(), connect.NewRequest(&portalv1.GetListingRequest{Id: shown[0].GetId()})); err != nil {
				t.Fatal(err)
			}
		}, tally{statements: 4, views: 1}},
	} {
		var statements, views []float64
		for range 21 {
			before := p.counts()
			asked.ask()
			have := p.counts().plus(before, -1)
			statements, views = append(statements, have.statements), append(views, have.views)
		}
		tally{statements: median(statements), views: median(views)}.within(t, asked.a, asked.most)
	}
}

// TestGate_Idle counts what four sidecars that have nothing to do ask of their databases: a reseller and its three suppliers. All of
// it is polls with a period of their own, so a slow machine has fewer of them and never more.
func TestGate_Idle(t *testing.T) {
	p := newRealPipe(t, 3)
	p.run(t, 3, 1)
	<-time.After(time.Second)
	before, began := p.counts(), time.Now()
	<-time.After(6 * time.Second)
	have, seconds := p.counts().plus(before, -1).each(len(p.members)), time.Since(began).Seconds()
	tally{}.plus(have, 1/seconds).within(t, "a second of an idle sidecar", idle)
}
