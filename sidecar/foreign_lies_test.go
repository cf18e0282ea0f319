package sidecar_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// lie makes the foreign member lie in one way from now on; "none" ends that.
func (m *foreignMarket) lie(about string) {
	m.t.Helper()
	m.foreign.Do("lie", in{"origin": m.reseller.Origin, "about": about}, nil)
}

// opsPage is a page of a member's ops listener.
func opsPage(t *testing.T, m *sidecartest.Member, path string) string {
	t.Helper()
	res, err := http.Get(m.OpsURL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	page, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// counted is how often a member refused pages of a partner, by reason.
func counted(t *testing.T, m *sidecartest.Member, partner string) map[string]int {
	t.Helper()
	host := strings.TrimPrefix(partner, "https://")
	counts := map[string]int{}
	for _, found := range regexp.MustCompile(`(?m)^hanse_ledger_pages_refused_total\{partner="([^"]*)",reason="([^"]*)"\} (\d+)`).FindAllStringSubmatch(opsPage(t, m, "/metrics"), -1) {
		if strings.Contains(host, strings.TrimPrefix(found[1], "https://")) {
			counts[found[2]], _ = strconv.Atoi(found[3])
		}
	}
	return counts
}

func TestABadPageOfAForeignMemberIsRefusedCountedAndAskedForAgain(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, lie, reason string
	}{
		{"a page that ends before its checkpoint", "half_page", "page_broken"},
		{"a page with other entries than its checkpoint says", "other_page", "page_broken"},
		{"a page that was read long ago", "old_page", "page_old"},
		{"a page that begins behind what was asked for", "page_beyond", "page_gap"},
		{"an entry with a member twice", "double_member", "page_broken"},
		{"an entry with a member in another case", "other_case", "page_broken"},
	}
	ours := newMembers(t, nil, func(*sidecar.Config) {}, "reseller")[0]
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := newForeignMarket(t, ours, fmt.Sprintf("liar%d", i), "json")
			m.lie(c.lie)
			if _, err := m.order("order-lied-to", nil); err != nil {
				t.Fatal(err)
			}
			sidecartest.Eventually(t, 20*time.Second, "the page is refused, and the next one too", func() error {
				if n := counted(t, ours, m.foreign.Origin); n[c.reason] < 2 {
					return fmt.Errorf("refused were %v", n)
				}
				return nil
			})
			if n := counted(t, ours, m.foreign.Origin); len(n) != 1 {
				t.Errorf("refused for %v", n)
			}
			if have := logOf(t, ours, m.foreign.Origin, "theirs"); slices.Contains(kindsOf(have), "order.accepted") {
				t.Errorf("of the bad page this was taken: %v", have)
			}
			if p := partnerAt(t, ours, m.foreign.Origin); p.GetBooks() != "level" {
				t.Errorf("a bad page is no fork: %v", p)
			}
			m.lie("none")
			m.retryJobs()
			m.reaches("order-lied-to", "completed")
			level(t, ours, m.foreign)
		})
	}
}

func TestAForeignMemberThatSignsTwoLogsGetsNoNewBusiness(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, lie string
	}{
		{"an answer to Submit whose checkpoint contradicts the feed", "fork_reply"},
		{"an entry sent again with another hash, signed", "fork_seq"},
		{"a heartbeat that signs another hash at the same place", "fork_heartbeat"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ours := newMembers(t, nil, func(*sidecar.Config) {}, "reseller")[0]
			honest, m := newForeignMarket(t, ours, "honest", "json"), newForeignMarket(t, ours, "liar", "json")
			if _, err := m.order("order-before", nil); err != nil {
				t.Fatal(err)
			}
			m.reaches("order-before", "completed")
			level(t, ours, m.foreign)
			if code, said := verifies(t, ours); code != 0 {
				t.Fatalf("before the lie hanse ledger verify exits with %d: %s", code, said)
			}

			m.lie(c.lie)
			if _, err := m.order("order-forked", nil); err != nil && reason(err) != "listing_not_orderable" {
				t.Fatal(err)
			}
			isForked(t, ours, m.foreign.Origin)
			// Honest again, it gets nothing new all the same; customers read no word of partners or ledgers.
			m.lie("none")
			_, err := m.order("order-after", nil)
			if reason(err) != "listing_not_orderable" || strings.Contains(err.Error(), "ledger") || strings.Contains(err.Error(), "liar.localhost") {
				t.Errorf("a new order: %v", err)
			}
			if _, err := honest.order("order-elsewhere", nil); err != nil {
				t.Fatal(err)
			}
			honest.reaches("order-elsewhere", "completed")
			level(t, ours, honest.foreign)
		})
	}
}

