// Package member keeps partnerships: which members we deal with, in which roles, and the keys we pinned.
//
//	proposed ──► pending ──► qualified ──► active ◄──► suspended
//	    │           │            │           │             │
//	    └───────────┴──► refused └───────────┴──► ended ◄──┘
//
// A member that proposes to us is pending until our operator acts on it: adds it too, offers it an agreement, accepts one, or
// refuses it. Whoever is not acted on is forgotten after ProposalLife, or before, when others need the room. A refused member may
// propose again after RefusalLife, and is pending again; until then it is told that it is refused, and why. One that refused us is
// qualified when it proposes: our operator wished it before.
//
// What is kept of a partner is what our operator saw: name, legal facts, contact and roles that the partner shows later wait beside
// them (Changes) and are taken over by our operator's word on exactly those (AcceptChanges, or Add with the digest of what was confirmed), in
// every state, so that nothing comes between a look and the word on it. The pinned business key and the digest of the one to follow
// are not changed in this way at all: fault.Denied key_discontinuity, unless rollovers lead to the shown ones from the pinned (PEER-1, K-10); the
// keys before are kept, for what they signed. The sealing key follows the member document, for the pinned key signs it.
//
// Policy and credit are steps of Service.qualify; they pass every member for now.
package member
