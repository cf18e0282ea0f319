package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	peerv1 "github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1"
	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
)

func b64sum(s string) string {
	sum := sha256.Sum256([]byte(s))
	return b64(sum[:])
}

// feedCursor is what a supplier of these vectors calls the end of its snapshot.
var feedCursor = []byte("cursor-1")

// catalogVector is a page of a catalog feed with the offering in it.
type catalogVector struct {
	Name     string          `json:"name"`
	About    string          `json:"about"`
	Signer   string          `json:"signer"`
	Offering string          `json:"offering"`
	SHA256   string          `json:"offering_sha256"`
	Payload  string          `json:"payload"`
	Page     json.RawMessage `json:"page"`
}

// pagePayload is what the page's signature is over, in RFC 8785 form.
func (m *story) pagePayload() json.RawMessage {
	return canonical(object(
		"iss", m.supplier.origin, "aud", m.reseller.origin, "cursor", base64.StdEncoding.EncodeToString(feedCursor), "begin", true, "end", true,
		"changes", []json.RawMessage{
			object("offering", "postgres-s", "revision", 1, "sha256", digest(m.offering)),
			object("offering", "postgres-xl", "revision", 4, "tombstone", true),
		}))
}

func (m *story) page() *peerv1.WatchResponse {
	sum := sha256.Sum256(m.offering)
	return &peerv1.WatchResponse{
		Changes: []*peerv1.CatalogChange{
			{OfferingId: "postgres-s", Revision: 1, Document: m.offering, Digest: sum[:]},
			{OfferingId: "postgres-xl", Revision: 4, Tombstone: true},
		},
		Cursor: feedCursor, Signature: m.supplier.business.sign("hanse-catalog-page+jwt", m.pagePayload()), SnapshotBegin: true, SnapshotEnd: true,
	}
}

func (m *story) catalog() []catalogVector {
	return []catalogVector{{
		Name: "a whole snapshot", About: "one offering and one tombstone in one page, F-4 to F-7; page is a WatchResponse in ProtoJSON", Signer: m.supplier.business.Name,
		Offering: string(m.offering), SHA256: digest(m.offering), Payload: string(m.pagePayload()), Page: protoJSON(m.page()),
	}}
}

// accessVector is sealed access data.
type accessVector struct {
	Name     string `json:"name"`
	About    string `json:"about"`
	SealedTo string `json:"sealed_to"`
	Plain    string `json:"plain"`
	JWE      string `json:"jwe"`
	SHA256   string `json:"access_sha256"`
}

func (m *story) access() []accessVector {
	return []accessVector{{
		Name: "access data", About: "X-1 and X-2; encrypting again gives other bytes, opening gives these", SealedTo: m.reseller.sealing.Name,
		Plain: string(m.accessPlain), JWE: m.jwe, SHA256: digest([]byte(m.jwe)),
	}}
}

// messageVector is one message in both encodings.
type messageVector struct {
	Name  string          `json:"name"`
	About string          `json:"about"`
	Type  string          `json:"type"`
	JSON  json.RawMessage `json:"json"`
	Proto string          `json:"proto_hex"`
}

