package gate

import (
	"errors"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// maxJSONDepth is how deep objects and arrays may be nested in a request.
const maxJSONDepth = 32

// checkJSON proves that data is one JSON value, nested at most maxJSONDepth deep, in which no object has a key twice: what
// is checked here must be what the decoder after it acts on.
func checkJSON(data []byte) error {
	err := text.CheckJSON(data, maxJSONDepth)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, text.ErrTwice):
		return fault.New(fault.Invalid, "json_duplicate_key", "%s", err.Error())
	case errors.Is(err, text.ErrTooDeep):
		return fault.New(fault.Invalid, "json_too_deep", "%s", err.Error())
	}
	return fault.New(fault.Invalid, "json_malformed", "%s", err.Error())
}
