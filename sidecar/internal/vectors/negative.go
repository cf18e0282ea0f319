package main

import (
	"encoding/json"
	"strings"
)

// negativeVector is something that must be refused.
type negativeVector struct {
	Name string `json:"name"`
	// Reader says what is read: document, member, entry, page, catalog, proof, assertion, access.
	Reader string `json:"reader"`
	Reason string `json:"reason"`
	// Typ and Signer are what the reader expects of a document; the pinned key is Signer's.
	Typ    string `json:"typ,omitempty"`
	Signer string `json:"signer,omitempty"`
	JWS    string `json:"jws,omitempty"`
	Entry  string `json:"entry,omitempty"`
	// Have is how far the reader's copy of the supplier's log in ledgers.json goes; what was asked for begins after AfterSeq.
	Have       int      `json:"have,omitempty"`
	AfterSeq   int      `json:"after_seq,omitempty"`
	Entries    []string `json:"entries,omitempty"`
	Checkpoint string   `json:"checkpoint,omitempty"`
	// Page is a WatchResponse in ProtoJSON.
	Page json.RawMessage `json:"page,omitempty"`
	// Token is what a proof's call presents; "" is the token endpoint.
	Path  string `json:"path,omitempty"`
	Token string `json:"token,omitempty"`
	JWE   string `json:"jwe,omitempty"`
}

// negative are the cases by reader. Each is one of the vectors with one thing wrong.
func (m *story) negative() (all []negativeVector) {
	all = append(all, m.badSignatures()...)
	all = append(all, m.badPayloads()...)
	all = append(all, m.badMembers()...)
	all = append(all, m.badEntries()...)
	all = append(all, m.badPages()...)
	all = append(all, m.badCatalogs()...)
	all = append(all, m.badProofs()...)
	all = append(all, m.badAssertions()...)
	return append(all, m.badAccess()...)
}

const (
	typOrder     = "hanse-order+jwt"
	unsigned     = "document_signature_invalid"
	malformed    = "document_malformed"
	orderInvalid = "order_document_invalid"
)

func (m *story) badSignatures() []negativeVector {
	k, payload := m.reseller.business, []byte(m.purchase.Payload)
	header := func(pairs ...any) string { return k.signHeader(object(pairs...), payload) }
	head, rest, _ := strings.Cut(m.purchase.JWS, ".")
	flipped := []byte(m.purchase.JWS)
	flipped[len(flipped)-10] ^= 1
	var out []negativeVector
	for _, c := range []struct{ name, jws string }{
		{"another typ", k.sign("hanse-cancel+jwt", payload)},
		{"the typ in another case", k.sign("Hanse-Order+jwt", payload)},
		{"signed by the member's next key", m.reseller.next.sign(typOrder, payload)},
		{"signed by the member's client key", m.reseller.client.sign(typOrder, payload)},
		{"signed by another key under the pinned kid", m.supplier.business.signHeader(object("alg", "ES256", "kid", k.thumbprint(), "typ", typOrder), payload)},
		{"signed by the other party", m.supplier.business.sign(typOrder, payload)},
		{"alg none", b64(object("alg", "none", "kid", k.thumbprint(), "typ", typOrder)) + "." + b64(payload) + "."},
		{"alg HS256", header("alg", "HS256", "kid", k.thumbprint(), "typ", typOrder)},
		{"no kid", header("alg", "ES256", "typ", typOrder)},
		{"a jwk in the header", header("alg", "ES256", "jwk", bare(k), "kid", k.thumbprint(), "typ", typOrder)},
		{"a crit in the header", header("alg", "ES256", "crit", []string{"b64"}, "kid", k.thumbprint(), "typ", typOrder)},
		{"typ twice in the header", k.signHeader([]byte(`{"alg":"ES256","typ":"hanse-order+jwt","kid":"`+k.thumbprint()+`","typ":"hanse-order+jwt"}`), payload)},
		{"padding after the header", head + "=." + rest},
		{"a changed signature", string(flipped)},
		{"a changed payload", strings.Replace(m.purchase.JWS, b64(payload), b64([]byte(strings.Replace(m.purchase.Payload, `"quantity":3`, `"quantity":4`, 1))), 1)},
		{"the signature left out", m.purchase.JWS[:strings.LastIndexByte(m.purchase.JWS, '.')+1]},
		{"two parts", m.purchase.JWS[:strings.LastIndexByte(m.purchase.JWS, '.')]},
		{"white space around", " " + m.purchase.JWS},
	} {
		out = append(out, negativeVector{Name: c.name, Reader: "document", Reason: unsigned, Typ: typOrder, Signer: k.Name, JWS: c.jws})
	}
	return out
}

