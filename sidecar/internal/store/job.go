package store

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/text"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

const jobColumns = `id, kind, key, partner, subject, state, attempts, due_at, lease_owner, lease_until, crashes, nowhere, begun, last_error, created_at`

type jobs struct{ tx *Tx }

func (s jobs) At(kind, key, partner string, due time.Time) error {
	j, err := s.add(job.Job{Kind: kind, Key: key, Partner: partner, State: job.Waiting, DueAt: due}, 0)
	if err == nil && j.ID != 0 {
		s.tx.wake(unit.Jobs)
	}
	return err
}

// Send gives the job the place after those about the same subject. Two transactions that add documents about one subject also write
// its record, so they meet there.
func (s jobs) Send(d job.Sending, due time.Time, owner string, until time.Time) (job.Job, error) {
	j := job.Job{Kind: d.Kind, Key: d.Key, Partner: d.Partner, Subject: d.Subject, State: job.Waiting, DueAt: due}
	var last, before int64
	switch {
	case d.First:
		last = 1
	case !d.Overtakes:
		if _, err := s.tx.row(`SELECT coalesce(max(place), 0), count(CASE WHEN state = 'running' OR state = 'waiting' AND aside = 0 THEN 1 END) FROM job
			WHERE subject <> '' AND partner = $1 AND subject = $2`, []any{d.Partner, d.Subject}, &last, &before); err != nil {
			return job.Job{}, err
		}
		last++
	}
	if owner != "" && before == 0 {
		j.State, j.Attempts, j.LeaseOwner, j.LeaseUntil = job.Running, 1, owner, until
	}
	var err error
	if d.First {
		s.name(&j)
		err = s.tx.insert(&newJob, jobRow(j, last)...)
	} else {
		j, err = s.add(j, last)
	}
	if err == nil && j.ID != 0 && j.State == job.Waiting {
		s.tx.wake(unit.Jobs)
	}
	return j, err
}

// turn is the condition that it is a document's turn: a cancel's always, another's when none about its subject is under way, and, where it
// is not itself, none waits before it.
const turn = ` AND (job.place = 0 OR NOT EXISTS (SELECT 1 FROM job AS other WHERE other.subject <> '' AND other.partner = job.partner
	AND other.subject = job.subject AND other.id <> job.id AND (other.state = 'running'
		OR job.state = 'waiting' AND other.state = 'waiting' AND other.aside = 0 AND other.place < job.place)))`

// DueToSend asks partner by partner, like Due.
func (s jobs) DueToSend(now time.Time, room func(partner string) int) ([]job.Job, error) {
	var due []job.Job
	for after, partner := ">=", ""; ; after = ">" {
		found, err := s.tx.row(`SELECT partner FROM job WHERE subject <> '' AND partner `+after+` $1 ORDER BY partner LIMIT 1`,
			[]any{partner}, &partner)
		if err != nil || !found {
			return due, err
		}
		most := room(partner)
		if most <= 0 {
			continue
		}
		ready, err := s.list(`SELECT `+jobColumns+` FROM job WHERE subject <> '' AND partner = $1
			AND (state = 'waiting' AND due_at <= $2 OR state = 'running' AND lease_until <= $2)`+turn+` ORDER BY due_at, place, id LIMIT $3`, partner, ns(now), most)
		if err != nil {
			return nil, err
		}
		due = append(due, ready...)
	}
}

// Overtaken asks for what overtakes, by subject, of which there is little.
func (s jobs) Overtaken(all []job.Job) (map[int64]bool, error) {
	const most = 64 // parameters of one statement; it is padded, so that there are few texts to prepare
	overtaken := make(map[int64]bool)
	for some := range slices.Chunk(all, most) {
		width := 1
		for width < len(some) {
			width *= 2
		}
		marks, args := make([]string, width), append(make([]any, 0, 1+width), some[0].Partner)
		for i := range width {
			marks[i], args = fmt.Sprintf("$%d", i+2), append(args, some[min(i, len(some)-1)].Subject)
		}
		first := make(map[string][]int64)
		var id int64
		var subject string
		err := s.tx.rows(`SELECT id, subject FROM job WHERE subject <> '' AND partner = $1 AND subject IN (`+strings.Join(marks, ", ")+`) AND place = 0
			AND (state = 'running' OR state = 'waiting' AND aside = 0)`, args, func() []any { return []any{&id, &subject} },
			func() error { first[subject] = append(first[subject], id); return nil })
		if err != nil {
			return nil, err
		}
		for _, j := range some {
			if ahead := first[j.Subject]; len(ahead) > 0 && !slices.Contains(ahead, j.ID) {
				overtaken[j.ID] = true
			}
		}
	}
	return overtaken, nil
}

