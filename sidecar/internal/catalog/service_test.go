package catalog_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/recipe"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

const (
	self = "https://supplier.localhost"
	acme = "https://acme.localhost"
	dell = "https://dollar.localhost"
)

// member is a supplier and a reseller on a store of its own.
type member struct {
	*catalog.Service
	reader *catalog.Reader
	work   unit.Work[catalog.Tx]
	store  *store.Store
	own    *markettest.Member
	woken  *[]string
}

func newMember(t testing.TB) member {
	t.Helper()
	return openMember(t, false)
}

// openMember is newMember; with once no unit of work is rehearsed, for who counts.
func openMember(t testing.TB, once bool) member {
	t.Helper()
	m := memberOf(t, markettest.Config{Once: once})
	m.agree(t, acme, "EUR", agreement.Active)
	m.agree(t, dell, "USD", agreement.Active)
	return m
}

// memberOf is openMember without agreements that its store does not have.
func memberOf(t testing.TB, cfg markettest.Config) member {
	t.Helper()
	var woken []string
	cfg.Wake = func(topic unit.Topic) { woken = append(woken, string(topic)) }
	own := markettest.Open(t, self, cfg)
	work := store.For[catalog.Tx](own.Store)
	return member{
		Service: &catalog.Service{Self: self, Work: work, Now: own.Clock.Now},
		reader:  &catalog.Reader{Work: work, Schemas: recipe.NewSchemas(0), Now: own.Clock.Now},
		work:    work, store: own.Store, own: own, woken: &woken,
	}
}

