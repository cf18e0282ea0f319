// Package notes is a small private notebook for the browser: notes and checklists behind one password. It is what the
// process adapter sells out of the box, so that a first offering needs nothing but the hanse binary.
//
// Pages are rendered on the server and work without scripts, at 360 px and from the keyboard. Scripts use the same
// notes as JSON with the password as bearer token:
//
//	curl -H "Authorization: Bearer $PASSWORD" "$URL/api/notes"
//	curl -H "Authorization: Bearer $PASSWORD" -d '{"title":"Shopping","body":"- [ ] milk"}' "$URL/api/notes"
//
// Routes: GET / (search with ?q=), /login, /logout, /new, /notes/{id} (view, edit, delete, toggle a checklist line),
// /export, /import, /api/notes[/{id}], /api/export, /api/import, /healthz.
package notes
