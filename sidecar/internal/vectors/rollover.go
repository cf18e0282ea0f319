package main

import (
	"encoding/json"
	"time"
)

// rolloverVector is what a member shows to who pinned a key of it once, and what that reader comes to.
type rolloverVector struct {
	Name   string `json:"name"`
	Member string `json:"member"`
	Keys   string `json:"keys"`
	// Pinned and PinnedNext are the thumbprints that the reader pinned.
	Pinned     string `json:"pinned"`
	PinnedNext string `json:"pinned_next"`
	// Reason is why nothing is pinned anew; "" where the chain counts. Passed are the keys that are history then, the oldest first.
	Reason string   `json:"reason"`
	Passed []string `json:"passed"`
}

// line are the supplier's business keys, each the next of the one before.
func (m *story) line() []key {
	return []key{
		m.supplier.business, m.supplier.next, testKey("supplier third business", "sig"), testKey("supplier fourth business", "sig"), testKey("supplier fifth business", "sig"),
	}
}

// rolloverOf is the payload by which keys[i] followed the one before it.
func (m *story) rolloverOf(keys []key, i int, from time.Time) json.RawMessage {
	return object("type", "hanse-rollover/1", "iss", m.supplier.origin, "old_key", keys[i-1].thumbprint(), "new_key", keys[i].thumbprint(),
		"next_key_digest", keys[i+1].thumbprint(), "from", from.Format(time.RFC3339))
}

func (m *story) rollovers() (all []rolloverVector) {
	const typ = "hanse-rollover+jwt"
	k, s := m.line(), m.supplier
	hour := func(i int) time.Time { return start.Add(time.Duration(i-10) * time.Hour) }
	link := func(i int) string { return k[i].sign(typ, m.rolloverOf(k, i, hour(i))) }
	// shows is the member after so many rollovers: its member document and its keys, with what is published of rollovers.
	shows := func(name string, n int, rollovers ...string) rolloverVector {
		now := s
		now.business, now.next = k[n], k[n+1]
		var set []json.RawMessage
		for i := n; i >= 0; i-- {
			set = append(set, k[i].jwk("nbf", hour(i).Unix()))
		}
		keys := []any{"business", object("keys", set), "sealing", object("keys", []json.RawMessage{s.sealing.jwk("nbf", start.Unix())})}
		if rollovers != nil {
			keys = append(keys, "rollovers", rollovers)
		}
		return rolloverVector{
			Name: name, Member: k[n].sign("hanse-peer+jwt", memberDocument(now, "Nordic Cloud", "Nordic Cloud AB", "SE")), Keys: string(object(keys...)),
			Pinned: k[0].thumbprint(), PinnedNext: k[1].thumbprint(), Passed: []string{},
		}
	}
	add := func(v rolloverVector, reason string, passed ...key) {
		v.Reason = reason
		for _, k := range passed {
			v.Passed = append(v.Passed, k.thumbprint())
		}
		all = append(all, v)
	}
	const invalid, discontinuity = "member_document_invalid", "key_discontinuity"
	pinned := func(v rolloverVector, at int) rolloverVector {
		v.Pinned, v.PinnedNext = k[at].thumbprint(), k[at+1].thumbprint()
		return v
	}
	third := testKey("supplier third business", "sig")
	payload := func(iss, old, new, next string, from time.Time) json.RawMessage {
		return object("type", "hanse-rollover/1", "iss", iss, "old_key", old, "new_key", new, "next_key_digest", next, "from", from.Format(time.RFC3339))
	}
	first := func(iss string, old, next key, from time.Time) json.RawMessage {
		return payload(iss, old.thumbprint(), k[1].thumbprint(), next.thumbprint(), from)
	}

	add(shows("no rollover", 0), "")
	add(shows("one rollover", 1, link(1)), "", k[0])
	add(shows("two rollovers", 2, link(1), link(2)), "", k[0], k[1])
	add(shows("three rollovers", 3, link(1), link(2), link(3)), "", k[0], k[1], k[2])
	add(pinned(shows("three rollovers, the second key pinned", 3, link(1), link(2), link(3)), 1), "", k[1], k[2])
	add(pinned(shows("two rollovers, all known", 2, link(1), link(2)), 2), "")
	add(pinned(shows("the first one no longer published", 3, link(2), link(3)), 1), "", k[1], k[2])

	add(shows("the next key without a rollover", 1), discontinuity)
	add(shows("the first one left out", 2, link(2)), discontinuity)
	add(pinned(shows("back to a key of before", 0), 1), discontinuity)
	v := shows("a next key other than the pinned one", 1, link(1))
	v.PinnedNext = third.thumbprint()
	add(v, discontinuity)
	v = shows("another next key without a rollover", 0)
	v.PinnedNext = third.thumbprint()
	add(v, discontinuity)
	v = shows("another key pinned", 1, link(1))
	v.Pinned = m.reseller.business.thumbprint()
	add(v, discontinuity)

	add(shows("signed by the old key", 1, k[0].sign(typ, m.rolloverOf(k, 1, hour(1)))), invalid)
	add(shows("signed by the old key under the new kid", 1, k[0].signHeader(object("alg", "ES256", "kid", k[1].thumbprint(), "typ", typ), m.rolloverOf(k, 1, hour(1)))), invalid)
	add(shows("signed by a key that is not published", 1, third.sign(typ, m.rolloverOf(k, 1, hour(1)))), invalid)
	add(shows("signed as another kind of document", 1, k[1].sign("hanse-order+jwt", m.rolloverOf(k, 1, hour(1)))), invalid)
	add(shows("a gap", 3, link(1), link(3)), invalid)
	add(shows("in the wrong order", 2, link(2), link(1)), invalid)
	add(shows("one twice", 1, link(1), link(1)), invalid)
	add(shows("an old chain under a later key", 2, link(1)), invalid)
	add(shows("another next key than the member document's", 1, k[1].sign(typ, first(s.origin, k[0], k[3], hour(1)))), invalid)
	add(shows("another member's", 1, k[1].sign(typ, first(m.reseller.origin, k[0], k[2], hour(1)))), invalid)
	add(shows("begins in the future", 1, k[1].sign(typ, first(s.origin, k[0], k[2], start.Add(10*time.Minute)))), invalid)
	add(shows("the second begins before the first", 2, link(1), k[2].sign(typ, m.rolloverOf(k, 2, hour(0)))), invalid)
	add(shows("follows a key that is not published", 1, k[1].sign(typ, first(s.origin, third, k[2], hour(1)))), invalid)
	add(shows("follows itself", 1, k[1].sign(typ, first(s.origin, k[1], k[2], hour(1)))), invalid)
	add(shows("another version", 1, k[1].sign(typ, object("type", "hanse-rollover/2", "iss", s.origin, "old_key", k[0].thumbprint(), "new_key", k[1].thumbprint(),
		"next_key_digest", k[2].thumbprint(), "from", hour(1).Format(time.RFC3339)))), invalid)
	add(shows("a member of its own", 1, k[1].sign(typ, object("type", "hanse-rollover/1", "iss", s.origin, "old_key", k[0].thumbprint(), "new_key", k[1].thumbprint(),
		"next_key_digest", k[2].thumbprint(), "from", hour(1).Format(time.RFC3339), "why", "leaked"))), invalid)
	return all
}
