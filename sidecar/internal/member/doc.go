// Package member keeps partnerships: which members we deal with, in which roles, and the keys we pinned.
//
//	proposed ──► pending ──► qualified ──► active ◄──► suspended
//	    │           │            │           │             │
//	    └───────────┴──► refused └───────────┴──► ended ◄──┘
//
// A member that proposes to us is pending until our operator acts on it: adds it too, offers it an agreement, accepts one.
// Policy and credit are steps of Service.qualify; they pass every member for now.
package member
