package store

import (
	"fmt"
	"io"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// PutSecret makes the subscription's data key with its first secret. After Erase it returns fault.Precondition: a late
// message must not bring personal data back.
func (s subscriptions) PutSecret(k subscription.Key, name string, plain []byte) error {
	key, made, err := s.newDataKey(k)
	if err != nil {
		return err
	}
	if !made {
		if key, _, err = s.dataKey(k); err != nil {
			return err
		}
	}
	if len(key) == 0 {
		return fault.New(fault.Precondition, "subscription_erased", "the data of subscription %s were erased", k.ID)
	}
	data, err := aead(key)
	if err != nil {
		return err
	}
	sealed, err := s.tx.s.vault.seal(data, plain, row("secret", string(k.Side), k.Partner, k.ID, name))
	if err != nil {
		return err
	}
	_, err = s.tx.exec(`INSERT INTO secret (subscription_id, partner, side, name, sealed) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (subscription_id, partner, side, name) DO UPDATE SET sealed = excluded.sealed`, append(subscriptionKey(k), name, sealed)...)
	return err
}

func (s subscriptions) Secret(k subscription.Key, name string) ([]byte, error) {
	var sealed []byte
	found, err := s.tx.row(`SELECT sealed FROM secret WHERE subscription_id = $1 AND partner = $2 AND side = $3 AND name = $4`,
		append(subscriptionKey(k), name), &sealed)
	if err != nil {
		return nil, err
	}
	key, _, err := s.dataKey(k)
	if err != nil {
		return nil, err
	}
	if !found || len(key) == 0 {
		return nil, fault.New(fault.NotFound, "secret_not_found", "subscription %s keeps no %s", k.ID, name)
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
	if _, err := s.tx.exec(`INSERT INTO data_key (subscription_id, partner, side, wrapped) VALUES ($1, $2, $3, $4)
		ON CONFLICT (subscription_id, partner, side) DO UPDATE SET wrapped = excluded.wrapped`, append(subscriptionKey(k), []byte{})...); err != nil {
		return err
	}
	_, err := s.tx.exec(`DELETE FROM secret WHERE subscription_id = $1 AND partner = $2 AND side = $3`, subscriptionKey(k)...)
	return err
}

// dataKey unwraps the subscription's key; an erased one is found and empty.
func (s subscriptions) dataKey(k subscription.Key) (key []byte, found bool, err error) {
	var wrapped []byte
	found, err = s.tx.row(`SELECT wrapped FROM data_key WHERE subscription_id = $1 AND partner = $2 AND side = $3`,
		subscriptionKey(k), &wrapped)
	if err != nil || !found || len(wrapped) == 0 {
		return nil, found, err
	}
	key, err = open(s.tx.s.vault.wrap, wrapped, row("data_key", string(k.Side), k.Partner, k.ID))
	if err != nil {
		return nil, true, fmt.Errorf("data key of subscription %s: %w", k.ID, err)
	}
	return key, true, nil
}

// newDataKey makes the subscription's data key, unless it has had one: nearly always the first secret comes with the subscription.
func (s subscriptions) newDataKey(k subscription.Key) (key []byte, made bool, err error) {
	v := s.tx.s.vault
	key = make([]byte, 32)
	if _, err := io.ReadFull(v.rand, key); err != nil {
		return nil, false, fmt.Errorf("make data key: %w", err)
	}
	wrapped, err := v.seal(v.wrap, key, row("data_key", string(k.Side), k.Partner, k.ID))
	if err != nil {
		return nil, false, err
	}
	n, err := s.tx.exec(`INSERT INTO data_key (subscription_id, partner, side, wrapped) VALUES ($1, $2, $3, $4)
		ON CONFLICT (subscription_id, partner, side) DO NOTHING`, append(subscriptionKey(k), wrapped)...)
	return key, n == 1, err
}
