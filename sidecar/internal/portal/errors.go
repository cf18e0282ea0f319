package portal

import "github.com/hanse-market/hanse/sidecar/internal/fault"

// Refusals of this package. None of them tells more than the caller knows already.

func errNoKey() error {
	return fault.New(fault.Unauthenticated, "key_missing", "the call carries no key").
		Do("send Authorization: Bearer KEY with a portal key or a customer session token")
}

func errKeyInvalid() error {
	return fault.New(fault.Unauthenticated, "key_invalid", "the key is not one of this sidecar's or is not valid any more")
}

func errSessionInvalid() error {
	return fault.New(fault.Unauthenticated, "session_invalid", "the session token is not valid").
		Do("ask the portal for a new session")
}

func errSessionExpired() error {
	return fault.New(fault.Unauthenticated, "session_expired", "the session has expired").Do("ask the portal for a new session")
}

func errOrigin() error {
	return fault.New(fault.Denied, "origin_mismatch", "the session belongs to another web origin")
}
