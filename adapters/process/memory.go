package process

import "sync"

// stamp tells one writing of a record from the next without reading it: each is a new file that takes the name.
type stamp struct {
	inode               uint64
	size, changed, born int64
}

// claim is what a record takes from others.
type claim struct {
	stamp stamp
	port  int
	uid   int64
}

// index remembers the records of a data folder, so that an order costs the same whatever runs already. It is no truth of its own:
// each use lists the folder and reads the records that it does not know. Whoever is about to write a claim first leaves a mark
// in the folder; where the mark is not the one that the index left itself, known records are looked at too, and read if they were
// written again. What another sidecar made, or one that was killed at any point, is therefore never missed.
type index struct {
	mu     sync.Mutex
	claims map[string]claim
	mark   string
}

// identity tells a process from a later one with its id, for as long as the kernel keeps its folder in memory: the folder's inode
// belongs to the process and not to the id. Another identity says nothing.
type identity struct {
	inode uint64
	born  int64
}

// home is where a process was found to belong.
type home struct {
	id  identity
	dir string
}

// homes remembers where processes belong that were started for an instance: that stays so as long as they live. Of all others it
// remembers nothing, for what was just forked becomes somebody's a moment later.
type homes struct {
	mu    sync.Mutex
	known map[int]home
}

// of is what is known of a process.
func (h *homes) of(pid int, id identity) home {
	if h == nil {
		return home{}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if at := h.known[pid]; at.id == id {
		return at
	}
	return home{}
}

// keep replaces what is known by what one search saw.
func (h *homes) keep(seen map[int]home) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.known = seen
}
