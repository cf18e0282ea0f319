package sidecar_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/sync/errgroup"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// idlePartners is how many partners a hub has that does nothing.
const idlePartners = 100

// idleWindow is how long it is watched: a whole life of the tokens, so that their renewal is in it.
const idleWindow = 5 * time.Minute

// BenchmarkIdle watches three real daemons that have nothing to do: one alone, one with 100 partners that are there (real members, half
// of them suppliers, half resellers), and one with 100 active partners that nobody can reach. All three are watched in the same time.
// Reported is for each the CPU time, in percent of one core, and the resident memory at the end. HANSE_IDLE_WINDOW shortens the watch.
func BenchmarkIdle(b *testing.B) {
	window := idleWindow
	if set := os.Getenv("HANSE_IDLE_WINDOW"); set != "" {
		var err error
		if window, err = time.ParseDuration(set); err != nil {
			b.Fatal(err)
		}
	}
	devCA := b.TempDir()
	daemons := map[string]*sidecartest.Daemon{}
	for _, name := range []string{"alone", "quiet", "unreachable"} {
		daemons[name] = sidecartest.NewDaemon(b, sidecartest.DaemonConfig{Name: name, DevCA: devCA})
		daemons[name].Start()
	}
	away := daemons["unreachable"]
	away.Stop()
	forgetPartners(b, away)
	away.Start() // before others take its ports
	befriend(b, daemons["quiet"], devCA)
	for range b.N {
		<-time.After(min(window, 30*time.Second)) // what the start left goes
		before := map[string]time.Duration{}
		for name, d := range daemons {
			before[name] = d.CPU()
		}
		<-time.After(window)
		for name, d := range daemons {
			b.ReportMetric(100*(d.CPU()-before[name]).Seconds()/window.Seconds(), name+"-cpu-%")
			b.ReportMetric(d.RSS(), name+"-rss-MiB")
			b.ReportMetric(metric(b, d, "go_goroutines"), name+"-goroutines")
			b.ReportMetric(metric(b, d, "hanse_store_commits_total"), name+"-commits")
		}
	}
	b.ReportMetric(0, "ns/op")
}

// metric is a metric without labels.
func metric(b *testing.B, d *sidecartest.Daemon, name string) float64 {
	b.Helper()
	for line := range bytes.Lines(scrape(b, d)) {
		if value, ok := strings.CutPrefix(string(line), name+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				b.Fatal(err)
			}
			return n
		}
	}
	b.Fatalf("there is no metric %s", name)
	return 0
}

func scrape(b *testing.B, d *sidecartest.Daemon) []byte {
	b.Helper()
	res, err := http.Get(d.OpsURL + "/metrics")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var out bytes.Buffer
	if _, err := out.ReadFrom(res.Body); err != nil {
		b.Fatal(err)
	}
	return out.Bytes()
}

// befriend makes the hub's partners: members in this process, of which each has an agreement with it.
func befriend(b *testing.B, hub *sidecartest.Daemon, devCA string) {
	b.Helper()
	token, err := os.ReadFile(filepath.Join(hub.Dir, "data", "operator.token"))
	if err != nil {
		b.Fatal(err)
	}
	desk := operatorDesk{hub.Origin, hub.OperatorURL, sidecartest.Bearer(strings.TrimSpace(string(token)))}
	members := make([]*sidecartest.Member, idlePartners)
	for i := range members {
		members[i] = sidecartest.Under(b, devCA, nil, fmt.Sprintf("partner%d", i))[0]
	}
	var group errgroup.Group
	group.SetLimit(8)
	for i, m := range members {
		group.Go(func() error {
			there := operatorDesk{m.Origin, m.OperatorURL, m.OperatorAuth()}
			if i%2 == 0 {
				return agree(b, desk, there)
			}
			return agree(b, there, desk)
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
}

// operatorDesk is where a member's operator works.
type operatorDesk struct {
	origin, url string
	auth        connect.ClientOption
}

// agree makes a partnership with an active agreement.
func agree(b *testing.B, reseller, supplier operatorDesk) error {
	ctx := context.Background()
	sidecartest.Eventually(b, time.Minute, "the partner is added", func() error { // a hub fetches documents only so fast
		_, err := operatorv1connect.NewPartnerServiceClient(http.DefaultClient, reseller.url, reseller.auth).
			AddPartner(ctx, connect.NewRequest(&operatorv1.AddPartnerRequest{Origin: supplier.origin, Role: operatorv1.Role_ROLE_SUPPLIER}))
		if err != nil {
			<-time.After(time.Second)
		}
		return err
	})
	if _, err := operatorv1connect.NewAgreementServiceClient(http.DefaultClient, supplier.url, supplier.auth).
		OfferAgreement(ctx, connect.NewRequest(&operatorv1.OfferAgreementRequest{Reseller: reseller.origin, Currency: "EUR"})); err != nil {
		return fmt.Errorf("offer agreement: %w", err)
	}
	agreements := operatorv1connect.NewAgreementServiceClient(http.DefaultClient, reseller.url, reseller.auth)
	sidecartest.Eventually(b, time.Minute, "the agreement is active on both sides", func() error {
		res, err := agreements.AcceptAgreement(ctx, connect.NewRequest(&operatorv1.AcceptAgreementRequest{Supplier: supplier.origin, DryRun: true}))
		if err == nil {
			_, err = agreements.AcceptAgreement(ctx, connect.NewRequest(&operatorv1.AcceptAgreementRequest{
				Supplier: supplier.origin, Digest: res.Msg.GetAgreement().GetDigest(),
			}))
		}
		list, lerr := agreements.ListAgreements(ctx, connect.NewRequest(&operatorv1.ListAgreementsRequest{}))
		if lerr != nil {
			return lerr
		}
		for _, a := range list.Msg.GetAgreements() {
			if a.GetSupplier() == supplier.origin && a.GetState() == "active" {
				return nil
			}
		}
		return fmt.Errorf("not active yet: %v", err)
	})
	return nil
}

// openStore opens the database of a daemon that does not run.
func openStore(b *testing.B, d *sidecartest.Daemon) *store.Store {
	b.Helper()
	data := filepath.Join(d.Dir, "data")
	key, err := os.ReadFile(filepath.Join(data, "site.key"))
	if err != nil {
		b.Fatal(err)
	}
	st, err := store.Open(context.Background(), store.Config{Path: filepath.Join(data, "hanse.db"), SiteKey: key, Exclusive: true, Now: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = st.Close() })
	return st
}

// forgetPartners gives a daemon that does not run 100 partners under active agreements, at a port where nobody listens.
func forgetPartners(b *testing.B, d *sidecartest.Daemon) {
	b.Helper()
	st := openStore(b, d)
	now := time.Now().UTC()
	err := st.Do(context.Background(), func(tx *store.Tx) error {
		for i := range idlePartners {
			origin := fmt.Sprintf("https://away%d.localhost:1", i)
			if _, err := tx.Partners().Put(member.Partner{
				Origin: origin, PartnershipID: origin, State: member.Active, Roles: []member.Role{member.Supplier}, CreatedAt: now, UpdatedAt: now,
			}); err != nil {
				return err
			}
			if _, err := tx.Agreements().Put(agreement.Agreement{
				ID: "agr", Supplier: origin, Reseller: d.Origin, State: agreement.Active, Terms: agreement.Terms{Currency: "EUR"}, CreatedAt: now, UpdatedAt: now,
			}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := st.Close(); err != nil {
		b.Fatal(err)
	}
}
