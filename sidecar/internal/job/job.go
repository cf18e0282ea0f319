package job

import "time"

// State of a job. A job that is done is gone.
type State string

const (
	Waiting State = "waiting"
	Running State = "running"
	// Parked jobs wait for an operator.
	Parked State = "parked"
)

// Job is durable follow-up work of a state change.
type Job struct {
	ID int64
	// Kind names the handler: "order.submit".
	Kind string
	// Key is unique within the kind and the partner, who may have chosen it: the subject's id. Adding it again changes nothing.
	Key string
	// Partner is the origin of the partner whom the work concerns, for fairness; may be empty.
	Partner string
	// Subject is what the document is about that the job sends; "" for jobs that send none. See Sending.
	Subject  string
	State    State
	Attempts int
	DueAt    time.Time
	// LeaseOwner and LeaseUntil are set while Running.
	LeaseOwner string
	LeaseUntil time.Time
	// Crashes counts the runs in a row that panicked or never reported: a poisonous job takes its process along. Of documents that
	// a process held together nobody knows which it was: unless something was done for it Alone it grows to Suspect and no further.
	Crashes int
	// Nowhere counts the answers that named a decision on the document where the partner's log has none.
	Nowhere int
	// Begun says that a handler has run, or may have: it never becomes false again. Of a job that sends a document it says that
	// something is done for it Alone.
	Begun     bool
	LastError string
	CreatedAt time.Time
	// Carry is what the process that added the job knows of it, for the first run alone; nil for a job that was read from the store.
	Carry any
}

// Suspect is how many crashes in a row have a document go Alone. It is less than what parks one.
const Suspect = 2

// Sending names a job that sends a signed document to a partner. Of all documents to one partner about one subject one is on its
// way at a time, over all replicas, in the order in which they were added: a later one waits until the job of the one before is
// gone, parked, or stands aside.
type Sending struct {
	Kind, Key, Partner string
	// Subject is required.
	Subject string
	// First says that nothing was ever sent about the subject: it begins with this document.
	First bool
	// Overtakes sends it before those that were added earlier; they wait for it.
	Overtakes bool
}

// ClocksDiffer is how far the clocks of replicas, and one clock that is corrected little by little, may be apart.
const ClocksDiffer = 5 * time.Second

