package operator

import (
	"context"
	"time"

	"connectrpc.com/connect"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	desk "github.com/hanse-market/hanse/sidecar/internal/operator"
	"github.com/hanse-market/hanse/sidecar/internal/rpc/gate"
)

// statusService implements hanse.operator.v1.StatusService.
type statusService struct {
	// house gives what it could read beside an error.
	house    func(ctx context.Context) (desk.House, error)
	partners *partnerService
}

// partnersTimeout is how long the page waits for them where the store does not answer.
const partnersTimeout = 10 * time.Second

// GetStatus implements operatorv1connect.StatusServiceHandler. What cannot be read is missing from the page, and a check says so:
// the page is read most when something is down.
func (h *statusService) GetStatus(ctx context.Context, _ *connect.Request[operatorv1.GetStatusRequest]) (*connect.Response[operatorv1.GetStatusResponse], error) {
	house, err := h.house(ctx)
	ready := house.Ready()
	missing := func(what string, err error) {
		house.Checks = append(house.Checks, desk.Check{Name: what, Problem: "cannot be read: " + err.Error()})
	}
	if err != nil {
		missing("counts", err)
	}
	within, cancel := context.WithTimeout(ctx, partnersTimeout)
	defer cancel()
	var list []*operatorv1.Partner
	if partners, err := h.partners.ListPartners(within, connect.NewRequest(&operatorv1.ListPartnersRequest{})); err != nil {
		missing("partners", err)
	} else {
		list = partners.Msg.GetPartners()
	}
	return connect.NewResponse(&operatorv1.GetStatusResponse{
		Origin: house.Origin, Version: house.Version, ConfigurationFile: house.File, DataDir: house.DataDir, Database: house.Database,
		StartedAt: gate.Timestamp(house.Started), Ready: ready, Partners: list,
		Checks: gate.Each(house.Checks, func(c desk.Check) *operatorv1.ReadinessCheck {
			return &operatorv1.ReadinessCheck{Name: c.Name, Problem: c.Problem}
		}),
		OpenOrders: gate.Each(house.Orders, countOf), Jobs: gate.Each(house.Jobs, countOf), Reminders: house.Reminders,
	}), nil
}

func countOf(c desk.Count) *operatorv1.StateCount {
	return &operatorv1.StateCount{Group: c.Group, State: c.State, Count: c.N}
}
