package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
)

// lifeVector is how both logs of a partnership begin a new life.
type lifeVector struct {
	Partnership string `json:"partnership"`
	Life        int    `json:"life"`
	// DocumentSHA256 is that of the document that both signed, First what is hashed before each first entry (L-5).
	DocumentSHA256 string      `json:"document_sha256"`
	First          string      `json:"first"`
	Logs           []lifeStart `json:"logs"`
}

// lifeStart is the first entry of one log and the page that brings it.
type lifeStart struct {
	Owner  string      `json:"owner"`
	Reader string      `json:"reader"`
	Signer string      `json:"signer"`
	Entry  entryVector `json:"entry"`
	Page   pageVector  `json:"page"`
}

const lifeID = "life-1-1-test"

// fork writes how the two go on after a fork: the supplier proposes a new life and the reseller countersigns it.
func (m *story) fork() {
	s, r := m.supplier, m.reseller
	place := func(l log, seq int) json.RawMessage {
		return object("life", 0, "seq", seq, "hash", l.entries[seq-1].Hash)
	}
	heads := func(l log, own, read int) json.RawMessage {
		return object("own", place(l, own), "read", place(l, read), "common", place(l, read))
	}
	payload := object(
		"type", "hanse-life/1", "id", lifeID, "life", 1, "round", 1, "proposer", s.origin, "recipient", r.origin,
		"proposer_log", heads(m.supplierLog, 6, 5), "recipient_log", heads(m.resellerLog, 5, 4), "evidence_sha256", digest([]byte("evidence")),
		"subjects", []json.RawMessage{
			object("subscription", "sub-"+order("1"), "supplier", s.origin, "state", "terminated", "pays", "reseller"),
			object("subscription", "sub-"+order("3"), "supplier", s.origin, "state", "aborted", "pays", "supplier"),
		})
	m.life = signedBy(s.business, "life-proposal", "hanse-life+jwt", payload, "the supplier proposes a new life, L-24")
	m.countersigned = signedBy(r.business, "life-countersignature", "hanse-life+jwt", payload, "the reseller countersigns it: the same payload, L-28")
	m.noted = signedBy(r.business, "noted", "hanse-noted+jwt", object("iss", r.origin, "aud", s.origin, "document_sha256", m.life.sha()), "the reseller has the proposal, S-19")
}

func (m *story) lives() lifeVector {
	document := must(hex.DecodeString(m.life.sha()))
	sum := sha256.Sum256(append(strconv.AppendInt([]byte(partnershipID), 1, 10), document...))
	out := lifeVector{Partnership: partnershipID, Life: 1, DocumentSHA256: m.life.sha(), First: hex.EncodeToString(sum[:])}
	for _, l := range []log{m.supplierLog, m.resellerLog} {
		e := sealEntry(at(90), "life.opened", lifeID, object("opening", lifeID, "document_sha256", m.life.sha()), 1, 1, out.First)
		cp := signedBy(l.owner.business, "", "hanse-checkpoint+jwt", object(
			"iss", l.owner.origin, "aud", l.reader.origin, "life", 1, "seq", 1, "hash", e.Hash, "tick", 100), "")
		out.Logs = append(out.Logs, lifeStart{
			Owner: l.owner.origin, Reader: l.reader.origin, Signer: l.owner.business.Name, Entry: e,
			Page: pageVector{Name: "the first entry of a life", About: "read by who has begun the life", AfterLife: 1, Entries: []string{e.Entry}, Checkpoint: cp.JWS},
		})
	}
	return out
}
