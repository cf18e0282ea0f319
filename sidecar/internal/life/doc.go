// Package life ends a fork: one document that both members of a partnership sign opens a new life of their logs.
//
//	PROPOSER (its books are not level)                      RECIPIENT
//	Propose: its operator saw every member
//	  ONE TX: kept, queued  ══ hanse-life+jwt ══════════►  Keep: noted, until its operator signs or refuses
//	                                                        Sign: its operator saw every member; ONE TX: our log begins its life,
//	                                                          states, books forked (life_opening), the countersignature queued
//	Apply: ONE TX: our log begins its life, states, ◄══════ hanse-life+jwt, the same payload
//	  books unproven (life_opened)
//	  ══ its first entry, life.opened ═══════════════════►  Joined: books unproven (life_opened)
//
// From then on both prove level as after any start. The recipient's countersignature decides: whoever proposed is bound by each of its
// proposals. So that two proposals never cross to two lives, the recipient's own is void once it hears one of a member with the lesser
// origin, which in turn countersigns nothing while its own is out.
//
// Fourteen days after the fork one side may give the subjects of its own proposal their ends alone (Alone). No life begins with that.
//
// Nothing is replayed. What a subject is the document says where it ends it, on both sides; of everything else the supplier's log is
// believed, which begins its new life with what the other side could not read of the ended one, in new entries.
package life
