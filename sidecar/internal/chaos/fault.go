package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"connectrpc.com/connect"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
)

// diskRoom is how much a file may still grow when the disk is full.
const diskRoom = 16 << 10

// answersLost is how many answers of the platform one fault loses.
const answersLost = 2

// slow is how long a fault may take without being told of.
const slow = 8 * time.Second

// unmet is what a fault waited for in vain.
var unmet = map[FaultKind]string{
	OldCopies:   "one copy had not read all that the other's member had written by then",
	OldCopyBusy: "books were not level",
	KeyRotation: "the member kept its key: its books were not level",
}

// hurt does one fault, until it is over, and counts what it came to. An error is chaos' own, not the members'.
func (m *market) hurt(ctx context.Context, f Fault) error {
	begun := time.Now()
	came, err := m.inflict(ctx, f)
	if took := time.Since(begun); took > slow {
		m.say("%s %s took %.1f s", f.Kind, f.Member, took.Seconds())
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", f.Kind, f.Member, err)
	}
	if came == "" {
		m.say("%s %s met nothing", f.Kind, f.Member)
		if f.Kind.mayBeLate() {
			m.putOff(f, unmet[f.Kind])
		}
		return nil
	}
	m.mu.Lock()
	m.done[came]++
	m.mu.Unlock()
	return nil
}

// inflict does a fault and returns what it came to, "" where there was nothing to hurt.
func (m *market) inflict(ctx context.Context, f Fault) (came FaultKind, err error) {
	who, came := m.members[f.Member], f.Kind
	hit := true
	switch f.Kind {
	case Cut, Delay, Reorder, HalfOpen, DropReply, Duplicate, Flap:
		hit = who.proxy.hurt(ctx, f.Kind, f.For)
	case Kill:
		who.life.Lock()
		r := who.replicas[f.Replica]
		r.wanted.Store(false)
		hit = r.child.kill()
		pause(ctx, nil, f.For/4)
		err = who.launch(r)
		who.life.Unlock()
	case Failpoint:
		came, err = m.failpoint(ctx, who, f)
	case Freeze:
		who.life.Lock()
		r := who.replicas[f.Replica]
		if hit = r.running(); hit {
			cmd, _ := r.now()
			err = freeze(cmd.Process)
			pause(ctx, nil, f.For)
			if r.running() {
				err = errors.Join(err, thaw(cmd.Process))
			}
		}
		who.life.Unlock()
	case Clock:
		who.life.Lock()
		who.mu.Lock()
		who.offset = f.Offset
		who.mu.Unlock()
		who.kill()
		err = who.start(ctx)
		who.life.Unlock()
	case DiskFull:
		hit, err = m.diskFull(ctx, who, f)
	case OldCopy:
		err = m.putBack(ctx, f.Member, f.Copy)
	case OldCopyBusy:
		hit, err = m.putBackBusy(ctx, f.Member, f.Copy)
	case OldCopies:
		if hit = !m.apart(f); !hit {
			break
		}
		for _, name := range []string{f.Member, f.Other} { // who comes first shall not be told by the other of what that is about to lose
			m.members[name].halt()
		}
		var both sync.WaitGroup
		var other error
		both.Go(func() { other = m.putBack(ctx, f.Other, f.OtherCopy) })
		err = m.putBack(ctx, f.Member, f.Copy)
		both.Wait()
		err = errors.Join(err, other)
	case Emptied, EmptiedSupplier:
		err = m.putBack(ctx, f.Member, f.Copy)
	case KeyRotation:
		hit = m.rotateKey(ctx, who)
	case SlowPlatform:
		m.platform.Slow(400 * time.Millisecond)
		pause(ctx, nil, f.For)
		m.platform.Slow(0)
	case LostEffect:
		m.lose()
		pause(ctx, nil, f.For)
		if hit = m.lostAny(); !hit { // it stays until something is made, which may be after this round
			m.lose()
		}
	case PostgresRestart:
		m.starve("", serverStart)
		err = m.servers.restartPostgres(ctx, f.For/4)
		m.starve("", 0)
	case PostgresFailover:
		m.starve("", 2*serverStart)
		err = m.failOver(ctx, f.For)
		m.starve("", 0)
	case RedisFlush:
		err = m.servers.flushRedis(ctx)
	}
	if !hit {
		came = ""
	}
	return came, err
}

