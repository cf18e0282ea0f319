package sidecar

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/life"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/price"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
)

// document is one kind of what members sign or hash, with a good one and its reader.
type document struct {
	good any
	read func(payload []byte) error
	// open documents may have members that are not known.
	open bool
}

func strictly[T any](payload []byte) error { var into T; return signed.Decode(payload, &into) }
func openly[T any](payload []byte) error   { var into T; return signed.DecodeOpen(payload, &into) }

func bodyOf(kind ledger.Kind, subject string) func(payload []byte) error {
	return func(payload []byte) error {
		_, err := ledger.ReadBody(ledger.Entry{Seq: 1, Kind: kind, Subject: subject, Body: payload})
		return err
	}
}

// documents are all kinds: by JWS type, and what is hashed or sealed in place of being signed by its name.
func documents() map[string]document {
	const (
		at     = "2026-11-21T12:00:00Z"
		one    = "https://sidecar.one.example"
		other  = "https://sidecar.other.example"
		digest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	)
	minor := int64(990)
	return map[string]document{
		signed.Member: {trust.MemberDocument{
			Issuer: one, IssuedAt: 1, ExpiresAt: 2, Versions: []string{"1"}, Documents: signed.Versions(), Name: "One", LegalName: "One Ltd", Country: "SE",
			RegistrationID: "1", Contact: "c", Roles: []string{"supplier"}, BusinessKey: "b", NextKeyDigest: "n", SealingKey: "s",
			Limits: trust.Limits{MaxMessageBytes: 1, MaxOfferings: 1, MaxCatalogBytes: 1},
		}, openly[trust.MemberDocument], true},
		"key file": {trust.KeysDocument{Business: json.RawMessage(`{"keys":[]}`), Sealing: json.RawMessage(`{"keys":[]}`)}, openly[trust.KeysDocument], true},
		signed.Peering: {member.Proposal{
			Issuer: one, Audience: other, ID: "id-1", Partnership: "p", Role: member.Supplier, RecipientKey: "k",
		}, strictly[member.Proposal], false},
		signed.Agreement: {agreement.Document{
			Type: signed.AgreementV1, ID: "agr-1", Supplier: one, Reseller: other, Scope: "all", WholesaleDiscountBP: 1, Currency: "EUR", Territory: []string{"DE"},
			ValidFrom: at, SupplierKey: "a", SupplierNextKey: "b", ResellerKey: "c", ResellerNextKey: "d",
		}, func(payload []byte) error { _, err := agreement.Agreement{Payload: payload}.Document(); return err }, false},
		signed.Order: {order.Document{
			Type: signed.OrderV1, Issuer: one, Audience: other, ID: "order-0001", PlacedAt: at, AcceptBy: at, Action: order.Add, Intent: order.Purchase,
			Agreement: "agr-1", AgreementSHA256: digest, Subscription: order.SubscriptionID("order-0001"), Customer: "cus-1", Offering: "db", Revision: 1,
			OfferingSHA256: digest, Quantity: 1, InputsSHA256: digest, EscrowSHA256: digest, OneOffMinor: &minor, RecurringMinor: &minor, Period: "P1M", Currency: "EUR",
		}, func(payload []byte) error { _, _, err := order.ParseDocument(payload); return err }, false},
		signed.Cancel: {order.Cancel{
			Type: signed.CancelV1, Issuer: one, Audience: other, ID: "cnl-order-0001", PlacedAt: at, Agreement: "agr-1", Subscription: "sub-1",
			Order: "order-0001", OrderSHA256: digest,
		}, func(payload []byte) error { _, err := order.ParseCancel(payload); return err }, false},
		signed.Erase: {order.Erase{
			Type: signed.EraseV1, Issuer: one, Audience: other, ID: "ers-order-0001", Agreement: "agr-1", Subscription: "sub-1",
			Order: "order-0001", OrderSHA256: digest, EscrowSHA256: digest,
		}, func(payload []byte) error { _, err := order.ParseErase(payload); return err }, false},
		signed.AccessReceipt: {subscription.Receipt{
			Type: signed.AccessReceiptV1, Issuer: one, Audience: other, ID: subscription.ReceiptID(digest), Agreement: "agr-1", Subscription: "sub-1", AccessSHA256: digest,
		}, func(payload []byte) error { _, err := subscription.ParseReceipt(payload); return err }, false},
		signed.Life: {life.Document{
			Type: signed.LifeV1, ID: "life-1-1", Life: 1, Round: 1, Proposer: one, Recipient: other, Evidence: digest,
			ProposerLog:  life.Heads{Own: life.Place{Seq: 2, Hash: digest}, Read: life.Place{Seq: 1, Hash: digest}, Common: life.Place{Seq: 1, Hash: digest}},
			RecipientLog: life.Heads{Own: life.Place{Seq: 2, Hash: digest}, Read: life.Place{Seq: 1, Hash: digest}, Common: life.Place{Seq: 1, Hash: digest}},
			Subjects:     []life.Subject{{Subscription: "sub-1", Supplier: one, State: subscription.Terminated, Pays: life.PaysReseller}},
		}, func(payload []byte) error { _, err := life.Parse(payload); return err }, false},
		signed.Rollover: {trust.Rollover{
			Type: signed.RolloverV1, Issuer: one, OldKey: "a", NewKey: "b", NextKeyDigest: "c", From: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC),
		}, func(payload []byte) error { _, err := trust.ParseRollover(payload); return err }, false},
		signed.Checkpoint: {ledger.Checkpoint{Issuer: one, Audience: other, Seq: 1, Hash: digest}, strictly[ledger.Checkpoint], false},
		signed.Seen:       {ledger.Seen{Issuer: one, Audience: other, Checkpoint: "h.p.s"}, strictly[ledger.Seen], false},
		"access data": {subscription.AccessData{
			Subscription: "sub-1", Fields: []subscription.AccessField{{Name: "n", Title: "t", Value: "v", Sensitive: true}},
		}, strictly[subscription.AccessData], false},
		"body of a placed order": {order.Body{
			Order: "order-0001", DocumentSHA256: digest, Agreement: "agr-1", Subscription: "sub-1", Action: order.Add, Intent: order.Purchase,
		}, bodyOf(ledger.OrderPlaced, "sub-1"), false},
		"body of a rejected order": {order.Body{
			Order: "order-0001", DocumentSHA256: digest, Agreement: "agr-1", Subscription: "sub-1", Action: order.Add, Reason: "r", Message: "m",
		}, bodyOf(ledger.OrderRejected, "sub-1"), false},
		"body of a completed order": {order.Body{
			Order: "order-0001", Subscription: "sub-1", Action: order.Add, AccessSHA256: digest,
		}, bodyOf(ledger.OrderCompleted, "sub-1"), false},
		"body of an erased order": {
			order.Body{Order: "order-0001", Subscription: "sub-1", DocumentSHA256: digest, EscrowSHA256: digest}, bodyOf(ledger.OrderErased, "sub-1"), false,
		},
		"body of deleted access data": {
			subscription.Body{Subscription: "sub-1", AccessSHA256: digest, DocumentSHA256: digest}, bodyOf(ledger.AccessDeleted, "sub-1"), false,
		},
		"body of an offered agreement": {
			struct {
				Agreement string `json:"agreement"`
				Digest    string `json:"document_sha256"`
			}{"agr-1", digest}, bodyOf(ledger.AgreementOffered, "agr-1"), false,
		},
		"offering": {catalog.Document{
			ID: "db", Revision: 1, State: catalog.Orderable, Name: "DB", Summary: "s", Category: "c", Region: "r", Country: "SE", Currency: "EUR",
			Prices: []price.Component{{ID: "p", Name: "P", Kind: price.OneOff, Amount: "1"}}, MaxQuantity: 2, Inputs: json.RawMessage(`{}`), Outputs: json.RawMessage(`{}`),
		}, func(payload []byte) error { _, err := catalog.DecodeDocument(payload); return err }, false},
	}
}

