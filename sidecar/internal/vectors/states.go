package main

// stateVector is what both sides come to about one deal, B-19.
type stateVector struct {
	Name     string `json:"name"`
	Supplier string `json:"supplier"`
	Subject  string `json:"subject"`
	Document string `json:"document_sha256"`
	State    string `json:"state"`
	// Form is what is hashed.
	Form   string `json:"form"`
	Digest string `json:"digest"`
}

func (m *story) states() []stateVector {
	var all []stateVector
	for _, state := range []string{"accepted", "active", "ended"} {
		subject := "sub-" + order("1")
		form := object("document_sha256", m.purchase.sha(), "state", state, "subject", subject, "supplier", m.supplier.origin) // by name, as RFC 8785 has them
		all = append(all, stateVector{
			Name: "order-purchase is " + state, Supplier: m.supplier.origin, Subject: subject, Document: m.purchase.sha(), State: state,
			Form: string(form), Digest: digest(form),
		})
	}
	return all
}
