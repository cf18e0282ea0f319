package operator

import (
	"context"
	"time"

	"connectrpc.com/connect"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sidecar/internal/audit"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/reconcile"
	"github.com/hanse-market/hanse/sidecar/internal/rpc/gate"
)

// progressEvery is how often a caller is told how far an audit has come.
const progressEvery = 500 * time.Millisecond

// Verify implements operatorv1connect.LedgerServiceHandler.
func (h *ledgerService) Verify(ctx context.Context, req *connect.Request[operatorv1.VerifyRequest], to *connect.ServerStream[operatorv1.VerifyResponse]) error {
	ctx, gone := context.WithCancelCause(ctx)
	defer gone(nil)
	told := h.now()
	progress := func(what string, done int64) {
		if now := h.now(); now.Sub(told) >= progressEvery {
			told = now
			if err := to.Send(&operatorv1.VerifyResponse{LookingAt: what, Done: done}); err != nil {
				gone(err)
			}
		}
	}
	report, err := h.auditor.Run(ctx, req.Msg.GetPartner(), progress)
	if err != nil {
		return err
	}
	var compared []reconcile.Result
	if !req.Msg.GetOffline() {
		for _, l := range report.Ledgers {
			if l.Direction != ledger.Theirs { // both are there of each partner
				continue
			}
			progress("deals with "+l.Partner, int64(len(compared)))
			result, err := h.reconciler.Compare(ctx, l.Partner, false)
			if err != nil {
				return err
			}
			compared = append(compared, result)
		}
		reconcile.Fold(&report, compared)
	}
	v := verificationOf(report, req.Msg.GetPartner() != "")
	v.Comparisons = gate.Each(compared, comparisonOf)
	return to.Send(&operatorv1.VerifyResponse{Result: v})
}

// ReconcilePartner implements operatorv1connect.PartnerServiceHandler.
func (h *partnerService) ReconcilePartner(ctx context.Context, req *connect.Request[operatorv1.ReconcilePartnerRequest]) (*connect.Response[operatorv1.ReconcilePartnerResponse], error) {
	result, err := h.reconciler.Compare(ctx, req.Msg.GetOrigin(), true)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.ReconcilePartnerResponse{Comparison: comparisonOf(result)}), nil
}

func comparisonOf(r reconcile.Result) *operatorv1.Comparison {
	return &operatorv1.Comparison{
		Partner: r.Partner, At: gate.Timestamp(r.At), Compared: r.Compared, UnderWay: r.UnderWay, Reason: r.Reason, Cause: r.Cause,
		Differences: gate.Each(r.Differences, func(d reconcile.Difference) *operatorv1.DealDifference {
			return &operatorv1.DealDifference{
				SubscriptionId: d.Subject, OrderId: order.Maker(d.Subject), Sold: d.Sold, Ours: string(d.Ours), Theirs: string(d.Theirs),
				Repaired: d.Repaired, Note: d.Note,
			}
		}),
	}
}

func verificationOf(report audit.Report, evidence bool) *operatorv1.Verification {
	logs, entries, differences := logsOf(report.Ledgers, evidence)
	return &operatorv1.Verification{
		Ledgers: logs, Entries: entries, Differences: differences, Verified: !report.Broken(), Invariants: gate.Each(report.Invariants, invariantOf),
	}
}

func invariantOf(i audit.Invariant) *operatorv1.Invariant {
	return &operatorv1.Invariant{
		Number: int32(i.Number), Name: i.Name, Result: string(i.Result), Checked: i.Checked, Found: i.Found, Examples: gate.Each(i.Examples, exampleOf),
		Waiting: i.Waiting, Waits: gate.Each(i.Waits, exampleOf),
	}
}

func exampleOf(e audit.Example) *operatorv1.InvariantExample {
	return &operatorv1.InvariantExample{Partner: e.Partner, Subject: e.Subject, What: e.What}
}
