package protocol

import (
	"bytes"
	"encoding"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"

	"github.com/jbcnet/jbc/hashing"
)

// FuzzDecode reads any bytes as every message. What is read means the same after
// it was written and read again, and whatever passes Validate can be used.
func FuzzDecode(f *testing.F) {
	for _, g := range goldens {
		f.Add(Encode(g.m))
	}
	f.Add([]byte(`{"kind":"join","KIND":"leave","id":"0000000000000000","name":"\ud800"}`))
	f.Add([]byte(`{"leases":[{},{},null],"leases":null,"epoch":1e0}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, kind := range messageTypes() {
			readTwice(t, kind, data)
		}
	})
}

// messageTypes returns one message of every type.
func messageTypes() []Message {
	var kinds []Message
	seen := map[reflect.Type]bool{}
	for _, g := range goldens {
		if of := reflect.TypeOf(g.m); !seen[of] {
			seen[of] = true
			kinds = append(kinds, g.m)
		}
	}
	return kinds
}

// readTwice reads data as a message of that type, and what it is written as.
func readTwice(t *testing.T, kind Message, data []byte) {
	t.Helper()
	m := blank(kind)
	if err := Decode(data, m); err != nil {
		if code := CodeOf(err); code != Malformed && code != Oversized {
			t.Fatalf("%T: code %v", m, code)
		}
		return
	}
	use(m)
	again := blank(kind)
	written := Encode(m)
	if len(written) > MaxMessage {
		return // escapes are longer than what they stand for
	}
	if err := Decode(written, again); err != nil {
		t.Fatalf("%T: read from %q, written as %q, and then %v", m, data, written, err)
	}
	if !reflect.DeepEqual(m, again) {
		t.Fatalf("%T: %+v is read again as %+v", m, m, again)
	}
}

// TestMutants puts every hostile value in the place of every part of every
// message, and reads the result as every type.
func TestMutants(t *testing.T) {
	hostile := []string{
		`null`, `true`, `-1`, `0`, `1`, `1.5`, `-0`, `1e18`, `1e400`, `255`, `65536`, `4294967296`, `9223372036854775808`,
		`18446744073709551615`, `18446744073709551616`, `""`, `"00"`, `"\u0000<&\ud800"`, `"ffffffffffffffff"`,
		`"` + strings.Repeat("f", 64) + `"`, `"` + strings.Repeat("0", 160) + `"`, `"` + strings.Repeat("x", 5000) + `"`,
		`[]`, `[[]]`, `[{}]`, `[null,null]`, `{}`, `{"":{}}`, strings.Repeat("[", 200) + strings.Repeat("]", 200),
	}
	mutants := 0
	for _, g := range goldens {
		parts := partsOf(Encode(g.m))
		for _, part := range parts {
			for _, value := range hostile {
				data := slices.Concat(Encode(g.m)[:part[0]], []byte(value), Encode(g.m)[part[1]:])
				for _, kind := range messageTypes() {
					readTwice(t, kind, data)
					mutants++
				}
			}
		}
	}
	if mutants < 100_000 {
		t.Errorf("%d mutants: the messages were not taken apart", mutants)
	}
}

// partsOf returns where the values in a message begin and end, at every depth.
func partsOf(data []byte) (parts [][2]int) {
	d := json.NewDecoder(bytes.NewReader(data))
	var open []int
	for {
		before := int(d.InputOffset())
		token, err := d.Token()
		if err != nil {
			return parts
		}
		after := int(d.InputOffset())
		for before < after && strings.IndexByte(":, ", data[before]) >= 0 {
			before++
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			open = append(open, before)
		case json.Delim('}'), json.Delim(']'):
			parts = append(parts, [2]int{open[len(open)-1], after})
			open = open[:len(open)-1]
		default:
			parts = append(parts, [2]int{before, after})
		}
	}
}

// use does with a message what its receiver does, to see that Validate let nothing
// pass that panics later.
func use(m Message) {
	useJob := func(j *Job) {
		if j == nil {
			return
		}
		j.Header(1<<64-1, j.Rolls-1)
		j.Search(7, j.Target())
	}
	switch m := m.(type) {
	case *Job:
		useJob(m)
	case *JoinReply:
		if m.Code == OK {
			m.Terms.Target(testJob())
			m.Terms.Home(m.Slot)
			useJob(m.Job)
		}
	case *CurrentReply:
		if m.Code == OK {
			useJob(m.Job)
		}
	case *NodesReply:
		for i := range m.Nodes {
			_ = m.Nodes[i].Check()
		}
	case *Join:
		own, err := NewExchange()
		if err != nil {
			panic(err)
		}
		_, _ = own.CoordinatorSecret(m.Exchange)
	}
}

// FuzzKindOf agrees with what a whole message says of its kind.
func FuzzKindOf(f *testing.F) {
	for _, g := range goldens {
		f.Add(Encode(g.m))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		kind, err := KindOf(data)
		if err != nil {
			return
		}
		if kind == "" || len(kind) > maxName {
			t.Fatalf("kind %q", kind)
		}
		var get Get
		if Decode(data, &get) == nil && get.Kind != kind {
			t.Fatalf("KindOf says %q, the message %q", kind, get.Kind)
		}
	})
}

// FuzzTexts reads any text as every kind of binary data.
func FuzzTexts(f *testing.F) {
	for _, text := range []string{
		"", "00", "0", "zz", "ABcd", "0000000000000001", "FFFFFFFFFFFFFFFF", "-000000000000001", "0x00000000000001",
		strings.Repeat("0f", 32), strings.Repeat("0", 160), "1e03ffff", "1_000_00",
	} {
		f.Add(text)
	}
	type text interface {
		encoding.TextMarshaler
		encoding.TextUnmarshaler
	}
	f.Fuzz(func(t *testing.T, in string) {
		for _, pair := range [][2]text{
			{new(Bytes), new(Bytes)}, {new(Point), new(Point)}, {new(hashing.Hash), new(hashing.Hash)},
			{new(hashing.Header), new(hashing.Header)}, {new(hashing.Bits), new(hashing.Bits)}, {new(hashing.Target), new(hashing.Target)},
		} {
			first, again := pair[0], pair[1]
			if first.UnmarshalText([]byte(in)) != nil {
				continue
			}
			out, err := first.MarshalText()
			if err != nil {
				t.Fatal(err)
			}
			if !strings.EqualFold(string(out), in) {
				t.Fatalf("%T: read from %q, written as %q", first, in, out)
			}
			if err := again.UnmarshalText(out); err != nil || !reflect.DeepEqual(first, again) {
				t.Fatalf("%T: %q is read again as %v, %v", first, out, again, err)
			}
		}
	})
}

// FuzzList has a bounded list read what a slice would, up to its bound.
func FuzzList(f *testing.F) {
	for _, text := range []string{
		`[]`, `null`, `[1,2]`, `["a,b","\\",","]`, `[[1,2],{"a":[3,4],"b":5}]`, `{"a":1,"b":2}`, `"a,b"`,
		`[` + strings.Repeat(`0,`, 63) + `0]`, `[` + strings.Repeat(`0,`, 64) + `0]`, `["\"",1,"]",2]`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var bounded list[json.RawMessage]
		var all []json.RawMessage
		err, wantErr := json.Unmarshal(data, &bounded), json.Unmarshal(data, &all)
		switch {
		case wantErr != nil:
			if err == nil {
				t.Fatalf("%q is read, and is no array", data)
			}
		case len(all) > MaxListed:
			if err == nil {
				t.Fatalf("%q has %d elements and is read", data, len(all))
			}
		case err != nil || len(bounded) != len(all):
			t.Fatalf("%q: %d elements, %v, want %d", data, len(bounded), err, len(all))
		}
	})
}

// FuzzPing reads any bytes as an answer to a discovery ping.
func FuzzPing(f *testing.F) {
	golden, err := os.ReadFile(filepath.Join("testdata", "ping", "micro.json"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden)
	f.Add([]byte(`{"metadata":{"name":"a","network":"b","key":""}}`))
	f.Add([]byte(`{"metadata":null}`))
	f.Add([]byte(`{"metadata":{"name":["a"]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		found, ok := ParsePing(data)
		if !ok {
			return
		}
		if CheckName(found.Name) != nil || !IsNetworkID(found.Network) || !nkeys.IsValidPublicKey(found.Key) {
			t.Fatalf("ParsePing(%q) = %+v", data, found)
		}
	})
}

// pingKey is the key in the golden ping.
const pingKey = "UBCWI2KLQGCGTCHORR6YRKPXHV7WZY4BMRKD6ICRMUUEAQIOM42G4FGM"

// TestPing reads what a coordinator's micro service answers, and nothing that is
// no coordinator's.
func TestPing(t *testing.T) {
	golden, err := os.ReadFile(filepath.Join("testdata", "ping", "micro.json"))
	if err != nil {
		t.Fatal(err)
	}
	want := Found{Network: "dev-1a2b3c4d", Name: "alpha", Key: pingKey}
	if got, ok := ParsePing(golden); !ok || got != want {
		t.Errorf("ParsePing = %+v, %v, want %+v", got, ok, want)
	}
	for _, tt := range []struct{ name, data string }{
		{"nothing", ""},
		{"another service", `{"name":"x","metadata":{}}`},
		{"no key", strings.ReplaceAll(string(golden), pingKey, "")},
		{"a name with a wildcard", strings.ReplaceAll(string(golden), `"alpha"`, `">"`)},
		{"a network with a dot", strings.ReplaceAll(string(golden), "dev-1a2b3c4d", "dev.1")},
		{"too long", string(golden) + strings.Repeat(" ", MaxMessage)},
	} {
		if got, ok := ParsePing([]byte(tt.data)); ok {
			t.Errorf("%s: ParsePing = %+v, want it refused", tt.name, got)
		}
	}
	if bytes.Contains(golden, []byte("\r")) {
		t.Error("the golden ping has carriage returns")
	}
}
