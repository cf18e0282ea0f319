package main

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
)

const (
	resellerOrigin = "https://reseller.example"
	supplierOrigin = "https://supplier.example"
	partnershipID  = "hanse-partnership:" + resellerOrigin + "|" + supplierOrigin
)

// start is when the story begins.
var start = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func at(minutes int) string {
	return start.Add(time.Duration(minutes) * time.Minute).Format(time.RFC3339)
}

// party is one of the two members with its keys.
type party struct {
	origin                                       string
	token, client, business, next, sealing, dpop key
}

func newParty(name, origin string) party {
	return party{
		origin: origin, token: testKey(name+" token", "sig"), client: testKey(name+" client", "sig"),
		business: testKey(name+" business", "sig"), next: testKey(name+" next business", "sig"),
		sealing: testKey(name+" sealing", "enc"), dpop: testKey(name+" dpop", "sig"),
	}
}

func (p party) keys() []key { return []key{p.token, p.client, p.business, p.next, p.sealing, p.dpop} }

// story is what happens between the two: a reseller becomes a partner, signs, buys, cancels and terminates.
type story struct {
	reseller, supplier party

	member, peering, offer, acceptance               vector
	purchase, lost, terminate, rotate, broken, early vector
	cancelEarly, cancelLate, receipt                 vector
	erase, eraseBare                                 vector
	life, countersigned, noted                       vector
	resellerMember                                   vector
	offering                                         []byte
	inputs, salt, accessPlain                        []byte
	escrow, jwe                                      string
	supplierLog, resellerLog                         log
}

// vector is one document: what is signed, by whom, and what else is needed to check it.
type vector struct {
	Name          string `json:"name"`
	About         string `json:"about"`
	Typ           string `json:"typ"`
	Signer        string `json:"signer"`
	Payload       string `json:"payload"`
	PayloadSHA256 string `json:"payload_sha256"`
	JWS           string `json:"jws"`
	// Attachments beside the document, base64; the escrow as it is.
	Inputs     string `json:"inputs,omitempty"`
	InputsSalt string `json:"inputs_salt,omitempty"`
	Escrow     string `json:"escrow,omitempty"`
}

func signedBy(k key, name, typ string, payload json.RawMessage, about string) vector {
	return vector{
		Name: name, About: about, Typ: typ, Signer: k.Name, Payload: string(payload), PayloadSHA256: digest(payload), JWS: k.sign(typ, payload),
	}
}

func (v vector) sha() string { return v.PayloadSHA256 }

const agreementID = "agr-0001-test"

func order(n string) string { return "ord-000" + n + "-test" }

