// Package gate is what stands in front of every handler of a sidecar, and the one mapping between fault kinds and wire codes.
// The handlers of the Portal, Operator and Peer API are packages beside it: they convert, check who may, and call a service;
// they decide nothing.
//
//	request ─► gate ──────────────────────────────────► connect ─► interceptor ─────────► handler ─► service
//	           id, method, content type, headers,                   deadline, validation,
//	           caller, scope (deny by default), rate,               panics, fault ─► code
//	           size, compression, JSON shape
//
// The gate is net/http middleware because connect decodes a message before its interceptors run: what is wrong with the
// bytes has to be found, and said with a stable reason, before that. The principal travels from the gate to the handler in
// the context, is unpacked once there, and is an argument from then on.
package gate
