package chaos

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/failpoint"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// stage is a market where scenes are played: alpha buys of charlie. Whoever dies there is started again.
type stage struct {
	*market
	stop     context.CancelFunc
	watchers sync.WaitGroup
	// n counts orders, copied copies, offered the offers of agreements.
	n, copied, offered int

	at sync.Mutex
	// armed is the failpoint of a member's process, by member; none once it has died of that. died is closed then.
	armed map[string]string
	died  map[string]chan struct{}
	// hurried are members whose suppliers have little time to decide, as long as a scene lasts.
	hurried map[string]bool
}

func openStage(ctx context.Context, m *market) *stage {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx)) // it stands until it is ended, whoever opened it
	s := &stage{market: m, stop: stop, armed: map[string]string{}, died: map[string]chan struct{}{}, hurried: map[string]bool{}}
	for _, who := range m.members {
		who.died = func() { s.fell(who) }
		for _, r := range who.replicas {
			s.watchers.Go(func() { who.watch(ctx, r) })
		}
	}
	return s
}

// end ends all that runs there.
func (s *stage) end() {
	s.stop()
	s.watchers.Wait()
	s.close()
}

// fell is told of a process that ended by itself: of its failpoint, or of a bug.
func (s *stage) fell(who *member) {
	s.at.Lock()
	defer s.at.Unlock()
	if !strings.HasPrefix(s.armed[who.name], "edge:") || !who.replicas[0].fell() {
		s.death(who.name)
		return
	}
	delete(s.armed, who.name)
	close(s.died[who.name])
	s.equip(who)
}

// equip says what a member's next process has in its environment. The caller holds s.at.
func (s *stage) equip(who *member) {
	var all []string
	if point := s.armed[who.name]; point != "" {
		all = append(all, "HANSE_FAILPOINT="+point)
	}
	if s.hurried[who.name] {
		all = append(all, "HANSE_DEV_ACCEPT_WITHIN="+hurriedTime.String())
	}
	who.mu.Lock()
	who.variables = all
	who.mu.Unlock()
}

// hurriedTime is how long suppliers have to decide for who is hurried: an order that arrives is decided by then, and what waits for its end does
// not wait long. As long again it takes until it is called overdue.
const hurriedTime = 5 * time.Second

// arm starts a member's first process anew, with a failpoint or with none. died is closed once it has died of it.
func (s *stage) arm(ctx context.Context, who *member, point string) (died <-chan struct{}, err error) {
	s.at.Lock()
	delete(s.armed, who.name)
	if point != "" {
		s.armed[who.name] = point
	}
	end := make(chan struct{})
	s.died[who.name] = end
	s.equip(who)
	s.at.Unlock()
	return end, s.again(ctx, who)
}

// hurry starts a member anew whose suppliers have little time, or as much as ever.
func (s *stage) hurry(ctx context.Context, who *member, hurried bool) error {
	s.at.Lock()
	s.hurried[who.name] = hurried
	s.equip(who)
	s.at.Unlock()
	return s.again(ctx, who)
}

// again starts a member's processes anew and waits until they are ready.
func (s *stage) again(ctx context.Context, who *member) error {
	who.life.Lock()
	defer who.life.Unlock()
	who.kill()
	return who.start(ctx)
}

// settled looks over what the scenes so far left behind.
func (s *stage) settled(ctx context.Context) error {
	if err := s.heal(ctx); err != nil {
		return err
	}
	return s.check(ctx)
}

// sideOf is the member that takes an edge.
func sideOf(e failpoint.Edge) string {
	if e.Side == string(subscription.Retail) {
		return "alpha"
	}
	return "charlie"
}

// rehearse plays a scene once and returns which edges it takes.
func (s *stage) rehearse(ctx context.Context, n int) (takes map[failpoint.Edge]bool, err error) {
	s.say("scene %s", scenes[n].name)
	takes = map[failpoint.Edge]bool{}
	names := []string{"alpha", "charlie"}
	file := func(name string) string { return filepath.Join(s.dir, fmt.Sprintf("edges-%d-%s", n, name)) }
	for _, name := range names {
		if _, err := s.arm(ctx, s.members[name], "edges:"+file(name)); err != nil {
			return nil, err
		}
	}
	if err := s.perform(ctx, scenes[n], func() error { return nil }); err != nil {
		return nil, err
	}
	for _, name := range names {
		if err := readEdges(file(name), func(e failpoint.Edge) { takes[e] = true }); err != nil {
			return nil, err
		}
		if _, err := s.arm(ctx, s.members[name], ""); err != nil {
			return nil, err
		}
	}
	return takes, nil
}

// perform plays a scene, which leaves no fault behind, and does something right after it, before any process is started anew.
func (s *stage) perform(ctx context.Context, sc scene, after func() error) error {
	bounded, cancel := context.WithTimeout(ctx, sceneTime)
	defer cancel()
	// Who was just started signs nothing before its books are proved level.
	err := within(bounded, stepTime, func() error { return s.level(bounded, s.members["alpha"], s.members["charlie"]) })
	err = s.then(err, func() error { return sc.play(bounded, s) })
	s.platform.Slow(0)
	s.platform.Lose(0)
	s.platform.Drop(0)
	s.platform.Refuse(0)
	for _, name := range memberNames {
		who := s.members[name]
		who.proxy.heal()
	}
	err = s.then(err, after)
	for _, name := range memberNames {
		who := s.members[name]
		s.at.Lock()
		hurried := s.hurried[name]
		s.at.Unlock()
		if hurried {
			if failed := s.hurry(ctx, who, false); failed != nil && err == nil {
				err = failed
			}
		}
	}
	return err
}

// diesWithin is how long after its step was seen a process may still run.
const diesWithin = 300 * time.Millisecond

// cross plays a scene in which the process that takes an edge dies at a moment of it, and is started again.
func (s *stage) cross(ctx context.Context, e failpoint.Edge, moment failpoint.Moment, sc scene) (outcome string, err error) {
	who := s.members[sideOf(e)]
	died, err := s.arm(ctx, who, "edge:"+e.String()+":"+string(moment))
	if err != nil {
		return "", err
	}
	dead := func() bool {
		select {
		case <-died:
			return true
		default:
			return false
		}
	}
	played := s.perform(ctx, sc, func() error {
		if moment != failpoint.AfterSend || dead() {
			return nil
		}
		id, err := s.placed(ctx, Buy, "vm-a", "") // what ends a scene may be the last that anybody says
		return s.then(err, func() error { return s.allEnded(ctx, []string{id}) })
	})
	if played == nil && !dead() { // what the scene waited for may be seen a moment before
		pause(ctx, died, diesWithin)
	}
	if !dead() && !who.replicas[0].running() { // who starts it again finds it in a moment
		_ = within(ctx, startTime, func() error {
			if !dead() {
				return errors.New("it ended")
			}
			return nil
		})
	}
	if outcome = survived; !dead() {
		outcome = notPassed
		if _, err := s.arm(ctx, who, ""); err != nil {
			return "", err
		}
	}
	if played != nil {
		s.found(5, stuck, e.String(), "%s, scene %s: %v", moment, sc.name, played)
	}
	s.say("%-60s %-14s %s, scene %s", e, moment, outcome, sc.name)
	return outcome, nil
}
