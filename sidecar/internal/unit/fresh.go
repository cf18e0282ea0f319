package unit

import (
	"errors"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

// ErrStale is what a commit returns whose facts changed since they were read.
var ErrStale = errors.New("the facts changed since they were read")

// maxRounds bounds how often a round is repeated; who loses that many races in a row meets something other than a race.
const maxRounds = 10

// Fresh runs a round of reading facts, assessing them outside any transaction, and committing what follows, again for as long
// as the commit returns ErrStale: a race that we lost against ourselves is ours to repeat and told to nobody. After ten of them
// it is fault.Unavailable with reason contention.
func Fresh(round func() error) error {
	for range maxRounds {
		if err := round(); !errors.Is(err, ErrStale) {
			return err
		}
	}
	return fault.New(fault.Unavailable, "contention", "others kept changing what this depends on").Do("try again").Because(ErrStale)
}
