package protocol

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"
)

// tokenKey is the public key of tokenSeed.
const (
	tokenKey  = "UB43KVROR7TFJ6KAPCYRF2FJROTZAH4FHLTJLPWX4DRZCC5NASLGJBFE"
	tokenSeed = "SUAACAQDAQCQMBYIBEFAWDANBYHRAEISCMKBKFQXDAMRUGY4DUPB6IC5CQ"
)

func testToken() *Token {
	return &Token{
		Network: "dev-1a2b3c4d", Coordinator: "alpha", Key: pingKey,
		Addresses: []string{"192.0.2.7:4222", "[2001:db8::7]:4222", "rig.example:4222"},
		CA:        [32]byte{0: 1, 31: 2}, Role: RoleObserver, Expires: time.Unix(1_700_000_000, 0), Seed: tokenSeed,
	}
}

// TestTokenGolden pins the text of a token, both ways.
func TestTokenGolden(t *testing.T) {
	file := filepath.Join("testdata", "token", "observer.txt")
	text, err := testToken().Text()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.TrimSpace(string(golden)); text != want {
		t.Errorf("Text = %s\nwant   %s", text, want)
	}
	got, err := ParseToken(string(golden))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, testToken()) {
		t.Errorf("ParseToken = %+v\nwant         %+v", got, testToken())
	}
}

// TestTokenPasted reads what a terminal, a chat or a letter made of a token.
func TestTokenPasted(t *testing.T) {
	text, err := testToken().Text()
	if err != nil {
		t.Fatal(err)
	}
	for name, pasted := range map[string]string{
		"with a line break at its end": text + "\n",
		"with spaces around it":        "  " + text + "\t",
		"over three lines":             text[:70] + "\r\n" + text[70:140] + "\n  " + text[140:],
	} {
		if got, err := ParseToken(pasted); err != nil || !reflect.DeepEqual(got, testToken()) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// TestTokenCut notices every cut, and every wrong character.
func TestTokenCut(t *testing.T) {
	text, err := testToken().Text()
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(text) {
		if got, err := ParseToken(text[:n]); !errors.Is(err, ErrToken) {
			t.Fatalf("cut to %d characters: %+v, %v, want %v", n, got, err, ErrToken)
		}
		for _, c := range []byte("Aa-1!") {
			wrong := []byte(text)
			if wrong[n] == c {
				continue
			}
			wrong[n] = c
			// The last character may have bits that mean nothing.
			if got, err := ParseToken(string(wrong)); !errors.Is(err, ErrToken) && !reflect.DeepEqual(got, testToken()) {
				t.Fatalf("with %q at %d: %+v, %v, want %v", c, n, got, err, ErrToken)
			}
		}
	}
	for _, text := range []string{"", "jbc1-", "jbc2-" + text[5:], text + text, "jbc1-" + strings.Repeat("A", 3000)} {
		if got, err := ParseToken(text); !errors.Is(err, ErrToken) {
			t.Errorf("%.20q: %+v, %v, want %v", text, got, err, ErrToken)
		}
	}
}

// TestTokenRefused makes no text of what would not be read.
func TestTokenRefused(t *testing.T) {
	long := strings.Repeat("x", 240) + ":4222"
	for _, tt := range []struct {
		name   string
		change func(*Token)
		want   string
	}{
		{"no role", func(k *Token) { k.Role = "" }, "no role"},
		{"the owner's role", func(k *Token) { k.Role = RoleOwner }, "no role"},
		{"the joiner's role", func(k *Token) { k.Role = RoleJoiner }, "no role"},
		{"a network without its genesis", func(k *Token) { k.Network = "dev" }, "network"},
		{"a coordinator with a dot", func(k *Token) { k.Coordinator = "a.b" }, "character"},
		{"no key", func(k *Token) { k.Key = "" }, "token: key"},
		{"an account's key", func(k *Token) { k.Key = accountKey(t) }, "token: key"},
		{"no seed", func(k *Token) { k.Seed = "" }, "token: seed"},
		{"no address", func(k *Token) { k.Addresses = nil }, "0 addresses"},
		{"nine addresses", func(k *Token) { k.Addresses = slicesOf("h:1", 9) }, "9 addresses"},
		{"an address without a port", func(k *Token) { k.Addresses = []string{"192.0.2.7"} }, "want HOST:PORT"},
		{"an address with a user", func(k *Token) { k.Addresses = []string{"u@h:1"} }, "want HOST:PORT"},
		{"an address with the name of a port", func(k *Token) { k.Addresses = []string{"h:http"} }, `address "h:http", want a port from 1 to 65535`},
		{"an address with port 0", func(k *Token) { k.Addresses = []string{"10.0.0.1:0"} }, `address "10.0.0.1:0", want a port from 1 to 65535`},
		{"an address with a port beyond the last", func(k *Token) { k.Addresses = []string{"h:65536"} }, `address "h:65536", want a port from 1 to 65535`},
		{"an address with an empty port", func(k *Token) { k.Addresses = []string{"h:"} }, "want a port from 1 to 65535"},
		{"an address with a signed port", func(k *Token) { k.Addresses = []string{"h:+1"} }, "want a port from 1 to 65535"},
		{"two addresses in one", func(k *Token) { k.Addresses = []string{"h:1,h:2"} }, "want HOST:PORT"},
		{"more than a token can hold", func(k *Token) { k.Addresses = slicesOf(long, 8) }, "too long addresses"},
		{"an expiry before 1970", func(k *Token) { k.Expires = time.Unix(-1, 0) }, "expiry"},
	} {
		token := testToken()
		tt.change(token)
		if text, err := token.Text(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %q, %v, want %q", tt.name, text, err, tt.want)
		}
	}
}

func slicesOf(text string, n int) (all []string) {
	for range n {
		all = append(all, text)
	}
	return all
}

func accountKey(t *testing.T) string {
	t.Helper()
	pair, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	key, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// FuzzToken reads any text as a token. What is read is written and read the same.
func FuzzToken(f *testing.F) {
	text, err := testToken().Text()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(text[:100])
	f.Add("jbc1-")
	f.Add("jbc1-AQ")
	f.Fuzz(func(t *testing.T, in string) {
		token, err := ParseToken(in)
		if err != nil {
			if !errors.Is(err, ErrToken) {
				t.Fatalf("%v, want %v", err, ErrToken)
			}
			return
		}
		again(t, token)
	})
}

// FuzzTokenBody reads any bytes as what a token's text stands for: those of
// FuzzToken rarely get past the checksum.
func FuzzTokenBody(f *testing.F) {
	text, err := testToken().Text()
	if err != nil {
		f.Fatal(err)
	}
	data, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(text, tokenPrefix))
	if err != nil {
		f.Fatal(err)
	}
	body := data[:len(data)-checksumBytes]
	f.Add(body)
	f.Add(body[:106])
	f.Add(append(bytes.Clone(body[:106]), 0, 0, 0))
	f.Add(append(bytes.Clone(body), 255))
	f.Fuzz(func(t *testing.T, in []byte) {
		token := new(Token)
		if token.decode(in) == nil && len(in) < 1000 {
			again(t, token)
		}
	})
}

func again(t *testing.T, token *Token) {
	t.Helper()
	text, err := token.Text()
	if err != nil {
		t.Fatalf("%+v was read and can't be written: %v", token, err)
	}
	got, err := ParseToken(text)
	if err != nil || !reflect.DeepEqual(got, token) {
		t.Fatalf("%+v is read again as %+v, %v", token, got, err)
	}
}
