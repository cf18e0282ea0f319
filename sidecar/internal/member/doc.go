// Package member keeps partnerships: which members we deal with, in which roles, and the keys we pinned.
//
//	proposed ──► pending ──► qualified ──► active ◄──► suspended
//	    │           │            │           │             │
//	    └───────────┴──► refused └───────────┴──► ended ◄──┘
//
// Policy and credit are steps of Service.qualify; they pass every member for now.
package member
