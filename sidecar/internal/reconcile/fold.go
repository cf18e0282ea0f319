package reconcile

import (
	"fmt"

	"github.com/hanse-market/hanse/sidecar/internal/audit"
	"github.com/hanse-market/hanse/sidecar/internal/exchange"
)

// Fold adds to what an audit of this store found what the partners showed: all of them have to have been compared with, deal by deal, for the
// invariants that take two sides to hold; of a deal that moved meanwhile nothing was seen.
func Fold(report *audit.Report, results []Result) {
	all, compared := true, int64(0)
	for _, r := range results {
		all = all && r.Reason == "" && r.UnderWay == 0
		compared += r.Compared
		for _, d := range r.Differences {
			report.Differs(d.Ours == exchange.DealUnknown || d.Theirs == exchange.DealUnknown, audit.Example{
				Partner: r.Partner, Subject: d.Subject, What: fmt.Sprintf("it is %s here and %s at the partner", d.Ours, d.Theirs),
			})
		}
	}
	report.Compared(all, compared)
}