// badPayloads are well signed: what they say is refused.
func (m *story) badPayloads() (out []negativeVector) {
	add := func(v vector, k key, name, reason, old, new string) {
		payload := v.Payload
		if old != "" {
			payload = strings.Replace(payload, old, new, 1)
		} else {
			payload = new
		}
		if payload == v.Payload {
			panic(name + " changes nothing")
		}
		out = append(out, negativeVector{Name: v.Name + ": " + name, Reader: "document", Reason: reason, Typ: v.Typ, Signer: k.Name, JWS: k.sign(v.Typ, []byte(payload))})
	}
	r, s := m.reseller.business, m.supplier.business
	o := func(name, reason, old, new string) { add(m.purchase, r, name, reason, old, new) }
	o("a member twice", malformed, `"quantity":3`, `"quantity":3,"quantity":3`)
	o("a member twice, once escaped", malformed, `"quantity":3`, `"quantity":3,"\u0071uantity":4`)
	o("a member in another case", malformed, `"quantity":3`, `"Quantity":3`)
	o("a member in another case beside the right one", malformed, `"quantity":3`, `"quantity":3,"QUANTITY":4`)
	o("an unknown member", malformed, `"quantity":3`, `"quantity":3,"discount":1`)
	o("a missing member", malformed, `"agreement":"`+agreementID+`",`, ``)
	o("null in place of a text", malformed, `"customer":"cus-0123456789abcdef0123456789abcdef"`, `"customer":null`)
	o("a text in place of a number", malformed, `"quantity":3`, `"quantity":"3"`)
	o("a fraction", malformed, `"quantity":3`, `"quantity":3.0`)
	o("an exponent", malformed, `"quantity":3`, `"quantity":3e0`)
	o("a number beyond 2^53-1", malformed, `"recurring_minor":2376`, `"recurring_minor":9007199254740992`)
	o("minus zero", malformed, `"one_off_minor":300`, `"one_off_minor":-0`)
	o("invalid UTF-8", malformed, `cus-01`, "cus-\xff1")
	o("half a surrogate pair", malformed, `cus-01`, `\ud8001`)
	o("a code point that is no character", malformed, `cus-01`, `\ufffe1`)
	o("text after the object", malformed, `"currency":"EUR"}`, `"currency":"EUR"}{}`)
	o("a byte order mark", malformed, `{"type"`, "\ufeff"+`{"type"`)
	o("a list", malformed, "", `[]`)
	o("null", malformed, "", `null`)
	o("nothing", malformed, "", ` `)
	o("a quantity of 0", orderInvalid, `"quantity":3`, `"quantity":0`)
	o("a quantity above 10,000", orderInvalid, `"quantity":3`, `"quantity":10001`)
	o("a revision of 0", orderInvalid, `"revision":1`, `"revision":0`)
	o("a subscription that is not the order's", orderInvalid, `"subscription":"sub-`, `"subscription":"sub-x`)
	o("a jti that is not plain text", orderInvalid, `"jti":"ord-0001`, `"jti":"ord 0001`)
	o("accept_by that is no time", orderInvalid, `"accept_by":"2026`, `"accept_by":"in 2026`)
	o("accept_by with an hour of one digit", orderInvalid, `"accept_by":"2026-12-05T12:10:00Z"`, `"accept_by":"2026-12-05T9:10:00Z"`)
	o("accept_by with a comma", orderInvalid, `"accept_by":"2026-12-05T12:10:00Z"`, `"accept_by":"2026-12-05T12:10:00,5Z"`)
	o("accept_by with an offset", orderInvalid, `"accept_by":"2026-12-05T12:10:00Z"`, `"accept_by":"2026-12-05T12:10:00+00:00"`)
	o("placed_at with an offset of a day", orderInvalid, `"placed_at":"2026-11-28T12:10:00Z"`, `"placed_at":"2026-11-28T12:10:00+24:00"`)
	o("another version", "document_version", `"type":"hanse-order/1"`, `"type":"hanse-order/2"`)
	o("a later version with members of its own", "document_version", `"type":"hanse-order/1"`, `"type":"hanse-order/2","later":{}`)
	o("the type of another document", "document_version", `"type":"hanse-order/1"`, `"type":"hanse-cancel/1"`)
	o("an intent with another action", "order_action_unknown", `"intent":"purchase"`, `"intent":"terminate"`)
	o("an unknown intent", "order_action_unknown", `"intent":"purchase"`, `"intent":"steal"`)

	c := func(name, reason, old, new string) { add(m.cancelEarly, r, name, reason, old, new) }
	c("an order of another form", "cancel_document_invalid", `"order":"ord-0004-test"`, `"order":"ord"`)
	c("a digest in upper case", "cancel_document_invalid", m.early.sha(), strings.ToUpper(m.early.sha()))
	c("an unknown member", malformed, `"order":`, `"reason":"x","order":`)

	a := func(name, reason, old, new string) { add(m.receipt, r, name, reason, old, new) }
	a("a digest that is none", "receipt_document_invalid", digest([]byte(m.jwe)), "abc")
	a("without its type", malformed, `"type":"hanse-access-receipt/1",`, ``)

	e := func(name, reason, old, new string) { add(m.erase, r, name, reason, old, new) }
	e("an order of another form", "erase_document_invalid", `"order":"ord-0001-test"`, `"order":"ord"`)
	e("the id of another order's request", "erase_document_invalid", `"jti":"ers-ord-0001`, `"jti":"ers-ord-0002`)
	e("escrow that is no digest", "erase_document_invalid", digest([]byte(m.escrow)), "abc")
	e("an order digest in upper case", "erase_document_invalid", m.purchase.sha(), strings.ToUpper(m.purchase.sha()))
	e("a time", malformed, `"order":`, `"placed_at":"2026-11-28T12:10:00Z","order":`)
	e("who the customer was", malformed, `"order":`, `"customer":"x","order":`)
	e("another version", "document_version", `"type":"hanse-erase/1"`, `"type":"hanse-erase/2"`)

	g := func(name, reason, old, new string) { add(m.offer, s, name, reason, old, new) }
	g("a discount above 100 %", "agreement_invalid", `"wholesale_discount_bp":2000`, `"wholesale_discount_bp":10001`)
	g("a currency that is none", "agreement_invalid", `"currency":"EUR"`, `"currency":"EUX"`)
	g("a territory that is no country", "agreement_invalid", `"AT"`, `"UK"`)
	g("another scope", "agreement_invalid", `"scope":"all"`, `"scope":"some"`)
	g("valid_from that is no time", "agreement_invalid", `"valid_from":"2026-11-28T12:00:00Z"`, `"valid_from":"2026-11-28"`)
	g("valid_from with an offset", "agreement_invalid", `"valid_from":"2026-11-28T12:00:00Z"`, `"valid_from":"2026-11-28T12:00:00+00:00"`)
	g("an unknown member", malformed, `"scope":"all"`, `"scope":"all","credit":1`)

	l := func(name, reason, old, new string) { add(m.life, s, name, reason, old, new) }
	l("the present life", "life_invalid", `"life":1`, `"life":0`)
	l("a round of 0", "life_invalid", `"round":1`, `"round":0`)
	l("with itself", "life_invalid", `"recipient":"`+resellerOrigin, `"recipient":"`+supplierOrigin)
	l("evidence that is no digest", "life_invalid", digest([]byte("evidence")), "abc")
	l("an unknown state of a subject", "life_invalid", `"state":"terminated"`, `"state":"sold"`)
	l("somebody else pays", "life_invalid", `"pays":"supplier"`, `"pays":"customer"`)
	l("a subject of another supplier", "life_invalid", `"supplier":"`+supplierOrigin, `"supplier":"https://other.example`)
	l("a subject twice", "life_invalid", "sub-"+order("3"), "sub-"+order("1"))
	l("another version", "document_version", `"type":"hanse-life/1"`, `"type":"hanse-life/2"`)
	l("an unknown member", malformed, `"round":1`, `"round":1,"note":"x"`)

	cp := m.supplierLog.checkpointVector("checkpoint", 6)
	p := func(name, reason, old, new string) { add(cp, s, name, reason, old, new) }
	p("for another reader", "checkpoint_parties", `"aud":"`+resellerOrigin, `"aud":"https://other.example`)
	p("by another owner", "checkpoint_parties", `"iss":"`+supplierOrigin, `"iss":"https://other.example`)
	p("a hash that is no digest", "checkpoint_malformed", m.supplierLog.entries[5].Hash, "abc")
	p("a hash in upper case", "checkpoint_malformed", m.supplierLog.entries[5].Hash, strings.ToUpper(m.supplierLog.entries[5].Hash))
	p("without a life", malformed, `"life":0,`, ``)
	p("an unknown member", malformed, `"life":0,`, `"life":0,"epoch":1,`)
	return out
}

