package operator_test

import (
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/operator"
)

// TestReleasingSaysWhatIsLost for every kind of entry, before it is done.
func TestReleasingSaysWhatIsLost(t *testing.T) {
	t.Parallel()
	unknown := operator.Releasing("brand.new")
	for _, kind := range ledger.Kinds() {
		if meaning := operator.Releasing(kind); meaning == "" || meaning == unknown {
			t.Errorf("%s: %q", kind, meaning)
		}
	}
}
