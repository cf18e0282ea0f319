package recipe

import (
	"errors"
	"fmt"
	"slices"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// Flaw is what keeps a schema from being used: where it stands in the schema's text, and why.
type Flaw struct {
	Path  []string
	Cause string
	// settled paths begin at the schema's top already.
	settled bool
}

func (f *Flaw) Error() string {
	if len(f.Path) == 0 {
		return f.Cause
	}
	return text.JoinPath("", f.Path) + " " + f.Cause
}

func flawed(path []string, cause string, args ...any) *Flaw {
	return &Flaw{Path: slices.Clone(path), Cause: fmt.Sprintf(cause, args...), settled: true}
}

// within puts an error under the keywords that it was found below.
func within(err error, path ...string) error {
	var f *Flaw
	if !errors.As(err, &f) {
		f = &Flaw{Cause: err.Error()}
	}
	if f.settled {
		return f
	}
	return &Flaw{Path: below(path, f.Path...), Cause: f.Cause}
}

// settle makes an error's path one from the schema's top.
func settle(err error, path ...string) error {
	f, _ := within(err, path...).(*Flaw)
	f.settled = true
	return f
}

func invalidSchema(err error) error {
	return fault.New(fault.Invalid, "schema_invalid", "%s", err.Error()).Because(err)
}