func (m *story) badMembers() (out []negativeVector) {
	s := m.supplier
	add := func(name, old, new string) {
		payload := strings.Replace(m.member.Payload, old, new, 1)
		if payload == m.member.Payload {
			panic(name + " changes nothing")
		}
		out = append(out, negativeVector{Name: name, Reader: "member", Reason: "member_document_invalid", JWS: s.business.sign("hanse-peer+jwt", []byte(payload))})
	}
	add("another issuer", `"iss":"`+supplierOrigin, `"iss":"https://other.example`)
	add("expired", `"exp":`, `"exp":1,"was":`)
	add("no protocol version that we speak", `"versions":["1"]`, `"versions":["2"]`)
	add("no name", `"name":"Nordic Cloud"`, `"name":" "`)
	add("a country that is there and empty", `"country":"`, `"country":"","seat":"`)
	add("a country that is none", `"country":"`, `"country":"XX","seat":"`)
	add("no next key", `"next_key_digest":"`+s.next.thumbprint()+`",`, ``)
	add("the next key is the current one", `"next_key_digest":"`+s.next.thumbprint(), `"next_key_digest":"`+s.business.thumbprint())
	add("another business key than the one that signed", `"business_key":"`+s.business.thumbprint(), `"business_key":"`+s.next.thumbprint())
	add("a sealing key that is not published", `"sealing_key":"`+s.sealing.thumbprint(), `"sealing_key":"`+m.reseller.sealing.thumbprint())
	add("an unknown member with 17 lists and objects in each other", `"name":"Nordic Cloud"`, `"later":`+strings.Repeat("[", 16)+strings.Repeat("]", 16)+`,"name":"Nordic Cloud"`)
	add("a member twice", `"name":"Nordic Cloud"`, `"name":"Nordic Cloud","name":"Other"`)
	return out
}

