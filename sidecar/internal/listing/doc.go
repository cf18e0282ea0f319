// Package listing is how a reseller shows and prices its partners' offerings: the portal's own brand over what suppliers
// publish.
//
//	foreign offering + override + markup rules + agreement ──> View ──> portal, search index
//
// Nothing of it is stored but the overrides and rules, so that a change upstream takes nothing away from them. A View has
// retail prices only; the wholesale price stands in Detail, which is for operators.
//
// An offering is sold while its partner has an active agreement with us in its currency and its state is visible; under which of
// several, agreement.Deals says. It can be ordered while it is orderable besides. Operators see what is not sold too, with the
// reason.
package listing
