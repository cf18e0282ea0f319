package main

import (
	"strings"
	"testing"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
)

func TestLedgerRetry_SaysWhatStillWaits(t *testing.T) {
	w := newWire(t)
	w.answer = &operatorv1.RetryParkedResponse{Applied: 3}
	if got := w.run("", "ledger", "retry", "https://b.example", "c-1"); got.code != exitOK || !strings.Contains(got.stdout, "3") {
		t.Errorf("got %+v", got)
	}
	w.answer = &operatorv1.RetryParkedResponse{Left: []*operatorv1.ParkedEntry{{Seq: 7, Reason: "order_not_found"}, {Seq: 9, Reason: "queues behind entry 7"}}}
	got := w.run("", "ledger", "retry", "https://b.example", "c-1", "--skip", "5")
	if got.code != exitConflict || !strings.Contains(got.stdout, "order_not_found") || !strings.Contains(got.stderr, "--skip 7") {
		t.Errorf("got %+v", got)
	}
	if sent := w.request.(*operatorv1.RetryParkedRequest); sent.GetPartner() != "https://b.example" || sent.GetSubject() != "c-1" || sent.GetSkipSeq() != 5 {
		t.Errorf("sent %v", sent)
	}
}