func (m *story) badEntries() (out []negativeVector) {
	good := m.supplierLog.entries[2].Entry
	add := func(name, reason, entry string) {
		if entry == good {
			panic(name + " changes nothing")
		}
		out = append(out, negativeVector{Name: name, Reader: "entry", Reason: reason, Entry: entry})
	}
	change := func(name, reason, old, new string) { add(name, reason, strings.Replace(good, old, new, 1)) }
	hash := m.supplierLog.entries[2].Hash
	const form, wrong = "ledger_entry_malformed", "ledger_hash_wrong"
	change("another hash", wrong, `"hash":"`+hash, `"hash":"`+digest(nil))
	change("a changed body", wrong, `"order":"ord-0001-test"`, `"order":"ord-0002-test"`)
	change("a changed seq", wrong, `"seq":3`, `"seq":4`)
	change("a changed life", wrong, `"life":0`, `"life":1`)
	change("another kind", wrong, `"kind":"order.accepted"`, `"kind":"order.rejected"`)
	change("a hash in upper case", wrong, hash, strings.ToUpper(hash))
	change("a member twice", form, `"seq":3`, `"seq":3,"seq":3`)
	change("a member in another case", form, `"seq":3`, `"Seq":3`)
	change("an unknown member", form, `"seq":3`, `"note":1,"seq":3`)
	change("a member left out", form, `"life":0,`, ``)
	change("members in another order", form, `"life":0,"prev"`, `"prev"`)
	change("a fraction", form, `"seq":3`, `"seq":3.0`)
	change("a space", form, `"seq":3`, `"seq": 3`)
	change("an escape that is not needed", form, `"kind":"order`, `"kind":"\u006frder`)
	change("prev that is no hash", form, `"prev":"`, `"prev":"zz`)
	change("a subject that is not plain text", form, `"subject":"sub-`, `"subject":"sub `)
	change("a subject in quotes", form, `"subject":"sub-`, `"subject":"sub\"`)
	change("a body that is no object", form, `"body":{`, `"body":[{`)
	add("a line break at the end", form, good+"\n")
	add("seq 0", form, sealEntry(at(1), "order.accepted", "sub-ord-0001-test", object("order", "x"), 0, 0, digest(nil)).Entry)
	for _, loose := range []string{"2026-11-28T1:00:00Z", "2026-11-28T12:00:00,5Z", "2026-11-28T12:00:00+24:00"} {
		add("at "+loose, form, sealEntry(loose, "order.accepted", "sub-ord-0001-test", object("order", "x"), 0, 3, digest(nil)).Entry)
	}
	add("more than 32 KiB", form, sealEntry(at(1), "order.accepted", "sub-ord-0001-test", object("order", strings.Repeat("x", 32<<10)), 0, 1, digest(nil)).Entry)
	return out
}

