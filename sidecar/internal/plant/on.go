//go:build planted

package plant

import "os"

// Built says whether this build has bugs to choose from.
const Built = true

// variable names the bug that a process has.
const variable = "PLANTED_BUG"

var planted = Bug(os.Getenv(variable))

// On reports whether a bug is on in this process.
func On(b Bug) bool { return planted == b }

// Environ is what a process is told that is to have a bug; "" is none.
func Environ(b Bug) []string { return []string{variable + "=" + string(b)} }

// All are the bugs of this build, in the order of the invariants that they break.
func All() []Planted { return all }

var all = []Planted{
	{AnswerBeforeCommit, "a portal has its answer half a second before its order is committed", []int{1}},
	{ListWithoutTheNewest, "the newest order of a page is missing in what a portal lists", []int{1}},
	{RecoverNothing, "entries of our ledger are read back, and what they had made is not made again", []int{1, 3, 5}},
	{TagChangesOnRetry, "a service has another tag on its platform at every retry", []int{2}},
	{AskBlindlyAgain, "a platform that cannot find what it made is asked to make it again", []int{2}},
	{EndWithoutDestroying, "an order to end a service completes, and its platform was not asked", []int{2}},
	{KeepWhatEnded, "a reseller keeps a subscription that its supplier ended", []int{3}},
	{CompleteAndNothingRuns, "a supplier completes an order and does not move its subscription", []int{3}},
	{SkipTheTimeline, "that work on an order began is not in its timeline", []int{4}},
	{SkipTheDedupe, "a document is decided again each time it comes", []int{1, 3, 5}},
	{NeverSignLater, "an order that could not be signed at once is never signed", []int{5}},
	{FailureEndsAJob, "a job whose run failed is finished", []int{5}},
	{WaitADay, "what failed twice is tried again after a day", []int{5}},
	{UndecidedIsDecided, "a document that the partner did not decide is not sent again", []int{5}},
	{NoAnswerIsAnAnswer, "a document whose answer was lost is not sent again", []int{5}},
	{ReadWithoutApplying, "of a page of more than two entries none is applied", []int{3, 5}},
	{EndWithoutAnEntry, "a supplier completes an order and its ledger does not say so", []int{1, 3, 5}},
	{NameOtherAccessData, "a completion names the digest of other access data", []int{5}},
	{LeaveWhatWasParked, "what a partner said of orders that came back is not applied", []int{5}},
	{KeepAnotherPrice, "a reseller keeps another price than it signed", []int{8}},
	{AppendWhileBehind, "a store that is behind, or may be, goes on with its ledger", []int{10}},
	{StaleCheckpointIsLevel, "a checkpoint beyond our log proves that the books are level", []int{10}},
	{ClearBehindByACommand, "hanse partner vouch sets books to level that are behind", []int{10}},
	{TrustAfterAStart, "a store that was put back as a folder is not in doubt when it starts", []int{10}},
	{AnyOrderUnderAnID, "another order under a known id is acknowledged", []int{11}},
	{KeepNoDocument, "a supplier does not keep the documents that it accepts", []int{12}},
	{TakeAProofTwice, "a proof of possession is taken as often as it comes", []int{13}},
	{ForgetTheFeedGeneration, "a feed of a new generation goes on from where its reader was in the lost one", []int{14}},
	{KeepTheFirstRevision, "a reseller keeps the first revision of an offering that it read", []int{14}},
	{LogTheAccessData, "access data stand in the log", []int{17}},
	{EndWithThePartner, "a process ends when a partner is away", []int{18}},
}
