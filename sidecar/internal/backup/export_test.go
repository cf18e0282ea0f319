package backup

import (
	"errors"

	"filippo.io/age"
)

// CloseWithoutDigests ends what age and tar need, as nobody does.
func (w *Writer) CloseWithoutDigests() error { return errors.Join(w.tar.Close(), w.sealed.Close()) }

// QuickPassphrase is Passphrase that is quick to guess, for what is slow on purpose takes minutes under the race detector.
func QuickPassphrase(phrase string) (Keys, error) {
	keys, err := Passphrase(phrase)
	if err == nil {
		keys.recipients[0].(*age.ScryptRecipient).SetWorkFactor(10)
	}
	return keys, err
}
