package operator

import (
	"context"

	"connectrpc.com/connect"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	desk "github.com/hanse-market/hanse/sidecar/internal/operator"
	"github.com/hanse-market/hanse/sidecar/internal/rpc/gate"
)

// statusService implements hanse.operator.v1.StatusService.
type statusService struct {
	house    func(ctx context.Context) (desk.House, error)
	partners *partnerService
}

// GetStatus implements operatorv1connect.StatusServiceHandler.
func (h *statusService) GetStatus(ctx context.Context, _ *connect.Request[operatorv1.GetStatusRequest]) (*connect.Response[operatorv1.GetStatusResponse], error) {
	house, err := h.house(ctx)
	if err != nil {
		return nil, err
	}
	partners, err := h.partners.ListPartners(ctx, connect.NewRequest(&operatorv1.ListPartnersRequest{}))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.GetStatusResponse{
		Origin: house.Origin, Version: house.Version, ConfigurationFile: house.File, DataDir: house.DataDir, Database: house.Database,
		StartedAt: gate.Timestamp(house.Started), Ready: house.Ready(), Partners: partners.Msg.GetPartners(),
		Checks: gate.Each(house.Checks, func(c desk.Check) *operatorv1.ReadinessCheck {
			return &operatorv1.ReadinessCheck{Name: c.Name, Problem: c.Problem}
		}),
		OpenOrders: gate.Each(house.Orders, countOf), Jobs: gate.Each(house.Jobs, countOf),
	}), nil
}

func countOf(c desk.Count) *operatorv1.StateCount {
	return &operatorv1.StateCount{Group: c.Group, State: c.State, Count: c.N}
}
