// Package sdk is what a provider's portal imports: a client of its own sidecar's Portal API and Storefront, the handler
// that puts the marketplace's custom elements into the portal's pages.
//
// A portal's backend holds the portal key. Browsers never see it: Storefront mints a session token for the customer who
// is logged in, and forwards only the calls that a browser may make.
//
//	browser ── <hanse-catalog> ── portal: Storefront ── sidecar: Portal API
//	             session token       portal key stays here
//
// The package stands on Connect and protobuf alone, so that a portal's build inherits nothing of the sidecar.
package sdk
