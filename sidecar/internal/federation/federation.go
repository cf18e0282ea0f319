package federation

import "github.com/hanse-market/hanse/sidecar/internal/catalog"

// CursorStore keeps how far we read partners' feeds. It is the catalog's, which applies pages and cursor together.
type CursorStore = catalog.CursorStore
