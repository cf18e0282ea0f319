package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// entryVector is one entry of a log.
type entryVector struct {
	Kind string `json:"kind"`
	Seq  int    `json:"seq"`
	// Hashed is what is hashed after the 32 bytes of prev; Entry is what travels.
	Hashed string `json:"hashed"`
	Entry  string `json:"entry"`
	Hash   string `json:"hash"`
}

// log is what one member wrote for the other.
type log struct {
	owner, reader party
	entries       []entryVector
}

func newLog(owner, reader party) log { return log{owner: owner, reader: reader} }

func (l log) last() entryVector { return l.entries[len(l.entries)-1] }

// prev is the hash before a sequence number.
func (l log) prev(seq int) string {
	if seq == 1 {
		return digest([]byte(partnershipID))
	}
	return l.entries[seq-2].Hash
}

func (l *log) append(minutes int, kind, subject string, body json.RawMessage) {
	seq := len(l.entries) + 1
	l.entries = append(l.entries, sealEntry(at(minutes), kind, subject, body, 0, seq, l.prev(seq)))
}

func sealEntry(at, kind, subject string, body json.RawMessage, life, seq int, prev string) entryVector {
	members := []any{"at", at, "body", body, "kind", kind, "life", life, "prev", prev, "seq", seq, "subject", subject}
	hashed := canonical(object(members...))
	hash := hashAfter(prev, hashed)
	return entryVector{Kind: kind, Seq: seq, Hashed: string(hashed), Hash: hash, Entry: string(canonical(object(append(members, "hash", hash)...)))}
}

func hashAfter(prev string, hashed []byte) string {
	sum := sha256.Sum256(append(must(hex.DecodeString(prev)), hashed...))
	return hex.EncodeToString(sum[:])
}

// checkpoint is the owner's signature at a sequence number; its tick is that number.
func (l log) checkpoint(seq int) string { return l.checkpointVector("", seq).JWS }

func (l log) checkpointVector(name string, seq int) vector {
	return signedBy(l.owner.business, name, "hanse-checkpoint+jwt", object(
		"iss", l.owner.origin, "aud", l.reader.origin, "life", 0, "seq", seq, "hash", l.entries[seq-1].Hash, "tick", seq), fmt.Sprintf("of the log in ledgers.json at %d, L-12", seq))
}