func market() *story {
	m := &story{reseller: newParty("reseller", resellerOrigin), supplier: newParty("supplier", supplierOrigin)}
	r, s := m.reseller, m.supplier
	m.member = signedBy(s.business, "member-supplier", "hanse-peer+jwt", memberDocument(s, "Nordic Cloud", "Nordic Cloud AB", "SE"), "member document, W-8; valid for a day from 2026-11-28T12:00:00Z")
	m.resellerMember = signedBy(r.business, "member-reseller", "hanse-peer+jwt", memberDocument(r, "Hafen Hosting", "Hafen Hosting GmbH", "DE"), "member document, W-8")
	m.peering = signedBy(r.business, "peering", "hanse-peering+jwt", object(
		"iss", r.origin, "aud", s.origin, "jti", "prp-0001-test", "partnership", partnershipID, "role", "supplier",
		"recipient_key", s.business.thumbprint()), "the reseller proposes: the recipient would be its supplier, M-3")
	terms := object(
		"type", "hanse-agreement/1", "id", agreementID, "supplier", s.origin, "reseller", r.origin, "scope", "all",
		"wholesale_discount_bp", 2000, "currency", "EUR", "territory", []string{"DE", "AT"}, "valid_from", at(0),
		"supplier_key", s.business.thumbprint(), "supplier_next_key", s.next.thumbprint(),
		"reseller_key", r.business.thumbprint(), "reseller_next_key", r.next.thumbprint())
	m.offer = signedBy(s.business, "agreement-offer", "hanse-agreement+jwt", terms, "the supplier's signature, A-2")
	m.acceptance = signedBy(r.business, "agreement-acceptance", "hanse-agreement+jwt", terms, "the reseller's signature over the same bytes, A-1")

	m.offering = offering()
	m.inputs = []byte(`{"size":"small","note":"ä ok"}`)
	m.salt = []byte(strings.Repeat("salt", 8))
	m.escrow = compactJWE(object("alg", "dir", "enc", "A256GCM"), nil, []byte("hanse test recovery key 32 bytes"), []byte(strings.Repeat("escrow", 10)))
	m.purchase = m.buy("1", "order-purchase", 10)
	m.lost = m.buy("2", "order-rejected", 20)
	m.broken = m.buy("3", "order-failed", 30)
	m.early = m.buy("4", "order-cancelled", 40)
	m.terminate = signedBy(r.business, "order-terminate", "hanse-order+jwt", object(
		"type", "hanse-order/1", "iss", r.origin, "aud", s.origin, "jti", order("5"), "placed_at", at(60), "accept_by", at(60+7*24*60),
		"action", "delete", "intent", "terminate", "agreement", agreementID, "agreement_sha256", m.offer.sha(),
		"subscription", "sub-"+order("1"), "customer", "cus-0123456789abcdef0123456789abcdef"), "ends the subscription that order-purchase made, R-3")
	m.rotate = signedBy(r.business, "order-rotate", "hanse-order+jwt", object(
		"type", "hanse-order/1", "iss", r.origin, "aud", s.origin, "jti", order("6"), "placed_at", at(70), "accept_by", at(70+7*24*60),
		"action", "modify", "intent", "rotate", "agreement", agreementID, "agreement_sha256", m.offer.sha(),
		"subscription", "sub-"+order("1"), "customer", "cus-0123456789abcdef0123456789abcdef"), "asks for new access data of the subscription that order-purchase made, R-1")
	m.cancelEarly = m.cancel("cancel-early", m.early, "4")
	m.cancelLate = m.cancel("cancel-late", m.purchase, "1")

	m.accessPlain = object("subscription", "sub-"+order("1"), "fields", []json.RawMessage{
		object("name", "url", "title", "Address", "value", "https://db.supplier.example/1"), object("name", "password", "value", "swordfish", "sensitive", true),
	})
	m.jwe = r.sealing.seal(m.accessPlain)
	access := digest([]byte(m.jwe))
	m.receipt = signedBy(r.business, "access-receipt", "hanse-access-receipt+jwt", object(
		"type", "hanse-access-receipt/1", "iss", r.origin, "aud", s.origin, "jti", "rcp-"+access[:60], "agreement", agreementID,
		"subscription", "sub-"+order("1"), "access_sha256", access), "the reseller has the access data, X-6")
	m.erase = m.erasing("erase", m.purchase, "1", "sub-"+order("1"), "escrow_sha256", digest([]byte(m.escrow)))
	m.eraseBare = m.erasing("erase-terminate", m.terminate, "5", "sub-"+order("1"))
	m.write()
	m.fork()
	return m
}

func memberDocument(p party, name, legal, country string) json.RawMessage {
	return object(
		"iss", p.origin, "iat", start.Unix(), "exp", start.Add(24*time.Hour).Unix(), "versions", []string{"1"},
		"documents", []string{"hanse-agreement/1", "hanse-order/1", "hanse-cancel/1", "hanse-access-receipt/1", "hanse-erase/1"}, "name", name, "legal_name", legal,
		"country", country, "registration_id", "TEST 12345", "contact", "operations@"+strings.TrimPrefix(p.origin, "https://"),
		"roles", []string{"supplier", "reseller"}, "business_key", p.business.thumbprint(), "next_key_digest", p.next.thumbprint(),
		"sealing_key", p.sealing.thumbprint(), "limits", object("max_message_bytes", 262144, "max_offerings", 50000))
}

func offering() []byte {
	return object(
		"id", "postgres-s", "revision", 1, "state", "orderable", "name", "PostgreSQL S", "summary", "A small database.", "category", "database",
		"region", "Stockholm", "country", "SE", "currency", "EUR", "prices", []json.RawMessage{
			object("id", "setup", "name", "Setup", "kind", "one_off", "amount", "1.25"),
			object("id", "month", "name", "Monthly", "kind", "recurring", "period", "P1M", "amount", "9.90"),
			object("id", "traffic", "name", "Traffic", "kind", "usage", "unit", "GiB", "amount", "0.0043"),
		}, "max_quantity", 10,
		"inputs", object("type", "object", "additionalProperties", false, "required", []string{"size"}, "properties", object(
			"size", object("type", "string", "enum", []string{"small", "large"}), "note", object("type", "string", "maxLength", 40))),
		"outputs", object("type", "object", "properties", object("url", object("type", "string"), "password", object("type", "string", "format", "password"))))
}

