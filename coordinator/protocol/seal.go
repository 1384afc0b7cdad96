package protocol

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"

	"github.com/nats-io/nats.go"
)

// MACHeader is the NATS header that holds the MAC of what a slot says: all that a
// worker asks but to join. See [MAC].
const MACHeader = "Jbc-Mac"

// sealContext keeps a slot's MAC from being taken for one of another purpose.
const sealContext = "jbc.v1\nask\n"

// MAC returns the value of [MACHeader] for a request's payload: HMAC-SHA-256 under
// the slot's secret over "jbc.v1", a line feed, "ask", a line feed and the payload,
// in base64 without padding. The payload names the kind of the request.
func MAC(secret, payload []byte) string {
	return base64.RawStdEncoding.EncodeToString(mac(secret, payload))
}

// Sealed says whether header is what [MAC] makes of the payload under secret.
func Sealed(secret []byte, header string, payload []byte) bool {
	got, err := base64.RawStdEncoding.Strict().DecodeString(header)
	return err == nil && hmac.Equal(got, mac(secret, payload))
}

func mac(secret, payload []byte) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(sealContext))
	h.Write(payload)
	return h.Sum(nil)
}

// Seal sets the MAC of a request.
func Seal(request *nats.Msg, secret []byte) {
	if request.Header == nil {
		request.Header = nats.Header{}
	}
	request.Header.Set(MACHeader, MAC(secret, request.Data))
}
