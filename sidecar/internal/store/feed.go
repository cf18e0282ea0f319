package store

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// feedItems are the statements that write items of a feed, for as many at a time as together says.
var feedItems = func() (texts []string) {
	for _, rows := range together {
		texts = append(texts, `INSERT INTO feed_item (partner, offering_id, seq, revision, tombstone) VALUES `+tuples(rows, 5, 1)+`
			ON CONFLICT (partner, offering_id) DO UPDATE SET seq = excluded.seq, revision = excluded.revision, tombstone = excluded.tombstone`)
	}
	return texts
}()

// Publish takes the feed's row lock with the next numbers, so that numbers become visible in their order.
func (s offerings) Publish(partner string, changes []catalog.FeedItem) error {
	if len(changes) == 0 {
		return nil
	}
	var seq int64
	if _, err := s.tx.row(`INSERT INTO feed_head (partner, seq) VALUES ($1, $2)
		ON CONFLICT (partner) DO UPDATE SET seq = feed_head.seq + excluded.seq RETURNING seq`, []any{partner, int64(len(changes))}, &seq); err != nil {
		return err
	}
	seq -= int64(len(changes))
	for len(changes) > 0 {
		size := 0
		for size+1 < len(together) && len(changes) >= together[size+1] {
			size++
		}
		args := make([]any, 0, 5*together[size])
		for _, c := range changes[:together[size]] {
			seq++
			args = append(args, partner, c.OfferingID, seq, c.Revision, flag(c.Tombstone))
		}
		if _, err := s.tx.exec(feedItems[size], args...); err != nil {
			return err
		}
		changes = changes[together[size]:]
	}
	s.tx.wake(unit.Catalog(partner))
	return nil
}

func (s offerings) Feed(partner string, afterSeq int64, limit int) ([]catalog.FeedItem, error) {
	var all []catalog.FeedItem
	it := catalog.FeedItem{Partner: partner}
	var tombstone int64
	err := s.tx.rows(`SELECT seq, offering_id, revision, tombstone FROM feed_item WHERE partner = $1 AND seq > $2
		ORDER BY seq LIMIT $3`, []any{partner, afterSeq, orMost(limit)},
		func() []any { return []any{&it.Seq, &it.OfferingID, &it.Revision, &tombstone} },
		func() error {
			it.Tombstone = tombstone != 0
			all = append(all, it)
			return nil
		})
	return all, err
}

// FeedEpoch is one for all partners: the life of this store.
func (s offerings) FeedEpoch(string) (string, error) {
	var life []byte
	_, err := s.tx.row(`SELECT value FROM site WHERE name = 'feed_life'`, nil, &life)
	return string(life), err
}

// RenewFeeds may name the life anew each time that a transaction begins again: the one that is committed counts.
func (s offerings) RenewFeeds() error {
	life, err := s.tx.s.newLife()
	if err != nil {
		return err
	}
	return s.tx.renewFeeds(life)
}

// loadLife names the life of the feeds, and their first stretch, at the first start.
func (s *Store) loadLife(ctx context.Context) error {
	life, err := s.newLife()
	if err != nil {
		return err
	}
	if _, err := s.fact(ctx, "feed_life", life); err != nil {
		return err
	}
	stretch, err := s.newStretch(0)
	if err != nil {
		return err
	}
	_, err = s.fact(ctx, "feed_stretch", stretch)
	return err
}

// stretches is how many are told apart behind the last one of a feed. Who has read less than they have begins from the beginning. The last of
// those before is kept under the name catalog.Forgotten: it says up to where nobody knows.
const stretches = 100

// newStretch is a number that grows by one with each, and is random below that.
func (s *Store) newStretch(before int64) ([]byte, error) {
	var random [4]byte
	if _, err := io.ReadFull(s.cfg.Rand, random[:]); err != nil {
		return nil, fmt.Errorf("name what is written to the feeds: %w", err)
	}
	next := (before>>32+1)<<32 | int64(binary.BigEndian.Uint32(random[:]))
	return binary.BigEndian.AppendUint64(nil, uint64(next)), nil
}

func stretch(value []byte) int64 {
	if len(value) != 8 {
		return 0
	}
	return int64(binary.BigEndian.Uint64(value))
}

func (s offerings) FeedStretch(partner string, seq int64) (int64, error) {
	var ended, head int64
	var now []byte
	_, err := s.tx.row(`SELECT coalesce((SELECT stretch FROM feed_stretch WHERE partner = $1 AND ended >= $2 ORDER BY ended LIMIT 1), 0),
		coalesce((SELECT seq FROM feed_head WHERE partner = $1), 0), value FROM site WHERE name = 'feed_stretch'`, []any{partner, seq}, &ended, &head, &now)
	switch {
	case err != nil || ended != 0:
		return ended, err
	case seq > head:
		return 0, nil
	}
	return stretch(now), nil
}

// BeginStretch names the new one anew each time that a transaction begins again, as RenewFeeds does.
func (s offerings) BeginStretch() error {
	var value []byte
	if _, err := s.tx.row(`SELECT value FROM site WHERE name = 'feed_stretch'`, nil, &value); err != nil {
		return err
	}
	now := stretch(value)
	next, err := s.tx.s.newStretch(now)
	if err != nil {
		return err
	}
	if _, err := s.tx.exec(`INSERT INTO feed_stretch (partner, ended, stretch) SELECT partner, seq, $1 FROM feed_head
		WHERE seq > coalesce((SELECT max(ended) FROM feed_stretch WHERE feed_stretch.partner = feed_head.partner), 0)`, now); err != nil {
		return err
	}
	if _, err := s.tx.exec(`UPDATE feed_stretch SET stretch = $2 WHERE stretch < $1 AND stretch <> $2 AND ended <
		(SELECT max(ended) FROM feed_stretch AS later WHERE later.partner = feed_stretch.partner)`, (now>>32-stretches)<<32, catalog.Forgotten); err != nil {
		return err
	}
	if _, err := s.tx.exec(`DELETE FROM feed_stretch WHERE stretch = $1 AND ended <
		(SELECT max(ended) FROM feed_stretch AS later WHERE later.partner = feed_stretch.partner AND later.stretch = $1)`, catalog.Forgotten); err != nil {
		return err
	}
	_, err = s.tx.exec(`INSERT INTO site (name, value) VALUES ('feed_stretch', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, next)
	return err
}

func (s *Store) newLife() ([]byte, error) {
	id := make([]byte, 16)
	if _, err := io.ReadFull(s.cfg.Rand, id); err != nil {
		return nil, fmt.Errorf("name the feeds: %w", err)
	}
	return []byte(hex.EncodeToString(id)), nil
}
