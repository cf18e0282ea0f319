package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/hanse-market/hanse/auth/authserver"
	"github.com/hanse-market/hanse/auth/bearer"
	"github.com/hanse-market/hanse/auth/guard"
	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/auth/refusal"
	peerv1 "github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/life"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	ordering "github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/price"
	"github.com/hanse-market/hanse/sidecar/internal/recipe"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
)

const dir = "../../../docs/vectors/"

// load reads a file of vectors as it stands in the repository.
func load[T any](t *testing.T, name string) (v T) {
	t.Helper()
	raw, err := os.ReadFile(dir + name)
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		t.Fatal(name, err)
	}
	return v
}

func now() time.Time { return start.Add(time.Minute / 2) }

// ring holds the test keys by name.
type ring map[string]jose.JSONWebKey

func loadKeys(t *testing.T) ring {
	t.Helper()
	r := ring{}
	for _, k := range load[keyFile](t, "keys.json").Keys {
		var private jose.JSONWebKey
		if err := json.Unmarshal(k.Private, &private); err != nil {
			t.Fatal(k.Name, err)
		}
		shown := private.Public()
		public, err := shown.MarshalJSON()
		if err != nil || keys.Thumbprint(public) != k.Thumbprint || private.KeyID != k.Thumbprint {
			t.Errorf("%s is called %s, but is %s: %v", k.Name, k.Thumbprint, keys.Thumbprint(public), err)
		}
		r[k.Name] = private
	}
	return r
}

func (r ring) public(t *testing.T, name string) []byte {
	t.Helper()
	k := r[name]
	public := k.Public()
	raw, err := public.MarshalJSON()
	if err != nil {
		t.Fatal(name, err)
	}
	return raw
}