// lose has the platform's next answers lost.
func (m *market) lose() {
	m.platform.Lose(answersLost)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.losing = true
}

// lostAny ends that, and reports whether an answer was lost.
func (m *market) lostAny() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.losing
	m.losing = false
	return m.platform.Lose(0) < answersLost && was
}

// lostLate counts a loss of answers that waited for one, or has it wait on.
func (m *market) lostLate() {
	m.mu.Lock()
	losing := m.losing
	m.mu.Unlock()
	if !losing {
		return
	}
	if !m.lostAny() {
		m.lose()
		return
	}
	m.mu.Lock()
	m.done[LostEffect]++
	m.mu.Unlock()
}

// failpoint starts a replica that dies at a point, once it passes it; who never does is started again without, which is a kill.
func (m *market) failpoint(ctx context.Context, who *member, f Fault) (came FaultKind, err error) {
	who.life.Lock()
	defer who.life.Unlock()
	r := who.replicas[f.Replica]
	r.wanted.Store(false)
	killed := r.child.kill()
	if err := who.launch(r, fmt.Sprintf("HANSE_FAILPOINT=%s:%d", f.Point, f.Pass)); err != nil {
		return "", err
	}
	_, died := r.now()
	asking, cancel := context.WithCancel(ctx)
	ready := make(chan struct{})
	go func() { // it has its time from when it can be passed, however long a start takes
		defer close(ready)
		_ = within(asking, startTime, func() error { return answers(asking, "http://"+r.ops+"/readyz") })
	}()
	select {
	case <-ready:
	case <-died:
	}
	cancel()
	<-ready
	late := time.NewTimer(f.For + time.Second)
	defer late.Stop()
	select {
	case <-died:
		m.mu.Lock()
		m.points[f.Point]++
		m.mu.Unlock()
		came = Failpoint
	case <-late.C:
	case <-ctx.Done():
	}
	r.wanted.Store(false)
	if killed = r.child.kill() || killed; killed && came == "" {
		came = Kill
	}
	return came, who.launch(r)
}

// diskFull lets the files of a member's process grow no further, and reports whether there was one.
func (m *market) diskFull(ctx context.Context, who *member, f Fault) (bool, error) {
	who.life.Lock()
	defer who.life.Unlock()
	r := who.replicas[0]
	if !r.running() {
		return false, nil
	}
	m.starve(f.Member, f.For)
	size := uint64(diskRoom)
	for _, name := range []string{"hanse.db", "hanse.db-wal"} {
		if info, err := os.Stat(filepath.Join(who.folder(), "data", name)); err == nil {
			size = max(size, uint64(info.Size())+diskRoom)
		}
	}
	cmd, _ := r.now()
	if err := limitFiles(cmd.Process, size); err != nil && r.running() {
		return true, err
	}
	pause(ctx, nil, f.For)
	if r.running() {
		if err := limitFiles(cmd.Process, 0); err != nil && r.running() {
			return true, err
		}
	}
	return true, nil
}

// partnersOf are those with whom a member has deals.
func (m *market) partnersOf(who *member) (all []*member) {
	for _, d := range deals {
		switch who.name {
		case d.reseller:
			all = append(all, m.members[d.supplier])
		case d.supplier:
			all = append(all, m.members[d.reseller])
		}
	}
	return all
}

// hasReadOf is how much of a partner's log a member has read, where that is all of it.
func (m *market) hasReadOf(ctx context.Context, who *member) map[string]int64 {
	all := map[string]int64{}
	_ = within(ctx, readTime, func() (err error) {
		for _, p := range m.partnersOf(who) {
			delete(all, p.name)
			e := m.hasRead(ctx, who, p)
			if e == nil {
				if seen, err := m.partner(ctx, who, p.origin); err == nil {
					all[p.name] = seen.GetTheirLedgerSeq()
				}
			}
			err = errors.Join(err, e)
		}
		return err
	})
	return all
}

