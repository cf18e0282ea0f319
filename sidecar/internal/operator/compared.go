package operator

import (
	"encoding/json"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/catalog"
)

// Compared is what the last comparison of all deals with a partner found.
type Compared struct {
	At time.Time `json:"at"`
	// Deals were compared; of them UnderWay moved meanwhile, and Differ are of another state on the other side.
	Deals    int64 `json:"deals"`
	UnderWay int64 `json:"under_way"`
	Differ   int64 `json:"differ"`
}

// ComparedCursor names, among what is kept of how far a partner is read, the last comparison.
const ComparedCursor = "reconcile"

// LastCompared reads it; the zero value before the first.
func LastCompared(cursors catalog.CursorStore, partner string) (c Compared, err error) {
	raw, err := cursors.Cursor(partner, ComparedCursor)
	if err != nil || raw == nil {
		return c, err
	}
	return c, json.Unmarshal(raw, &c)
}
