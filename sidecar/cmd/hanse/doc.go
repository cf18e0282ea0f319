// Command hanse is a member's one binary: the sidecar's daemon (`hanse serve`) and the operator's tool, which calls the
// Operator API of a running sidecar.
//
// Data goes to standard output, talk to standard error. Exit codes: 0 ok, 1 failure, 2 usage, 3 not found, 4 not
// authorised, 5 conflict, 6 try again later, 7 verification found differences.
package main
