// Package portal keeps the callers of the Portal API and tells who calls: portal clients by their key, customers' browsers
// by a session token that their portal minted, and the operator by the admin token of this installation.
//
//	hanse_pk_...  portal key       256 random bits; stored as HMAC-SHA-256; two are valid while a rotation overlaps
//	hanse_pl_...  local key        256 random bits in memory, for a part of this process that acts for a portal client
//	hanse_cs_...  customer session stateless: payload and MAC; 15 minutes; dies with its portal client
//	hanse_op_...  operator token   256 random bits in a file that only the operator can read
//
// It is not an authorization policy: which procedure asks for which scope is a table in rpc.
package portal