func (m *story) badPages() (out []negativeVector) {
	l := m.supplierLog
	entries := func(from, to int) (all []string) {
		for _, e := range l.entries[from:to] {
			all = append(all, e.Entry)
		}
		return all
	}
	// other is another log by the same owner: it goes on from the third entry in another way.
	other := log{owner: l.owner, reader: l.reader, entries: append([]entryVector{}, l.entries[:3]...)}
	other.append(12, "order.failed", "sub-ord-0001-test", object("order", order("1"), "subscription", "sub-ord-0001-test", "action", "add", "reason", "provisioning_refused"))
	other.append(13, "order.rejected", "sub-ord-0009-test", object("order", "ord-0009-test", "document_sha256", digest(nil), "agreement", agreementID, "subscription", "sub-ord-0009-test", "action", "add", "reason", "price_mismatch"))
	texts := func(l log, from, to int) (all []string) {
		for _, e := range l.entries[from:to] {
			all = append(all, e.Entry)
		}
		return all
	}
	add := func(name, reason string, have, after int, list []string, checkpoint string) {
		out = append(out, negativeVector{Name: name, Reader: "page", Reason: reason, Have: have, AfterSeq: after, Entries: list, Checkpoint: checkpoint})
	}
	add("an entry is left out", "page_broken", 2, 2, append(entries(2, 3), entries(4, 6)...), l.checkpoint(6))
	add("two entries have changed places", "page_broken", 2, 2, append(entries(3, 4), entries(2, 3)...), l.checkpoint(4))
	add("half the page", "page_broken", 2, 2, entries(2, 4), l.checkpoint(6))
	add("more than the checkpoint", "page_broken", 2, 2, entries(2, 6), l.checkpoint(4))
	add("the checkpoint of the other log", "document_signature_invalid", 2, 2, entries(2, 4), m.resellerLog.checkpoint(4))
	add("it ends before what was asked for", "page_old", 6, 6, entries(0, 2), l.checkpoint(2))
	add("it begins behind the copy", "page_gap", 2, 2, entries(4, 6), l.checkpoint(6))
	add("nothing, and a checkpoint ahead", "page_gap", 2, 2, nil, l.checkpoint(6))
	add("another entry under a signed sequence number", "ledger_fork", 4, 3, texts(other, 3, 5), other.checkpoint(5))
	add("another hash is signed at a signed place", "ledger_fork", 4, 4, nil, other.checkpoint(4))
	return out
}

