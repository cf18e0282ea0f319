package catalog

import "github.com/hanse-market/hanse/sidecar/internal/recipe"

// checkForm finds inputs that a portal's order form could not ask for, and titles that nobody can see. It is asked of our own
// documents only: what a partner sells that way can still be ordered without a form.
func (d Document) checkForm() []finding {
	var found []finding
	for _, s := range []struct {
		field string
		look  func([]byte) ([]recipe.Problem, error)
		raw   []byte
	}{{"inputs", recipe.Form, d.Inputs}, {"outputs", recipe.Titles, d.Outputs}} {
		problems, err := s.look(s.raw)
		if err != nil {
			found = append(found, finding{at("recipe", s.field), "schema_invalid", causeOf(err)})
		}
		for _, p := range problems {
			found = append(found, finding{append(at("recipe", s.field), p.Path...), p.Reason, p.Cause})
		}
	}
	return found
}
