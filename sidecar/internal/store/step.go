package store

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/provision"
	"github.com/hanse-market/hanse/sidecar/internal/store/storepb"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

var stepTable = newTable("step", "provision_step", []string{"partner", "subscription_id", "name", "generation"}, nil, []string{"phase", "claimed"})

// steps keeps the records here and what adapters kept and gave among the subscription's secrets.
type steps struct{ tx *Tx }

func stepSecret(name string, generation int64) string {
	return fmt.Sprintf("step/%s/%d", name, generation)
}

func (s steps) Of(k subscription.Key) ([]provision.Step, error) {
	var all []provision.Step
	var st provision.Step
	var phase, claimed string
	var raw []byte
	err := s.tx.rows(`SELECT name, generation, phase, claimed, version, record FROM provision_step
		WHERE partner = $1 AND subscription_id = $2 ORDER BY name, generation`, []any{k.Partner, k.ID},
		func() []any { return []any{&st.Name, &st.Generation, &phase, &claimed, &st.Version, &raw} },
		func() error {
			var rec storepb.Step
			if err := decode(raw, &rec); err != nil {
				return err
			}
			st.Subscription, st.Phase, st.Order, st.Adapter = k, provision.Phase(phase), rec.OrderId, rec.Adapter
			st.Claimed = claimed != ""
			st.Connection, st.Tag, st.Refusal, st.UpdatedAt = rec.Connection, rec.Tag, rec.Refusal, at(rec.UpdatedAt)
			all = append(all, st)
			return nil
		})
	if err != nil {
		return nil, err
	}
	for i := range all {
		if err := s.open(&all[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// open reads a step's secret; without one, or with the subscription's data key destroyed, there is none.
func (s steps) open(st *provision.Step) error {
	plain, err := subscriptions(s).Secret(st.Subscription, stepSecret(st.Name, st.Generation))
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	var rec storepb.StepSecret
	if err == nil {
		err = decode(plain, &rec)
	}
	st.State, st.Outputs, st.Sensitive = rec.State, rec.Outputs, rec.Sensitive
	return err
}

func (s steps) Put(st provision.Step) (provision.Step, error) {
	k, secret := st.Subscription, stepSecret(st.Name, st.Generation)
	claimed := ""
	if st.Claimed {
		claimed = st.Tag
	}
	var rec storepb.Step
	version, err := s.tx.put(&stepTable, []any{k.Partner, k.ID, st.Name, st.Generation}, []any{string(st.Phase), claimed}, st.Version, &rec, func() {
		rec.OrderId, rec.Adapter, rec.Connection, rec.Tag = st.Order, st.Adapter, st.Connection, st.Tag
		rec.Refusal, rec.UpdatedAt = st.Refusal, ns(st.UpdatedAt)
	})
	if err != nil {
		return provision.Step{}, err
	}
	if len(st.State)+len(st.Outputs)+len(st.Sensitive) == 0 {
		err = subscriptions(s).DeleteSecret(k, secret)
	} else {
		var plain []byte
		if plain, err = proto.Marshal(&storepb.StepSecret{State: st.State, Outputs: st.Outputs, Sensitive: st.Sensitive}); err == nil {
			err = subscriptions(s).PutSecret(k, secret, plain)
		}
	}
	st.Version = version
	return st, err
}

func (s steps) Claims() (all []provision.Step, err error) {
	st := provision.Step{Claimed: true}
	st.Subscription.Side = subscription.Resale
	err = s.tx.rows(`SELECT partner, subscription_id, claimed FROM provision_step WHERE claimed <> '' ORDER BY claimed`, nil,
		func() []any { return []any{&st.Subscription.Partner, &st.Subscription.ID, &st.Tag} },
		func() error {
			all = append(all, st)
			return nil
		})
	return all, err
}
