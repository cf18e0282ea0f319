// Package rig is the adapter of a test rig: a platform behind HTTP on this machine whose journal counts what was really done. `hanse chaos`
// runs the platform in its own process, so that a member that dies takes none of it along, and members of dev mode know the adapter.
//
// The platform keeps instances by tag. PUT makes one under the tag, or finds it; POST always makes another one, as platforms do that take no
// id of their callers. The three adapters differ in what they make of it:
//
//	rig-a  tier A: PUT under the tag
//	rig-b  tier B: looks for the tag, then POST
//	rig-c  tier C: POST, without a look; an answer that is lost leaves an order that an operator has to resolve
//
// It makes, gives new passwords and removes, and nothing else: no suspending, no tenants kept apart. The conformance kit, which asks for those, is not run.
package rig
