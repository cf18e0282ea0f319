package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sidecar/internal/tlsdev"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// TestOperators_WorkWithRealSidecars runs every command against two linked daemons between which one order was completed.
func TestOperators_WorkWithRealSidecars(t *testing.T) {
	p := newPair(t)
	bought := p.completed("order-0001", p.purchase())
	subscription := bought.GetItems()[0].GetSubscriptionId()
	on := func(d *sidecartest.Daemon) func(args ...string) result {
		return func(args ...string) result {
			t.Helper()
			return hanse(t, nil, "", append(args, "-c", d.ConfigFile)...)
		}
	}
	reseller, supplier := on(p.reseller), on(p.supplier)

	t.Run("tables", func(t *testing.T) {
		for _, tc := range []struct {
			run  func(...string) result
			args []string
			want []string
		}{
			{reseller, []string{"partner", "list"}, []string{"ORIGIN", p.supplier.Origin, "supplier", "active", "up"}},
			{reseller, []string{"partner", "show", p.supplier.Origin}, []string{"Legal name:", "supplier Ltd", "Fingerprint:"}},
			{supplier, []string{"partner", "list"}, []string{p.reseller.Origin, "reseller"}},
			{supplier, []string{"agreement", "list"}, []string{p.reseller.Origin, "active", "20%", "EUR", "everywhere"}},
			{supplier, []string{"offering", "list"}, []string{"notes-s", "Notes S", "orderable"}},
			{supplier, []string{"offering", "show", "notes-s"}, []string{"Revision:", `"Notes S"`}},
			{reseller, []string{"listing", "list"}, []string{p.listing, "notes-s", "EUR", "P1M", "yes"}},
			{reseller, []string{"listing", "list", "--partner", p.supplier.Origin}, []string{p.listing}},
			{reseller, []string{"order", "list"}, []string{"order-0001", "retail", "completed"}},
			{supplier, []string{"order", "list", "--side", "resale"}, []string{"resale", "completed"}},
			{reseller, []string{"order", "show", "order-0001"}, []string{
				"State:", "completed", "shop", subscription, "Customer:", "Notes S", "Wholesale recurring:", "3.92 EUR per P1M", "Retail recurring:",
				"Margin recurring:", "Total recurring:", "retail - 3.92 EUR wholesale = ",
			}},
			{reseller, []string{"order", "show", "order-0001", "--portal", "shop", "--partner", p.supplier.Origin}, []string{"completed"}},
			{reseller, []string{"order", "timeline", "order-0001"}, []string{"acknowledged", "inProgress", "completed", "their ledger"}},
			{reseller, []string{"order", "explain", "order-0001"}, []string{"Who must act:", "nobody", "nothing: it is completed", "inProgress", "their ledger"}},
			{supplier, []string{"order", "explain", bought.GetItems()[0].GetSubscriptionId()[len("sub-"):]}, []string{"resale", "nobody", "completed"}},
			{reseller, []string{"ledger", "parked", "list"}, []string{"IF RELEASED"}},
			{reseller, []string{"subscription", "list"}, []string{subscription, "retail", "active"}},
			{supplier, []string{"subscription", "list"}, []string{subscription, "resale", "process"}},
			{reseller, []string{"ledger", "verify"}, []string{p.supplier.Origin, "own", "theirs"}},
			{reseller, []string{"ledger", "show", p.supplier.Origin}, []string{"order.placed"}},
			{reseller, []string{"ledger", "show", p.supplier.Origin, "--direction", "theirs"}, []string{"order.accepted", "order.completed"}},
			{reseller, []string{"portal", "list"}, []string{"shop", "catalog:read"}},
			{reseller, []string{"job", "list"}, []string{"KIND"}},
			{reseller, []string{"status"}, []string{
				"Ready:", "yes", p.reseller.Origin, p.reseller.ConfigFile, filepath.Join(p.reseller.Dir, "data"), "sqlite", "Open orders:", "none",
				p.supplier.Origin, "active, supplier, up", "0 parked",
			}},
			{supplier, []string{"status", "--wait", "10s"}, []string{p.reseller.Origin, "active, reseller"}},
		} {
			got := tc.run(tc.args...)
			if got.code != exitOK {
				t.Errorf("%v: %+v", tc.args, got)
			}
			for _, text := range tc.want {
				if !strings.Contains(got.stdout, text) {
					t.Errorf("%v: no %q in:\n%s", tc.args, text, got.stdout)
				}
			}
			asJSON := tc.run(append(tc.args, "-o", "json")...)
			if !json.Valid([]byte(asJSON.stdout)) || asJSON.code != exitOK {
				t.Errorf("%v -o json: %+v", tc.args, asJSON)
			}
		}
	})

	t.Run("a partner that is held", func(t *testing.T) {
		if got := reseller("partner", "hold", p.supplier.Origin, "--reason", "they move"); got.code != exitOK || !strings.Contains(got.stdout, "they move") {
			t.Fatalf("got %+v", got)
		}
		if err := p.place("order-held", p.purchase()); err != nil {
			t.Fatal(err)
		}
		got := reseller("order", "explain", "order-held")
		for _, text := range []string{"acknowledged", "held back by operator: they move", "Who must act:", "hanse partner flush " + p.supplier.Origin} {
			if !strings.Contains(got.stdout, text) {
				t.Errorf("no %q in:\n%s", text, got.stdout)
			}
		}
		var listed struct {
			Jobs []struct{ ID, Kind, State string }
		}
		if err := json.Unmarshal([]byte(reseller("job", "list", "-o", "json").stdout), &listed); err != nil {
			t.Fatal(err)
		}
		for _, j := range listed.Jobs {
			if j.Kind != "order.submit" {
				continue
			}
			if got := reseller("job", "drop", j.ID, "--dry-run"); got.code != exitConflict || !strings.Contains(got.stderr, "job_needed") || !strings.Contains(got.stderr, "hanse order cancel ") {
				t.Errorf("dropped: %+v", got)
			}
		}
		if got := reseller("partner", "list"); !strings.Contains(got.stdout, "HELD BACK") || !strings.Contains(got.stdout, "yes") {
			t.Errorf("got:\n%s", got.stdout)
		}
		if got := reseller("partner", "flush", p.supplier.Origin); got.code != exitOK || strings.Contains(got.stdout, "they move") {
			t.Errorf("got %+v", got)
		}
		p.completed("order-held", p.purchase())
		if got := supplier("order", "resolve", p.correlation("order-held"), "--made", "--observed", "it answers"); got.code != exitConflict || !strings.Contains(got.stderr, "order_not_held") {
			t.Errorf("an order that is not held: %+v", got)
		}
		if got := supplier("order", "resolve", "x", "--observed", "it answers"); got.code != exitFailure || !strings.Contains(got.stderr, "outcome_missing") {
			t.Errorf("an outcome that nobody names: %+v", got)
		}
	})

	t.Run("own price and name", func(t *testing.T) {
		if got := reseller("listing", "markup", "50%", "--partner", p.supplier.Origin); got.code != exitOK {
			t.Fatalf("got %+v", got)
		}
		// 4.90 less 20 % is 3.92 wholesale; half as much again is 5.88.
		if got := reseller("listing", "list"); !strings.Contains(got.stdout, "3.92 EUR") || !strings.Contains(got.stdout, "5.88 EUR") {
			t.Errorf("got:\n%s", got.stdout)
		}
		got := reseller("listing", "update", p.listing, "--name", "Our Notes", "--markup", "100%", "--hide")
		for _, text := range []string{"Our Notes", "7.84 EUR", "Hidden:     yes"} {
			if !strings.Contains(got.stdout, text) {
				t.Errorf("no %q in:\n%s", text, got.stdout)
			}
		}
		got = reseller("listing", "update", p.listing, "--name", "", "--no-markup", "--show")
		if !strings.Contains(got.stdout, "Notes S") || !strings.Contains(got.stdout, "5.88 EUR") {
			t.Errorf("the supplier's name and the rule's markup do not come back:\n%s", got.stdout)
		}
	})

	t.Run("the order as its supplier sees it", func(t *testing.T) {
		var shown struct {
			Order struct {
				Items  []struct{ CorrelationID string }
				Totals []struct {
					Period string
					Margin struct{ MinorUnits string }
				}
			}
		}
		if err := json.Unmarshal([]byte(reseller("order", "show", "order-0001", "-o", "json").stdout), &shown); err != nil {
			t.Fatal(err)
		}
		if sums := shown.Order.Totals; len(sums) == 0 || sums[len(sums)-1].Period != "P1M" || sums[len(sums)-1].Margin.MinorUnits == "" {
			t.Errorf("totals are %+v", sums)
		}
		id := shown.Order.Items[0].CorrelationID
		got := supplier("order", "show", id, "--side", "resale", "--partner", p.reseller.Origin)
		for _, text := range []string{"resale", "Pseudonym:", "cus-", "Wholesale recurring:"} {
			if !strings.Contains(got.stdout, text) {
				t.Errorf("no %q in %+v", text, got)
			}
		}
		if strings.Contains(got.stdout, "Retail") || strings.Contains(got.stdout, "Margin") {
			t.Errorf("a supplier is shown what is the reseller's:\n%s", got.stdout)
		}
		if got := supplier("order", "show", id, "--side", "retail"); got.code != exitNotFound {
			t.Errorf("got %+v", got)
		}
	})

	t.Run("portal keys", func(t *testing.T) {
		added := reseller("portal", "add", "second", "--scopes", "catalog:read")
		if added.code != exitOK || !strings.Contains(added.stdout, "Key:") || !strings.Contains(added.stderr, "only its hash") {
			t.Errorf("got %+v", added)
		}
		if got := reseller("portal", "add", "second"); got.code != exitConflict {
			t.Errorf("the same name again: %+v", got)
		}
		if got := reseller("portal", "rotate", "second"); got.code != exitOK || got.stdout == added.stdout {
			t.Errorf("got %+v", got)
		}
		if got := reseller("portal", "remove", "second"); got.code != exitOK {
			t.Errorf("got %+v", got)
		}
		if got := reseller("portal", "add", "second"); got.code != exitConflict || !strings.Contains(got.stderr, "portal_name_used") || !strings.Contains(got.stderr, "--reuse") {
			t.Errorf("the name of a removed one: %+v", got)
		}
		if got := reseller("portal", "add", "second", "--reuse"); got.code != exitOK || !strings.Contains(got.stdout, "Key:") {
			t.Errorf("the same name on purpose: %+v", got)
		}
	})

	t.Run("offerings with a mistake", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "offerings.yaml")
		bad := strings.Replace(notesOffering, `amount: "4.90"`, `amount: "-4.90"`, 1)
		if err := os.WriteFile(file, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		got := supplier("offering", "apply", "-f", file)
		if got.code != exitFailure || !strings.HasPrefix(got.stdout, file+":12:") {
			t.Errorf("got %+v", got)
		}
		if err := os.WriteFile(file, []byte(notesOffering), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := supplier("offering", "apply", "-f", file, "--dry-run"); got.code != exitOK || got.stdout != "checked: 0 created, 0 updated, 1 unchanged\n" {
			t.Errorf("got %+v", got)
		}
	})

	t.Run("a second currency", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "dollars.yaml")
		dollars := strings.NewReplacer("id: notes-s", "id: notes-usd", "name: Notes S", "name: Notes USD", "currency: EUR", "currency: USD").Replace(notesOffering)
		if err := os.WriteFile(file, []byte(dollars), 0o600); err != nil {
			t.Fatal(err)
		}
		p.supplier.Must("offering", "apply", "-f", file)
		offer := func(currency string, more ...string) result {
			return supplier(append([]string{"agreement", "offer", p.reseller.Origin, "--discount", "50%", "--currency", currency}, more...)...)
		}
		if got := offer("EUR", "--dry-run"); got.code != exitOK || !strings.Contains(got.stdout, "1 offerings in EUR") ||
			!strings.Contains(got.stdout, "at 50% off, not 20%") || !strings.Contains(got.stdout, "1 offerings in USD: nothing is agreed with") {
			t.Errorf("in euros again: %+v", got)
		}
		if got := offer("USD", "--dry-run"); got.code != exitOK || !strings.Contains(got.stdout, "1 offerings in USD") || strings.Contains(got.stdout, "Not sold") {
			t.Errorf("in dollars: %+v", got)
		}
		if list := supplier("agreement", "list"); strings.Contains(list.stdout, "offered") {
			t.Errorf("a dry run offered something:\n%s", list.stdout)
		}
		if got := offer("USD", "--territory", "de,XX"); got.code != exitFailure || !strings.Contains(got.stderr, "country_unknown (territory[1])") {
			t.Errorf("a territory that is none: %+v", got)
		}
		if got := offer("USD", "--territory", "fi"); got.code != exitOK {
			t.Fatalf("got %+v", got)
		}
		sidecartest.Eventually(t, 20*time.Second, "the offer arrives", func() error {
			_, err := p.reseller.Run("partner", "accept", p.supplier.Origin, "--dry-run")
			return err
		})
		if list := reseller("agreement", "list"); !strings.Contains(list.stdout, "offered") {
			t.Errorf("a dry run accepted something:\n%s", list.stdout)
		}
		p.reseller.Must("partner", "accept", p.supplier.Origin, "--yes")
		sidecartest.Eventually(t, 30*time.Second, "both currencies sell", func() error {
			out := reseller("listing", "list").stdout
			for _, text := range []string{"Notes S", "Notes USD", "2.45 USD"} {
				if !strings.Contains(out, text) {
					return fmt.Errorf("no %q in:\n%s", text, out)
				}
			}
			return nil
		})
		var listed struct {
			Listings []struct{ Name, UnsoldReason string }
		}
		if err := json.Unmarshal([]byte(reseller("listing", "list", "-o", "json").stdout), &listed); err != nil || len(listed.Listings) != 2 {
			t.Fatalf("%+v, %v", listed, err)
		}
		for _, l := range listed.Listings {
			if l.UnsoldReason != "" {
				t.Errorf("%s is not sold: %s", l.Name, l.UnsoldReason)
			}
		}
	})

	t.Run("refusals", func(t *testing.T) {
		for name, tc := range map[string]struct {
			args []string
			code int
		}{
			"no such order":           {[]string{"order", "show", "nothing"}, exitNotFound},
			"nothing parked":          {[]string{"ledger", "parked", "apply", p.supplier.Origin, "nothing"}, exitNotFound},
			"nothing to release":      {[]string{"ledger", "parked", "release", p.supplier.Origin, "nothing", "--seq", "1", "--reason", "x"}, exitNotFound},
			"no job to park":          {[]string{"job", "park", "999999", "--reason", "x"}, exitNotFound},
			"no job to drop":          {[]string{"job", "drop", "999999", "--dry-run"}, exitNotFound},
			"no order to explain":     {[]string{"order", "explain", "nothing"}, exitNotFound},
			"no such partner":         {[]string{"partner", "show", "https://nobody.localhost:1"}, exitNotFound},
			"no such offering":        {[]string{"offering", "show", "nothing"}, exitNotFound},
			"no such listing":         {[]string{"listing", "update", "lst-nothing", "--hide"}, exitNotFound},
			"no such portal":          {[]string{"portal", "rotate", "nothing"}, exitNotFound},
			"no such job":             {[]string{"job", "retry", "999999"}, exitNotFound},
			"bad portal name":         {[]string{"portal", "add", "No Good"}, exitFailure},
			"nobody at that origin":   {[]string{"partner", "add", "https://nobody.localhost:1", "--as", "supplier", "--yes"}, exitPending},
			"origin outside of dev":   {[]string{"partner", "add", "https://sidecar.example", "--as", "supplier", "--yes"}, exitFailure},
			"words that do not match": {[]string{"partner", "add", p.supplier.Origin, "--as", "supplier", "--fingerprint", "a b c d e f"}, exitConflict},
		} {
			got := reseller(tc.args...)
			if got.code != tc.code || got.stdout != "" || !strings.Contains(got.stderr, "hanse: ") {
				t.Errorf("%s: exit %d, want %d:\n%s%s", name, got.code, tc.code, got.stdout, got.stderr)
			}
		}
		stranger := "https://stranger.localhost" + withAnotherCA(t)
		if got := reseller("partner", "add", stranger, "--as", "supplier", "--yes"); got.code != exitPending ||
			!strings.Contains(got.stderr, "tls_unknown_authority") || !strings.Contains(got.stderr, "dev_ca_dir") {
			t.Errorf("a member of another dev CA: %+v", got)
		}
		got := hanse(t, map[string]string{"HANSE_OPERATOR_TOKEN": "hanse_op_wrong"}, "", "order", "list", "-c", p.reseller.ConfigFile)
		if got.code != exitAuth {
			t.Errorf("wrong token: %+v", got)
		}
	})
}

// correlation is the id of an order of one item at its supplier.
func (p *pair) correlation(id string) string {
	p.t.Helper()
	res, err := p.orders().GetOrder(context.Background(), connect.NewRequest(&portalv1.GetOrderRequest{Id: id}))
	if err != nil {
		p.t.Fatal(err)
	}
	return strings.TrimPrefix(res.Msg.GetOrder().GetItems()[0].GetSubscriptionId(), "sub-")
}

// withAnotherCA serves stranger.localhost with a certificate of a dev CA that is not the pair's, and returns the port.
func withAnotherCA(t *testing.T) string {
	t.Helper()
	ca, err := tlsdev.Open(t.TempDir(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := ca.Certificate("stranger.localhost")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL[strings.LastIndex(server.URL, ":"):]
}