// write writes both logs: every kind once at least.
func (m *story) write() {
	s, r := newLog(m.supplier, m.reseller), newLog(m.reseller, m.supplier)
	agreed := func(v vector) json.RawMessage { return object("agreement", agreementID, "document_sha256", v.sha()) }
	sub := func(n string) string { return "sub-" + order(n) }
	placed := func(minutes int, n string, v vector, subscription, action, intent string) {
		r.append(minutes, "order.placed", subscription, object(
			"order", order(n), "document_sha256", v.sha(), "agreement", agreementID, "subscription", subscription, "action", action, "intent", intent))
	}
	decided := func(minutes int, kind, n string, v vector, subscription, action string, more ...any) {
		s.append(minutes, kind, subscription, object(append([]any{
			"order", order(n), "document_sha256", v.sha(), "agreement", agreementID, "subscription", subscription, "action", action,
		}, more...)...))
	}
	ended := func(minutes int, kind, n, subscription, action string, more ...any) {
		s.append(minutes, kind, subscription, object(append([]any{"order", order(n), "subscription", subscription, "action", action}, more...)...))
	}

	s.append(1, "agreement.offered", agreementID, agreed(m.offer))
	r.append(2, "agreement.received", agreementID, agreed(m.offer))
	r.append(3, "agreement.accepted", agreementID, agreed(m.acceptance))
	s.append(4, "agreement.active", agreementID, agreed(m.acceptance))

	placed(10, "1", m.purchase, sub("1"), "add", "purchase")
	decided(11, "order.accepted", "1", m.purchase, sub("1"), "add")
	ended(12, "order.completed", "1", sub("1"), "add", "access_sha256", digest([]byte(m.jwe)))
	confirmed := object("subscription", sub("1"), "access_sha256", digest([]byte(m.jwe)), "document_sha256", m.receipt.sha())
	r.append(13, "access.confirmed", sub("1"), confirmed)
	s.append(14, "access.deleted", sub("1"), confirmed)

	placed(20, "2", m.lost, sub("2"), "add", "purchase")
	decided(21, "order.rejected", "2", m.lost, sub("2"), "add", "reason", "quantity_range", "message", "Größer als erlaubt: \"10\"")

	placed(30, "3", m.broken, sub("3"), "add", "purchase")
	decided(31, "order.accepted", "3", m.broken, sub("3"), "add")
	ended(32, "order.held", "3", sub("3"), "add", "reason", "adapter_outcome_unknown", "message", "The supplier checks whether the service was provided.")
	ended(33, "order.failed", "3", sub("3"), "add", "reason", "provisioning_refused")

	placed(40, "4", m.early, sub("4"), "add", "purchase")
	cancelled := func(v vector, n string) json.RawMessage {
		return object("order", order(n), "document_sha256", v.sha(), "agreement", agreementID, "subscription", sub(n))
	}
	r.append(50, "cancel.placed", sub("4"), cancelled(m.cancelEarly, "4"))
	s.append(51, "order.cancelled", sub("4"), object("order", order("4"), "document_sha256", m.cancelEarly.sha(), "subscription", sub("4")))
	r.append(52, "cancel.placed", sub("1"), cancelled(m.cancelLate, "1"))
	s.append(53, "cancel.refused", sub("1"), object("order", order("1"), "document_sha256", m.cancelLate.sha(), "subscription", sub("1"), "reason", "too_late"))

	placed(60, "5", m.terminate, sub("1"), "delete", "terminate")
	decided(61, "order.accepted", "5", m.terminate, sub("1"), "delete")
	ended(62, "order.completed", "5", sub("1"), "delete")

	erased := func(v vector, n string, more ...any) json.RawMessage {
		return object(append([]any{"order", order(n), "document_sha256", v.sha(), "subscription", sub("1")}, more...)...)
	}
	r.append(80, "erase.placed", sub("1"), erased(m.erase, "1", "agreement", agreementID))
	s.append(81, "order.erased", sub("1"), erased(m.erase, "1", "escrow_sha256", digest([]byte(m.escrow))))
	r.append(82, "erase.placed", sub("1"), erased(m.eraseBare, "5", "agreement", agreementID))
	s.append(83, "order.erased", sub("1"), erased(m.eraseBare, "5"))
	m.supplierLog, m.resellerLog = s, r
}

// ledgerVector is one log with pages of it.
type ledgerVector struct {
	Owner       string        `json:"owner"`
	Reader      string        `json:"reader"`
	Signer      string        `json:"signer"`
	Partnership string        `json:"partnership"`
	Genesis     string        `json:"genesis"`
	Entries     []entryVector `json:"entries"`
	Pages       []pageVector  `json:"pages"`
}

// pageVector is one page: what was asked for, and what the answer carries.
type pageVector struct {
	Name       string   `json:"name"`
	About      string   `json:"about"`
	AfterLife  int      `json:"after_life"`
	AfterSeq   int      `json:"after_seq"`
	Entries    []string `json:"entries"`
	Checkpoint string   `json:"checkpoint"`
}

func (l log) page(name, about string, after, to int) pageVector {
	p := pageVector{Name: name, About: about, AfterSeq: after, Entries: []string{}, Checkpoint: l.checkpoint(to)}
	for _, e := range l.entries[after:to] {
		p.Entries = append(p.Entries, e.Entry)
	}
	return p
}

func (m *story) ledgers() []ledgerVector {
	var out []ledgerVector
	for _, l := range []log{m.supplierLog, m.resellerLog} {
		end := len(l.entries)
		out = append(out, ledgerVector{
			Owner: l.owner.origin, Reader: l.reader.origin, Signer: l.owner.business.Name, Partnership: partnershipID,
			Genesis: digest([]byte(partnershipID)), Entries: l.entries,
			Pages: []pageVector{
				l.page("the first two entries", "a chain of two from the genesis", 0, 2),
				l.page("what follows", "goes on where the page before ended", 2, 6),
				l.page("nothing new", "a heartbeat: no entries, a checkpoint", 6, 6),
				l.page("to the end", "the rest", 6, end),
			},
		})
	}
	return out
}
