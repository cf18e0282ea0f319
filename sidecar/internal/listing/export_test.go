package listing

// Gather waits for the end of what is coming in.
var Gather = (*Indexer).gather

// GatherFrom is from how many changes on it is waited for.
const GatherFrom = gatherFrom
