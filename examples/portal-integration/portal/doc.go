// Command portal is a provider's portal with the marketplace inside: Alpenhost, who sells its own hosting plans and its
// partners' services under one brand. It is an example to copy from: everything that Hanse needs of a portal is marked with
// "hanse:", and is less than 50 lines. The rest is what a portal has anyway: pages, products, a login.
//
//	portal -sidecar http://127.0.0.1:7080 -key-file portal.key       the sidecar is a daemon
//	portal -embedded -config hanse.yaml                              the sidecar runs inside this process
package main