// Store keeps the jobs. All methods belong to one transaction.
type Store interface {
	// At adds a job that waits until a time; one with the same kind, partner and key stays as it is.
	At(kind, key, partner string, due time.Time) error
	// AllLeased adds jobs that their owner holds already, given by Kind, Key, Partner and DueAt, so that the owner can Begin them once the
	// transaction is committed, without taking them first: their first runs are counted. One with the same kind, partner and key stays as
	// it is. It returns those that it added.
	AllLeased(all []Job, owner string, until time.Time) ([]Job, error)
	// Begin says of jobs that were added leased that their handlers run now, gives their leases a new end and returns those that are
	// still the owner's. The others were withdrawn or taken over, and must not run. With the same end, or naming the ends tried before, it may be repeated when it is not
	// known whether it was committed; with another one that names those that were tried before.
	Begin(all []Job, owner string, until time.Time, tried ...time.Time) ([]Job, error)
	// Withdraw deletes a job that has not begun, and reports whether there was one: whoever holds it will not run it. Those that send
	// documents are not withdrawn.
	Withdraw(kind, key, partner string) (bool, error)
	// MayHaveBegun says of a job that its handler may have run in a store that is gone: it is not withdrawn. One that is not there is no error.
	MayHaveBegun(kind, key, partner string) error
	// Send adds a job that sends a document; one of its name stays as it is, and the ID returned is 0 then. It is the owner's at once,
	// as with AllLeased, where it is its turn; else, and with owner "", it waits, and State tells.
	Send(s Sending, due time.Time, owner string, until time.Time) (Job, error)
	// DueToSend lists jobs that send documents as Due does the others: at most room(partner) to one partner, none whose turn it
	// is not.
	DueToSend(now time.Time, room func(partner string) int) ([]Job, error)
	// Overtaken are those of jobs that send documents to one partner which another document about their subject overtakes: it is under way, or
	// waits and does not stand aside. A job that was taken before that one came is among them too.
	Overtaken(all []Job) (map[int64]bool, error)
	// Alone says durably, before something is done for one document and for no other, that a process which dies dies of it; and after it
	// that this is over. It ends with the lease too. fault.Conflict when the owner does not hold the job any more.
	Alone(j Job, now bool) error
	// Extend gives a held job a later end of its lease; fault.Conflict when the owner does not hold it any more.
	Extend(j Job, until time.Time) (Job, error)
	// Drop deletes a job whatever became of it: what it was for is done. One that is not there is no error.
	Drop(kind, key, partner string) error
	// Due lists jobs that send no documents and may run now: waiting ones that are due and running ones whose lease has ended; at most perPartner
	// of one partner (those it already has running counted in), ascending by due time. Of the partners in full there may be more.
	Due(now time.Time, perPartner, limit int) (due []Job, full []string, err error)
	// Lease takes a job by compare-and-swap on its attempts; fault.Conflict when another runner was faster, or it is no more a
	// document's turn. Attempts and, for a job
	// whose last run began and never reported, crashes are counted here, before the work; see Crashes. The job has begun, unless it sends a
	// document.
	Lease(j Job, owner string, until time.Time) (Job, error)
	// Hold is Lease of a job that will not run: it does not begin.
	Hold(j Job, owner string, until time.Time) (Job, error)
	// Finish deletes a job that the owner holds; fault.Conflict when it does not hold it any more.
	Finish(j Job) error
	// Reschedule makes it wait again with j's Crashes and Nowhere; resets attempts when progress was made. Of lastError, here and in Park, as
	// much is kept as fits one line that operators read.
	Reschedule(j Job, due time.Time, lastError string, progress bool) error
	// StandAside is Reschedule of a document that may wait for long: until it is put back otherwise or retried, the others
	// about its subject do not wait for it.
	StandAside(j Job, due time.Time, lastError string) error
	// GiveBack ends the lease of a job whose run did not begin: it waits as it did before, and the run does not count.
	GiveBack(j Job) error
	// Park stops it until Retry.
	Park(j Job, lastError string) error
	// Retry makes a waiting or parked job due now; fault.NotFound. A document that was parked has its turn after those about its
	// subject that are there.
	Retry(id int64, now time.Time) error
	// Stop parks a waiting job, for a reason that its last error then is; one that is parked stays as it is. fault.NotFound where there is
	// no such job, fault.Precondition with reason job_running where it runs.
	Stop(id int64, reason string) (Job, error)
	// Remove deletes a waiting or parked job and returns it as it was. Errors as of Stop.
	Remove(id int64) (Job, error)
	// Get reads one; fault.NotFound with reason job_not_found.
	Get(id int64) (Job, error)
	// Expedite makes all jobs due now that failed before and wait for a partner: those of the kinds and all that send documents.
	// What is set for a later time and was never tried keeps it. One that runs, and sends no documents, is due at once when it is put back:
	// it may have looked before what it waits for came.
	Expedite(partner string, now time.Time, kinds ...string) error
	// EndLeases ends the leases of an owner whose process is gone, of all owners with "": those jobs are due at once.
	EndLeases(owner string, now time.Time) error
	// ClockBack has jobs wait no longer than was meant that a clock set which was ahead of now by more than ClocksDiffer: what was due by it is
	// due now, and what had a pause has it from now on. It returns how many there were.
	ClockBack(now time.Time) (moved int64, err error)
	// Find is the job of a kind, partner and key, if there is one.
	Find(kind, partner, key string) (j Job, found bool, err error)
	// List shows jobs, oldest first.
	List(limit int) ([]Job, error)
	// After lists jobs by id, those after one.
	After(id int64, limit int) ([]Job, error)
	// Count counts by kind and state.
	Count() (map[string]map[State]int64, error)
}
