package federation

// CursorStore keeps how far we read partners' catalog feeds; the ledgers' cursor is their head.
type CursorStore interface {
	// Cursor is where to go on, nil at the start.
	Cursor(partner, feed string) ([]byte, error)
	SetCursor(partner, feed string, cursor []byte) error
}
