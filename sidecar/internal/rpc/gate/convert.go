package gate

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
	"github.com/hanse-market/hanse/sidecar/internal/money"
)

// Page sizes.
const (
	DefaultPage  = 25
	ListingsPage = 24
	OperatorPage = 100
)

// PageSize is how many a caller asked for, or otherwise.
func PageSize(asked int32, otherwise int) int {
	if asked == 0 {
		return otherwise
	}
	return int(asked)
}

// Timestamp is unset for the zero time.
func Timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// Amount is unset where there is none.
func Amount(a *money.Amount) *typev1.Amount {
	if a == nil {
		return nil
	}
	return &typev1.Amount{MinorUnits: a.Minor, Currency: a.Currency}
}

// UnitPrice is exact.
func UnitPrice(p money.UnitPrice) *typev1.UnitPrice {
	return &typev1.UnitPrice{Value: p.Value, Scale: uint32(p.Scale), Currency: p.Currency}
}

// Each converts a list.
func Each[From, To any](list []From, convert func(From) To) []To {
	out := make([]To, 0, len(list))
	for _, v := range list {
		out = append(out, convert(v))
	}
	return out
}
