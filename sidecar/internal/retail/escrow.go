package retail

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/money"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/price"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
)

// Escrow seals what only we know of a purchase for its supplier to keep, and opens what a supplier gives back: a compact JWE (RFC 7516, RFC
// 7518 section 4.5: "dir", A256GCM) to our own recovery key. All that it seals has one length, so that the length says nothing.
type Escrow struct{ aead cipher.AEAD }

// NewEscrow takes the recovery key: 32 bytes.
func NewEscrow(key []byte) (*Escrow, error) {
	if len(key) != 32 {
		return nil, fmt.Errorf("a recovery key has 32 bytes, not %d", len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	return &Escrow{aead}, err
}

// notes are what an order document does not say of the item that it is about. The customer is not in them.
type notes struct {
	Version int    `json:"version"`
	Portal  string `json:"portal"`
	Order   string `json:"order"`
	// Position is the item's among the Items of its order.
	Position int    `json:"position"`
	Items    int    `json:"items"`
	Listing  string `json:"listing"`
	// What the customer owes, in minor units; absent where nothing of the kind is owed.
	OneOffMinor    *int64 `json:"one_off_minor,omitempty"`
	RecurringMinor *int64 `json:"recurring_minor,omitempty"`
	Period         string `json:"period,omitempty"`
	Currency       string `json:"currency"`
}

const (
	escrowVersion = 1
	// escrowPlain is the length of what is sealed: the longest portal, order id, listing and amounts take less. What is short of it is spaces.
	escrowPlain = 512
	// escrowHeader is the protected header of all of them, and the empty encrypted key of "dir".
	escrowHeader = `{"alg":"dir","enc":"A256GCM"}`
)

var (
	escrowText   = base64.RawURLEncoding
	escrowPrefix = escrowText.EncodeToString([]byte(escrowHeader))
)

func (n *notes) setPrice(line price.Line, currency string) {
	n.Currency, n.Period = currency, line.Period
	if line.OneOff != nil {
		n.OneOffMinor = &line.OneOff.Minor
	}
	if line.Recurring != nil {
		n.RecurringMinor = &line.Recurring.Minor
	}
}

func (n *notes) price() (line price.Line) {
	line.Period = n.Period
	if n.OneOffMinor != nil {
		line.OneOff = &money.Amount{Minor: *n.OneOffMinor, Currency: n.Currency}
	}
	if n.RecurringMinor != nil {
		line.Recurring = &money.Amount{Minor: *n.RecurringMinor, Currency: n.Currency}
	}
	return line
}

// seal returns the notes as they travel.
func (e *Escrow) seal(n notes, random func([]byte)) ([]byte, error) {
	n.Version = escrowVersion
	plain, err := json.Marshal(n)
	if err != nil {
		return nil, err
	}
	if len(plain) > escrowPlain {
		return nil, fmt.Errorf("the notes of order %s take %d bytes", n.Order, len(plain))
	}
	plain = append(plain, bytes.Repeat([]byte(" "), escrowPlain-len(plain))...)
	nonce := make([]byte, e.aead.NonceSize())
	random(nonce)
	sealed := e.aead.Seal(nil, nonce, plain, []byte(escrowPrefix))
	text := len(sealed) - e.aead.Overhead()
	jwe := make([]byte, 0, len(escrowPrefix)+4+escrowText.EncodedLen(len(nonce))+escrowText.EncodedLen(text)+escrowText.EncodedLen(e.aead.Overhead()))
	jwe = append(append(jwe, escrowPrefix...), '.')
	for _, part := range [][]byte{nonce, sealed[:text], sealed[text:]} {
		jwe = escrowText.AppendEncode(append(jwe, '.'), part)
	}
	return jwe, nil
}

// Why the notes beside a document that came back say nothing.
const reasonEscrow = "escrow_unreadable"

// open reads notes that came back: sealed by us, under this key, of a version that we know.
func (e *Escrow) open(jwe []byte) (n notes, err error) {
	unreadable := func(err error) (notes, error) {
		return notes{}, fault.New(fault.Invalid, reasonEscrow, "the escrow beside it does not open with our recovery key, or is of another version").Because(err)
	}
	parts := bytes.Split(jwe, []byte("."))
	if len(parts) != 5 || string(parts[0]) != escrowPrefix || len(parts[1]) > 0 {
		return unreadable(nil)
	}
	nonce, err := escrowText.Strict().DecodeString(string(parts[2]))
	if err != nil || len(nonce) != e.aead.NonceSize() {
		return unreadable(err)
	}
	var sealed []byte
	for _, part := range parts[3:] {
		if sealed, err = escrowText.Strict().AppendDecode(sealed, part); err != nil {
			return unreadable(err)
		}
	}
	plain, err := e.aead.Open(nil, nonce, sealed, []byte(escrowPrefix))
	if err != nil {
		return unreadable(err)
	}
	err = signed.Decode(bytes.TrimRight(plain, " "), &n)
	if err != nil || n.Version != escrowVersion || n.Portal == "" || n.Order == "" || n.Items < 1 || n.Items > order.MaxItems || n.Position < 0 || n.Position >= n.Items {
		return unreadable(err)
	}
	return n, nil
}

// leave seals what only we know of a purchase, and binds it in its document.
func (s *Service) leave(it *Item, d *order.Document, n notes) (err error) {
	if s.Escrow == nil {
		return nil
	}
	n.Listing = it.ListingID
	n.setPrice(it.Retail, d.Currency)
	if it.Escrow, err = s.Escrow.seal(n, s.Rand); err != nil {
		return err
	}
	d.EscrowSHA256 = signed.Digest(it.Escrow)
	return nil
}