func (s jobs) Alone(j job.Job, now bool) error {
	return s.mine(j, `UPDATE job SET begun = $5`, flag(now))
}

func (s jobs) Extend(j job.Job, until time.Time) (job.Job, error) {
	err := s.mine(j, `UPDATE job SET lease_until = $5`, ns(until))
	if err == nil {
		j.LeaseUntil = until
	}
	return j, err
}

func (s jobs) Drop(kind, key, partner string) error {
	var next int64
	_, err := s.tx.row(`DELETE FROM job WHERE kind = $1 AND partner = $2 AND key = $3 RETURNING (SELECT count(*) FROM job AS next
		WHERE job.subject <> '' AND next.subject <> '' AND next.partner = job.partner AND next.subject = job.subject AND next.id <> job.id
		AND next.state = 'waiting')`, []any{kind, partner, key}, &next)
	if err == nil && next > 0 {
		s.tx.wake(unit.Jobs)
	}
	return err
}

// passTurn wakes the runners where a document waits for this one, which is about the same subject.
func (s jobs) passTurn(j job.Job) error {
	if j.Subject == "" {
		return nil
	}
	var place int64
	waits, err := s.tx.row(`SELECT place FROM job WHERE subject <> '' AND partner = $1 AND subject = $2 AND id <> $3 AND state = 'waiting' LIMIT 1`,
		[]any{j.Partner, j.Subject, j.ID}, &place)
	if err == nil && waits {
		s.tx.wake(unit.Jobs)
	}
	return err
}

// add inserts a job under an id of its own; where one of its name is there already, the id stays 0.
func (s jobs) add(j job.Job, place int64) (job.Job, error) {
	s.name(&j)
	n, err := s.tx.exec(newJob.texts[0], jobRow(j, place)...)
	if err != nil || n == 0 {
		return job.Job{}, err
	}
	return j, nil
}

var newJob = newInsertion("job", "job", append(strings.Split(jobColumns, ", "), "place", "aside", "set_at"), []string{"kind", "partner", "key"})

// jobRow are the columns of a new job.
func jobRow(j job.Job, place int64) []any {
	return []any{
		j.ID, j.Kind, j.Key, j.Partner, j.Subject, string(j.State), j.Attempts, ns(j.DueAt), j.LeaseOwner, ns(j.LeaseUntil), 0, 0, 0, "",
		ns(j.CreatedAt), place, 0, ns(j.CreatedAt),
	}
}

// firstJob is where the ids of the jobs that a process adds begin: a random place, with room for four billion behind it.
func firstJob(random io.Reader) (int64, error) {
	var place [4]byte
	if _, err := io.ReadFull(random, place[:]); err != nil {
		return 0, fmt.Errorf("make job ids: %w", err)
	}
	return int64(binary.BigEndian.Uint32(place[:])>>1) << 32, nil
}

// name gives a new job its id. None returns, so that a late Finish cannot hit a later job of the same key, and those that come
// together lie together. A sequence in the database would be a row that all orders wait for.
func (s jobs) name(j *job.Job) {
	j.ID, j.CreatedAt = s.tx.s.lastJob.Add(1), s.tx.s.cfg.Now()
}

// insertLeased are the statements for so many leased jobs at once. They are few, because each connection keeps its own prepared.
var insertLeased = map[int]string{1: insertLeasedJobs(1), 4: insertLeasedJobs(4), 16: insertLeasedJobs(16)}

func insertLeasedJobs(n int) string {
	rows := make([]string, n)
	for i := range rows {
		rows[i] = fmt.Sprintf(`($%d, $%d, $%d, $%d, '', 'running', 1, $%d, $1, $2, 0, 0, 0, '', $3, 0, 0, $3)`, 5*i+4, 5*i+5, 5*i+6, 5*i+7, 5*i+8)
	}
	return `INSERT INTO job (` + jobColumns + `, place, aside, set_at) VALUES ` + strings.Join(rows, ", ") + ` ON CONFLICT (kind, partner, key) DO NOTHING RETURNING id`
}

