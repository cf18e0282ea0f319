// Package plant holds the names of bugs that are put into the code on purpose, to see whether hanse chaos finds them. Each is one line where it
// does its harm:
//
//	if plant.On(plant.SkipTheDedupe) {
//
// Only a build with -tags planted has any of them, and only the one that a process is started with. In every other build On is false at
// compile time, and nothing of them is in the binary.
package plant

// Bug is one of them.
type Bug string

// What each does, and which invariant it breaks, stands in the table that planted builds have.
const (
	AnswerBeforeCommit      Bug = "answer_before_commit"
	ListWithoutTheNewest    Bug = "list_without_the_newest"
	RecoverNothing          Bug = "recover_nothing"
	TagChangesOnRetry       Bug = "tag_changes_on_retry"
	AskBlindlyAgain         Bug = "ask_blindly_again"
	EndWithoutDestroying    Bug = "end_without_destroying"
	KeepWhatEnded           Bug = "keep_what_ended"
	CompleteAndNothingRuns  Bug = "complete_and_nothing_runs"
	SkipTheTimeline         Bug = "skip_the_timeline"
	SkipTheDedupe           Bug = "skip_the_dedupe"
	NeverSignLater          Bug = "never_sign_later"
	FailureEndsAJob         Bug = "failure_ends_a_job"
	WaitADay                Bug = "wait_a_day"
	UndecidedIsDecided      Bug = "undecided_is_decided"
	NoAnswerIsAnAnswer      Bug = "no_answer_is_an_answer"
	ReadWithoutApplying     Bug = "read_without_applying"
	EndWithoutAnEntry       Bug = "end_without_an_entry"
	NameOtherAccessData     Bug = "name_other_access_data"
	LeaveWhatWasParked      Bug = "leave_what_was_parked"
	KeepAnotherPrice        Bug = "keep_another_price"
	AppendWhileBehind       Bug = "append_while_behind"
	StaleCheckpointIsLevel  Bug = "stale_checkpoint_is_level"
	ClearBehindByACommand   Bug = "clear_behind_by_a_command"
	TrustAfterAStart        Bug = "trust_after_a_start"
	AnyOrderUnderAnID       Bug = "any_order_under_an_id"
	KeepNoDocument          Bug = "keep_no_document"
	TakeAProofTwice         Bug = "take_a_proof_twice"
	ForgetTheFeedGeneration Bug = "forget_the_feed_generation"
	KeepTheFirstRevision    Bug = "keep_the_first_revision"
	LogTheAccessData        Bug = "log_the_access_data"
	EndWithThePartner       Bug = "end_with_the_partner"
)

// Planted is one bug as planted builds tell of it.
type Planted struct {
	Name Bug `json:"name"`
	// Does says what it does wrong.
	Does string `json:"does"`
	// Breaks are the numbers of the invariants, of which one at least is named where it is found.
	Breaks []int `json:"breaks"`
}
