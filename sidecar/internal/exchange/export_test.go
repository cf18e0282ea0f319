package exchange

// Lanes is how many partners the outbox keeps something about.
func (o *Outbox) Lanes() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.lanes)
}

// Away reports whether the partner gave no usable answer.
func (o *Outbox) Away(partner string) bool { return o.isAway(partner) }
