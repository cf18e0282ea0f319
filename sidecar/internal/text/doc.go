// Package text reads and cleans what others wrote: strict JSON within limits, the paths that name fields in it, and text
// that people are shown. It knows neither what a document means nor what an error is called on the wire.
package text
