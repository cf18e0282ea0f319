package ledger

import "time"

// BooksState says whether both logs of a partnership, and what follows from them, can be relied on.
type BooksState string

const (
	// Unproven: this store may be another than the one that wrote the log; the partner has not said yet.
	Unproven BooksState = "unproven"
	// Level: nothing speaks against them.
	Level BooksState = "level"
	// Behind: this store is older than what it signed.
	Behind BooksState = "behind"
	// Forked: there are two signatures that cannot both be true.
	Forked BooksState = "forked"
)

// Books is the durable fact about the two logs of one partnership.
type Books struct {
	Partner string
	State   BooksState
	// Epoch grows with every question and answer about the state.
	Epoch int64
	Since time.Time
	// Reason is the stable reason of the fault that led here; "" for Level.
	Reason string
	// Evidence are the bytes that prove it, as they travelled.
	Evidence []byte
	Version  int64
}
