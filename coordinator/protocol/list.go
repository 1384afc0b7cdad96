package protocol

import (
	"encoding/json"
	"fmt"
)

// MaxListed is the most elements that any list of a message may have.
const MaxListed = 64

// list is a slice of at most [MaxListed] elements. They are counted before room
// is made for them: three bytes of JSON can stand for an element of forty.
type list[T any] []T

// UnmarshalJSON implements [json.Unmarshaler].
func (l *list[T]) UnmarshalJSON(data []byte) error {
	if n := elements(data); n > MaxListed {
		return fmt.Errorf("list of %d elements, at most %d", n, MaxListed)
	}
	return json.Unmarshal(data, (*[]T)(l))
}

// elements counts the elements of a JSON array, whose syntax is right. Of what is
// no array or an empty one, the count means nothing.
func elements(array []byte) int {
	n, depth, text := 1, 0, false
	for i := 0; i < len(array); i++ {
		switch b := array[i]; {
		case text && b == '\\':
			i++
		case b == '"':
			text = !text
		case text:
		case b == '[' || b == '{':
			depth++
		case b == ']' || b == '}':
			depth--
		case b == ',' && depth == 1:
			n++
		}
	}
	return n
}
