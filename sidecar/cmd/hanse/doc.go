// Command hanse is a member's one binary: the sidecar's daemon (`hanse serve`) and the operator's tool, which calls the
// Operator API of a running sidecar.
//
// Data goes to standard output, talk to standard error. Exit codes stand in errors.go, in hanse --help and in docs/cli.md.
package main
