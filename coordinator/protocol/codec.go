package protocol

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

// MaxMessage is the most bytes a control message may have. It is checked before
// anything is parsed. Whatever this package lets be said fits, and hardly more: the
// server holds what it sends to everybody, such as solutions, once for each who is
// slow to read.
const MaxMessage = 16 << 10

// Message is what every message of this package can do.
type Message interface {
	// Validate says which field is out of range; types and sizes of strings were
	// checked while decoding.
	Validate() error
}

// Encode returns m as JSON. It panics on a message that can't be encoded, which
// only a programming mistake makes.
func Encode(m Message) []byte {
	data, err := json.Marshal(m)
	if err != nil {
		panic("protocol: " + err.Error())
	}
	return data
}

// Decode reads data into m and validates it. The error wraps [Oversized] or
// [Malformed]. Unknown fields are let pass.
func Decode(data []byte, m Message) error {
	if len(data) > MaxMessage {
		return fmt.Errorf("%w: %d bytes, at most %d", Oversized, len(data), MaxMessage)
	}
	if text := bytes.TrimLeft(data, " \t\r\n"); len(text) == 0 || text[0] != '{' {
		return fmt.Errorf("%w: not an object", Malformed) // null would be let pass as an empty one
	}
	if err := json.Unmarshal(data, m); err != nil {
		return fmt.Errorf("%w: %v", Malformed, err)
	}
	if err := m.Validate(); err != nil {
		return fmt.Errorf("%w: %v", Malformed, err)
	}
	return nil
}

// KindOf returns the "kind" of a message without reading the rest, so that the
// caller can choose what to decode it into. The error is as [Decode]'s.
func KindOf(data []byte) (string, error) {
	var k kindOnly
	err := Decode(data, &k)
	return k.Kind, err
}

type kindOnly struct {
	Kind string `json:"kind"`
}

func (k *kindOnly) Validate() error {
	if k.Kind == "" || len(k.Kind) > maxName {
		return fmt.Errorf("kind %.40q", k.Kind)
	}
	return nil
}

// CodeOf returns the code that err wraps, [Malformed] for any other error.
func CodeOf(err error) Code {
	var c Code
	switch {
	case err == nil:
		return OK
	case errors.As(err, &c):
		return c
	}
	return Malformed
}

// Bytes is binary data, hex in JSON.
type Bytes []byte

// MarshalText writes lower-case hex.
func (b Bytes) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, b), nil }

// UnmarshalText reads hex of either case.
func (b *Bytes) UnmarshalText(text []byte) error {
	decoded, err := hex.AppendDecode(nil, text)
	*b = decoded
	return err
}
