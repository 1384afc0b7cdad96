package protocol

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nkeys"
)

// Token is the line that is pasted on another machine to let it join: where the
// coordinator is, how to know it, and a secret that is good for one enrolment.
type Token struct {
	Network     string   // chain.Params.ID
	Coordinator string   // its name
	Key         string   // its public nkey, which signs what it says
	Addresses   []string // HOST:PORT, the likeliest first, 1 to 8
	// CA is the SHA-256 of the DER of the certificate that the server's chain ends
	// in. Nothing else about that chain needs to be trusted.
	CA      [sha256.Size]byte
	Role    Role
	Expires time.Time // in whole seconds
	// Seed is the nkey seed (SU...) that the joiner connects with. The
	// coordinator keeps its public key only.
	Seed string
}

const (
	tokenPrefix   = "jbc1-"
	tokenVersion  = 1
	maxTokenText  = 2048
	checksumBytes = 4
	maxExpiry     = 1 << 40 // unix seconds: a bound on nonsense
)

// MaxAddresses is how many a coordinator may be found at.
const MaxAddresses = 8

// ErrToken says that a text is no token, or not a whole one.
var ErrToken = errors.New("not a whole token")

var tokenRoles = []Role{RoleWorker, RoleCoordinator, RoleObserver}

// Text returns the token as one word without quotes, spaces or characters that a
// shell or a chat would change: "jbc1-", then base64url of a version byte, role,
// expiry (seconds, 64-bit big-endian), CA fingerprint, coordinator key and seed (32
// raw bytes each), network, name and addresses (each a length byte and text),
// and four bytes of the SHA-256 of all that, so that a bad paste is noticed.
func (t *Token) Text() (string, error) {
	var b bytes.Buffer
	role := -1
	for i, r := range tokenRoles {
		if r == t.Role {
			role = i
		}
	}
	key, err := nkeys.Decode(nkeys.PrefixByteUser, []byte(t.Key))
	if err != nil {
		return "", fmt.Errorf("token: key: %w", err)
	}
	_, seed, err := nkeys.DecodeSeed([]byte(t.Seed))
	if err != nil {
		return "", fmt.Errorf("token: seed: %w", err)
	}
	if err := t.check(); err != nil {
		return "", err
	}
	if s := t.Expires.Unix(); s < 0 || s > maxExpiry {
		return "", fmt.Errorf("token: expiry %v", t.Expires)
	}
	b.WriteByte(tokenVersion)
	b.WriteByte(byte(role))
	b.Write(binary.BigEndian.AppendUint64(nil, uint64(t.Expires.Unix())))
	b.Write(t.CA[:])
	b.Write(key)
	b.Write(seed)
	for _, text := range append([]string{t.Network, t.Coordinator}, t.Addresses...) {
		b.WriteByte(byte(len(text)))
		b.WriteString(text)
	}
	sum := sha256.Sum256(b.Bytes())
	b.Write(sum[:checksumBytes])
	text := tokenPrefix + base64.RawURLEncoding.EncodeToString(b.Bytes())
	if len(text) > maxTokenText {
		return "", fmt.Errorf("token of %d characters, at most %d: too many or too long addresses", len(text), maxTokenText)
	}
	return text, nil
}

// ParseToken reads a token's text, spaces and line breaks around it or in it let
// pass. The error wraps [ErrToken].
func ParseToken(text string) (*Token, error) {
	text = strings.Join(strings.Fields(text), "")
	rest, ok := strings.CutPrefix(text, tokenPrefix)
	if !ok || len(text) > maxTokenText {
		return nil, fmt.Errorf("%w: want one that starts with %s", ErrToken, tokenPrefix)
	}
	data, err := base64.RawURLEncoding.DecodeString(rest)
	if err != nil || len(data) <= checksumBytes {
		return nil, fmt.Errorf("%w: characters are missing or wrong", ErrToken)
	}
	body, sum := data[:len(data)-checksumBytes], data[len(data)-checksumBytes:]
	if want := sha256.Sum256(body); !bytes.Equal(sum, want[:checksumBytes]) {
		return nil, fmt.Errorf("%w: characters are missing or wrong", ErrToken)
	}
	t := &Token{}
	if err := t.decode(body); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrToken, err)
	}
	return t, nil
}

func (t *Token) decode(body []byte) error {
	const fixed = 1 + 1 + 8 + 3*32
	if len(body) < fixed || body[0] != tokenVersion || int(body[1]) >= len(tokenRoles) {
		return errors.New("made by another version of jbc")
	}
	t.Role = tokenRoles[body[1]]
	seconds := binary.BigEndian.Uint64(body[2:])
	if seconds > maxExpiry {
		return fmt.Errorf("expiry %d", seconds)
	}
	t.Expires = time.Unix(int64(seconds), 0)
	copy(t.CA[:], body[10:])
	key, err := nkeys.Encode(nkeys.PrefixByteUser, body[42:74])
	if err != nil {
		return err
	}
	seed, err := nkeys.EncodeSeed(nkeys.PrefixByteUser, body[74:fixed])
	if err != nil {
		return err
	}
	t.Key, t.Seed = string(key), string(seed)
	var texts []string
	for rest := body[fixed:]; len(rest) > 0; {
		n := int(rest[0])
		if n >= len(rest) {
			return errors.New("a text is cut short")
		}
		texts = append(texts, string(rest[1:1+n]))
		rest = rest[1+n:]
	}
	if len(texts) < 3 {
		return errors.New("no address")
	}
	t.Network, t.Coordinator, t.Addresses = texts[0], texts[1], texts[2:]
	return t.check()
}

func (t *Token) check() error {
	if err := CheckRole(t.Role); err != nil {
		return err
	}
	if err := CheckName(t.Coordinator); err != nil {
		return err
	}
	if !IsNetworkID(t.Network) {
		return fmt.Errorf("network %.60q", t.Network)
	}
	if len(t.Addresses) == 0 || len(t.Addresses) > MaxAddresses {
		return fmt.Errorf("%d addresses, want 1 to %d", len(t.Addresses), MaxAddresses)
	}
	for _, a := range t.Addresses {
		if err := checkAddress(a); err != nil {
			return err
		}
	}
	return nil
}

// checkAddress wants HOST:PORT, short, with a port that can be dialled and without
// anything that a URL would read as more than that.
func checkAddress(a string) error {
	host, port, err := net.SplitHostPort(a)
	if err != nil || host == "" || len(a) > 255 || strings.ContainsAny(a, "/@?#, %\\\"") {
		return fmt.Errorf("address %.60q, want HOST:PORT", a)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("address %.60q, want a port from 1 to 65535", a)
	}
	return nil
}