// isForked holds all that an operator sees of a fork with a partner, and that hanse ledger verify proves it.
func isForked(t *testing.T, m *sidecartest.Member, origin string) {
	t.Helper()
	sidecartest.Eventually(t, 20*time.Second, "the books are forked", func() error {
		if p := partnerAt(t, m, origin); p.GetBooks() != "forked" || p.GetBooksReason() != "ledger_fork" {
			return fmt.Errorf("the partner is %v", p)
		}
		return nil
	})
	if code, said := verifies(t, m); code != 7 || proves(said, origin) == nil {
		t.Errorf("hanse ledger verify exits with %d, with evidence of every partner: %s", code, said)
	}
	code, said := m.Command("ledger", "verify", origin, "-o", "json")
	if err := proves(said, origin); code != 7 || err != nil {
		t.Errorf("hanse ledger verify %s exits with %d, %v: %s", origin, code, err, said)
	}
	if code, said := m.Command("partner", "show", origin); code != 0 || !strings.Contains(said, "forked since") {
		t.Errorf("hanse partner show exits with %d: %s", code, said)
	}
	if page := opsPage(t, m, "/readyz"); !strings.Contains(page, "forked with "+origin) {
		t.Errorf("readyz says %s", page)
	}
	if page := opsPage(t, m, "/metrics"); !regexp.MustCompile(`(?m)^hanse_partner_books\{[^}]*state="forked"\} 1$`).MatchString(page) {
		t.Errorf("no metric says forked: %s", regexp.MustCompile(`(?m)^hanse_partner_books.*$`).FindAllString(page, -1))
	}
}

// proves reads what hanse ledger verify shows of a fork: both sides as they were signed, which differ at one place.
func proves(said, partner string) error {
	var shown struct {
		Ledgers []struct {
			Partner, Direction, Books string
			BooksEvidence             []byte
		}
	}
	if err := json.Unmarshal([]byte(said), &shown); err != nil {
		return err
	}
	for _, l := range shown.Ledgers {
		if l.Partner != partner || l.Direction != "theirs" {
			continue
		}
		var proof struct {
			Ours, Theirs struct {
				Checkpoint string
				Entries    []string
			}
		}
		if err := json.Unmarshal(l.BooksEvidence, &proof); err != nil {
			return err
		}
		if proof.Ours.Checkpoint == "" || proof.Theirs.Checkpoint == "" || proof.Ours.Checkpoint == proof.Theirs.Checkpoint {
			return fmt.Errorf("two signed checkpoints are not there: %s", l.BooksEvidence)
		}
		return nil
	}
	return errors.New("the partner is not there")
}