func (s jobs) AllLeased(all []job.Job, owner string, until time.Time) (added []job.Job, err error) {
	for len(all) > 0 {
		n := 1
		for insertLeased[4*n] != "" && len(all) >= 4*n {
			n *= 4
		}
		some := slices.Clone(all[:n])
		args := append(make([]any, 0, 3+5*n), owner, ns(until), ns(s.tx.s.cfg.Now()))
		for i := range some {
			j := &some[i]
			s.name(j)
			j.State, j.Attempts, j.LeaseOwner, j.LeaseUntil = job.Running, 1, owner, until
			args = append(args, j.ID, j.Kind, j.Key, j.Partner, ns(j.DueAt))
		}
		inserted, err := s.ids(insertLeased[n], args...)
		if err != nil {
			return nil, err
		}
		for _, j := range some {
			if inserted[j.ID] {
				added = append(added, j)
			}
		}
		all = all[n:]
	}
	return added, nil
}

// ids runs a statement and returns the ids of the rows that it changed.
func (s jobs) ids(query string, args ...any) (map[int64]bool, error) {
	found := make(map[int64]bool)
	var id int64
	err := s.tx.rows(query, args, func() []any { return []any{&id} }, func() error { found[id] = true; return nil })
	return found, err
}

func (s jobs) Withdraw(kind, key, partner string) (bool, error) {
	n, err := s.tx.exec(`DELETE FROM job WHERE kind = $1 AND partner = $2 AND key = $3 AND subject = '' AND begun = 0`, kind, partner, key)
	return n > 0, err
}

func (s jobs) MayHaveBegun(kind, key, partner string) error {
	_, err := s.tx.exec(`UPDATE job SET begun = 1 WHERE kind = $1 AND partner = $2 AND key = $3 AND subject = ''`, kind, partner, key)
	return err
}

// Begin knows a job that was handed over by its owner and by being unbegun: taken from the store by the same owner it is begun. What
// a commit began whose answer was lost has the new end of the lease, and is in its first attempt.
func (s jobs) Begin(all []job.Job, owner string, until time.Time, tried ...time.Time) (begun []job.Job, err error) {
	const most = 64 // parameters of one statement; it is padded, so that there are few texts to prepare
	for some := range slices.Chunk(all, most) {
		width := 1
		for width < len(some) {
			width *= 2
		}
		marks, args := make([]string, width), append(make([]any, 0, 2+width), owner, ns(until))
		for i := range width {
			marks[i], args = fmt.Sprintf("$%d", i+3), append(args, some[min(i, len(some)-1)].ID)
		}
		ends := "$2"
		for _, end := range tried {
			args = append(args, ns(end))
			ends += fmt.Sprintf(", $%d", len(args))
		}
		ours, err := s.ids(`UPDATE job SET begun = 1, lease_until = $2 WHERE id IN (`+strings.Join(marks, ", ")+`)
			AND state = 'running' AND lease_owner = $1 AND attempts = 1 AND (begun = 0 OR lease_until IN (`+ends+`)) RETURNING id`, args...)
		if err != nil {
			return nil, err
		}
		for _, j := range some {
			if ours[j.ID] {
				j.Begun, j.LeaseUntil = true, until
				begun = append(begun, j)
			}
		}
	}
	return begun, nil
}