func (m *story) badCatalogs() (out []negativeVector) {
	add := func(name, reason string, change func(payload string) string, page func(json.RawMessage) json.RawMessage) {
		p := m.page()
		if change != nil {
			p.Signature = m.supplier.business.sign("hanse-catalog-page+jwt", []byte(change(string(m.pagePayload()))))
		}
		raw := protoJSON(p)
		if page != nil {
			raw = page(raw)
		}
		out = append(out, negativeVector{Name: name, Reader: "catalog", Reason: reason, Page: raw})
	}
	replace := func(old, new string) func(json.RawMessage) json.RawMessage {
		return func(raw json.RawMessage) json.RawMessage {
			changed := strings.Replace(string(raw), old, new, 1)
			if changed == string(raw) {
				panic(old + " is not there")
			}
			return json.RawMessage(changed)
		}
	}
	const other = "catalog_page_signature"
	add("another revision than the signed one", other, nil, replace(`"revision":"4"`, `"revision":"5"`))
	add("a mark that was not signed", other, nil, replace(`"snapshotEnd":true`, `"snapshotEnd":false`))
	add("another cursor", other, nil, replace(`"cursor":"Y3Vyc29yLTE="`, `"cursor":"Y3Vyc29yLTI="`))
	add("a signature that is not in RFC 8785 form", other, func(p string) string { return strings.Replace(p, `,"iss"`, `, "iss"`, 1) }, nil)
	add("for another reader", other, func(p string) string { return strings.Replace(p, resellerOrigin, "https://other.example", 1) }, nil)
	return out
}

func (m *story) badProofs() (out []negativeVector) {
	token := m.accessToken().JWS
	add := func(name, reason string, v proofVector) {
		out = append(out, negativeVector{Name: name, Reader: "proof", Reason: reason, JWS: v.JWS, Path: callPath, Token: token})
	}
	claims := func(changes ...any) []any {
		all := m.callClaims(token)
		for i := 0; i < len(changes); i += 2 {
			for j := 0; j < len(all); j += 2 {
				if all[j] == changes[i] {
					all[j+1] = changes[i+1]
				}
			}
		}
		return all
	}
	k := m.reseller.dpop
	header := func(name, reason string, pairs ...any) {
		add(name, reason, proofOf(k, "", "", object(pairs...), claims()...))
	}
	add("another method", "proof_method", m.proof("", "", claims("htm", "GET")...))
	add("another path", "proof_url", m.proof("", "", claims("htu", supplierOrigin+"/hanse.peer.v1.LedgerService/Tail")...))
	add("another origin", "proof_url", m.proof("", "", claims("htu", "https://other.example"+callPath)...))
	add("a query", "proof_url", m.proof("", "", claims("htu", supplierOrigin+callPath+"?a=b")...))
	add("the hash of another token", "proof_token", m.proof("", "", claims("ath", b64sum("other"))...))
	add("61 seconds old", "clock_skew", m.proof("", "", claims("iat", start.Unix()-61)...))
	add("11 seconds ahead", "clock_skew", m.proof("", "", claims("iat", start.Unix()+11)...))
	add("a short jti", "proof_malformed", m.proof("", "", claims("jti", "short")...))
	header("another typ", "proof_header", "typ", "JWT", "alg", "ES256", "jwk", bare(k))
	header("another alg", "proof_header", "typ", "dpop+jwt", "alg", "RS256", "jwk", bare(k))
	header("a kid beside", "proof_header", "typ", "dpop+jwt", "alg", "ES256", "jwk", bare(k), "kid", "k")
	header("a private key", "proof_private_key", "typ", "dpop+jwt", "alg", "ES256", "jwk", k.private())
	header("the jwk of another key", "proof_signature", "typ", "dpop+jwt", "alg", "ES256", "jwk", bare(m.reseller.client))
	return out
}

