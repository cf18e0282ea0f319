// Package operator is the desk of those who run this member: what they read across the whole house, whatever shows it to them, the
// command line or a console. It decides nothing about deals; what an operator orders is a verb of the package that it concerns.
package operator