func TestWhatAForeignMemberWritesAgainstTheRulesParksItsSubject(t *testing.T) {
	t.Parallel()
	its := func(s string) []string { return []string{s} }
	cases := []struct {
		name, lie string
		parked    func(subscription string) []string
	}{
		{"an order is completed before it is accepted", "completion_first", its},
		{"an acceptance stands under another subject", "wrong_subject", func(s string) []string { return []string{s, s + "-x"} }},
		{"an acceptance names another document", "other_digest", its},
		{"an entry of a kind that only the other side writes", "wrong_kind", its},
	}
	ours := newMembers(t, nil, func(*sidecar.Config) {}, "reseller")[0]
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := newForeignMarket(t, ours, fmt.Sprintf("writer%d", i), "json")
			m.lie(c.lie)
			placed, err := m.order("order-miswritten", nil)
			if err != nil {
				t.Fatal(err)
			}
			subscription := placed.GetItems()[0].GetSubscriptionId()
			sidecartest.Eventually(t, 20*time.Second, "the subject is parked", func() error {
				if p := partnerAt(t, ours, m.foreign.Origin); !slices.ContainsFunc(p.GetParkedSubjects(), func(s string) bool { return strings.HasPrefix(s, "sub-") }) {
					return fmt.Errorf("parked are %v; our orders are %v, jobs %v", p.GetParkedSubjects(), booksOf(t, ours).Orders, booksOf(t, ours).Jobs)
				}
				return nil
			})
			m.lie("none")
			// Other subjects go on, with this partner too.
			if _, err := m.order("order-well-written", nil); err != nil {
				t.Fatal(err)
			}
			m.reaches("order-well-written", "completed")
			// Nobody's order is taken to be accepted or completed by it.
			for _, o := range booksOf(t, ours).Orders {
				mine := o.GetPartner() == m.foreign.Origin && o.GetSubscriptionId() == subscription
				if mine && o.GetState() != "acknowledged" && (o.GetState() != "pending.unreachable" || o.GetReason() != "order_check") {
					t.Errorf("the order is %v", o)
				}
			}
			if parked := slices.Sorted(slices.Values(partnerAt(t, ours, m.foreign.Origin).GetParkedSubjects())); !slices.Equal(parked, c.parked(subscription)) {
				t.Errorf("parked are %v", parked)
			}
			if p := partnerAt(t, ours, m.foreign.Origin); p.GetBooks() != "level" {
				t.Errorf("what is written against the rules is no fork: %v", p)
			}
		})
	}
}

func TestAForeignMemberThatFloodsIsLeftAloneForAWhile(t *testing.T) {
	t.Parallel()
	ours := newMembers(t, nil, func(*sidecar.Config) {}, "reseller")[0]
	m := newForeignMarket(t, ours, "flooder", "json")
	m.lie("heartbeat_flood")
	sidecartest.Eventually(t, 20*time.Second, "the stream is ended", func() error {
		page := opsPage(t, ours, "/metrics")
		if !regexp.MustCompile(`(?m)^hanse_feed_floods_total\{bound="heartbeats",feed="ledger",[^}]*\} [1-9]`).MatchString(page) {
			return fmt.Errorf("no flood is counted: %s", regexp.MustCompile(`(?m)^hanse_feed_floods.*$`).FindString(page))
		}
		return nil
	})
	m.lie("none")
	// Business goes on meanwhile: the answers to documents bring the log.
	if _, err := m.order("order-in-the-flood", nil); err != nil {
		t.Fatal(err)
	}
	sidecartest.Eventually(t, 20*time.Second, "the order is completed at the supplier", func() error {
		if own := m.foreign.Books(ours.Origin).Own; own.Seq < 4 { // offered, active, accepted, completed
			return fmt.Errorf("its log ends at %+v", own)
		}
		return nil
	})
	if _, err := m.order("order-after-it", nil); err != nil {
		t.Fatal(err)
	}
	m.reaches("order-in-the-flood", "completed")
	if p := partnerAt(t, ours, m.foreign.Origin); p.GetBooks() != "level" {
		t.Errorf("a flood is no fork: %v", p)
	}
}