func (m *story) badAssertions() (out []negativeVector) {
	k := m.reseller.client
	add := func(name, reason, jws string) {
		out = append(out, negativeVector{Name: name, Reader: "assertion", Reason: reason, JWS: jws})
	}
	claims := func(changes ...any) json.RawMessage {
		all := m.assertionClaims()
		for i := 0; i < len(changes); i += 2 {
			for j := 0; j < len(all); j += 2 {
				if all[j] == changes[i] {
					all[j+1] = changes[i+1]
				}
			}
		}
		return object(all...)
	}
	sign := func(payload json.RawMessage) string { return k.sign(assertionType, payload) }
	add("an audience of two", "assertion_audience", sign(claims("aud", []string{supplierOrigin, "https://other.example"})))
	add("the token endpoint as audience", "assertion_audience", sign(claims("aud", supplierOrigin+"/oauth2/token")))
	add("another subject", "assertion_subject", sign(claims("sub", "https://other.example/oauth2/client.json")))
	add("a life of 61 s", "assertion_lifetime", sign(claims("exp", start.Unix()+61)))
	add("a short jti", "assertion_malformed", sign(claims("jti", "short")))
	add("61 seconds old", "clock_skew", sign(claims("iat", start.Unix()-61, "exp", start.Unix()-11)))
	add("typ JWT", "assertion_type", k.sign("JWT", claims()))
	add("alg none", "assertion_algorithm", b64(object("alg", "none", "kid", k.thumbprint(), "typ", assertionType))+"."+b64(claims())+".")
	add("a jwk in the header", "assertion_header", k.signHeader(object("alg", "ES256", "jwk", bare(k), "kid", k.thumbprint(), "typ", assertionType), claims()))
	add("a key that is not published", "assertion_key", m.reseller.business.sign(assertionType, claims()))
	add("another key under a published kid", "assertion_signature", m.reseller.business.signHeader(object("alg", "ES256", "kid", k.thumbprint(), "typ", assertionType), claims()))
	return out
}

func (m *story) badAccess() []negativeVector {
	flipped := []byte(m.jwe)
	flipped[len(flipped)-3] ^= 1
	parts := strings.Split(m.jwe, ".")
	return []negativeVector{
		{Name: "sealed to another member", Reader: "access", Reason: "jwe_unopenable", JWE: m.supplier.sealing.seal(m.accessPlain)},
		{Name: "compressed", Reader: "access", Reason: "jws_header", JWE: m.reseller.sealing.seal(m.accessPlain, "zip", "DEF")},
		{Name: "a changed tag", Reader: "access", Reason: "jwe_unopenable", JWE: string(flipped)},
		{Name: "four parts", Reader: "access", Reason: "jws_malformed", JWE: strings.Join(parts[:4], ".")},
		{Name: "alg dir", Reader: "access", Reason: "jws_malformed", JWE: compactJWE(object("alg", "dir", "enc", "A256GCM", "kid", m.reseller.sealing.thumbprint()), nil, []byte("hanse test recovery key 32 bytes"), m.accessPlain)},
	}
}
