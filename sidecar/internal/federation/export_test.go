package federation

// Listeners is how many loops a Nudge can reach.
func (m *Manager) Listeners() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.nudges)
}

// PagePayload is what a page's signature covers.
var PagePayload = pagePayload

// PageSize is how many changes a page has at most.
const PageSize = pageSize