// manager signs and opens as one of the two members.
func (r ring) manager(t *testing.T, who string) *keys.Manager {
	t.Helper()
	m, err := keys.New(t.Context(), keys.Config{Store: keyStore{r, who}, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

type keyStore struct {
	ring
	who string
}

func (s keyStore) Keys(_ context.Context, p keys.Purpose) (records []keys.Record, err error) {
	name := s.who + " " + string(p)
	for state, name := range map[keys.State]string{keys.Current: name, keys.Next: s.who + " next " + string(p)} {
		if k, has := s.ring[name]; has {
			raw, err := k.MarshalJSON()
			if err != nil {
				return nil, err
			}
			records = append(records, keys.Record{Purpose: p, KID: k.KeyID, State: state, Private: raw, CreatedAt: start})
		}
	}
	return records, nil
}

func (keyStore) SaveKeys(context.Context, keys.Purpose, string, []keys.Record) error {
	return fmt.Errorf("test keys do not change")
}

// people are the two members with stores of their own, who know each other by the test keys.
type people struct {
	t                  *testing.T
	ring               ring
	reseller, supplier *markettest.Member
}

func newPeople(t *testing.T) *people {
	t.Helper()
	p := &people{t: t, ring: loadKeys(t)}
	open := func(origin, who string) *markettest.Member {
		m := markettest.NewMember(t, origin)
		m.Keys = p.ring.manager(t, who)
		m.Book.Signer = m.Keys
		return m
	}
	p.reseller, p.supplier = open(resellerOrigin, "reseller"), open(supplierOrigin, "supplier")
	p.reseller.Meet(p.supplier)
	return p
}

func (p *people) member(of *markettest.Member, origin string) (m member.Partner) {
	p.t.Helper()
	of.View(func(tx *store.Tx) (err error) { m, err = tx.Partners().Get(origin); return err })
	return m
}

// read reads a payload as the recipient of that type does.
func (p *people) read(typ, jws string, payload []byte) error {
	switch typ {
	case signed.Order:
		_, _, err := ordering.ParseDocument(payload)
		return err
	case signed.Cancel:
		_, err := ordering.ParseCancel(payload)
		return err
	case signed.Erase:
		_, err := ordering.ParseErase(payload)
		return err
	case signed.AccessReceipt:
		_, err := subscription.ParseReceipt(payload)
		return err
	case signed.Agreement:
		// The reseller reads the supplier's, the supplier the reseller's; here the reseller reads both.
		_, err := (&agreement.Service{Self: resellerOrigin}).Open(supplierOrigin, jws, payload)
		return err
	case signed.Checkpoint:
		_, err := ledger.VerifyCheckpoint(jws, supplierOrigin, resellerOrigin, signed.Pin(p.ring.public(p.t, "supplier business")))
		return err
	case signed.Seen:
		_, err := p.supplier.Book.OpenSeen(p.t.Context(), resellerOrigin, signed.Pin(p.ring.public(p.t, "reseller business")), jws)
		return err
	case signed.Compare:
		var c exchange.Comparison
		return signed.Decode(payload, &c)
	case signed.Life:
		_, err := life.Parse(payload)
		return err
	case signed.Noted:
		var n exchange.Noted
		return signed.Decode(payload, &n)
	case signed.Rollover:
		_, err := trust.ParseRollover(payload)
		return err
	}
	return fmt.Errorf("no reader of %s", typ)
}

// open reads a document with the pinned key of its signer.
func (p *people) open(typ, signer, jws string) ([]byte, error) {
	payload, err := signed.Open(jws, typ, p.ring.public(p.t, signer))
	if err != nil {
		return nil, err
	}
	return payload, p.read(typ, jws, payload)
}

func (p *people) published(origin string) (d trust.KeysDocument) {
	p.t.Helper()
	for _, f := range load[[]fileVector](p.t, "wellknown.json") {
		if f.Member == origin && f.Path == "/.well-known/hanse-keys.json" {
			if err := json.Unmarshal([]byte(f.Body), &d); err != nil {
				p.t.Fatal(err)
			}
		}
	}
	return d
}

func TestVectorsAreWhatTheProgramWrites(t *testing.T) {
	t.Parallel()
	made := t.TempDir()
	if err := write(made, &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	written := 0
	for name := range files() {
		got, err := os.ReadFile(filepath.Join(made, name))
		if err != nil {
			t.Fatal(err)
		}
		if want, err := os.ReadFile(dir + name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the program writes; run make generate", name)
		}
		written++
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != written {
		t.Errorf("docs/vectors has %d files, the program writes %d: %v", len(entries), written, err)
	}
}

func TestEveryDocumentIsReadBack(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	seen := map[string]int{}
	for _, v := range load[[]vector](t, "documents.json") {
		t.Run(v.Name, func(t *testing.T) {
			if digest([]byte(v.Payload)) != v.PayloadSHA256 {
				t.Error("the payload has another digest")
			}
			seen[v.Typ]++
			payload, err := signed.Open(v.JWS, v.Typ, p.ring.public(t, v.Signer))
			if err != nil || string(payload) != v.Payload {
				t.Fatalf("opened %q: %v", payload, err)
			}
			switch v.Typ {
			case signed.Member:
				origin := supplierOrigin
				if v.Signer == "reseller business" {
					origin = resellerOrigin
				}
				_, err = trust.VerifyMember(origin, v.JWS, p.published(origin), now())
			case signed.Peering:
				err = p.propose(t, v.JWS)
			case signed.CatalogPage: // read with its page
			case signed.Order:
				salt, inputs := unbase(t, v.InputsSalt), unbase(t, v.Inputs)
				d, _, perr := ordering.ParseDocument(payload)
				if err = perr; err == nil && d.InputsSHA256 != "" && (ordering.InputsDigest(salt, inputs) != d.InputsSHA256 || signed.Digest([]byte(v.Escrow)) != d.EscrowSHA256) {
					t.Error("inputs or escrow are not those of the document")
				}
			default:
				err = p.read(v.Typ, v.JWS, payload)
			}
			if err != nil {
				t.Fatal(err)
			}
		})
	}
	for _, typ := range []string{
		signed.Member, signed.Peering, signed.Agreement, signed.Order, signed.Cancel, signed.AccessReceipt, signed.Checkpoint, signed.Seen, signed.Compare, signed.CatalogPage,
		signed.Life, signed.Noted, signed.Erase, signed.Rollover,
	} {
		if seen[typ] == 0 {
			t.Errorf("there is no vector of a %s", typ)
		}
	}
}

// propose has the supplier receive a proposal.
func (p *people) propose(t *testing.T, jws string) error {
	t.Helper()
	m := markettest.NewMember(t, supplierOrigin)
	s := &member.Service{
		Self: supplierOrigin, Work: store.For[member.Tx](m.Store), Directory: directory{p}, Signer: p.supplier.Keys,
		OwnKey: func() string { return p.supplier.Keys.CurrentKID(keys.Business) }, Site: func(o string) string { return o }, Now: now, NewID: func() string { return "id" },
	}
	answer, err := s.ReceiveProposal(t.Context(), resellerOrigin, jws)
	if err == nil && answer.State != member.Pending {
		t.Errorf("the partnership is %s", answer.State)
	}
	return err
}

type directory struct{ *people }

func (d directory) Member(_ context.Context, origin string) (trust.Info, error) {
	for _, f := range load[[]fileVector](d.t, "wellknown.json") {
		if f.Member == origin && f.Path == "/.well-known/hanse-member" {
			return trust.VerifyMember(origin, f.Body, d.published(origin), now())
		}
	}
	return trust.Info{}, fmt.Errorf("no member document of %s", origin)
}

func TestEveryEntryIsReadBack(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	seen := map[ledger.Kind]bool{}
	for _, l := range load[[]ledgerVector](t, "ledgers.json") {
		if l.Partnership != trust.PartnershipID(l.Owner, l.Reader) {
			t.Errorf("the partnership is %s", l.Partnership)
		}
		prev := ledger.Genesis(l.Partnership)
		if hex.EncodeToString(prev[:]) != l.Genesis {
			t.Errorf("the genesis is %x", prev)
		}
		for i, v := range l.Entries {
			e, err := ledger.Decode([]byte(v.Entry))
			if err != nil {
				t.Fatal(v.Kind, err)
			}
			sum := sha256.Sum256(append(prev[:], v.Hashed...))
			if e.Prev != prev || e.Hash != sum || hex.EncodeToString(e.Hash[:]) != v.Hash || string(e.Kind) != v.Kind || e.Position() != (ledger.Position{Seq: int64(i + 1)}) {
				t.Errorf("entry %d is %+v", i+1, e)
			}
			prev, seen[e.Kind] = e.Hash, true
			if strings.HasPrefix(v.Kind, "order.") || strings.HasPrefix(v.Kind, "cancel.") {
				if _, err := ordering.ParseBody(e); err != nil {
					t.Error(v.Kind, err)
				}
			}
			pageHolds(t, v.Kind, e.Body)
		}
		reader, owner := p.reseller, l.Owner
		if l.Owner == resellerOrigin {
			reader = p.supplier
		}
		r := follow(reader)
		for _, page := range l.Pages {
			after := ledger.Position{Life: int64(page.AfterLife), Seq: int64(page.AfterSeq)}
			got, err := r.Read(t.Context(), p.member(reader, owner), after, federation.LedgerPage{Entries: bytesOf(page.Entries), Checkpoint: page.Checkpoint})
			if err != nil || got.Seq != int64(page.AfterSeq+len(page.Entries)) {
				t.Fatalf("page %s of %s: read up to %v, %v", page.Name, owner, got, err)
			}
		}
	}
	seen[ledger.LifeOpened] = p.livesBegin(t)
	for _, k := range ledger.Kinds() {
		if !seen[k] {
			t.Errorf("there is no vector of an entry %s", k)
		}
	}
}

// livesBegin reads the first entries of a new life with those who have begun it.
func (p *people) livesBegin(t *testing.T) bool {
	t.Helper()
	v := load[lifeVector](t, "lives.json")
	first := ledger.First(v.Partnership, int64(v.Life), [32]byte(unhex(t, v.DocumentSHA256)))
	if hex.EncodeToString(first[:]) != v.First {
		t.Errorf("a life begins with %x", first)
	}
	for _, l := range v.Logs {
		reader := p.reseller
		if l.Reader == supplierOrigin {
			reader = p.supplier
		}
		reader.Do(func(tx *store.Tx) error { return tx.Ledger().Begin(l.Owner, int64(v.Life), first) })
		e, err := ledger.Decode([]byte(l.Entry.Entry))
		if err != nil || ledger.Follows(v.Partnership, e, ledger.Position{Seq: 9}, [32]byte{}) != nil {
			t.Errorf("the first entry of %s: %v", l.Owner, err)
		}
		pageHolds(t, l.Entry.Kind, e.Body)
		page := federation.LedgerPage{Entries: bytesOf(l.Page.Entries), Checkpoint: l.Page.Checkpoint}
		got, err := follow(reader).Read(t.Context(), p.member(reader, l.Owner), ledger.Position{Life: int64(l.Page.AfterLife)}, page)
		if err != nil || got != (ledger.Position{Life: 1, Seq: 1}) {
			t.Errorf("the page of %s: read up to %v, %v", l.Owner, got, err)
		}
	}
	return len(v.Logs) == 2
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// follow reads the other's log and does nothing about it.
func follow(m *markettest.Member) *federation.LedgerReader {
	handlers := map[ledger.Kind]federation.Handler{}
	for _, k := range ledger.Kinds() {
		handlers[k] = func(federation.Tx, ledger.Entry) error { return nil }
	}
	return &federation.LedgerReader{Self: m.Origin, Work: store.For[federation.Tx](m.Store), Handlers: handlers, Now: now}
}

func bytesOf(texts []string) (all [][]byte) {
	for _, s := range texts {
		all = append(all, []byte(s))
	}
	return all
}

// pageHolds holds the members of an entry's body against the table of bodies on the page.
func pageHolds(t *testing.T, kind string, body []byte) {
	t.Helper()
	page, err := os.ReadFile("../../../docs/peer-1.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "<!-- bodies -->\n")
	rows := strings.Split(table, "\n")
	var members map[string]any
	if err := json.Unmarshal(body, &members); err != nil {
		t.Fatal(err)
	}
	names := strings.Split(strings.Trim(rows[0], "| "), " | ")[1:]
	for _, row := range rows[2:] {
		cells := strings.Split(strings.Trim(row, "|"), "|")
		if strings.TrimSpace(cells[0]) != "`"+kind+"`" {
			continue
		}
		for i, name := range names {
			name = strings.Trim(name, "` ")
			_, has := members[name]
			mark := strings.TrimSpace(cells[i+1])
			if mark == "+" && !has || mark == "" && has {
				t.Errorf("%s in the body of %s: the page says %q, the vector has it: %v", name, kind, mark, has)
			}
			delete(members, name)
		}
		if len(members) > 0 {
			t.Errorf("the page does not know %v in the body of %s", members, kind)
		}
		return
	}
	t.Errorf("the page has no body of %s", kind)
}

func unbase(t *testing.T, s string) (b []byte) {
	t.Helper()
	raw, err := json.Marshal(s)
	if err == nil {
		err = json.Unmarshal(raw, &b)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func watchResponse(t *testing.T, raw []byte) federation.CatalogPage {
	t.Helper()
	var m peerv1.WatchResponse
	if err := protojson.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	page := federation.CatalogPage{Signature: m.GetSignature(), Page: catalog.Page{Cursor: m.GetCursor(), SnapshotBegin: m.GetSnapshotBegin(), SnapshotEnd: m.GetSnapshotEnd()}}
	for _, c := range m.GetChanges() {
		item := catalog.Change{OfferingID: c.GetOfferingId(), Revision: c.GetRevision(), Document: c.GetDocument(), Tombstone: c.GetTombstone()}
		copy(item.Digest[:], c.GetDigest())
		page.Items = append(page.Items, item)
	}
	return page
}

func (p *people) readCatalog(t *testing.T, raw []byte) error {
	t.Helper()
	work := p.reseller.Store
	r := &federation.CatalogReader{
		Self: resellerOrigin, Work: store.For[federation.Tx](work), Logger: quiet(t),
		Catalog: &catalog.Reader{Work: store.For[catalog.Tx](work), Schemas: recipe.NewSchemas(0), Now: now},
	}
	return r.Read(t.Context(), p.member(p.reseller, supplierOrigin), nil, watchResponse(t, raw))
}

func TestEveryCatalogPageIsReadBack(t *testing.T) {
	t.Parallel()
	for _, v := range load[[]catalogVector](t, "catalog.json") {
		p := newPeople(t)
		if err := p.readCatalog(t, v.Page); err != nil {
			t.Fatal(err)
		}
		var f catalog.Foreign
		p.reseller.View(func(tx *store.Tx) (err error) {
			f, err = tx.Catalog().Foreign(supplierOrigin, "postgres-s")
			return err
		})
		if string(f.Document) != v.Offering || hex.EncodeToString(f.Digest[:]) != v.SHA256 {
			t.Errorf("stored %s", f.Document)
		}
	}
}

func TestAccessDataAreOpened(t *testing.T) {
	t.Parallel()
	m := loadKeys(t).manager(t, "reseller")
	for _, v := range load[[]accessVector](t, "access.json") {
		plain, err := m.Open(v.JWE)
		if err != nil || string(plain) != v.Plain || signed.Digest([]byte(v.JWE)) != v.SHA256 {
			t.Fatalf("opened %s: %v", plain, err)
		}
		var data subscription.AccessData
		if err := signed.Decode(plain, &data); err != nil || len(data.Fields) != 2 {
			t.Errorf("read %+v: %v", data, err)
		}
	}
}

func TestEveryMessageIsTheSameInBothEncodings(t *testing.T) {
	t.Parallel()
	for _, v := range load[[]messageVector](t, "messages.json") {
		kind, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(v.Type))
		if err != nil {
			t.Fatal(err)
		}
		a, b := kind.New().Interface(), kind.New().Interface()
		raw, err := hex.DecodeString(v.Proto)
		if err == nil {
			err = proto.Unmarshal(raw, a)
		}
		if err == nil {
			err = protojson.Unmarshal(v.JSON, b)
		}
		if err != nil || !proto.Equal(a, b) {
			t.Errorf("%s: %v is not %v: %v", v.Name, a, b, err)
		}
	}
}

func TestEveryPriceIsComputed(t *testing.T) {
	t.Parallel()
	for _, v := range load[[]priceVector](t, "prices.json") {
		list := price.List{Currency: v.Currency}
		for _, raw := range v.Components {
			var c price.Component
			if err := json.Unmarshal(raw, &c); err != nil {
				t.Fatal(err)
			}
			list.Components = append(list.Components, c)
		}
		line, err := list.Line(v.Quantity, price.Terms{DiscountBP: v.DiscountBP})
		d := ordering.Document{OneOffMinor: v.OneOff, RecurringMinor: v.Recurring, Period: v.Period, Currency: v.Currency}
		if err != nil || !d.Asks(line, v.Currency) {
			t.Errorf("%s: %+v, %v", v.Name, line, err)
		}
	}
}

func TestEveryStateIsHashed(t *testing.T) {
	t.Parallel()
	for _, v := range load[[]stateVector](t, "states.json") {
		if got, err := exchange.DealDigest(v.Supplier, v.Subject, v.Document, exchange.DealState(v.State)); err != nil || got != v.Digest {
			t.Errorf("%s: %s, %v", v.Name, got, err)
		}
	}
}

// served answers with the well-known documents of the reseller, as the guard would.
type served map[string]fileVector

func newServed(t *testing.T) served {
	t.Helper()
	s := served{}
	for _, f := range load[[]fileVector](t, "wellknown.json") {
		s[f.Member+f.Path] = f
	}
	return s
}

func (s served) Fetch(_ context.Context, r guard.Request) (guard.Document, error) {
	f, has := s[r.URL]
	if !has {
		return guard.Document{}, fmt.Errorf("%s is not served", r.URL)
	}
	return guard.Document{Body: []byte(f.Body), FetchedAt: now(), FreshUntil: now().Add(time.Hour)}, nil
}

func (served) URL(raw string) (string, error) { return guard.New(guard.Config{}).URL(raw) }
func (served) SameOrigin(origin, raw string) error {
	return guard.New(guard.Config{}).SameOrigin(origin, raw)
}

// fresh remembers nothing: each vector is used once.
type fresh struct{}

func (fresh) Claim(context.Context, string, time.Duration) (bool, error) { return true, nil }
func (fresh) Birth(context.Context) (time.Time, error)                   { return start.Add(-time.Hour), nil }
func (fresh) Mark(context.Context, string, time.Duration) error          { return nil }
func (fresh) Marked(context.Context, string) (bool, error)               { return false, nil }

type all struct{}

func (all) Grant(_ context.Context, r authserver.GrantRequest) (authserver.Granted, error) {
	return authserver.Granted{Scopes: r.Scopes, Agreement: r.Agreement}, nil
}

// tokenEndpoint posts a form with a proof to the supplier.
func (p *people) tokenEndpoint(t *testing.T, form, proof string) *httptest.ResponseRecorder {
	t.Helper()
	s, err := authserver.New(authserver.Config{
		Origin: supplierOrigin, Keys: p.supplier.Keys, Replay: fresh{}, Revoked: fresh{}, Grants: all{}, Guard: newServed(t), Now: func() time.Time { return start },
	})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, supplierOrigin+"/oauth2/token", strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("DPoP", proof)
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

func (p *people) verifier(t *testing.T) *bearer.Verifier {
	t.Helper()
	v, err := bearer.New(bearer.Config{
		Origin: supplierOrigin, Keys: p.supplier.Keys, Replay: fresh{}, Revoked: fresh{}, Scopes: bearer.PeerScopes(),
		Relation: func(context.Context, bearer.Principal) error { return nil }, Now: func() time.Time { return start },
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func call(path, token, proof string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, supplierOrigin+path, nil)
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", proof)
	return r
}

func TestTheTokenIsGivenAndTaken(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	v := load[tokenVectors](t, "tokens.json")
	w := p.tokenEndpoint(t, v.Form, v.Proof.JWS)
	var answer struct {
		Type    string `json:"token_type"`
		Expires int    `json:"expires_in"`
		Scope   string `json:"scope"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusOK || answer.Type != "DPoP" || answer.Expires != 300 || answer.Scope != "ledger:read orders:write" {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	principal, err := p.verifier(t).Verify(call(callPath, v.Token.JWS, v.CallProof.JWS))
	if err != nil || principal.Origin != resellerOrigin || principal.Agreement != agreementID || !slices.Equal(principal.Scopes, strings.Fields(answer.Scope)) {
		t.Fatalf("%+v: %v", principal, err)
	}
}

// TestEveryNegativeVectorIsRefused gives each what must be refused to our reader of its kind and compares the reason.
func TestEveryNegativeVectorIsRefused(t *testing.T) {
	t.Parallel()
	counts := map[string]int{}
	vectors := load[[]negativeVector](t, "negative.json")
	tokens := load[tokenVectors](t, "tokens.json")
	shared := newPeople(t)
	for _, v := range vectors {
		counts[v.Reader]++
		t.Run(v.Reader+": "+v.Name, func(t *testing.T) {
			p := shared
			reason := ""
			switch v.Reader {
			case "document":
				_, err := p.open(v.Typ, v.Signer, v.JWS)
				reason = fault.ReasonOf(err)
			case "member":
				_, err := trust.VerifyMember(supplierOrigin, v.JWS, p.published(supplierOrigin), now())
				reason = fault.ReasonOf(err)
			case "entry":
				_, err := ledger.Decode([]byte(v.Entry))
				reason = fault.ReasonOf(err)
			case "page":
				reason = fault.ReasonOf(newPeople(t).readPage(t, v))
			case "catalog":
				reason = fault.ReasonOf(newPeople(t).readCatalog(t, v.Page))
			case "proof":
				_, err := p.verifier(t).Verify(call(v.Path, v.Token, v.JWS))
				reason = refusal.Reason(err)
			case "assertion":
				form := strings.Replace(tokens.Form, "client_assertion="+tokens.Assertion.JWS, "client_assertion="+v.JWS, 1)
				w := p.tokenEndpoint(t, form, tokens.Proof.JWS)
				reason = w.Header().Get(refusal.Header)
				answersAsThePageSays(t, w)
			case "access":
				_, err := p.reseller.Keys.Open(v.JWE)
				reason = refusal.Reason(err)
			default:
				t.Fatalf("nobody reads a %s", v.Reader)
			}
			if reason != v.Reason {
				t.Errorf("refused for %q, want %q", reason, v.Reason)
			}
		})
	}
	positive := len(load[[]vector](t, "documents.json")) + len(load[[]catalogVector](t, "catalog.json")) + len(load[[]accessVector](t, "access.json")) +
		len(load[[]messageVector](t, "messages.json")) + len(load[[]priceVector](t, "prices.json")) + len(load[[]stateVector](t, "states.json")) + len(load[[]fileVector](t, "wellknown.json")) + 5
	for _, l := range load[[]ledgerVector](t, "ledgers.json") {
		positive += len(l.Entries) + len(l.Pages)
	}
	t.Logf("peer-1: %d vectors read back, %d negative vectors refused: %v", positive, len(vectors), counts)
}

// answersAsThePageSays holds status and error of a refusal against the page's row of its reason.
func answersAsThePageSays(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	page, err := os.ReadFile("../../../docs/peer-1.md")
	if err != nil {
		t.Fatal(err)
	}
	var body struct{ Error, Reason string }
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatal(err)
	}
	row := fmt.Sprintf("| `%s` | %d | `%s` |", body.Reason, w.Code, body.Error)
	if body.Reason == "clock_skew" {
		row = "`clock_skew`, `replayed` and `proof_predates_cache` are said of assertions too, as a " + fmt.Sprintf("%d `%s`", w.Code, body.Error)
	}
	if !strings.Contains(string(page), row) {
		t.Errorf("the page does not have: %s", row)
	}
}

// readPage reads the supplier's log as far as the vector says, and then its page.
func (p *people) readPage(t *testing.T, v negativeVector) error {
	t.Helper()
	r, partner := follow(p.reseller), p.member(p.reseller, supplierOrigin)
	if v.Have > 0 {
		good := market().supplierLog.page("", "", 0, v.Have)
		if _, err := r.Read(t.Context(), partner, ledger.Position{}, federation.LedgerPage{Entries: bytesOf(good.Entries), Checkpoint: good.Checkpoint}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := r.Read(t.Context(), partner, ledger.Position{Seq: int64(v.AfterSeq)}, federation.LedgerPage{Entries: bytesOf(v.Entries), Checkpoint: v.Checkpoint})
	return err
}

func quiet(t *testing.T) *slog.Logger {
	t.Helper()
	return slog.New(slog.DiscardHandler)
}

// TestRolloversComeToWhatTheySay has who pinned a key once meet what the member shows now.
func TestRolloversComeToWhatTheySay(t *testing.T) {
	t.Parallel()
	for _, v := range load[[]rolloverVector](t, "rollovers.json") {
		t.Run(v.Name, func(t *testing.T) {
			var published trust.KeysDocument
			if err := signed.DecodeOpen([]byte(v.Keys), &published); err != nil {
				t.Fatal(err)
			}
			info, err := trust.VerifyMember(supplierOrigin, v.Member, published, now())
			if err != nil {
				if fault.ReasonOf(err) != v.Reason {
					t.Fatalf("%v, want %q", err, v.Reason)
				}
				return
			}
			passed, proven := info.After(v.Pinned, v.PinnedNext)
			if want := v.Reason == ""; proven != want || v.Reason != "" && v.Reason != "key_discontinuity" {
				t.Fatalf("proven %v, want %q", proven, v.Reason)
			}
			names := []string{}
			for _, k := range passed {
				if keys.Thumbprint(k.JWK) != k.Thumbprint {
					t.Errorf("%s is called %s", k.JWK, k.Thumbprint)
				}
				names = append(names, k.Thumbprint)
			}
			if proven && !slices.Equal(names, v.Passed) {
				t.Errorf("passed %v, want %v", names, v.Passed)
			}
		})
	}
}

// TestNobodyIsTrustedWithAKeyOfTheVectors: what everybody can sign with, nobody is known by.
func TestNobodyIsTrustedWithAKeyOfTheVectors(t *testing.T) {
	t.Parallel()
	for _, k := range load[keyFile](t, "keys.json").Keys {
		for name, info := range map[string]trust.Info{
			"to sign": {Thumbprint: k.Thumbprint}, "to seal": {Document: trust.MemberDocument{SealingKey: k.Thumbprint}},
		} {
			if info.Secret() == nil {
				t.Errorf("%s (%s) is taken from a member %s", k.Name, k.Thumbprint, name)
			}
		}
	}
	if err := (trust.Info{Thumbprint: "another", Document: trust.MemberDocument{SealingKey: "other"}}).Secret(); err != nil {
		t.Error(err)
	}
}