// agree puts an agreement with a reseller and returns its id.
func (m member) agree(t testing.TB, reseller, currency string, state agreement.State) string {
	t.Helper()
	id := "agr " + reseller
	err := m.work.Do(t.Context(), func(tx catalog.Tx) error {
		_, err := tx.Agreements().Put(agreement.Agreement{
			ID: id, Supplier: self, Reseller: reseller, State: state, Terms: agreement.Terms{Currency: currency},
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func offering(id, state, amount string) string {
	return fmt.Sprintf(`---
apiVersion: hanse/v1
kind: Offering
id: %s
name: Offering %s
category: database
region: north
country: DE
currency: EUR
state: %s
prices: [{id: fee, kind: recurring, period: P1M, amount: "%s"}]
recipe:
  inputs: {type: object, properties: {plan: {type: string}}}
  step: {adapter: process, with: {plan: "${inputs.plan}"}}
`, id, id, state, amount)
}

func (m member) apply(t testing.TB, yaml string) catalog.Counts {
	t.Helper()
	r, wrong, err := m.Apply(t.Context(), []byte(yaml), catalog.Options{})
	if err != nil || len(wrong) > 0 {
		t.Fatal(err, wrong)
	}
	return r.Counts
}

func (m member) page(t testing.TB, partner string, cursor []byte, limit int) catalog.Page {
	t.Helper()
	p, err := m.FeedPage(t.Context(), partner, cursor, limit)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (m member) take(t testing.TB, after []byte, p catalog.Page) catalog.Applied {
	t.Helper()
	a, err := m.reader.ApplyPage(t.Context(), acme, after, p)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// shown lists the offerings of a partner that are there, as id@revision.
func (m member) shown(t testing.TB) string {
	t.Helper()
	var out []string
	err := m.work.View(t.Context(), func(tx catalog.Tx) error {
		out = nil
		all, err := tx.Catalog().ListForeign("", "", 1000)
		for _, f := range all {
			out = append(out, fmt.Sprintf("%s@%d", f.ID, f.Revision))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, " ")
}

func show(p catalog.Page) string {
	var out []string
	if p.SnapshotBegin {
		out = append(out, "begin")
	}
	for _, c := range p.Items {
		s := fmt.Sprintf("%s@%d", c.OfferingID, c.Revision)
		if c.Tombstone {
			s = "-" + s
		}
		out = append(out, s)
	}
	if p.SnapshotEnd {
		out = append(out, "end")
	}
	if p.More {
		out = append(out, "more")
	}
	return strings.Join(out, " ")
}

func TestApplyCountsRevisions(t *testing.T) {
	t.Parallel()
	m := newMember(t)
	both := offering("a", "orderable", "1") + offering("b", "orderable", "2")
	if got := m.apply(t, both); got != (catalog.Counts{Created: 2}) {
		t.Errorf("first: %+v", got)
	}
	if got := m.apply(t, "# another comment\n"+both); got != (catalog.Counts{Unchanged: 2}) {
		t.Errorf("again: %+v", got)
	}
	changed := offering("a", "orderable", "1") + offering("b", "orderable", "2.5") + offering("c", "orderable", "3")
	if got, wrong, err := m.Apply(t.Context(), []byte(changed), catalog.Options{DryRun: true}); got.Counts != (catalog.Counts{Created: 1, Updated: 1, Unchanged: 1}) || len(wrong) > 0 || err != nil {
		t.Errorf("dry run: %+v %v %v", got, wrong, err)
	}
	if got := m.apply(t, changed); got != (catalog.Counts{Created: 1, Updated: 1, Unchanged: 1}) {
		t.Errorf("the dry run did something, or this did not: %+v", got)
	}
	err := m.work.View(t.Context(), func(tx catalog.Tx) error {
		o, err := tx.Catalog().Current("b")
		if o.Revision != 2 || sha256.Sum256(o.Document) != o.Digest || bytes.Contains(o.Document, []byte("process")) {
			t.Errorf("%+v", o)
		}
		old, err2 := tx.Catalog().Revision("b", 1)
		if old.SupersededAt.IsZero() {
			t.Error("the revision before is not superseded")
		}
		return firstOf(err, err2)
	})
	if err != nil {
		t.Error(err)
	}
}

// TestApplyAfterTheClockWasSetBack: an audit holds the times of revisions against their numbers.
func TestApplyAfterTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	m := newMember(t)
	m.apply(t, offering("a", "orderable", "1"))
	now := m.Now()
	m.Service.Now = func() time.Time { return now.Add(-time.Hour) }
	m.apply(t, offering("a", "orderable", "2"))
	err := m.work.View(t.Context(), func(tx catalog.Tx) error {
		before, err := tx.Catalog().Revision("a", 1)
		o, err2 := tx.Catalog().Current("a")
		if o.Revision != 2 || o.CreatedAt.Before(before.CreatedAt) || before.SupersededAt.Before(before.CreatedAt) {
			t.Errorf("revision %d of %s follows one of %s that made way at %s", o.Revision, o.CreatedAt, before.CreatedAt, before.SupersededAt)
		}
		return firstOf(err, err2)
	})
	if err != nil {
		t.Error(err)
	}
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestApplyIsAllOrNothing(t *testing.T) {
	t.Parallel()
	m := newMember(t)
	m.apply(t, offering("a", "orderable", "1"))
	for _, tc := range []struct {
		name, yaml, reason, field string
		line                      int
	}{
		{"a state that cannot follow", offering("n", "orderable", "1") + offering("a", "inTest", "1"), "state_transition", "state", 24},
		{"a state that cannot begin", offering("n", "endOfSale", "1"), "state_transition", "state", 10},
		{"another currency", offering("n", "orderable", "1") + strings.Replace(offering("a", "orderable", "1"), "EUR", "USD", 1), "currency_change", "currency", 23},
	} {
		t.Run(tc.name, func(t *testing.T) {
			*m.woken = nil
			r, wrong, err := m.Apply(t.Context(), []byte(tc.yaml), catalog.Options{})
			if err != nil || r.Counts != (catalog.Counts{}) || len(wrong) != 1 {
				t.Fatal(r, wrong, err)
			}
			if w := wrong[0]; w.Reason != tc.reason || w.Field != tc.field || w.Line != tc.line {
				t.Errorf("%+v", w)
			}
			if len(*m.woken) > 0 {
				t.Errorf("woken: %v", *m.woken)
			}
			err = m.work.View(t.Context(), func(tx catalog.Tx) error {
				_, err := tx.Catalog().Current("n")
				return err
			})
			if !fault.Is(err, fault.NotFound) {
				t.Errorf("the other offering of the file was applied: %v", err)
			}
		})
	}
	m.CheckStep = func(b recipe.Binding, _ catalog.Document) ([]recipe.Problem, error) {
		return []recipe.Problem{{Path: []string{"adapter"}, Reason: "step_invalid", Cause: "there is no adapter " + b.Adapter}}, nil
	}
	_, wrong, err := m.Apply(t.Context(), []byte(offering("n", "orderable", "1")), catalog.Options{})
	if err != nil || len(wrong) != 1 || wrong[0].Reason != "step_invalid" || wrong[0].Line != 14 {
		t.Errorf("an adapter that is not configured: %v %v", wrong, err)
	}
}

func TestTheSameIsCheckedInEveryState(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"inTest", "announced", "orderable", "onHold"} {
		m := newMember(t)
		m.CheckStep = func(b recipe.Binding, _ catalog.Document) ([]recipe.Problem, error) {
			if b.Connection == "" {
				return []recipe.Problem{{Path: []string{"connection"}, Reason: catalog.ConnectionUnknown, Cause: "is not configured"}}, nil
			}
			return []recipe.Problem{{Path: []string{"with", "plan"}, Reason: "with_invalid", Cause: "is not allowed"}}, nil
		}
		good := offering("n", state, "1")
		for name, c := range map[string]struct{ old, new, field, reason string }{
			"a country that is none":  {"country: DE", "country: XX", "country", "country_unknown"},
			"a country's former code": {"country: DE", "country: DD", "country", "country_unknown"},
			"a day that is past":      {"state:", "orderable_until: 2026-11-21T12:00:00Z\nstate:", "orderable_until", "date_past"},
			"a step that fails":       {"adapter: process,", "adapter: process, connection: c,", "recipe.step.with.plan", "with_invalid"},
		} {
			_, wrong, err := m.Apply(t.Context(), []byte(strings.Replace(good, c.old, c.new, 1)), catalog.Options{DryRun: true})
			if c.reason == "date_past" && state != "announced" {
				continue // the step is refused first, as it has no connection
			}
			found := false
			for _, w := range wrong {
				found = found || w.Field == c.field && w.Reason == c.reason && w.Line > 0
			}
			if err != nil || !found {
				t.Errorf("%s, %s: %v %v", state, name, wrong, err)
			}
		}
	}
	m := newMember(t)
	soon := strings.Replace(offering("n", "orderable", "1"), "state:", "orderable_until: 2026-11-21T12:00:01Z\nstate:", 1)
	m.apply(t, soon)
	past := strings.Replace(soon, "12:00:01", "11:00:00", 1)
	if _, wrong, err := m.Apply(t.Context(), []byte(past), catalog.Options{}); err != nil || len(wrong) != 1 || wrong[0].Reason != "date_past" {
		t.Errorf("%v %v", wrong, err)
	}
	if got := m.apply(t, strings.Replace(past, "state: orderable", "state: endOfSale", 1)); got.Updated != 1 {
		t.Errorf("what is sold no more may have been sold until then: %+v", got)
	}
}

func TestWhatIsNotInTheFileStaysUnlessItIsPruned(t *testing.T) {
	t.Parallel()
	m := newMember(t)
	m.apply(t, offering("a", "orderable", "1")+offering("b", "announced", "2")+offering("c", "orderable", "3")+offering("h", "onHold", "4")+offering("t", "inTest", "5"))
	p := m.page(t, acme, nil, 0)
	verbs := func(r catalog.Result) string {
		var out []string
		for _, c := range r.Changes {
			out = append(out, c.ID+" "+string(c.Verb))
		}
		return strings.Join(out, ", ")
	}
	state := func(id string) (s catalog.State) {
		err := m.work.View(t.Context(), func(tx catalog.Tx) error {
			o, err := tx.Catalog().Current(id)
			s = o.State
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	only := []byte(offering("c", "orderable", "3.5"))
	apply := func(how catalog.Options) catalog.Result {
		r, wrong, err := m.Apply(t.Context(), only, how)
		if err != nil || len(wrong) > 0 {
			t.Fatal(err, wrong)
		}
		return r
	}
	r := apply(catalog.Options{DryRun: true})
	if got := verbs(r); got != "c updated, a missing, b missing" || r.Counts != (catalog.Counts{Updated: 1, Missing: 2}) {
		t.Errorf("%s %+v", got, r.Counts)
	}
	if f := r.Changes[0].Fields; len(f) != 1 || f[0] != (catalog.FieldChange{Path: "prices[0].amount", Before: `"3"`, After: `"3.5"`}) {
		t.Errorf("%+v", f)
	}
	if got := verbs(apply(catalog.Options{DryRun: true, Prune: true})); got != "c updated, a withdrawn, b withdrawn" {
		t.Errorf("%s", got)
	}
	if state("a") != catalog.Orderable || len(m.page(t, acme, p.Cursor, 0).Items) > 0 {
		t.Error("a dry run withdrew something")
	}
	if got := verbs(apply(catalog.Options{})); got != "c updated, a missing, b missing" || state("a") != catalog.Orderable || state("b") != catalog.Announced {
		t.Errorf("%s; a is %s, b %s", got, state("a"), state("b"))
	}
	if r := apply(catalog.Options{Prune: true}); r.Counts != (catalog.Counts{Unchanged: 1, Withdrawn: 2}) {
		t.Errorf("%+v", r.Counts)
	}
	for id, want := range map[string]catalog.State{"a": catalog.OnHold, "b": catalog.OnHold, "c": catalog.Orderable, "h": catalog.OnHold, "t": catalog.InTest} {
		if got := state(id); got != want {
			t.Errorf("%s is %s, want %s", id, got, want)
		}
	}
	if got := show(m.page(t, acme, p.Cursor, 0)); got != "c@2 a@2 b@2" {
		t.Errorf("the partner is told %s", got)
	}
	if r := apply(catalog.Options{Prune: true}); r.Counts != (catalog.Counts{Unchanged: 1}) {
		t.Errorf("again: %+v", r.Counts)
	}
	if got := m.apply(t, offering("a", "orderable", "1")); got.Updated != 1 || state("a") != catalog.Orderable {
		t.Errorf("a file that has it again: %+v, %s", got, state("a"))
	}
	bad := string(only) + "---\nname: x\n"
	if _, wrong, _ := m.Apply(t.Context(), []byte(bad), catalog.Options{Prune: true}); len(wrong) == 0 || state("a") != catalog.Orderable {
		t.Errorf("a file with a mistake withdrew something: %v", wrong)
	}
}

func TestFeedFollowsWhatAPartnerMaySee(t *testing.T) {
	t.Parallel()
	m := newMember(t)
	m.apply(t, offering("a", "orderable", "1")+offering("b", "announced", "2")+offering("t", "inTest", "3"))
	if got, want := strings.Join(*m.woken, " "), "catalog/"+acme; !strings.Contains(got, want) {
		t.Errorf("woken: %s", got)
	}
	p := m.page(t, acme, nil, 0)
	if got := show(p); got != "begin a@1 b@1 end" {
		t.Errorf("snapshot: %s", got)
	}
	if got := show(m.page(t, dell, nil, 0)); got != "begin end" {
		t.Errorf("the partner in dollars sees %s", got)
	}
	if got := show(m.page(t, acme, p.Cursor, 0)); got != "" {
		t.Errorf("nothing is new: %s", got)
	}
	m.apply(t, offering("a", "orderable", "1.5")+offering("t", "orderable", "3"))
	p = m.page(t, acme, p.Cursor, 0)
	if got := show(p); got != "a@2 t@2" {
		t.Errorf("changes: %s", got)
	}
	m.apply(t, offering("a", "endOfSale", "1.5"))
	m.apply(t, offering("a", "endOfSupport", "1.5"))
	m.apply(t, offering("a", "obsolete", "1.5"))
	p = m.page(t, acme, p.Cursor, 0)
	if got := show(p); got != "-a@4" {
		t.Errorf("what partners see no longer: %s", got)
	}
	if got := show(m.page(t, acme, nil, 0)); got != "begin b@1 t@2 -a@4 end" {
		t.Errorf("a later snapshot: %s", got)
	}
	for name, cursor := range map[string][]byte{
		"garbage": []byte("garbage that is long enough"), "short": {1}, "another epoch": append(bytes.Clone(p.Cursor), 'x'),
		"another version": append([]byte{9}, p.Cursor[1:]...),
	} {
		if got := m.page(t, acme, cursor, 1); !got.SnapshotBegin {
			t.Errorf("a cursor that is %s does not start a snapshot", name)
		}
	}
}

func TestAnAgreementPublishesWhatThereIs(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, currency string
		state          agreement.State
		want           string
	}{
		{"in the offerings' currency", "EUR", agreement.Active, "begin a@1 c@1 end"},
		{"in another currency", "USD", agreement.Active, "begin end"},
		{"that is not active any more", "EUR", agreement.Suspended, "begin end"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := newMember(t)
			const late = "https://late.localhost"
			m.apply(t, offering("a", "orderable", "1")+offering("b", "inTest", "2")+offering("c", "orderable", "3"))
			j := job.Job{Kind: agreement.JobPublish, Key: m.agree(t, late, c.currency, c.state), Partner: late}
			for range 2 { // a job may run again
				if err := m.Publish(t.Context(), j); err != nil {
					t.Fatal(err)
				}
			}
			if got := show(m.page(t, late, nil, 0)); got != c.want {
				t.Errorf("published: %s", got)
			}
		})
	}
}

func TestReaderResumesInsideASnapshot(t *testing.T) {
	t.Parallel()
	m := newMember(t)
	m.apply(t, offering("a", "orderable", "1")+offering("b", "orderable", "1")+offering("c", "orderable", "1"))
	first := m.page(t, acme, nil, 2)
	if got := show(first); got != "begin a@1 b@1 more" {
		t.Fatalf("first page: %s", got)
	}
	m.take(t, nil, first)
	// Meanwhile one that was sent goes away, one that was sent changes.
	m.apply(t, offering("a", "endOfSale", "1"))
	m.apply(t, offering("a", "endOfSupport", "1")+offering("b", "orderable", "2"))
	place, err := m.reader.Place(t.Context(), acme)
	if err != nil || !bytes.Equal(place, first.Cursor) {
		t.Fatalf("place %x (%v)", place, err)
	}
	second := m.page(t, acme, place, 2)
	if got := show(second); got != "c@1 -a@3 more" {
		t.Fatalf("second page: %s", got)
	}
	m.take(t, place, second)
	third := m.page(t, acme, second.Cursor, 2)
	if got := show(third); got != "b@2 end" {
		t.Fatalf("third page: %s", got)
	}
	m.take(t, second.Cursor, third)
	if got := m.shown(t); got != "b@2 c@1" {
		t.Errorf("shown: %s", got)
	}
	// A page that was applied already.
	if _, err := m.reader.ApplyPage(t.Context(), acme, second.Cursor, third); fault.ReasonOf(err) != "cursor_moved" {
		t.Errorf("again: %v", err)
	}
	// A new snapshot sweeps what it does not hold.
	again := m.page(t, acme, nil, 0)
	again.Items = again.Items[:1]
	if a := m.take(t, third.Cursor, again); a.Removed != 1 {
		t.Errorf("%+v", a)
	}
	if got := m.shown(t); got != "c@1" {
		t.Errorf("after the sweep: %s", got)
	}
}

// published is a page of documents as a partner could make it.
func published(t testing.TB, docs ...map[string]any) catalog.Page {
	t.Helper()
	p := catalog.Page{Cursor: []byte("next")}
	for _, extra := range docs {
		doc := map[string]any{
			"id": "a", "revision": 1, "state": "orderable", "name": "A", "summary": "", "category": "c", "region": "r", "country": "DE",
			"currency": "EUR", "prices": []any{map[string]any{"id": "fee", "name": "Fee", "kind": "one_off", "amount": "1.00"}},
			"inputs": map[string]any{"type": "object"}, "outputs": map[string]any{"type": "object"},
		}
		for k, v := range extra {
			doc[k] = v
		}
		raw, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		id, _ := doc["id"].(string)
		revision, _ := doc["revision"].(int)
		p.Items = append(p.Items, catalog.Change{OfferingID: id, Revision: int64(revision), Document: raw, Digest: sha256.Sum256(raw)})
	}
	return p
}

type fields = map[string]any

// TestARevisionHasOneContentAlsoAfterATombstone: what was taken away comes back as it was, or as a later revision.
func TestARevisionHasOneContentAlsoAfterATombstone(t *testing.T) {
	t.Parallel()
	gone := func(revision int64) catalog.Page {
		return catalog.Page{Cursor: []byte("next"), Items: []catalog.Change{{OfferingID: "a", Revision: revision, Tombstone: true}}}
	}
	for name, tc := range map[string]struct {
		tombstone catalog.Page
		back      fields
		refused   string
		shown     string
	}{
		"the same":                         {gone(5), fields{"revision": 5}, "", "a@5"},
		"other content":                    {gone(5), fields{"revision": 5, "name": "B"}, "revision_reused", ""},
		"a later revision":                 {gone(5), fields{"revision": 6, "name": "B"}, "", "a@6"},
		"the revision of the tombstone":    {gone(6), fields{"revision": 6, "name": "B"}, "", "a@6"},
		"what was refused, in another way": {published(t, fields{"revision": 6, "currency": "XYZ"}), fields{"revision": 6}, "revision_reused", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMember(t)
			m.take(t, nil, published(t, fields{"revision": 5}))
			m.take(t, []byte("next"), tc.tombstone)
			a := m.take(t, []byte("next"), published(t, tc.back))
			reason := ""
			if len(a.Refused) > 0 {
				reason = a.Refused[0].Reason
			}
			if got := m.shown(t); reason != tc.refused || got != tc.shown {
				t.Errorf("refused as %q, shown %q; want %q, %q", reason, got, tc.refused, tc.shown)
			}
		})
	}
}

func TestReaderDistrustsWhatAPartnerSends(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		page    func(t *testing.T) catalog.Page
		refused string
		shown   string
	}{
		{"a new revision", func(t *testing.T) catalog.Page { return published(t, fields{"revision": 6}) }, "", "a@6"},
		{"the same again", func(t *testing.T) catalog.Page { return published(t, fields{"revision": 5}) }, "", "a@5"},
		{"an older revision", func(t *testing.T) catalog.Page { return published(t, fields{"revision": 4}) }, "revision_rollback", "a@5"},
		{"other content under one revision", func(t *testing.T) catalog.Page {
			return published(t, fields{"revision": 5, "name": "B"})
		}, "revision_reused", "a@5"},
		{"a tombstone", func(*testing.T) catalog.Page {
			return catalog.Page{Cursor: []byte("n"), Items: []catalog.Change{{OfferingID: "a", Revision: 6, Tombstone: true}}}
		}, "", ""},
		{"an old tombstone", func(*testing.T) catalog.Page {
			return catalog.Page{Cursor: []byte("n"), Items: []catalog.Change{{OfferingID: "a", Revision: 4, Tombstone: true}}}
		}, "revision_rollback", "a@5"},
		{"a tombstone of what we never had", func(*testing.T) catalog.Page {
			return catalog.Page{Cursor: []byte("n"), Items: []catalog.Change{{OfferingID: "z", Revision: 1, Tombstone: true}}}
		}, "", "a@5"},
		{"a currency that another agreement may be in", func(t *testing.T) catalog.Page {
			return published(t, fields{"revision": 6, "currency": "USD"})
		}, "", "a@6"},
		{"a currency that there is not", func(t *testing.T) catalog.Page {
			return published(t, fields{"revision": 6, "currency": "XYZ"})
		}, "document_invalid", ""},
		{"a document of another offering", func(t *testing.T) catalog.Page {
			p := published(t, fields{"id": "b", "revision": 6})
			p.Items[0].OfferingID = "a"
			return p
		}, "document_invalid", ""},
		{"a document of another revision", func(t *testing.T) catalog.Page {
			p := published(t, fields{"revision": 7})
			p.Items[0].Revision = 6
			return p
		}, "document_invalid", ""},
		{"one bad offering beside a good one", func(t *testing.T) catalog.Page {
			return published(t, fields{"id": "x", "name": ""}, fields{"id": "y"})
		}, "document_invalid", "a@5 y@1"},
		{"more than are kept", func(t *testing.T) catalog.Page {
			return published(t, fields{"id": "x"}, fields{"id": "y"}, fields{"id": "z"})
		}, "offerings_limit", "a@5 x@1 y@1"},
		{"a huge document", func(t *testing.T) catalog.Page {
			return published(t, fields{"revision": 6, "pad": strings.Repeat("x", catalog.MaxDocumentBytes)})
		}, "document_invalid", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newMember(t)
			m.reader.MaxOfferings = 3
			before := published(t, fields{"revision": 5})
			m.take(t, nil, before)
			applied := m.take(t, before.Cursor, tc.page(t))
			var reasons []string
			for _, r := range applied.Refused {
				reasons = append(reasons, r.Reason)
			}
			if applied.LeftOut[catalog.Offerings] == 1 && applied.Full == catalog.Offerings {
				reasons = append(reasons, "offerings_limit")
			}
			if got := strings.Join(reasons, " "); got != tc.refused {
				t.Errorf("refused %q, want %q", got, tc.refused)
			}
			if got := m.shown(t); got != tc.shown {
				t.Errorf("shown %q, want %q", got, tc.shown)
			}
		})
	}
}

// TestWhatComesIsPublishedBeforeWhatGoes: a shop whose every offering gets another id is never empty.
func TestWhatComesIsPublishedBeforeWhatGoes(t *testing.T) {
	t.Parallel()
	m := newMember(t)
	var before, after strings.Builder
	for i := range 40 {
		before.WriteString(offering(fmt.Sprintf("z-%02d", i), "orderable", "1"))
		after.WriteString(offering(fmt.Sprintf("a-%02d", i), "orderable", "1"))
	}
	m.apply(t, before.String())
	cursor := m.page(t, acme, nil, 0).Cursor
	if _, wrong, err := m.Apply(t.Context(), []byte(after.String()), catalog.Options{Prune: true}); err != nil || len(wrong) > 0 {
		t.Fatal(wrong, err)
	}
	page := m.page(t, acme, cursor, 0)
	if len(page.Items) != 80 {
		t.Fatalf("%d changes", len(page.Items))
	}
	for i, ch := range page.Items {
		if want := i < 40; (ch.OfferingID[0] == 'a') != want {
			t.Fatalf("change %d is of %s", i, ch.OfferingID)
		}
	}
}

func TestReaderRefusesAPageAsAWhole(t *testing.T) {
	t.Parallel()
	m := newMember(t)
	forged := published(t, fields{}, fields{"id": "b"})
	forged.Items[1].Document = append(forged.Items[1].Document, ' ')
	noID := published(t, fields{"id": "../x"})
	noCursor := published(t, fields{})
	noCursor.Cursor = nil
	for reason, pages := range map[string][]catalog.Page{
		"digest_mismatch": {forged},
		"page_invalid":    {noID, noCursor, {Cursor: []byte("n"), Items: make([]catalog.Change, catalog.MaxPage+1)}},
	} {
		for _, p := range pages {
			if _, err := m.reader.ApplyPage(t.Context(), acme, nil, p); fault.ReasonOf(err) != reason || !fault.Is(err, fault.Invalid) {
				t.Errorf("got %v, want %s", err, reason)
			}
		}
	}
	if got := m.shown(t); got != "" {
		t.Errorf("something was taken: %s", got)
	}
	if place, err := m.reader.Place(t.Context(), acme); place != nil || err != nil {
		t.Errorf("the cursor moved: %x %v", place, err)
	}
}

func TestAnOfferingThatWasGoneComesBack(t *testing.T) {
	t.Parallel()
	m := newMember(t)
	p := published(t, fields{"revision": 5})
	m.take(t, nil, p)
	m.take(t, p.Cursor, catalog.Page{Cursor: []byte("2"), Items: []catalog.Change{{OfferingID: "a", Revision: 5, Tombstone: true}}})
	if got := m.shown(t); got != "" {
		t.Errorf("shown %q", got)
	}
	p.Cursor = []byte("3")
	m.take(t, []byte("2"), p)
	if got := m.shown(t); got != "a@5" {
		t.Errorf("shown %q", got)
	}
}

func TestHonoured(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name       string
		state      catalog.State
		until      string
		superseded time.Duration // ago; 0 is current
		want       bool
	}{
		{"the current one", catalog.Orderable, "", 0, true},
		{"on hold", catalog.OnHold, "", 0, false},
		{"superseded within the grace", catalog.Orderable, "", catalog.Grace - time.Second, true},
		{"superseded before the grace", catalog.Orderable, "", catalog.Grace, false},
		{"superseded, promised longer", catalog.Orderable, "2026-12-24T00:00:00Z", 48 * time.Hour, true},
		{"current, promise over", catalog.Orderable, "2026-11-21T12:00:00Z", 0, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := catalog.Offering{State: tc.state, Document: []byte(`{}`)}
			if tc.until != "" {
				o.Document = []byte(`{"orderable_until":"` + tc.until + `"}`)
			}
			if tc.superseded > 0 {
				o.SupersededAt = now.Add(-tc.superseded)
			}
			if got := catalog.Honoured(o, now); got != tc.want {
				t.Errorf("%v", got)
			}
		})
	}
}

func TestListingIDIsStable(t *testing.T) {
	t.Parallel()
	if d := cmp.Diff("lst-", catalog.ListingID(acme, "a")[:4]); d != "" || len(catalog.ListingID(acme, "a")) != 24 {
		t.Error(catalog.ListingID(acme, "a"))
	}
	if catalog.ListingID("a", "b\nc") == catalog.ListingID("a", "b") {
		t.Error("two offerings, one listing")
	}
}

// TestAStoreThatWasPutBackUsesNoRevisionAgain: what its resellers have read since the copy has a number under which it would offer another text.
func TestAStoreThatWasPutBackUsesNoRevisionAgain(t *testing.T) {
	t.Parallel()
	third := offering("a", "orderable", "3")
	for name, again := range map[string]func(t *testing.T, m member){
		"applied before the books are level": func(t *testing.T, m member) { m.apply(t, third); m.putBack(t); m.putBack(t) },
		"applied after it":                   func(t *testing.T, m member) { m.putBack(t); m.putBack(t); m.apply(t, third) },
	} {
		for copied, was := range map[string]string{"an old copy": offering("a", "orderable", "1"), "an emptied disk": ""} {
			t.Run(name+", of "+copied, func(t *testing.T) {
				t.Parallel()
				lost, reseller, m := newMember(t), newMember(t), newMember(t)
				lost.apply(t, offering("a", "orderable", "1"))
				lost.apply(t, offering("a", "orderable", "2"))
				first := lost.page(t, acme, nil, 0)
				reseller.take(t, nil, first)
				if was != "" {
					m.apply(t, was)
				}
				again(t, m)
				reseller.take(t, first.Cursor, m.page(t, acme, nil, 0))
				var offered catalog.Offering
				var read catalog.Foreign
				view := func(m member, fn func(tx catalog.Tx) error) {
					t.Helper()
					if err := m.work.View(t.Context(), fn); err != nil {
						t.Fatal(err)
					}
				}
				view(m, func(tx catalog.Tx) (err error) { offered, err = tx.Catalog().Current("a"); return err })
				view(reseller, func(tx catalog.Tx) (err error) { read, err = tx.Catalog().Foreign(acme, "a"); return err })
				if read.Revision != offered.Revision || read.Digest != offered.Digest {
					t.Errorf("it offers revision %d, its reseller has read %d: %s", offered.Revision, read.Revision, read.Document)
				}
				if got := m.apply(t, third); got != (catalog.Counts{Unchanged: 1}) {
					t.Errorf("the same file again: %+v", got)
				}
			})
		}
	}
}

func (m member) putBack(t *testing.T) {
	t.Helper()
	if err := m.PutBack(t.Context(), acme); err != nil {
		t.Fatal(err)
	}
}

// TestAStoreThatWasPutBackBeginsItsFeedsAnew: a reseller may have read on beyond the end that the copy's feed has, and would not be told of what
// gets the numbers that it has read.
func TestAStoreThatWasPutBackBeginsItsFeedsAnew(t *testing.T) {
	t.Parallel()
	m := newMember(t)
	m.apply(t, offering("a", "orderable", "1"))
	for text := range 9 {
		m.apply(t, offering("b", "orderable", strconv.Itoa(text)))
	}
	read := m.page(t, acme, nil, 0).Cursor
	m.putBack(t)
	page := m.page(t, acme, read, 0)
	if !page.SnapshotBegin || !page.SnapshotEnd || len(page.Items) != 2 {
		t.Errorf("what was read before goes on with %+v", page)
	}
	m.putBack(t)
	if next := m.page(t, acme, page.Cursor, 0); next.SnapshotBegin || len(next.Items) != 0 {
		t.Errorf("the same copy begins again: %+v", next)
	}
}

// TestAStoreThatIsPutBackTwiceNumbersTwice: under a process that goes on a second copy is put back, from before the first.
func TestAStoreThatIsPutBackTwiceNumbersTwice(t *testing.T) {
	t.Parallel()
	m := newMember(t)
	m.apply(t, offering("a", "orderable", "1"))
	floor := func() (floor int64) {
		if err := m.work.View(t.Context(), func(tx catalog.Tx) (err error) { floor, err = catalog.Floor(tx.Cursors(), self); return err }); err != nil {
			t.Fatal(err)
		}
		return floor
	}
	m.putBack(t)
	first := floor()
	later := m.Now().Add(time.Minute)
	m.Service.Now = func() time.Time { return later }
	if m.putBack(t); first == 0 || floor() != first {
		t.Errorf("from %d the same copy went on to %d", first, floor())
	}
	if err := m.work.Do(t.Context(), func(tx catalog.Tx) error { return tx.Cursors().SetCursor(self, "catalog.floor", nil) }); err != nil {
		t.Fatal(err)
	}
	if m.putBack(t); floor() <= first {
		t.Errorf("the second copy goes on from %d, the first went on from %d", floor(), first)
	}
}

// revisions are the current ones, by id.
func (m member) revisions(t *testing.T) map[string]int64 {
	t.Helper()
	found := map[string]int64{}
	err := m.work.View(t.Context(), func(tx catalog.Tx) error {
		all, err := tx.Catalog().List("", 0)
		for _, o := range all {
			found[o.ID] = o.Revision
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestALaterCopyUnderAProcessIsNumberedToo, also one that has the floor of the copy before it: what was sold after that is lost again.
func TestALaterCopyUnderAProcessIsNumberedToo(t *testing.T) {
	t.Parallel()
	m := newMember(t)
	m.apply(t, offering("a", "orderable", "1"))
	m.putBack(t)
	later := m.Now().Add(time.Minute)
	m.Service.Now = func() time.Time { return later }
	m.Anew()
	if m.putBack(t); m.revisions(t)["a"] != later.Unix() {
		t.Errorf("the second copy goes on from %v, want %d", m.revisions(t), later.Unix())
	}
}

// TestAStoreThatIsDoubtedAnewIsNumberedAnew: no process has seen it go back, but an operator accepted another server, which begins the feeds anew.
// One of the replicas numbers, once, and the others go on from there.
func TestAStoreThatIsDoubtedAnewIsNumberedAnew(t *testing.T) {
	t.Parallel()
	m := newMember(t)
	m.apply(t, offering("a", "orderable", "1"))
	other := &catalog.Service{Self: self, Work: m.work, Now: m.Now}
	replicas := []*catalog.Service{m.Service, other, m.Service, other}
	putBack := func() {
		t.Helper()
		for _, of := range replicas {
			if err := of.PutBack(t.Context(), acme); err != nil {
				t.Fatal(err)
			}
		}
	}
	putBack()
	later := m.Now().AddDate(0, 1, 0)
	m.Service.Now, other.Now = func() time.Time { return later }, func() time.Time { return later.Add(time.Minute) }
	if err := m.work.Do(t.Context(), func(tx catalog.Tx) error { return tx.Catalog().RenewFeeds() }); err != nil {
		t.Fatal(err)
	}
	if putBack(); m.revisions(t)["a"] != later.Unix() {
		t.Errorf("what was accepted goes on from %v, want %d", m.revisions(t), later.Unix())
	}
}

// between runs a func before a batch.
type between struct {
	unit.Work[catalog.Tx]
	before func(batch int) error
	batch  int
}

func (b *between) Bulk(ctx context.Context, n int, fn func(tx catalog.Tx, i int) error) error {
	b.batch++
	if err := b.before(b.batch); err != nil {
		return err
	}
	return b.Work.Bulk(ctx, n, fn)
}

// TestNumberingThatIsCutShortGoesOn where it was: with a large catalog nothing else would ever come to its end.
func TestNumberingThatIsCutShortGoesOn(t *testing.T) {
	t.Parallel()
	const many = 501 // more than are read at once
	m := newMember(t)
	var all []string
	for i := range many {
		all = append(all, offering(fmt.Sprintf("o-%04d", i), "orderable", "1"))
	}
	m.apply(t, strings.Join(all, "---\n"))
	cut := errors.New("cut short")
	m.Service.Work = &between{Work: m.work, before: func(batch int) error {
		if batch == 2 {
			return cut
		}
		return nil
	}}
	first := m.Now().Unix()
	if err := m.PutBack(t.Context(), acme); !errors.Is(err, cut) {
		t.Fatal(err)
	}
	later := m.Now().Add(time.Minute)
	m.Service.Now = func() time.Time { return later }
	m.putBack(t)
	for id, revision := range m.revisions(t) {
		if revision != first {
			t.Fatalf("%s has revision %d, want %d", id, revision, first)
		}
	}
}

// TestNumberingGoesOnWhereAnotherReplicaRaisedIt: that one began after us, by a clock that is ahead, and died.
func TestNumberingGoesOnWhereAnotherReplicaRaisedIt(t *testing.T) {
	t.Parallel()
	died := errors.New("died")
	for name, cutShort := range map[string]bool{"that has numbered all": false, "that has not come to its end": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMember(t)
			m.apply(t, offering("a", "orderable", "1"))
			dies := &between{Work: m.work, before: func(int) error { return died }}
			if cutShort {
				m.Service.Work = dies
			}
			if err := m.PutBack(t.Context(), acme); errors.Is(err, died) != cutShort {
				t.Fatal(err)
			}
			m.Service.Work = m.work
			ahead := m.Now().Add(time.Minute)
			other := &catalog.Service{Self: self, Work: dies, Now: func() time.Time { return ahead }}
			if err := other.PutBack(t.Context(), acme); !errors.Is(err, died) {
				t.Fatal(err)
			}
			for range 2 {
				if m.putBack(t); m.revisions(t)["a"] != ahead.Unix() {
					t.Errorf("it goes on from %v, the other one from %d", m.revisions(t), ahead.Unix())
				}
			}
		})
	}
}

// TestWhatWasPlannedBeforeIsNotWritten under a number that a lost store may have used.
func TestWhatWasPlannedBeforeIsNotWritten(t *testing.T) {
	t.Parallel()
	m := newMember(t)
	other := &catalog.Service{Self: self, Work: m.work, Now: m.Now}
	m.Service.Work = &between{Work: m.work, before: func(batch int) error {
		if batch == 1 {
			return other.PutBack(t.Context(), acme)
		}
		return nil
	}}
	file := []byte(offering("a", "orderable", "1"))
	if _, _, err := m.Apply(t.Context(), file, catalog.Options{}); fault.ReasonOf(err) != "offering_changed" {
		t.Errorf("it is written: %v, %v", err, m.revisions(t))
	}
	if _, _, err := m.Apply(t.Context(), file, catalog.Options{}); err != nil || m.revisions(t)["a"] != m.Now().Unix() {
		t.Errorf("again: %v, %v", err, m.revisions(t))
	}
}

// TestAClockThatWasSetBackTakesNoNumberAgain: our ledgers and the last floor say how far it had come.
func TestAClockThatWasSetBackTakesNoNumberAgain(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(t *testing.T, m member){
		"as our ledger says": func(t *testing.T, m member) {
			m.own.Know(markettest.Open(t, acme, markettest.Config{Clock: m.own.Clock}))
			m.own.Do(func(tx *store.Tx) error {
				_, err := m.own.Book.Append(tx, acme, ledger.OrderPlaced, "ord-1", map[string]string{"order": "ord-1"})
				return err
			})
		},
		"as it was put back before": func(t *testing.T, m member) { m.putBack(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMember(t)
			m.apply(t, offering("a", "orderable", "1"))
			before(t, m)
			now := m.Now()
			m.Service.Now = func() time.Time { return now.AddDate(-1, 0, 0) }
			m.Anew()
			if m.putBack(t); m.revisions(t)["a"] <= now.Unix()+1000 {
				t.Errorf("it goes on from %v at %d", m.revisions(t), now.Unix())
			}
		})
	}
}

// TestAClockALittleBehindTakesNoNumberAgain that was sold since our store was put back before: it is put back again, as it was then.
func TestAClockALittleBehindTakesNoNumberAgain(t *testing.T) {
	t.Parallel()
	for name, behind := range map[string]time.Duration{"ten minutes": 10 * time.Minute, "it stands": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lost, m := newMember(t), newMember(t)
			for _, of := range []member{lost, m} {
				of.apply(t, offering("a", "orderable", "1"))
				of.putBack(t)
			}
			lost.apply(t, offering("a", "orderable", "2"))
			sold := lost.revisions(t)["a"]
			now := m.Now().Add(-behind)
			m.Service.Now = func() time.Time { return now }
			m.Anew()
			m.putBack(t)
			m.apply(t, offering("a", "orderable", "3"))
			if again := m.revisions(t)["a"]; again <= sold {
				t.Errorf("it goes on to %d, and sold %d before", again, sold)
			}
		})
	}
}

// TestReplicasAgreeHowFarRevisionsWent: one whose clock is behind takes nothing of it back, and none goes further twice.
func TestReplicasAgreeHowFarRevisionsWent(t *testing.T) {
	t.Parallel()
	m := newMember(t)
	m.apply(t, offering("a", "orderable", "1"))
	late := &catalog.Service{Self: self, Work: m.work, Now: func() time.Time { return m.Now().Add(-time.Minute) }}
	putBack := func(of *catalog.Service) (floor int64) {
		t.Helper()
		if err := of.PutBack(t.Context(), acme); err != nil {
			t.Fatal(err)
		}
		err := m.work.View(t.Context(), func(tx catalog.Tx) (err error) { floor, err = catalog.Floor(tx.Cursors(), self); return err })
		if err != nil {
			t.Fatal(err)
		}
		if went := m.revisions(t)["a"]; went != floor {
			t.Errorf("revision %d, and they went to %d", went, floor)
		}
		return floor
	}
	if first := putBack(m.Service); first != m.Now().Unix() {
		t.Errorf("at %d they go on from %d", m.Now().Unix(), first)
	}
	went := putBack(late)
	if went < m.Now().Unix() {
		t.Errorf("the one that is behind took them back to %d", went)
	}
	for _, of := range []*catalog.Service{m.Service, late, m.Service} {
		if again := putBack(of); again != went {
			t.Errorf("from %d they went on to %d for the same copy", went, again)
		}
	}
}