// unread are the partners that wrote more than a member had read before it was copied, or of whom that is not known.
func (m *market) unread(ctx context.Context, who *member, read map[string]int64) (names []string) {
	for _, p := range m.partnersOf(who) {
		wrote, err := m.partner(ctx, p, who.origin)
		if n, all := read[p.name]; !all || err != nil || wrote.GetOwnLedgerSeq() != n {
			names = append(names, p.name)
		}
	}
	return names
}

// copy makes a copy of a member.
func (m *market) copy(ctx context.Context, c Copy) error {
	who := m.members[c.Member]
	read := m.hasReadOf(ctx, who)
	who.life.Lock()
	defer who.life.Unlock()
	t := taken{Copy: c, path: filepath.Join(m.dir, "copies", fmt.Sprintf("%d-%s", c.ID, c.Member)), edition: map[string]int{}, key: who.portalKey(), at: time.Now()}
	who.mu.Lock()
	for id, n := range who.edition {
		t.edition[id] = n
	}
	who.mu.Unlock()
	var err error
	switch c.How {
	case ByBackup:
		_, err = who.operate(ctx, "backup", t.path, "--recipient", m.recipient)
	case ByKeys:
		_, err = who.operate(ctx, "key", "export", t.path, "--recipient", m.recipient)
	case ByFolder:
		who.stop()
		err = copyFolder(t.path, who.folder())
		if err == nil && m.servers != nil {
			err = m.servers.renew(ctx, t.database(), who.database)
		}
		err = errors.Join(err, who.start(ctx))
	}
	if err != nil {
		return err
	}
	t.unread = m.unread(ctx, who, read)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.copies[c.ID] = t
	return nil
}

// apart reports whether either of two copies had not read all of the other's member: what the one had written and the other only heard of
// would be nowhere then, and their books wait for the operators of both.
func (m *market) apart(f Fault) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Contains(m.copies[f.Copy].unread, f.Other) || slices.Contains(m.copies[f.OtherCopy].unread, f.Member)
}

func (t taken) database() string { return fmt.Sprintf("copy%d", t.ID) }

// putBackBusy puts a member back while orders are under way, whatever of it its partners have read, and reports whether it did. Nobody is being
// given back what only this member has, which is the fault of several copies at once.
func (m *market) putBackBusy(ctx context.Context, name string, id int) (done bool, err error) {
	m.backing.Lock()
	defer m.backing.Unlock()
	who := m.members[name]
	if err := within(ctx, stillTime, func() error { return m.levelAround(ctx, who) }); err != nil {
		m.say("%s cannot be put back now: %v", name, err)
		return false, nil
	}
	return true, m.putBack(ctx, name, id)
}

// levelAround is why the books of a member are not level with all its partners.
func (m *market) levelAround(ctx context.Context, who *member) error {
	for _, d := range deals {
		if reseller, supplier := m.members[d.reseller], m.members[d.supplier]; reseller == who || supplier == who {
			if err := m.level(ctx, reseller, supplier); err != nil {
				return err
			}
		}
	}
	return nil
}

