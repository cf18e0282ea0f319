package notes

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of one notebook.
const (
	maxTitle = 200
	maxBody  = 64 << 10
	maxNotes = 5000
	maxTotal = 24 << 20
)

// Note is one note. Its body is Markdown-lite; lines "- [ ] text" are a checklist.
type Note struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	Body  string `json:"body"`
	// Pinned notes come first.
	Pinned bool `json:"pinned,omitempty"`
	// Revision grows with each change.
	Revision int64     `json:"revision"`
	Created  time.Time `json:"created"`
	Updated  time.Time `json:"updated"`
}

// Errors that callers tell apart.
var (
	errNotFound = errors.New("there is no such note")
	errChanged  = errors.New("the note was changed meanwhile")
	errFull     = errors.New("the notebook is full")
)

// invalidError is for people.
type invalidError string

func (e invalidError) Error() string { return string(e) }

// tidy trims a note's texts and checks them.
func tidy(n *Note) error {
	n.Title = strings.TrimSpace(strings.ReplaceAll(n.Title, "\n", " "))
	n.Body = strings.TrimRight(strings.ReplaceAll(n.Body, "\r\n", "\n"), " \t\n")
	switch {
	case n.Title == "" && strings.TrimSpace(n.Body) == "":
		return invalidError("A note needs a title or a text.")
	case utf8.RuneCountInString(n.Title) > maxTitle:
		return invalidError(fmt.Sprintf("A title can have %d characters.", maxTitle))
	case len(n.Body) > maxBody:
		return invalidError(fmt.Sprintf("A note can have %d KiB of text.", maxBody>>10))
	case !utf8.ValidString(n.Title) || !utf8.ValidString(n.Body) || strings.ContainsRune(n.Title+n.Body, 0):
		return invalidError("That is not text.")
	}
	return nil
}

var task = regexp.MustCompile(`^(\s*[-*] \[)([ xX])(\] .*)$`)

// toggle ticks or unticks the checklist line of that number.
func (n *Note) toggle(line int) error {
	lines := strings.Split(n.Body, "\n")
	if line < 0 || line >= len(lines) {
		return errChanged
	}
	m := task.FindStringSubmatch(lines[line])
	if m == nil {
		return errChanged
	}
	mark := "x"
	if m[2] != " " {
		mark = " "
	}
	lines[line] = m[1] + mark + m[3]
	n.Body = strings.Join(lines, "\n")
	return nil
}

// progress counts the checklist.
func (n Note) progress() (done, all int) {
	for line := range strings.SplitSeq(n.Body, "\n") {
		if m := task.FindStringSubmatch(line); m != nil {
			all++
			if m[2] != " " {
				done++
			}
		}
	}
	return done, all
}

// matches says whether all words occur.
func (n Note) matches(words []string) bool {
	text := strings.ToLower(n.Title + "\n" + n.Body)
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}
