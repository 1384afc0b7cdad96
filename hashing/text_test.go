package hashing

import (
	"bytes"
	"encoding"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
)

// text is a value that is written as text and read again.
type text[T any] interface {
	*T
	encoding.TextMarshaler
	encoding.TextUnmarshaler
	String() string
}

// readText checks that what is read from s is written as want, through JSON too,
// or that s is refused and the value left alone.
func readText[T comparable, P text[T]](t *testing.T, s, want string, ok bool) {
	t.Helper()
	var v, untouched T
	err := P(&v).UnmarshalText([]byte(s))
	if !ok {
		if err == nil || v != untouched {
			t.Errorf("%T reads %q as %v, error %v; want an error and no change", v, s, v, err)
		}
		return
	}
	if err != nil {
		t.Errorf("%T: %v", v, err)
		return
	}
	if got := P(&v).String(); got != want {
		t.Errorf("%T of %q prints %q", v, s, got)
	}
	encoded, err := json.Marshal(map[string]*T{"v": &v})
	if err != nil {
		t.Fatal(err)
	}
	var back map[string]T
	if err := json.Unmarshal(encoded, &back); err != nil || back["v"] != v {
		t.Errorf("%T %v comes back from %s as %v, error %v", v, v, encoded, back["v"], err)
	}
}

func TestTextForms(t *testing.T) {
	const genesisHash = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
	readText[Hash](t, genesisHash, genesisHash, true)
	readText[Hash](t, strings.ToUpper(genesisHash), genesisHash, true)
	readText[Target](t, genesisHash, genesisHash, true)
	readText[Header](t, realHeaders[0].header, realHeaders[0].header, true)
	readText[Bits](t, "1d00ffff", "1d00ffff", true)
	readText[Bits](t, "1D00FFFF", "1d00ffff", true)

	for _, bad := range []string{"", "0", genesisHash[1:], genesisHash + "0", genesisHash + "00", "g" + genesisHash[1:], "0x" + genesisHash[2:], " " + genesisHash[1:], genesisHash[:63] + "é"} {
		readText[Hash](t, bad, "", false)
		readText[Target](t, bad, "", false)
		readText[Header](t, bad, "", false)
		readText[Bits](t, bad, "", false)
	}
	for _, bad := range []string{"1d00fff", "01d00ffff", "+d00ffff", "-d00ffff", "0x1d00ff", "1d_0ffff", "        "} {
		readText[Bits](t, bad, "", false)
	}
	readText[Header](t, "zz"+realHeaders[0].header[2:], "", false)
}

func TestHashPrintsBackwards(t *testing.T) {
	h := Hash{0: 0x6f, 31: 0x01}
	if got, want := h.String(), "01"+strings.Repeat("00", 30)+"6f"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if h.IsZero() || !(Hash{}).IsZero() {
		t.Error("IsZero is wrong")
	}
}

func TestHeaderFields(t *testing.T) {
	genesis, err := ParseHeader(realHeaders[1].header)
	if err != nil {
		t.Fatal(err)
	}
	if genesis.Version() != 1 || genesis.Time() != 1305998791 || genesis.Bits() != 0x1a44b9f2 || genesis.Nonce() != 2504433986 ||
		genesis.Prev().String() != "00000000000008a3a41b85b8b29ad444def299fee21793cd8b9e567eab02cd81" ||
		genesis.MerkleRoot().String() != "2b12fcf1b09288fcaff797d71e950e71ae42b91e8bdb2304758dfcffc2b620e3" {
		t.Errorf("fields of block 125552: %08x %s %s %d %s %d", genesis.Version(), genesis.Prev(), genesis.MerkleRoot(), genesis.Time(), genesis.Bits(), genesis.Nonce())
	}
	var built Header
	built.SetVersion(genesis.Version())
	built.SetPrev(genesis.Prev())
	built.SetMerkleRoot(genesis.MerkleRoot())
	built.SetTime(genesis.Time())
	built.SetBits(genesis.Bits())
	built.SetNonce(genesis.Nonce())
	if built != genesis {
		t.Errorf("put together again: %s, want %s", built, genesis)
	}
}

func TestRollVersion(t *testing.T) {
	tests := []struct{ version, roll, want uint32 }{
		{0x20000000, 0, 0x20000000},
		{0x20000000, 1, 0x20002000},
		{0x20000000, 0xffff, 0x3fffe000},
		{0x3fffe000, 0, 0x20000000},
		{0xffffffff, 0, 0xe0001fff},
		{0x20000000, 0x10000, 0x20000000}, // only 16 bits count
		{0x00000001, 0x8000, 0x10000001},
	}
	for _, test := range tests {
		if got := RollVersion(test.version, test.roll); got != test.want {
			t.Errorf("RollVersion(%08x, %x) = %08x, want %08x", test.version, test.roll, got, test.want)
		}
	}
	rng := rand.New(rand.NewPCG(4, 1))
	for range 1000 {
		version, roll := rng.Uint32(), rng.Uint32()
		got := RollVersion(version, roll)
		if (got^version)&^VersionRollMask != 0 || got&VersionRollMask>>VersionRollShift != roll&(1<<VersionRollBits-1) {
			t.Fatalf("RollVersion(%08x, %x) = %08x", version, roll, got)
		}
	}
}

// fuzzText holds a parser to this: what it takes, it prints again, but for case.
func fuzzText[T comparable, P text[T]](f *testing.F, seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var v T
		if P(&v).UnmarshalText(data) != nil {
			return
		}
		written, err := P(&v).MarshalText()
		if err != nil || !bytes.EqualFold(written, data) {
			t.Fatalf("%q reads as %v and is written as %q, error %v", data, v, written, err)
		}
	})
}

func FuzzParseHash(f *testing.F)   { fuzzText[Hash](f, realHeaders[0].hash, "00") }
func FuzzParseHeader(f *testing.F) { fuzzText[Header](f, realHeaders[0].header, "00") }
func FuzzParseTarget(f *testing.F) { fuzzText[Target](f, realHeaders[0].hash, "00") }
func FuzzParseBits(f *testing.F)   { fuzzText[Bits](f, "1d00ffff", "0x1d00ff") }
