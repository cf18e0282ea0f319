// Package keys holds this member's private keys by purpose, signs and opens with them, and verifies and seals with other
// members' public keys. One algorithm everywhere: ES256 for signatures, ECDH-ES+A256KW with A256GCM for sealing.
//
// Life of a key within its purpose:
//
//	Next ──Rotate──▶ Current ──Rotate──▶ Retired ──NotAfter──▶ dropped
//
// Token and client keys are published while they are still Next, so that a partner's cache knows a key long before it is
// first used. The next business key is not published: only its digest is (NextDigest), and an agreement pins that digest;
// whoever takes over a host can therefore not introduce a key of their own.
package keys