// compared are types whose payload the reader makes itself and compares as bytes, or that nobody here reads.
var compared = []string{signed.CatalogPage, signed.Compare, signed.Noted}

// TestNoDocumentIsReadInTwoWays holds every reader against what two readers could take differently.
func TestNoDocumentIsReadInTwoWays(t *testing.T) {
	t.Parallel()
	all := documents()
	for _, typ := range signed.Types() {
		if _, has := all[typ]; has == slices.Contains(compared, typ) {
			t.Errorf("%s has no good document here, or is compared and has one", typ)
		}
	}
	cases := 0
	for name, d := range all {
		t.Run(name, func(t *testing.T) {
			raw, err := json.Marshal(d.good)
			if err != nil {
				t.Fatal(err)
			}
			if err := d.read(raw); err != nil {
				t.Fatalf("the good one: %v", err)
			}
			for _, h := range hostile(t, string(raw), d) {
				cases++
				err := d.read([]byte(h.payload))
				switch {
				case h.openly && d.open:
					if err != nil {
						t.Errorf("%s: %v", h.name, err)
					}
				case !fault.Is(err, fault.Invalid):
					t.Errorf("%s: %v\n%s", h.name, err, h.payload)
				case strings.TrimSpace(causeOf(err)) == "":
					t.Errorf("%s: nobody is told why: %v", h.name, err)
				}
			}
		})
	}
	t.Logf("%d hostile payloads of %d kinds of documents", cases, len(all))
}

