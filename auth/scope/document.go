package scope

// documents is the table of documents that are submitted: JWS type, and for an order its intent, to the one scope that each needs
// beside LedgerRead. What is not here is denied; a test walks all types and intents so that a new one cannot be forgotten.
var documents = map[document]string{
	{"hanse-order+jwt", "purchase"}:  OrdersWrite,
	{"hanse-order+jwt", "terminate"}: OrdersCancel,
	{"hanse-order+jwt", "rotate"}:    OrdersCancel,
	{"hanse-cancel+jwt", ""}:         OrdersCancel,
	{"hanse-access-receipt+jwt", ""}: OrdersCancel,
	{"hanse-agreement+jwt", ""}:      AgreementSign,
	{"hanse-life+jwt", ""}:           LedgerRead,
	{"hanse-erase+jwt", ""}:          LedgerRead,
}

type document struct{ typ, intent string }

// OfDocument is the scope that a document of a type needs; intent is an order's, "" of others. False denies it. A document whose
// scope needs an agreement goes under a token that names it, others go under a token that names none.
func OfDocument(typ, intent string) (needed string, known bool) {
	needed, known = documents[document{typ, intent}]
	return needed, known
}