// purchaseMembers are those of an order document for the offering: three pieces at a discount of 20 %.
func (m *story) purchaseMembers(n string, minutes int) []any {
	return []any{
		"type", "hanse-order/1", "iss", m.reseller.origin, "aud", m.supplier.origin, "jti", order(n), "placed_at", at(minutes),
		"accept_by", at(minutes + 7*24*60), "action", "add", "intent", "purchase", "agreement", agreementID, "agreement_sha256", m.offer.sha(),
		"subscription", "sub-" + order(n), "customer", "cus-0123456789abcdef0123456789abcdef", "offering", "postgres-s", "revision", 1,
		"offering_sha256", digest(m.offering), "quantity", 3, "inputs_sha256", digest(append(append([]byte{}, m.salt...), m.inputs...)),
		"escrow_sha256", digest([]byte(m.escrow)), "one_off_minor", 300, "recurring_minor", 2376, "period", "P1M", "currency", "EUR",
	}
}

func (m *story) buy(n, name string, minutes int) vector {
	v := signedBy(m.reseller.business, name, "hanse-order+jwt", object(m.purchaseMembers(n, minutes)...), "a purchase of three pieces, R-3; what became of it stands in ledgers.json")
	v.Inputs, v.InputsSalt, v.Escrow = base64.StdEncoding.EncodeToString(m.inputs), base64.StdEncoding.EncodeToString(m.salt), m.escrow
	return v
}

func (m *story) cancel(name string, of vector, n string) vector {
	return signedBy(m.reseller.business, name, "hanse-cancel+jwt", object(
		"type", "hanse-cancel/1", "iss", m.reseller.origin, "aud", m.supplier.origin, "jti", "cnl-"+order(n), "placed_at", at(50),
		"agreement", agreementID, "subscription", "sub-"+order(n), "order", order(n), "order_sha256", of.sha()), "cancels "+of.Name+", R-14")
}

func (m *story) erasing(name string, of vector, n, subscription string, escrow ...any) vector {
	return signedBy(m.reseller.business, name, "hanse-erase+jwt", object(append([]any{
		"type", "hanse-erase/1", "iss", m.reseller.origin, "aud", m.supplier.origin, "jti", "ers-" + order(n), "agreement", agreementID,
		"subscription", subscription, "order", order(n), "order_sha256", of.sha(),
	}, escrow...)...), "has the supplier delete what lies beside "+of.Name+", R-20")
}

// documents are one vector for each kind of document, and more where one does not show all.
func (m *story) documents() []vector {
	s, r := m.supplier, m.reseller
	seen := signedBy(r.business, "seen", "hanse-seen+jwt", object("iss", r.origin, "aud", s.origin, "checkpoint", m.supplierLog.checkpoint(6)), "the reseller has read the supplier's log up to there, L-17")
	compare := signedBy(s.business, "compare", "hanse-compare+jwt", object(
		"iss", s.origin, "aud", r.origin, "nonce", b64([]byte("nonce of 16 byte")), "held", m.resellerLog.checkpoint(4), "life", 0,
		"seq", len(m.supplierLog.entries), "hash", m.supplierLog.last().Hash, "tick", 7), "the supplier's answer to Compare with that nonce, B-4")
	page := signedBy(s.business, "catalog-page", "hanse-catalog-page+jwt", m.pagePayload(), "one page that is a whole snapshot, F-7; the page itself stands in catalog.json")
	empty := signedBy(s.business, "checkpoint-empty", "hanse-checkpoint+jwt", object(
		"iss", s.origin, "aud", r.origin, "life", 0, "seq", 0, "hash", digest([]byte(partnershipID)), "tick", 0), "of an empty log, L-12")
	return []vector{
		m.member, m.resellerMember, m.peering, m.offer, m.acceptance, m.purchase, m.lost, m.broken, m.early, m.terminate, m.cancelEarly, m.cancelLate, m.receipt, m.rotate, m.erase, m.eraseBare,
		signedBy(s.next, "rollover", "hanse-rollover+jwt", m.rolloverOf(m.line(), 1, start), "the supplier's next key says which it followed, K-10; rollovers.json has chains"),
		empty, m.supplierLog.checkpointVector("checkpoint", 6), seen, compare, page, m.life, m.countersigned, m.noted,
	}
}
