package gate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

// maxJSONDepth is how deep objects and arrays may be nested in a request.
const maxJSONDepth = 32

// jsonFrame is one open object or array; keys is nil for an array.
type jsonFrame struct {
	keys  map[string]struct{}
	value bool
}

// checkJSON proves that data is one JSON value, nested at most maxJSONDepth deep, in which no object has a key twice. Two
// readers of the same bytes must not be able to see two meanings: the one who checks takes the first, the one who acts the
// last.
func checkJSON(data []byte) error {
	if !utf8.Valid(data) {
		return errJSON("the body is not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var stack []jsonFrame
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) && len(stack) == 0 && dec.InputOffset() > 0 {
			return errJSON("the body is empty")
		}
		if err != nil {
			return errJSON("the body is not JSON near byte %d", dec.InputOffset())
		}
		if stack, err = step(stack, token); err != nil {
			return err
		}
		if len(stack) == 0 {
			break
		}
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errJSON("something follows the JSON value at byte %d", dec.InputOffset())
	}
	return nil
}

// step moves over one token and answers what is open then.
func step(stack []jsonFrame, token json.Token) ([]jsonFrame, error) {
	delim, isDelim := token.(json.Delim)
	if isDelim && (delim == '}' || delim == ']') {
		return stack[:len(stack)-1], nil
	}
	if n := len(stack); n > 0 && stack[n-1].keys != nil {
		top := &stack[n-1]
		if !top.value {
			key, _ := token.(string)
			if _, twice := top.keys[key]; twice {
				return nil, fault.New(fault.Invalid, "json_duplicate_key", "an object has the key %.64q twice", key)
			}
			top.keys[key] = struct{}{}
			top.value = true
			return stack, nil
		}
		top.value = false
	}
	if !isDelim {
		return stack, nil
	}
	if len(stack) == maxJSONDepth {
		return nil, fault.New(fault.Invalid, "json_too_deep", "the JSON is nested deeper than %d levels", maxJSONDepth)
	}
	frame := jsonFrame{}
	if delim == '{' {
		frame.keys = make(map[string]struct{})
	}
	return append(stack, frame), nil
}

func errJSON(text string, args ...any) error {
	return fault.New(fault.Invalid, "json_malformed", "%s", fmt.Sprintf(text, args...))
}
