package retail

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"strings"
)

// Correlate derives correlation ids from the member's correlation key: the same item of the same order has the same id, for whoever
// has the key, and a partner reads neither portal nor order in it. The first part says what the key is used for, so that another use of
// it can never make the same id.
func Correlate(key []byte) func(portal, orderID string, position int) string {
	return func(portal, orderID string, position int) string {
		mac := hmac.New(sha256.New, key)
		var b []byte
		for _, part := range []string{"portal", portal, orderID} {
			b = binary.AppendUvarint(b, uint64(len(part)))
			b = append(b, part...)
		}
		mac.Write(binary.AppendUvarint(b, uint64(position)))
		return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(mac.Sum(nil)))
	}
}
