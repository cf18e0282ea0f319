package operator

import (
	"context"

	"connectrpc.com/connect"

	"github.com/hanse-market/hanse/auth/keys"
	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	desk "github.com/hanse-market/hanse/sidecar/internal/operator"
	"github.com/hanse-market/hanse/sidecar/internal/rpc/gate"
)

// keyService implements hanse.operator.v1.KeyService.
type keyService struct {
	desk  Desk
	words func(thumbprint string) string
}

// GetKey implements operatorv1connect.KeyServiceHandler.
func (h *keyService) GetKey(ctx context.Context, _ *connect.Request[operatorv1.GetKeyRequest]) (*connect.Response[operatorv1.GetKeyResponse], error) {
	own, err := h.desk.Key(ctx)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.GetKeyResponse{Key: h.key(own)}), nil
}

// RotateKey implements operatorv1connect.KeyServiceHandler.
func (h *keyService) RotateKey(ctx context.Context, req *connect.Request[operatorv1.RotateKeyRequest]) (*connect.Response[operatorv1.RotateKeyResponse], error) {
	if req.Msg.GetReason() == "" {
		return nil, fault.New(fault.Invalid, "reason_missing", "the business key is rolled over for a reason, which stays on record").At("reason").Do("say why")
	}
	own, err := h.desk.RotateKey(ctx, req.Msg.GetThumbprint(), word(req.Msg.GetReason()))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.RotateKeyResponse{Key: h.key(own)}), nil
}

func (h *keyService) key(own desk.OwnKey) *operatorv1.BusinessKey {
	return &operatorv1.BusinessKey{
		Thumbprint: own.Current, FingerprintWords: h.words(own.Current), Since: gate.Timestamp(own.Since), NextThumbprint: own.Next,
		Past: gate.Each(own.Past, func(k keys.Signed) *operatorv1.PastKey {
			return &operatorv1.PastKey{Thumbprint: k.KID, From: gate.Timestamp(k.From), Until: gate.Timestamp(k.Until)}
		}),
		Acts: gate.Each(own.Acts, func(a act.Act) *operatorv1.OperatorAct {
			return &operatorv1.OperatorAct{At: gate.Timestamp(a.At), By: a.By, Verb: a.Verb, Reason: a.Reason, Detail: a.Detail}
		}),
	}
}
