package operator_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/operator"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
)

// ownKeys are a member's, which another replica may turn first, and which may not be read.
type ownKeys struct {
	*keys.Manager
	first func()
	err   error
}

func (k *ownKeys) Turn(ctx context.Context, p keys.Purpose) (keys.Turn, error) {
	turn, err := k.Manager.Turn(ctx, p)
	if k.first != nil {
		k.first()
	}
	return turn, err
}

func (k *ownKeys) Reload(ctx context.Context) error {
	if k.err != nil {
		return k.err
	}
	return k.Manager.Reload(ctx)
}

var aged = act.Word{By: "operator", Reason: "it is a year old"}

// TestRolloversAreBoundedByWhatIsPublished: the chain is full, and has room again when its first key is not published any more.
func TestRolloversAreBoundedByWhatIsPublished(t *testing.T) {
	t.Parallel()
	m, desk := newDesk(t)
	desk.Keys = m.Keys
	began := m.Clock.Now()
	rotate := func() error {
		_, err := desk.RotateKey(t.Context(), m.Keys.CurrentKID(keys.Business), aged)
		m.Clock.Pass(operator.RolloverPause)
		return err
	}
	for i := range trust.MaxRollovers {
		if err := rotate(); err != nil {
			t.Fatalf("number %d: %v", i, err)
		}
	}
	if err := rotate(); fault.ReasonOf(err) != "rollovers_limit" {
		t.Errorf("one more: %v", err)
	}
	m.Clock.Pass(began.Add(10 * 365 * 24 * time.Hour).Sub(m.Clock.Now()))
	if err := rotate(); err != nil {
		t.Errorf("when the first is not published any more: %v", err)
	}
}

// TestOfTwoRolloversAtOnceOneIsMade: the other hears that another key is current, as if it had come later.
func TestOfTwoRolloversAtOnceOneIsMade(t *testing.T) {
	t.Parallel()
	m, desk := newDesk(t)
	was := m.Keys.CurrentKID(keys.Business)
	desk.Keys = &ownKeys{Manager: m.Keys, first: func() {
		other, err := keys.New(t.Context(), keys.Config{Store: m.Store, Now: m.Clock.Now})
		if err == nil {
			err = other.Rotate(t.Context(), keys.Business)
		}
		if err != nil {
			t.Error(err)
		}
	}}
	_, err := desk.RotateKey(t.Context(), was, aged)
	if fault.ReasonOf(err) != "key_changed" || !fault.Is(err, fault.Conflict) {
		t.Errorf("the second one: %v", err)
	}
}

// TestARolloverThatIsMadeIsNotToldAsAnError, though the keys cannot be read again.
func TestARolloverThatIsMadeIsNotToldAsAnError(t *testing.T) {
	t.Parallel()
	m, desk := newDesk(t)
	was := m.Keys.Standing()
	desk.Keys = &ownKeys{Manager: m.Keys, err: errors.New("the database is away")}
	own, err := desk.RotateKey(t.Context(), was.Current, aged)
	if err != nil || own.Current != was.Next || own.Next == "" || len(own.Past) != 1 || own.Past[0].KID != was.Current || len(own.Acts) != 1 {
		t.Errorf("it is %+v: %v", own, err)
	}
}
