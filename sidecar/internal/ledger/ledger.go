package ledger

import (
	"encoding/json"
	"slices"
	"time"
)

// Direction says whose log it is.
type Direction string

const (
	// Own is what we told the partner.
	Own Direction = "own"
	// Theirs is our verified copy of what the partner told us.
	Theirs Direction = "theirs"
)

// Entry is one business event. Bytes is the RFC 8785 form as hashed and as it travels; the other fields are read from it.
type Entry struct {
	Partner   string
	Direction Direction
	Seq       int64
	At        time.Time
	Kind      Kind
	// Subject is what the entry is about: an order, an agreement. Entries of one subject apply in order.
	Subject string
	Body    json.RawMessage
	Prev    [32]byte
	Hash    [32]byte
	Bytes   []byte
}

// Head is the end of one log.
type Head struct {
	Partner   string
	Direction Direction
	Seq       int64
	Hash      [32]byte
	// Checkpoint is the compact JWS at Seq that we verified, for Theirs; "" for Own, where it is signed when asked for.
	Checkpoint string
	// Seen is the last checkpoint of ours that the partner countersigned, for Own.
	SeenSeq        int64
	SeenCheckpoint string
}

// Parked is an entry that verified but could not be applied; later entries of its subject queue behind it.
type Parked struct {
	Partner string
	Subject string
	Seq     int64
	Reason  string
	At      time.Time
}

// Subjects names each subject of parked entries once, in the order in which they were parked.
func Subjects(parked []Parked) []string {
	var subjects []string
	for _, p := range parked {
		if !slices.Contains(subjects, p.Subject) {
			subjects = append(subjects, p.Subject)
		}
	}
	return subjects
}

// Store keeps the logs. All methods belong to one transaction.
type Store interface {
	// Head is the end of the log; the zero Seq and the partnership's first hash where nothing was written.
	Head(partner string, dir Direction) (Head, error)
	// Advance locks the head, calls build with the next sequence number and the previous hash, stores the entry that it
	// returns and moves the head to it.
	Advance(partner string, dir Direction, build func(seq int64, prev [32]byte) (Entry, error)) (Entry, error)
	// Entries lists entries with a greater sequence number, ascending.
	Entries(partner string, dir Direction, afterSeq int64, limit int) ([]Entry, error)
	// Entry reads one entry; fault.NotFound.
	Entry(partner string, dir Direction, seq int64) (Entry, error)
	// SetCheckpoint records the last verified checkpoint of the partner's log (Theirs).
	SetCheckpoint(partner string, seq int64, checkpoint string) error
	// SetSeen records the last checkpoint of ours that the partner countersigned (Own); a lower seq changes nothing.
	SetSeen(partner string, seq int64, checkpoint string) error
	// Park records an entry that could not be applied.
	Park(Parked) error
	// Unpark forgets one.
	Unpark(partner, subject string, seq int64) error
	// ParkedSubject lists what is parked for one subject, ascending; ParkedAll for one partner.
	ParkedSubject(partner, subject string) ([]Parked, error)
	ParkedAll(partner string) ([]Parked, error)
}
