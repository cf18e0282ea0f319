package store

import (
	"fmt"
	"io"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// PutSecret makes the subscription's data key with its first secret. After Erase it answers fault.Precondition: a late
// message must not bring personal data back.
func (s subscriptions) PutSecret(side subscription.Side, id, name string, plain []byte) error {
	key, found, err := s.dataKey(side, id)
	if err != nil {
		return err
	}
	if !found {
		if key, err = s.newDataKey(side, id); err != nil {
			return err
		}
	}
	if len(key) == 0 {
		return fault.New(fault.Precondition, "subscription_erased", "the data of subscription %s were erased", id)
	}
	data, err := aead(key)
	if err != nil {
		return err
	}
	sealed, err := s.tx.s.vault.seal(data, plain, row("secret", string(side), id, name))
	if err != nil {
		return err
	}
	_, err = s.tx.exec(`INSERT INTO secret (side, subscription_id, name, sealed) VALUES ($1, $2, $3, $4)
		ON CONFLICT (side, subscription_id, name) DO UPDATE SET sealed = excluded.sealed`, string(side), id, name, sealed)
	return err
}

func (s subscriptions) Secret(side subscription.Side, id, name string) ([]byte, error) {
	var sealed []byte
	found, err := s.tx.row(`SELECT sealed FROM secret WHERE side = $1 AND subscription_id = $2 AND name = $3`,
		[]any{string(side), id, name}, &sealed)
	if err != nil {
		return nil, err
	}
	key, _, err := s.dataKey(side, id)
	if err != nil {
		return nil, err
	}
	if !found || len(key) == 0 {
		return nil, fault.New(fault.NotFound, "secret_not_found", "subscription %s keeps no %s", id, name)
	}
	data, err := aead(key)
	if err != nil {
		return nil, err
	}
	plain, err := open(data, sealed, row("secret", string(side), id, name))
	if err != nil {
		return nil, fmt.Errorf("read %s of subscription %s: %w", name, id, err)
	}
	return plain, nil
}

func (s subscriptions) DeleteSecret(side subscription.Side, id, name string) error {
	_, err := s.tx.exec(`DELETE FROM secret WHERE side = $1 AND subscription_id = $2 AND name = $3`, string(side), id, name)
	return err
}

// Erase also deletes the ciphertexts; what backups keep of them has lost its key.
func (s subscriptions) Erase(side subscription.Side, id string) error {
	if _, err := s.tx.exec(`INSERT INTO data_key (side, subscription_id, wrapped) VALUES ($1, $2, $3)
		ON CONFLICT (side, subscription_id) DO UPDATE SET wrapped = excluded.wrapped`, string(side), id, []byte{}); err != nil {
		return err
	}
	_, err := s.tx.exec(`DELETE FROM secret WHERE side = $1 AND subscription_id = $2`, string(side), id)
	return err
}

// dataKey unwraps the subscription's key; an erased one is found and empty.
func (s subscriptions) dataKey(side subscription.Side, id string) (key []byte, found bool, err error) {
	var wrapped []byte
	found, err = s.tx.row(`SELECT wrapped FROM data_key WHERE side = $1 AND subscription_id = $2`,
		[]any{string(side), id}, &wrapped)
	if err != nil || !found || len(wrapped) == 0 {
		return nil, found, err
	}
	key, err = open(s.tx.s.vault.wrap, wrapped, row("data_key", string(side), id))
	if err != nil {
		return nil, true, fmt.Errorf("data key of subscription %s: %w", id, err)
	}
	return key, true, nil
}

func (s subscriptions) newDataKey(side subscription.Side, id string) ([]byte, error) {
	v := s.tx.s.vault
	key := make([]byte, 32)
	if _, err := io.ReadFull(v.rand, key); err != nil {
		return nil, fmt.Errorf("make data key: %w", err)
	}
	wrapped, err := v.seal(v.wrap, key, row("data_key", string(side), id))
	if err != nil {
		return nil, err
	}
	_, err = s.tx.exec(`INSERT INTO data_key (side, subscription_id, wrapped) VALUES ($1, $2, $3)`, string(side), id, wrapped)
	return key, err
}