func (m *story) messages() []messageVector {
	l := m.supplierLog
	of := func(l log, from, to int) (all [][]byte) {
		for _, e := range l.entries[from:to] {
			all = append(all, []byte(e.Entry))
		}
		return all
	}
	entries := func(from, to int) [][]byte { return of(l, from, to) }
	seenBySupplier := m.supplier.business.sign("hanse-seen+jwt", object("iss", m.supplier.origin, "aud", m.reseller.origin, "checkpoint", m.resellerLog.checkpoint(3)))
	seenByReseller := m.reseller.business.sign("hanse-seen+jwt", object("iss", m.reseller.origin, "aud", m.supplier.origin, "checkpoint", l.checkpoint(2)))
	messages := []struct {
		name, about string
		message     proto.Message
	}{
		{"a proposal", "body of a unary request", &peerv1.ProposeRequest{Document: m.peering.JWS}},
		{"a batch", "one order document with what lies beside it, and the entry that placed it, S-20", &peerv1.SubmitRequest{
			Documents:      []*peerv1.Document{{Jws: m.purchase.JWS, Inputs: m.inputs, InputsSalt: m.salt, Escrow: []byte(m.escrow)}},
			SeenCheckpoint: seenByReseller, Checkpoint: m.resellerLog.checkpoint(3), Entries: of(m.resellerLog, 2, 3),
		}},
		{"the answer to a batch", "decided at (0, 3); the page goes on after the seen checkpoint", &peerv1.SubmitResponse{
			Entries: entries(2, 3), Checkpoint: l.checkpoint(3), SeenCheckpoint: seenBySupplier,
			Outcomes: []*peerv1.Outcome{{Result: &peerv1.Outcome_Decided{Decided: &peerv1.Decided{Life: 0, Seq: 3}}}},
		}},
		{"an undecided document", "an Outcome", &peerv1.Outcome{Result: &peerv1.Outcome_Undecided{Undecided: &peerv1.Undecided{
			Reason: "document_conflict", Cause: "another payload was decided under this id", Final: true,
		}}}},
		{"a tail's request", "", &peerv1.TailRequest{AfterSeq: 2, SeenCheckpoint: seenByReseller, Checkpoint: m.resellerLog.checkpoint(3)}},
		{"a heartbeat of a tail", "no entries", &peerv1.TailResponse{Checkpoint: l.checkpoint(6), SeenCheckpoint: seenBySupplier}},
		{"a catalog page", "", m.page()},
		{"the detail of an error", "E-1; base64 of the protobuf bytes is its value", &typev1.ErrorInfo{Reason: "scope_missing", Cause: "the token does not have the scope orders:write"}},
	}
	var out []messageVector
	for _, c := range messages {
		out = append(out, messageVector{
			Name: c.name, About: c.about, Type: string(c.message.ProtoReflect().Descriptor().FullName()), JSON: protoJSON(c.message),
			Proto: hex.EncodeToString(must(proto.MarshalOptions{Deterministic: true}.Marshal(c.message))),
		})
	}
	return out
}

// protoJSON is the message in ProtoJSON; protojson itself writes other white space in each build.
func protoJSON(message proto.Message) json.RawMessage {
	var b bytes.Buffer
	if err := json.Compact(&b, must(protojson.Marshal(message))); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// priceVector is one line of an order.
type priceVector struct {
	Name       string            `json:"name"`
	Currency   string            `json:"currency"`
	Components []json.RawMessage `json:"prices"`
	Quantity   int64             `json:"quantity"`
	DiscountBP int32             `json:"wholesale_discount_bp"`
	OneOff     *int64            `json:"one_off_minor,omitempty"`
	Recurring  *int64            `json:"recurring_minor,omitempty"`
	Period     string            `json:"period,omitempty"`
}

func prices() []priceVector {
	one := func(id, amount string) json.RawMessage {
		return object("id", id, "name", id, "kind", "one_off", "amount", amount)
	}
	monthly := func(amount string) json.RawMessage {
		return object("id", "month", "name", "Monthly", "kind", "recurring", "period", "P1M", "amount", amount)
	}
	minor := func(n int64) *int64 { return &n }
	return []priceVector{
		{"exact", "EUR", []json.RawMessage{monthly("9.90")}, 3, 2000, nil, minor(2376), "P1M"},
		{"half, to even below", "EUR", []json.RawMessage{one("a", "1.25")}, 1, 1000, minor(112), nil, ""},
		{"half, to even above", "EUR", []json.RawMessage{one("a", "1.35")}, 1, 1000, minor(122), nil, ""},
		{"a currency without minor units", "JPY", []json.RawMessage{one("a", "101")}, 1, 5000, minor(50), nil, ""},
		{"a currency of three places", "BHD", []json.RawMessage{one("a", "0.0125")}, 1, 0, minor(12), nil, ""},
		{"graduated", "EUR", []json.RawMessage{object("id", "a", "name", "a", "kind", "one_off", "tiers", []json.RawMessage{object("up_to", 10, "amount", "1.00"), object("amount", "0.50")})}, 12, 0, minor(1100), nil, ""},
		{"rounded once for all of a kind", "EUR", []json.RawMessage{one("a", "0.0043"), one("b", "0.0042")}, 1, 0, minor(1), nil, ""},
		{"kinds apart, usage left out", "EUR", []json.RawMessage{one("a", "1.25"), monthly("9.90"), object("id", "u", "name", "u", "kind", "usage", "unit", "GiB", "amount", "5")}, 3, 2000, minor(300), minor(2376), "P1M"},
		{"nothing is owed, and that is said", "EUR", []json.RawMessage{one("a", "0")}, 1, 0, minor(0), nil, ""},
	}
}