type hostilePayload struct {
	name, payload string
	// openly: an open document may be so.
	openly bool
}

// hostile are payloads that differ from a good one in one thing.
func hostile(t *testing.T, good string, d document) (out []hostilePayload) {
	t.Helper()
	add := func(name, payload string) { out = append(out, hostilePayload{name, payload, false}) }
	body := strings.TrimPrefix(good, "{")
	add("text after the value", good+"{}")
	add("a byte after the value", good+"\x00")
	add("half of it", good[:len(good)-1])
	add("a list of it", "["+good+"]")
	add("null", "null")
	add("a byte order mark before it", "\ufeff"+good)
	add("bytes that are not UTF-8", `{"later":"`+"\xff"+`",`+body)
	add("half a surrogate pair in an unknown member", `{"later":"\ud800",`+body)
	add("an unknown member twice", `{"later":1,"later":1,`+body)
	add("a member twice deep in an unknown one", `{"later":{"a":[{"b":1,"b":2}]},`+body)
	add("objects in each other without an end", `{"later":`+strings.Repeat(`{"a":`, 500)+"1"+strings.Repeat("}", 501)+body)
	add("more bytes than a payload has", `{"later":"`+strings.Repeat("a", signed.MaxPayloadBytes)+`",`+body)
	out = append(out, hostilePayload{"an unknown member", `{"later":{"a":[1]},` + body, true})

	typ, val := reflect.TypeOf(d.good), reflect.ValueOf(d.good)
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(good), &members); err != nil {
		t.Fatal(err)
	}
	for i := range typ.NumField() {
		name, options, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
		value, has := members[name]
		if !has {
			if options != "omitempty" {
				t.Errorf("the good one lacks %s", name)
			}
			continue
		}
		member := fmt.Sprintf("%q:%s", name, value)
		with := func(other string) string { return strings.Replace(good, member, other, 1) }
		add(name+" twice", `{`+member+`,`+body)
		add(name+" twice, once escaped", fmt.Sprintf(`{"\u%04x%s":%s,`, name[0], name[1:], value)+body)
		add(name+" as null", with(fmt.Sprintf("%q:null", name)))
		upper := strings.ToUpper(name[:1]) + name[1:]
		out = append(out, hostilePayload{name + " beside one in other case", fmt.Sprintf(`{"%s":%s,`, upper, value) + body, true})
		if options != "omitempty" {
			add(name+" missing", strings.NewReplacer(",,", ",", "{,", "{", ",}", "}").Replace(with("")))
			add(name+" in other case", with(fmt.Sprintf("%q:%s", upper, value)))
		}
		kind := val.Field(i).Kind()
		if kind == reflect.Pointer {
			kind = val.Field(i).Elem().Kind()
		}
		switch {
		case kind == reflect.String:
			add(name+" as a number", with(fmt.Sprintf("%q:7", name)))
			add(name+" of half a surrogate pair", with(fmt.Sprintf(`%q:"\udc00"`, name)))
			add(name+" of what is no character", with(fmt.Sprintf(`%q:"\uffff"`, name)))
		case kind >= reflect.Int && kind <= reflect.Int64:
			for _, n := range []string{"1.0", "1e3", "-0", `"1"`, "9007199254740992", "1e400", "18446744073709551617"} {
				add(name+" as "+n, with(fmt.Sprintf("%q:%s", name, n)))
			}
		}
	}
	return out
}

// FuzzDocuments: what any reader takes, encoding/json takes too, and nothing breaks one.
func FuzzDocuments(f *testing.F) {
	all := documents()
	for _, d := range all {
		raw, err := json.Marshal(d.good)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		for name, d := range all {
			if d.read(payload) == nil && json.Unmarshal(payload, reflect.New(reflect.TypeOf(d.good)).Interface()) != nil {
				t.Fatalf("%s reads what is no JSON of it: %s", name, payload)
			}
		}
	})
}

func causeOf(err error) string {
	var f *fault.Error
	if !errors.As(err, &f) {
		return ""
	}
	return f.Cause
}

// TestEveryDocumentTypeIsListed: a type that is not in signed.Types would not be held against anything.
func TestEveryDocumentTypeIsListed(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "internal/signed/signed.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	ast.Inspect(file, func(n ast.Node) bool {
		lit, ok := n.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return true
		}
		if typ, _ := strconv.Unquote(lit.Value); strings.HasSuffix(typ, "+jwt") {
			found++
			if !slices.Contains(signed.Types(), typ) {
				t.Errorf("%s is not in signed.Types", typ)
			}
		}
		return true
	})
	if found == 0 || found != len(signed.Types()) {
		t.Errorf("%d types stand in the file, %d are listed", found, len(signed.Types()))
	}
}