func TestAForeignResellerThatSignsTwoLogsIsWoundDown(t *testing.T) {
	t.Parallel()
	for _, lie := range []string{"fork_seq", "fork_heartbeat"} {
		t.Run(lie, func(t *testing.T) {
			t.Parallel()
			ours := newMembers(t, nil, func(*sidecar.Config) {}, "supplier")[0]
			ours.Apply(strings.Replace(shopOffering, "PRICE", "10.00", 1))
			liar, honest := newForeignReseller(t, ours, "liar"), newForeignReseller(t, ours, "honest")
			bought := liar.buys("order-before-1")
			liar.Do("await", in{"subscription": bought, "state": "active"}, nil)
			level(t, ours, liar.Foreign)

			liar.Do("lie", in{"origin": ours.Origin, "about": lie}, nil)
			isForked(t, ours, liar.Origin)
			liar.Do("lie", in{"origin": ours.Origin, "about": "none"}, nil)

			// What runs can be ended; nothing begins.
			var ended struct{ Order, State string }
			liar.Do("terminate", in{"subscription": bought}, &ended)
			sidecartest.Eventually(t, 20*time.Second, "the subscription is ended", func() error {
				for _, s := range booksOf(t, ours).Subscriptions {
					if s.GetId() == bought && s.GetState() == "terminated" {
						return nil
					}
				}
				return fmt.Errorf("subscriptions are %v", booksOf(t, ours).Subscriptions)
			})
			go func() {
				_ = liar.Try("order", in{"origin": ours.Origin, "offering": "db", "quantity": 1, "inputs": in{"title": "more"}, "id": "order-after-1"}, nil)
			}()
			sidecartest.Eventually(t, 20*time.Second, "a new order hears why it is not decided", func() error {
				for _, item := range liar.Books(ours.Origin).Outbox {
					if strings.Contains(item.Error, "books_forked") {
						return nil
					}
				}
				return fmt.Errorf("what waits is %v", liar.Books(ours.Origin).Outbox)
			})
			honest.Do("await", in{"subscription": honest.buys("order-elsewhere"), "state": "active"}, nil)
			level(t, ours, honest.Foreign)
		})
	}
}

// TestWhatAForeignResellerTellsOfItsLogDecidesNothing: its orders are documents, and go on whatever it says in its feed.
func TestWhatAForeignResellerTellsOfItsLogDecidesNothing(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, lie string
		seen      func(ours *sidecartest.Member, f foreignReseller) error
		healed    bool
	}{
		{"it writes a kind of the supplier's ledger: the subject parks", "wrong_kind", func(ours *sidecartest.Member, f foreignReseller) error {
			if p := partnerAt(f.t, ours, f.Origin); !slices.Equal(p.GetParkedSubjects(), []string{"sub-order-lying-1"}) {
				return fmt.Errorf("the partner is %v", p)
			}
			return nil
		}, false},
		{"its pages have a member in another case: they are refused and asked for again", "other_case", func(ours *sidecartest.Member, f foreignReseller) error {
			if n := counted(f.t, ours, f.Origin); n["page_broken"] == 0 {
				return fmt.Errorf("refused were %v", n)
			}
			return nil
		}, true},
	}
	ours := newMembers(t, nil, func(*sidecar.Config) {}, "supplier")[0]
	ours.Apply(strings.Replace(shopOffering, "PRICE", "10.00", 1))
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newForeignReseller(t, ours, fmt.Sprintf("teller%d", i))
			f.Do("lie", in{"origin": ours.Origin, "about": c.lie}, nil)
			subscription := f.buys("order-lying-1")
			f.Do("await", in{"subscription": subscription, "state": "active"}, nil)
			sidecartest.Eventually(t, 20*time.Second, "that is seen", func() error { return c.seen(ours, f) })
			f.Do("lie", in{"origin": ours.Origin, "about": "none"}, nil)
			f.Do("await", in{"subscription": f.buys("order-honest-1"), "state": "active"}, nil)
			if c.healed {
				level(t, ours, f.Foreign)
			}
			if p := partnerAt(t, ours, f.Origin); p.GetBooks() != "level" {
				t.Errorf("the partner is %v", p)
			}
		})
	}
}
