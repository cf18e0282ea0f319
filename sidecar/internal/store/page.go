package store

import (
	"encoding/base64"
	"encoding/json"
	"math"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

// place is where a page of a "newest first" list ends: the last row's time and key. Its token is opaque to callers.
type place struct {
	At   int64  `json:"t"`
	Side string `json:"s"`
	Key  string `json:"k"`
	// Partner is part of the key of what partners name.
	Partner string `json:"p,omitempty"`
}

func parsePlace(token string) (place, error) {
	if token == "" {
		return place{At: math.MaxInt64}, nil
	}
	var p place
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err == nil {
		err = json.Unmarshal(raw, &p)
	}
	if err != nil {
		return place{}, fault.New(fault.Invalid, "page_token", "the page token is not one of ours").At("page_token")
	}
	return p, nil
}

func (p place) token() string {
	raw, _ := json.Marshal(p) // plain fields cannot fail
	return base64.RawURLEncoding.EncodeToString(raw)
}

// page cuts the one row that was read beyond limit and returns the token that continues.
func page[T any](all []T, places []place, limit int) ([]T, string) {
	if len(all) <= limit {
		return all, ""
	}
	return all[:limit], places[limit-1].token()
}