// failOver loses the last commits of all members at once, and has their operators accept the server that is left.
func (m *market) failOver(ctx context.Context, behind time.Duration) error {
	for _, name := range memberNames { // nobody starts or stops a process meanwhile
		m.members[name].life.Lock()
		defer m.members[name].life.Unlock()
	}
	from, to, err := m.servers.failOver(ctx, behind)
	if err != nil {
		return err
	}
	m.mu.Lock()
	for _, name := range memberNames {
		m.backs = append(m.backs, back{member: name, at: to, was: from})
	}
	m.mu.Unlock()
	for _, name := range memberNames {
		if err := within(ctx, serverStart, func() error {
			_, err := m.members[name].operate(ctx, "database", "accept")
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// rotateKey rolls a member's business key over, which it refuses while its books are not level, and reports whether it did.
func (m *market) rotateKey(ctx context.Context, who *member) bool {
	err := within(ctx, restTime, func() error {
		key, err := m.ownKey(ctx, who)
		if err != nil || len(key.GetPast()) > 0 { // it was committed, and nobody was told
			return err
		}
		_, err = who.operate(ctx, "key", "rotate", "--reason", "somebody may have it", "--yes")
		return err
	})
	if err != nil {
		m.say("%s keeps its key: %v", who.name, err)
	}
	return err == nil
}

func (m *market) ownKey(ctx context.Context, who *member) (*operatorv1.BusinessKey, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	res, err := operatorOf(who, operatorv1connect.NewKeyServiceClient).GetKey(ctx, connect.NewRequest(&operatorv1.GetKeyRequest{}))
	if err != nil {
		return nil, err
	}
	return res.Msg.GetKey(), nil
}

// level is why the books of two members are not, as either says.
func (m *market) level(ctx context.Context, one, other *member) error {
	for _, pair := range [][2]*member{{one, other}, {other, one}} {
		p, err := m.partner(ctx, pair[0], pair[1].origin)
		if err != nil {
			return err
		}
		if p.GetBooks() != "level" {
			return fmt.Errorf("the books of %s with %s are %s", pair[0].name, pair[1].name, p.GetBooks())
		}
	}
	return nil
}

// hasRead is why a member has not read all that another wrote for it.
func (m *market) hasRead(ctx context.Context, reader, writer *member) error {
	wrote, err := m.partner(ctx, writer, reader.origin)
	if err != nil {
		return err
	}
	read, err := m.partner(ctx, reader, writer.origin)
	if err != nil {
		return err
	}
	if wrote.GetOwnLedgerSeq() != read.GetTheirLedgerSeq() {
		return fmt.Errorf("%s has read %d of %d entries of %s", reader.name, read.GetTheirLedgerSeq(), wrote.GetOwnLedgerSeq(), writer.name)
	}
	return nil
}

// putBack ends a member and makes it again from a copy.
func (m *market) putBack(ctx context.Context, name string, id int) error {
	m.mu.Lock()
	t := m.copies[id]
	m.mu.Unlock()
	who := m.members[name]
	who.life.Lock()
	defer who.life.Unlock()
	who.kill()
	of := back{member: name, at: time.Now(), was: t.at} // known before anybody can read what is put back
	if t.How == ByKeys {
		of.was = time.Time{}
	}
	m.mu.Lock()
	m.backs = append(m.backs, of)
	m.mu.Unlock()
	dir := who.next()
	var err error
	if m.servers != nil {
		like := ""
		if t.How == ByFolder {
			like = t.database()
		}
		err = m.servers.renew(ctx, who.database, like)
	}
	switch {
	case err != nil:
	case t.How == ByBackup:
		_, err = who.hanse(ctx, "restore", t.path, "--dir", dir, "--identity-file", m.identity)
	case t.How == ByKeys:
		_, err = who.hanse(ctx, "key", "import", t.path, "--dir", dir, "--identity-file", m.identity)
	case t.How == ByFolder:
		err = copyFolder(dir, t.path)
	}
	if err != nil {
		return err
	}
	who.moveTo(dir)
	m.mu.Lock()
	m.restores++
	if t.How == ByKeys {
		m.emptied++
	}
	m.mu.Unlock()
	m.hasty.Go(func() { m.vouch(ctx, who) }) // beside what goes on in the round
	if err := who.start(ctx); err != nil {
		return err
	}
	who.mu.Lock()
	who.key = t.key
	who.mu.Unlock()
	if t.How == ByKeys && name != "charlie" {
		if err := within(ctx, time.Minute, func() error { return who.openPortal(ctx) }); err != nil {
			return err
		}
	}
	if len(offers[name]) > 0 { // the operator has newer files than the copy
		return within(ctx, time.Minute, func() error { return m.publish(ctx, who) })
	}
	return nil
}