// Due asks partner by partner, so that its cost follows the number of partners and not of the jobs that wait.
func (s jobs) Due(now time.Time, perPartner, limit int) (list []job.Job, full []string, err error) {
	taken, err := s.busy(now)
	if err != nil {
		return nil, nil, err
	}
	due, err := s.list(`SELECT `+jobColumns+` FROM job WHERE subject = '' AND state = 'running' AND lease_until <= $1 ORDER BY due_at, id LIMIT $2`,
		ns(now), orMost(limit))
	if err != nil {
		return nil, nil, err
	}
	fair := due[:0]
	for _, j := range due {
		if taken[j.Partner] < perPartner {
			taken[j.Partner]++
			fair = append(fair, j)
		} else if !slices.Contains(full, j.Partner) {
			full = append(full, j.Partner)
		}
	}
	for after, partner := ">=", ""; ; after = ">" {
		found, err := s.tx.row(`SELECT partner FROM job WHERE subject = '' AND state = 'waiting' AND partner `+after+` $1 ORDER BY partner LIMIT 1`,
			[]any{partner}, &partner)
		if err != nil {
			return nil, nil, err
		}
		if !found {
			break
		}
		if taken[partner] >= perPartner {
			if !slices.Contains(full, partner) {
				full = append(full, partner)
			}
			continue
		}
		waiting, err := s.list(`SELECT `+jobColumns+` FROM job WHERE subject = '' AND state = 'waiting' AND partner = $1 AND due_at <= $2
			ORDER BY due_at, id LIMIT $3`, partner, ns(now), perPartner-taken[partner])
		if err != nil {
			return nil, nil, err
		}
		if len(waiting) == perPartner-taken[partner] {
			full = append(full, partner)
		}
		fair = append(fair, waiting...)
	}
	slices.SortFunc(fair, func(a, b job.Job) int {
		return cmp.Or(a.DueAt.Compare(b.DueAt), cmp.Compare(a.ID, b.ID))
	})
	return fair[:min(len(fair), orMost(limit))], full, nil
}

// busy counts the jobs under way by partner.
func (s jobs) busy(now time.Time) (map[string]int, error) {
	taken := map[string]int{}
	var partner string
	var n int
	err := s.tx.rows(`SELECT partner, count(*) FROM job WHERE subject = '' AND state = 'running' AND lease_until > $1 GROUP BY partner`, []any{ns(now)},
		func() []any { return []any{&partner, &n} }, func() error { taken[partner] = n; return nil })
	return taken, err
}

func (s jobs) Lease(j job.Job, owner string, until time.Time) (job.Job, error) {
	return s.take(j, owner, until, j.Subject == "")
}

func (s jobs) Hold(j job.Job, owner string, until time.Time) (job.Job, error) {
	return s.take(j, owner, until, false)
}

func (s jobs) take(j job.Job, owner string, until time.Time, begins bool) (job.Job, error) {
	seen := j
	document := j.Subject != ""
	if j.State == job.Running && (j.Begun || document && j.Crashes < job.Suspect) {
		j.Crashes++
	}
	j.State, j.Attempts, j.Begun, j.LeaseOwner, j.LeaseUntil = job.Running, j.Attempts+1, !document && (j.Begun || begins), owner, until
	inTurn := ""
	if j.Subject != "" {
		inTurn = turn
	}
	n, err := s.tx.exec(`UPDATE job SET state = 'running', attempts = $6, crashes = $7, begun = $8, lease_owner = $9, lease_until = $10
		WHERE id = $1 AND state = $2 AND attempts = $3 AND due_at = $4 AND lease_owner = $11 AND lease_until = $5`+inTurn,
		j.ID, string(seen.State), seen.Attempts, ns(seen.DueAt), ns(seen.LeaseUntil),
		j.Attempts, j.Crashes, flag(j.Begun), owner, ns(until), seen.LeaseOwner)
	if err != nil {
		return job.Job{}, err
	}
	if n == 0 {
		return job.Job{}, conflict("job", "taken", "another runner was faster")
	}
	return j, nil
}

// held is the condition that the owner still holds the job under the lease that it was given.
const held = ` WHERE id = $1 AND state = 'running' AND lease_owner = $2 AND lease_until = $3 AND attempts = $4`

func (s jobs) mine(j job.Job, statement string, more ...any) error {
	n, err := s.tx.exec(statement+held, append([]any{j.ID, j.LeaseOwner, ns(j.LeaseUntil), j.Attempts}, more...)...)
	if err == nil && n == 0 {
		err = conflict("job", "lost", "the lease has ended")
	}
	return err
}

// maxJobError bounds the error that a job keeps for operators, in characters: our words around what somebody else wrote.
const maxJobError = 2 * text.MaxForeign

// told is an error as a job keeps it, whoever wrote it: a partner, an adapter, or the order that it is about.
func told(lastError string) string { return text.Line(lastError, maxJobError) }

func (s jobs) Finish(j job.Job) error {
	if err := s.mine(j, `DELETE FROM job`); err != nil {
		return err
	}
	return s.passTurn(j)
}

func (s jobs) Reschedule(j job.Job, due time.Time, lastError string, progress bool) error {
	attempts := j.Attempts
	if progress {
		attempts = 0
	}
	return s.putBack(j, due, lastError, attempts, false)
}

