package retail

import (
	"bytes"
	"crypto/rand"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/money"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/price"
)

func escrowOf(t *testing.T, key string) *Escrow {
	t.Helper()
	e, err := NewEscrow([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

const recoveryKey = "this is the recovery key of ours"

func fill(b []byte) { _, _ = rand.Read(b) }

// most is what takes the most room: the longest ids and amounts.
func most() notes {
	n := notes{
		Portal: strings.Repeat("p", 63), Order: strings.Repeat("o", 64), Position: order.MaxItems - 1, Items: order.MaxItems, Listing: strings.Repeat("l", 64),
	}
	minor := int64(-1 << 53)
	n.setPrice(price.Line{
		OneOff: &money.Amount{Minor: minor + 1, Currency: "EUR"}, Recurring: &money.Amount{Minor: minor + 1, Currency: "EUR"}, Period: "P100Y",
	}, "EUR")
	return n
}

// TestEscrowIsAJWEOfOneLength, which any implementation opens with the key.
func TestEscrowIsAJWEOfOneLength(t *testing.T) {
	t.Parallel()
	e := escrowOf(t, recoveryKey)
	length := 0
	for _, n := range []notes{most(), {Portal: "p", Order: "order-01", Items: 1, Listing: "l", Currency: "EUR"}} {
		sealed, err := e.seal(n, fill)
		if err != nil {
			t.Fatal(err)
		}
		if length == 0 {
			length = len(sealed)
		}
		if len(sealed) != length || length > 4096 {
			t.Errorf("it takes %d bytes, another %d", len(sealed), length)
		}
		object, err := jose.ParseEncryptedCompact(string(sealed), []jose.KeyAlgorithm{jose.DIRECT}, []jose.ContentEncryption{jose.A256GCM})
		if err != nil {
			t.Fatal(err)
		}
		plain, err := object.Decrypt([]byte(recoveryKey))
		if err != nil || len(plain) != escrowPlain || !bytes.HasPrefix(plain, []byte(`{"version":1,"portal":"p`)) {
			t.Errorf("another library reads %q, %v", plain, err)
		}
		again, err := e.open(sealed)
		n.Version = escrowVersion
		if diff := cmp.Diff(n, again); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
		other, err := e.seal(n, fill)
		if err != nil || bytes.Equal(other, sealed) {
			t.Error("the same notes are sealed the same way twice")
		}
	}
}

func TestEscrowThatIsNotOursSaysNothing(t *testing.T) {
	t.Parallel()
	e := escrowOf(t, recoveryKey)
	seal := func(change func(*notes)) []byte {
		n := most()
		change(&n)
		sealed, err := e.seal(n, fill)
		if err != nil {
			t.Fatal(err)
		}
		return sealed
	}
	good := seal(func(*notes) {})
	other, err := escrowOf(t, "this is the recovery key of them").seal(most(), fill)
	if err != nil {
		t.Fatal(err)
	}
	encrypter, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.DIRECT, Key: []byte(recoveryKey)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ofVersion := func(plain string) []byte {
		object, err := encrypter.Encrypt([]byte(plain))
		if err != nil {
			t.Fatal(err)
		}
		compact, err := object.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		return []byte(compact)
	}
	const v1 = `"portal":"p","order":"order-01","position":0,"items":1,"listing":"l","currency":"EUR"}`
	if _, err := e.open(ofVersion(`{"version":1,` + v1)); err != nil {
		t.Errorf("made by another library: %v", err)
	}
	broken := slices.Clone(good)
	broken[len(broken)/2] ^= 1
	for name, jwe := range map[string][]byte{
		"none": nil, "another key": other, "a bit changed": broken, "cut": good[:len(good)-2], "more": append(slices.Clone(good), '.', 'A'), "no JWE": []byte("escrow"),
		"another version":    ofVersion(`{"version":2,` + v1),
		"an unknown member":  ofVersion(`{"version":1,"customer":"c",` + v1),
		"a member twice":     ofVersion(`{"version":1,"portal":"p",` + v1),
		"beyond its order":   seal(func(n *notes) { n.Items = 3 }),
		"before its order":   seal(func(n *notes) { n.Position = -1 }),
		"too many":           seal(func(n *notes) { n.Items = order.MaxItems + 1 }),
		"no portal":          seal(func(n *notes) { n.Portal = "" }),
		"no order":           seal(func(n *notes) { n.Order = "" }),
		"no number of items": seal(func(n *notes) { n.Items = 0 }),
	} {
		if n, err := e.open(jwe); fault.ReasonOf(err) != reasonEscrow || n.Portal != "" {
			t.Errorf("%s: %+v, %v", name, n, err)
		}
	}
}

func TestEscrowHasRoomForEveryOrder(t *testing.T) {
	t.Parallel()
	e, n := escrowOf(t, recoveryKey), most()
	minor := int64(math.MinInt64)
	n.OneOffMinor, n.RecurringMinor = &minor, &minor
	if _, err := e.seal(n, fill); err != nil {
		t.Error(err)
	}
	if _, err := NewEscrow([]byte("short")); err == nil {
		t.Error("a short key is taken")
	}
}
