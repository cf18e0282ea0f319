// Package adapterstest is the conformance kit of provisioning adapters: what every adapter promises, tried on a real
// platform. A test of an adapter is one call:
//
//	func TestConformance(t *testing.T) {
//		adapterstest.Run(t, func(t *testing.T) adapterstest.Fixture { ... })
//	}
//
// The kit asks the fixture for evidence from the platform itself (Count, Probe, Isolated) and never believes an adapter's
// word alone.
package adapterstest
