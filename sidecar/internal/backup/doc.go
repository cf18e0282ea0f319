// Package backup is the form in which a member's data leave its machine: a tar archive in age's encryption, so that what stands in
// it can be read without hanse, by `age -d FILE | tar x`.
//
//	manifest.json     first: of whom, when, by which hanse, which engine, which schema
//	hanse.yaml        the configuration as it was
//	data/...          files of the data folder; the SQLite database among them
//	database/...      rows of PostgreSQL, in pieces that COPY takes
//	keys.json         keys at rest, of an export of keys alone
//	digests.json      last: SHA-256 of each of the others
//
// age authenticates every piece and the end, so a file that was cut or changed does not open; the digests tell what was written wrongly.
// The package knows neither what is in the files nor where they go.
package backup
