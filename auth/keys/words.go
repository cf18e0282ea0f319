package keys

import (
	"crypto/sha256"
	"strings"
)

const (
	consonants = "bdfghjklmnprstvz"
	vowels     = "aiou"
)

// Words renders a thumbprint as six pronounceable words of five letters ("lusab babad ..."), for two people on the phone.
// Each word carries 16 bits (consonant 4, vowel 2, consonant 4, vowel 2, consonant 4), so six carry 96: enough that nobody
// makes a key with the same words. A list of English words short enough to keep here would carry half of that.
func Words(thumbprint string) string {
	sum := sha256.Sum256([]byte(thumbprint))
	words := make([]string, 6)
	for i := range words {
		v := uint16(sum[2*i])<<8 | uint16(sum[2*i+1])
		words[i] = string([]byte{
			consonants[v>>12], vowels[v>>10&3], consonants[v>>6&15], vowels[v>>4&3], consonants[v&15],
		})
	}
	return strings.Join(words, " ")
}
