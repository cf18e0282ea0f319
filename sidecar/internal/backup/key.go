package backup

import (
	"bytes"
	"errors"
	"fmt"

	"filippo.io/age"
)

// Keys are what an archive is sealed to, or opened with.
type Keys struct {
	recipients []age.Recipient
	identities []age.Identity
}

// leastPassphrase is what a passphrase has at least, in bytes: whoever has the file may guess for years.
const leastPassphrase = 12

// Passphrase seals and opens with a passphrase.
func Passphrase(phrase string) (Keys, error) {
	if len(phrase) < leastPassphrase {
		return Keys{}, fmt.Errorf("the passphrase has %d characters, and it needs %d or more", len(phrase), leastPassphrase)
	}
	recipient, err := age.NewScryptRecipient(phrase)
	if err != nil {
		return Keys{}, err
	}
	identity, err := age.NewScryptIdentity(phrase)
	if err != nil {
		return Keys{}, err
	}
	return Keys{[]age.Recipient{recipient}, []age.Identity{identity}}, nil
}

// Recipients seals to public keys of age, one a line; it opens nothing.
func Recipients(lines []byte) (Keys, error) {
	all, err := age.ParseRecipients(bytes.NewReader(lines))
	if err != nil {
		return Keys{}, errors.New("that is no public key of age; it begins with age1, and age-keygen makes one")
	}
	return Keys{recipients: all}, nil
}

// Identities opens with private keys of age, as age-keygen writes them; it seals nothing.
func Identities(file []byte) (Keys, error) {
	all, err := age.ParseIdentities(bytes.NewReader(file))
	if err != nil { // age's own text may repeat a line of the file
		return Keys{}, errors.New("the file holds no private key of age; one begins with AGE-SECRET-KEY-")
	}
	return Keys{identities: all}, nil
}
