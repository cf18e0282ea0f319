package store

type cursors struct{ tx *Tx }

func (s cursors) Cursor(partner, feed string) ([]byte, error) {
	var value []byte
	_, err := s.tx.row(`SELECT value FROM feed_cursor WHERE partner = $1 AND feed = $2`, []any{partner, feed}, &value)
	if len(value) == 0 {
		return nil, err
	}
	return value, err
}

func (s cursors) SetCursor(partner, feed string, cursor []byte) error {
	_, err := s.tx.exec(`INSERT INTO feed_cursor (partner, feed, value) VALUES ($1, $2, $3)
		ON CONFLICT (partner, feed) DO UPDATE SET value = excluded.value`, partner, feed, notNil(cursor))
	return err
}
