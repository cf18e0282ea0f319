package chaos

import (
	"context"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
	"github.com/hanse-market/hanse/sidecar/internal/plant"
)

// Convicts is the first finding that names an invariant which the planted bug of a run breaks; false where none does, or none was planted.
func (r Report) Convicts() (Finding, bool) {
	for _, bug := range plant.All() {
		if bug.Name != r.Plant {
			continue
		}
		at := slices.IndexFunc(r.Findings, func(f Finding) bool { return slices.Contains(bug.Breaks, f.Invariant) })
		if at >= 0 {
			return r.Findings[at], true
		}
	}
	return Finding{}, false
}

// byNumber finds what a member's own verdict says is broken, each by the number of its invariant, and reports whether there is any.
func (m *market) byNumber(who *member, v *operatorv1.Verification) (is bool) {
	for _, i := range v.GetInvariants() {
		if i.GetResult() != "broken" {
			continue
		}
		what := []string{i.GetName()}
		for _, e := range i.GetExamples() {
			what = append(what, e.GetPartner()+" "+e.GetSubject()+" "+e.GetWhat())
		}
		m.found(int(i.GetNumber()), divergent, who.name, "its books do not verify, %d times: %s", i.GetFound(), brief(strings.Join(what, "; ")))
		is = true
	}
	return is
}

// haste is how long an operator looks whether a member that was put back is behind, hurry how often.
const (
	haste = 3 * time.Second
	hurry = 20 * time.Millisecond
)

// vouch does what a hasty operator does, who finds books behind after a member was put back: say that they are not. It must be refused.
func (m *market) vouch(ctx context.Context, who *member) {
	ctx, cancel := context.WithTimeout(ctx, haste)
	defer cancel()
	partners := operatorOf(who, operatorv1connect.NewPartnerServiceClient)
	for ctx.Err() == nil {
		res, err := partners.ListPartners(ctx, connect.NewRequest(&operatorv1.ListPartnersRequest{}))
		if err == nil {
			for _, p := range res.Msg.GetPartners() {
				if p.GetBooks() == "behind" {
					_, _ = partners.VouchPartner(ctx, connect.NewRequest(&operatorv1.VouchPartnerRequest{Origin: p.GetMember().GetOrigin(), Reason: "nobody can have put an old copy back"}))
				}
			}
		}
		pause(ctx, nil, hurry)
	}
}
