package main

import (
	"strings"
	"testing"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
)

func TestLedgerParked_SaysWhatStillWaits(t *testing.T) {
	w := newWire(t)
	w.answer = &operatorv1.ApplyParkedResponse{Applied: 3}
	if got := w.run("", "ledger", "parked", "apply", "https://b.example", "c-1"); got.code != exitOK || !strings.Contains(got.stdout, "3") {
		t.Errorf("got %+v", got)
	}
	left := []*operatorv1.ParkedEntry{
		{Seq: 7, Reason: "order_not_found", Kind: "order.completed", Release: "the order stays open here"}, {Seq: 9, Reason: "queues behind entry 7"},
	}
	w.answer = &operatorv1.ReleaseParkedResponse{Left: left}
	got := w.run("", "ledger", "parked", "release", "https://b.example", "c-1", "--seq", "5", "--reason", "never ours")
	if got.code != exitConflict || !strings.Contains(got.stdout, "order_not_found") || !strings.Contains(got.stderr, "--seq 7") || !strings.Contains(got.stderr, "stays open here") {
		t.Errorf("got %+v", got)
	}
	sent := w.request.(*operatorv1.ReleaseParkedRequest)
	if sent.GetPartner() != "https://b.example" || sent.GetSubject() != "c-1" || sent.GetSeq() != 5 || sent.GetReason() != "never ours" {
		t.Errorf("sent %v", sent)
	}
	w.answer = &operatorv1.ListParkedResponse{Parked: left}
	if got := w.run("", "ledger", "parked", "list"); got.code != exitOK || !strings.Contains(got.stdout, "order.completed") || !strings.Contains(got.stdout, "IF RELEASED") {
		t.Errorf("got %+v", got)
	}
}
