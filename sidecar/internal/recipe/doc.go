// Package recipe is the product contract of an offering and its binding onto an adapter.
//
// The contract is public: JSON Schemas (2020-12) of what the customer fills in and of what the customer gets. The binding
// is the supplier's own: one adapter step whose parameters refer to the inputs.
//
//	inputs ──Complete──> Resolve(binding) ──> adapter ──> Outputs(binding) ──sealed──> Reveal
//
// References are all there is ("${inputs.plan}", "${subscription.id}", "${quantity}", "${step.url}"): no code, no loops,
// and what a reference brings in is never read for references again. A schema comes from a partner, so that its size,
// its depth and the work it causes are bounded before it is used.
package recipe
