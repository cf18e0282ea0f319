package store

import (
	"fmt"
	"io"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

var (
	secretColumns = []string{"subscription_id", "partner", "side", "name", "sealed"}
	newSecret     = newInsertion("secret", "secret", secretColumns, secretColumns[:4]).
			or(fault.New(fault.Precondition, erasedReason, "there was a data key before the subscription: its data were erased before it came, or it kept something"))
)

const (
	erasedReason = "subscription_erased"
	// dataKey is the name of the data key among the secrets. It lies beside them, because they are written together.
	dataKey = ""
)

func erased() error {
	return fault.New(fault.Precondition, erasedReason, "the data of the subscription were erased")
}

// PutSecret makes the subscription's data key with its first secret. After Erase it returns fault.Precondition: a late
// message must not bring personal data back.
func (s subscriptions) PutSecret(k subscription.Key, name string, plain []byte) error {
	// Nearly always the first secret comes with the subscription.
	first := s.tx.first(&subscriptionTable, subscriptionKey(k))
	key, err := s.keyFor(k, first)
	if err != nil {
		return err
	}
	data, err := aead(key)
	if err != nil {
		return err
	}
	sealed, err := s.tx.s.vault.seal(data, plain, row("secret", string(k.Side), k.Partner, k.ID, name))
	if err != nil {
		return err
	}
	if first {
		return s.tx.insert(&newSecret, append(subscriptionKey(k), name, sealed)...)
	}
	return s.putSecret(k, name, sealed)
}

func (s subscriptions) putSecret(k subscription.Key, name string, sealed []byte) error {
	_, err := s.tx.exec(`INSERT INTO secret (subscription_id, partner, side, name, sealed) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (subscription_id, partner, side, name) DO UPDATE SET sealed = excluded.sealed`, append(subscriptionKey(k), name, sealed)...)
	return err
}

// keyFor is the data key for a secret of a subscription, made where there was none; the first needs no look.
func (s subscriptions) keyFor(k subscription.Key, first bool) ([]byte, error) {
	if !first {
		key, found, err := s.keyOf(k)
		if err != nil {
			return nil, err
		}
		if found && len(key) == 0 {
			return nil, erased()
		}
		if found {
			return key, nil
		}
	}
	v := s.tx.s.vault
	key := make([]byte, 32)
	if _, err := io.ReadFull(v.rand, key); err != nil {
		return nil, fmt.Errorf("make data key: %w", err)
	}
	wrapped, err := v.seal(v.wrap, key, row("data_key", string(k.Side), k.Partner, k.ID))
	if err != nil {
		return nil, err
	}
	return key, s.tx.insert(&newSecret, append(subscriptionKey(k), dataKey, wrapped)...)
}

func (s subscriptions) Secret(k subscription.Key, name string) ([]byte, error) {
	var sealed, wrapped []byte
	found, err := s.tx.row(`SELECT s.sealed, k.sealed FROM secret s JOIN secret k
		ON k.subscription_id = s.subscription_id AND k.partner = s.partner AND k.side = s.side AND k.name = $5
		WHERE s.subscription_id = $1 AND s.partner = $2 AND s.side = $3 AND s.name = $4`, append(subscriptionKey(k), name, dataKey), &sealed, &wrapped)
	if err != nil {
		return nil, err
	}
	if !found || len(wrapped) == 0 {
		return nil, fault.New(fault.NotFound, "secret_not_found", "subscription %s keeps no %s", k.ID, name)
	}
	key, err := s.unwrap(k, wrapped)
	if err != nil {
		return nil, err
	}
	data, err := aead(key)
	if err != nil {
		return nil, err
	}
	plain, err := open(data, sealed, row("secret", string(k.Side), k.Partner, k.ID, name))
	if err != nil {
		return nil, fmt.Errorf("read %s of subscription %s: %w", name, k.ID, err)
	}
	return plain, nil
}

func (s subscriptions) DeleteSecret(k subscription.Key, name string) error {
	_, err := s.tx.exec(`DELETE FROM secret WHERE subscription_id = $1 AND partner = $2 AND side = $3 AND name = $4`, append(subscriptionKey(k), name)...)
	return err
}

// Erase also deletes the ciphertexts; what backups keep of them has lost its key.
func (s subscriptions) Erase(k subscription.Key) error {
	if err := s.putSecret(k, dataKey, []byte{}); err != nil {
		return err
	}
	_, err := s.tx.exec(`DELETE FROM secret WHERE subscription_id = $1 AND partner = $2 AND side = $3 AND name <> $4`, append(subscriptionKey(k), dataKey)...)
	return err
}

// keyOf unwraps the subscription's key; an erased one is found and empty.
func (s subscriptions) keyOf(k subscription.Key) (key []byte, found bool, err error) {
	var wrapped []byte
	found, err = s.tx.row(`SELECT sealed FROM secret WHERE subscription_id = $1 AND partner = $2 AND side = $3 AND name = $4`,
		append(subscriptionKey(k), dataKey), &wrapped)
	if err != nil || !found || len(wrapped) == 0 {
		return nil, found, err
	}
	key, err = s.unwrap(k, wrapped)
	return key, true, err
}

func (s subscriptions) unwrap(k subscription.Key, wrapped []byte) ([]byte, error) {
	key, err := open(s.tx.s.vault.wrap, wrapped, row("data_key", string(k.Side), k.Partner, k.ID))
	if err != nil {
		return nil, fmt.Errorf("data key of subscription %s: %w", k.ID, err)
	}
	return key, nil
}