func (s jobs) StandAside(j job.Job, due time.Time, lastError string) error {
	if err := s.putBack(j, due, lastError, j.Attempts, true); err != nil {
		return err
	}
	return s.passTurn(j)
}

func (s jobs) putBack(j job.Job, due time.Time, lastError string, attempts int, aside bool) error {
	// A run that was told meanwhile to be due keeps that: it may have looked before what it waits for came. See expedite.
	err := s.mine(j, `UPDATE job SET state = 'waiting', lease_owner = '', lease_until = 0, last_error = $6, attempts = $7, crashes = $8,
		nowhere = $9, aside = $10, set_at = $12, due_at = CASE WHEN subject = '' AND due_at > $11 AND due_at < $5 THEN due_at ELSE $5 END`,
		ns(due), told(lastError), attempts, j.Crashes, j.Nowhere, flag(aside), ns(j.DueAt), ns(s.tx.s.cfg.Now()))
	if err == nil && !due.After(s.tx.s.cfg.Now()) {
		s.tx.wake(unit.Jobs) // a later one is found by the runners' polls
	}
	return err
}

func (s jobs) GiveBack(j job.Job) error {
	err := s.mine(j, `UPDATE job SET state = 'waiting', lease_owner = '', lease_until = 0, attempts = attempts - 1`)
	if err == nil {
		s.tx.wake(unit.Jobs)
	}
	return err
}

func (s jobs) Park(j job.Job, lastError string) error {
	if err := s.mine(j, `UPDATE job SET state = 'parked', lease_owner = '', lease_until = 0, last_error = $5`, told(lastError)); err != nil {
		return err
	}
	return s.passTurn(j)
}

// Retry gives a parked document the place after those about its subject: another's turn may have come, and it may be on its way. What
// overtakes keeps its place.
func (s jobs) Retry(id int64, now time.Time) error {
	n, err := s.tx.exec(`UPDATE job SET state = 'waiting', due_at = $2, set_at = $2, attempts = 0, crashes = 0, nowhere = 0,
		aside = 0, place = CASE WHEN state = 'parked' AND place > 0 THEN (SELECT max(place) + 1 FROM job AS other
			WHERE other.subject <> '' AND other.partner = job.partner AND other.subject = job.subject) ELSE place END
		WHERE id = $1 AND state IN ('waiting', 'parked')`, id, ns(now))
	if err != nil {
		return err
	}
	if n == 0 {
		return fault.New(fault.NotFound, "job_not_found", "there is no waiting or parked job %d", id)
	}
	s.tx.wake(unit.Jobs)
	return nil
}

func (s jobs) Get(id int64) (job.Job, error) {
	found, err := s.list(`SELECT `+jobColumns+` FROM job WHERE id = $1`, id)
	if err == nil && len(found) == 0 {
		err = fault.New(fault.NotFound, "job_not_found", "there is no job %d", id).At("id").Do("hanse job list; a job that is done is gone")
	}
	if err != nil {
		return job.Job{}, err
	}
	return found[0], nil
}

// idle is a job that nobody runs.
func (s jobs) idle(id int64) (job.Job, error) {
	j, err := s.Get(id)
	if err == nil && j.State == job.Running {
		err = fault.New(fault.Precondition, "job_running", "job %d runs", id).At("id").
			Do("repeat it when the run has ended; hanse partner hold has a partner sent nothing more")
	}
	return j, err
}

func (s jobs) Stop(id int64, reason string) (job.Job, error) {
	j, err := s.idle(id)
	if err != nil || j.State == job.Parked {
		return j, err
	}
	j.State, j.LastError = job.Parked, told(reason)
	if _, err := s.tx.exec(`UPDATE job SET state = 'parked', last_error = $2 WHERE id = $1 AND state = 'waiting'`, id, j.LastError); err != nil {
		return j, err
	}
	return j, s.passTurn(j)
}

func (s jobs) Remove(id int64) (job.Job, error) {
	j, err := s.idle(id)
	if err != nil {
		return j, err
	}
	if _, err := s.tx.exec(`DELETE FROM job WHERE id = $1`, id); err != nil {
		return j, err
	}
	return j, s.passTurn(j)
}

