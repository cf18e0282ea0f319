package store

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// sealedV1 begins every ciphertext: AES-256-GCM with a random 96-bit nonce after this byte.
const sealedV1 = 1

// vault derives one key per purpose from the site key, so that no two uses share one.
type vault struct {
	wrap   cipher.AEAD // data keys of subscriptions
	member cipher.AEAD // private keys of this member
	check  []byte      // tells the right site key from a wrong one
	rand   io.Reader
}

func newVault(siteKey []byte, random io.Reader) (*vault, error) {
	if len(siteKey) != 32 {
		return nil, errors.New("the site key must be 32 bytes")
	}
	v := &vault{rand: random}
	for info, use := range map[string]*cipher.AEAD{"hanse data keys": &v.wrap, "hanse member keys": &v.member} {
		key, err := hkdf.Key(sha256.New, siteKey, nil, info, 32)
		if err != nil {
			return nil, err
		}
		if *use, err = aead(key); err != nil {
			return nil, err
		}
	}
	var err error
	v.check, err = hkdf.Key(sha256.New, siteKey, nil, "hanse site key check", 32)
	return v, err
}

func aead(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// row is the additional data that binds a ciphertext to its table and row: every part with its length, so that no two rows
// give the same bytes.
func row(parts ...string) []byte {
	var b []byte
	for _, p := range parts {
		b = binary.AppendUvarint(b, uint64(len(p)))
		b = append(b, p...)
	}
	return b
}

func (v *vault) seal(key cipher.AEAD, plain, row []byte) ([]byte, error) {
	out := make([]byte, 1+key.NonceSize(), 1+key.NonceSize()+len(plain)+key.Overhead())
	out[0] = sealedV1
	if _, err := io.ReadFull(v.rand, out[1:]); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return key.Seal(out, out[1:], plain, row), nil
}

func open(key cipher.AEAD, sealed, row []byte) ([]byte, error) {
	if len(sealed) < 1+key.NonceSize() || sealed[0] != sealedV1 {
		return nil, errors.New("a secret at rest is damaged")
	}
	nonce, text := sealed[1:1+key.NonceSize()], sealed[1+key.NonceSize():]
	plain, err := key.Open(nil, nonce, text, row)
	if err != nil {
		return nil, errors.New("a secret at rest does not open: it is damaged or was moved")
	}
	return plain, nil
}

// checkSiteKey remembers the site key's check value at the first start and refuses another one later: a wrong key would
// otherwise show as damaged secrets, one by one.
func (s *Store) checkSiteKey(ctx context.Context) error {
	have, err := s.fact(ctx, "site_key_check", s.vault.check)
	if err != nil {
		return err
	}
	if !hmac.Equal(have, s.vault.check) {
		return errors.New("the site key is not the one with which this database was made")
	}
	return nil
}

// fact reads a fact about this store, and writes it only where there is none: a store that takes nothing at the moment opens.
func (s *Store) fact(ctx context.Context, name string, first []byte) (have []byte, err error) {
	read := func(tx *Tx) error {
		have = nil
		_, err := tx.row(`SELECT value FROM site WHERE name = $1`, []any{name}, &have)
		return err
	}
	if err := s.View(ctx, read); err != nil || have != nil {
		return have, err
	}
	err = s.Do(ctx, func(tx *Tx) error {
		if _, err := tx.exec(`INSERT INTO site (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`, name, first); err != nil {
			return err
		}
		return read(tx)
	})
	return have, err
}
