package protocol

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

// TestMAC pins the MAC of a slot's request. The vector was made with openssl:
//
//	printf 'jbc.v1\nask\n{"kind":"leave"}' | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef -binary | base64
func TestMAC(t *testing.T) {
	const want = "SdinpScqvpzXRPgomxmxqSUxIGjtAgybJmbP0O//6bQ"
	if got := MAC([]byte("0123456789abcdef0123456789abcdef"), []byte(`{"kind":"leave"}`)); got != want {
		t.Errorf("MAC = %s, want %s", got, want)
	}
}

// TestSealed takes a request apart whose MAC is good.
func TestSealed(t *testing.T) {
	secret, payload := []byte("0123456789abcdef0123456789abcdef"), Encode(&Current{Ask: Ask{KindCurrent, 2}})
	good := MAC(secret, payload)
	raw, err := base64.RawStdEncoding.DecodeString(good)
	if err != nil {
		t.Fatal(err)
	}
	raw[31] ^= 1
	altered := base64.RawStdEncoding.EncodeToString(raw)
	loose := good[:42] + string(rune(good[42]+1)) // the last digit's low bits stand for nothing
	for _, tt := range []struct {
		name    string
		secret  string
		header  string
		payload string
		want    bool
	}{
		{"as sealed", string(secret), good, string(payload), true},
		{"another slot's secret", "another secret of thirty-two byt", good, string(payload), false},
		{"no secret", "", good, string(payload), false},
		{"payload altered", string(secret), good, strings.Replace(string(payload), "2", "3", 1), false},
		{"payload cut short", string(secret), good, string(payload[:len(payload)-1]), false},
		{"payload longer", string(secret), good, string(payload) + " ", false},
		{"no payload", string(secret), good, "", false},
		{"MAC altered", string(secret), altered, string(payload), false},
		{"MAC written another way", string(secret), loose, string(payload), false},
		{"MAC cut short", string(secret), good[:len(good)-4], string(payload), false},
		{"padded", string(secret), good + "=", string(payload), false},
		{"not base64", string(secret), "%%%", string(payload), false},
		{"no MAC", string(secret), "", string(payload), false},
	} {
		if got := Sealed([]byte(tt.secret), tt.header, []byte(tt.payload)); got != tt.want {
			t.Errorf("%s: Sealed = %v, want %v", tt.name, got, tt.want)
		}
	}
	request := &nats.Msg{Data: payload}
	if Seal(request, secret); request.Header.Get(MACHeader) != good {
		t.Errorf("Seal sets %q, want %q", request.Header.Get(MACHeader), good)
	}
}