func (s jobs) Expedite(partner string, now time.Time, kinds ...string) error {
	which, more := ` AND (subject <> ''`, make([]any, len(kinds))
	for i, kind := range kinds {
		more[i] = kind
		which += fmt.Sprintf(` OR kind = $%d`, i+3)
	}
	return s.expedite(partner, now, which+`)`, more...)
}

// expedite is Expedite of jobs of a partner for which a condition holds; "" is all. One that runs, and sends no documents, is marked by its
// time, which is later than when it was claimed, also by a replica whose clock is ahead of ours: put back, it is due then.
func (s jobs) expedite(partner string, now time.Time, which string, more ...any) error {
	if _, err := s.tx.exec(`UPDATE job SET due_at = CASE WHEN due_at < $2 THEN $2 ELSE due_at + 1 END, set_at = $2
		WHERE partner = $1 AND state = 'running' AND subject = ''`+which,
		append([]any{partner, ns(now)}, more...)...); err != nil {
		return err
	}
	n, err := s.tx.exec(`UPDATE job SET due_at = $2, set_at = $2 WHERE partner = $1 AND state = 'waiting' AND due_at > $2 AND attempts > 0`+which,
		append([]any{partner, ns(now)}, more...)...)
	if err == nil && n > 0 {
		s.tx.wake(unit.Jobs)
	}
	return err
}

func (s jobs) EndLeases(owner string, now time.Time) error {
	n, err := s.tx.exec(`UPDATE job SET lease_until = $2 WHERE state = 'running' AND lease_until > $2 AND (lease_owner = $1 OR $1 = '')`,
		owner, ns(now))
	if err == nil && n > 0 {
		s.tx.wake(unit.Jobs)
	}
	return err
}

// ClockBack leaves those alone that were set by a clock which is ahead by no more than clocks of replicas differ.
func (s jobs) ClockBack(now time.Time) (moved int64, err error) {
	moved, err = s.tx.exec(`UPDATE job SET due_at = CASE WHEN due_at > set_at THEN due_at - set_at + $1 ELSE $1 END, set_at = $1
		WHERE state = 'waiting' AND set_at > $2 AND due_at > $1`, ns(now), ns(now.Add(job.ClocksDiffer)))
	if err == nil && moved > 0 {
		s.tx.wake(unit.Jobs)
	}
	return moved, err
}

func (s jobs) Find(kind, partner, key string) (job.Job, bool, error) {
	found, err := s.list(`SELECT `+jobColumns+` FROM job WHERE kind = $1 AND partner = $2 AND key = $3`, kind, partner, key)
	if err != nil || len(found) == 0 {
		return job.Job{}, false, err
	}
	return found[0], true, nil
}

func (s jobs) List(limit int) ([]job.Job, error) {
	return s.list(`SELECT `+jobColumns+` FROM job ORDER BY created_at, id LIMIT $1`, orMost(limit))
}

func (s jobs) After(id int64, limit int) ([]job.Job, error) {
	return s.list(`SELECT `+jobColumns+` FROM job WHERE id > $1 ORDER BY id LIMIT $2`, id, orMost(limit))
}

func (s jobs) Count() (map[string]map[job.State]int64, error) {
	counts := map[string]map[job.State]int64{}
	var kind, state string
	var n int64
	err := s.tx.rows(`SELECT kind, state, count(*) FROM job GROUP BY kind, state`, nil,
		func() []any { return []any{&kind, &state, &n} },
		func() error {
			if counts[kind] == nil {
				counts[kind] = map[job.State]int64{}
			}
			counts[kind][job.State(state)] = n
			return nil
		})
	return counts, err
}

func (s jobs) list(query string, args ...any) ([]job.Job, error) {
	var all []job.Job
	var j job.Job
	var state string
	var due, until, begun, created int64
	err := s.tx.rows(query, args,
		func() []any {
			return []any{
				&j.ID, &j.Kind, &j.Key, &j.Partner, &j.Subject, &state, &j.Attempts, &due, &j.LeaseOwner, &until, &j.Crashes, &j.Nowhere, &begun, &j.LastError,
				&created,
			}
		},
		func() error {
			j.Begun = begun != 0
			j.State, j.DueAt, j.LeaseUntil, j.CreatedAt = job.State(state), at(due), at(until), at(created)
			all = append(all, j)
			return nil
		})
	return all, err
}
