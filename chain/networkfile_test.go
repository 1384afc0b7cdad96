package chain

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jbcnet/jbc/hashing"
)

// farmFile returns a network file that was made once and has to be read for good.
func farmFile(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/networks/farm.network.json")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// farm returns its network, spelled out.
func farm(t testing.TB) *Params {
	t.Helper()
	raw, err := hex.DecodeString(farmGenesis)
	if err != nil {
		t.Fatal(err)
	}
	genesis, err := DecodeBlock(raw)
	if err != nil {
		t.Fatal(err)
	}
	return &Params{
		Name: "farm", Genesis: genesis, PowLimit: 0x1e0fffff, Schedule: ScheduleASERT, Spacing: 30 * time.Second, HalfLife: 20 * time.Minute,
		InitialSubsidy: 50 * Coin, HalvingInterval: 210_000, Maturity: 100, MaxWeight: 4_000_000, VersionRolling: true,
		Address: &chaincfg.Params{Name: "farm", Bech32HRPSegwit: "farm", PubKeyHashAddrID: 105, ScriptHashAddrID: 107, PrivateKeyID: 233},
	}
}

// farmGenesis has the message "JBC farm 2026-11-20". Its output is OP_RETURN and
// the SHA-256 of [farmBirth].
const farmGenesis = "" +
	"00a005200000000000000000000000000000000000000000000000000000000000000000f8560f2c16c165960d5376de69c7dd4c75b3bcd3d5063633" +
	"970570506bb02c69808dff6affff0f1ec61000000102000000010000000000000000000000000000000000000000000000000000000000000000ffff" +
	"ffff1d134a4243206661726d20323032362d31312d323008610e5f4036860ca9ffffffff010000000000000000226a20d0f6911bb5ed7e7d56e1df87" +
	"0fc84e0cd51b1d06c3f368ee303f1ee7a61fe63f00000000"

const farmBirth = `jbc network 1
name farm
spacing_s 30
difficulty asert
half_life_s 1200
reward 50
halving_blocks 210000
maturity_blocks 100
pow_limit 1e0fffff
max_weight 4000000
bech32 farm
pubkey_hash 105
script_hash 107
private_key 233
`

// TestNetworkFile reads a file that was made before: what is in use must stay
// readable, to the same network.
func TestNetworkFile(t *testing.T) {
	data, want := farmFile(t), farm(t)
	got, err := ParseNetwork(data)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, want %+v", got, want)
	}
	if id := got.ID(); id != "farm-0ac3209b" {
		t.Errorf("id %s", id)
	}
	if text := string(got.birth()); text != farmBirth {
		t.Errorf("fixed at birth:\n%swant\n%s", text, farmBirth)
	}
	if message := GenesisMessage(got.Genesis); message != "JBC farm 2026-11-20" {
		t.Errorf("message %q", message)
	}
	if again, err := got.MarshalFile(); err != nil || !bytes.Equal(again, data) {
		t.Errorf("written as %s, %v, want %s", again, err, data)
	}
}

// TestNetworkFileRefused edits the file, one thing at a time.
func TestNetworkFileRefused(t *testing.T) {
	tests := []struct{ name, old, text, want string }{
		{"unknown field", `"format": 1`, `"format": 1, "fee": 3`, `unknown field "fee"`},
		{"field in capitals", `"name"`, `"NAME"`, `field "NAME": fields are written in lower case`},
		{"field in other letters", `"halving_blocks"`, "\"halving_bloc\u212as\"", "field \"halving_bloc\u212as\": fields are written in lower case"},
		{"field twice", `"format": 1`, `"format": 1, "spacing_s": 31`, `field "spacing_s" is there twice`},
		{"field twice, deep down", `"bech32": "farm"`, `"bech32": "farm", "bech32": "farm"`, `field "bech32" is there twice`},
		{"no JSON", `{`, `x`, `not JSON at byte 1: invalid character 'x' looking for beginning of value`},
		{"another document", "\n}\n", "\n}\n{}", "something follows the JSON document"},
		{"cut off", "\n}\n", "\n", "the JSON document ends too early"},
		{"a fraction", `"spacing_s": 30`, `"spacing_s": 30.5`, `field "spacing_s" can't be a number 30.5`},
		{"a negative", `"halving_blocks": 210000`, `"halving_blocks": -1`, `field "halving_blocks" can't be a number -1`},
		{"too wide", `"maturity_blocks": 100`, `"maturity_blocks": 4294967296`, `field "maturity_blocks" can't be a number 4294967296`},
		{"a number as text", `"spacing_s": 30`, `"spacing_s": "30"`, `field "spacing_s" can't be a string`},
		{"a prefix over a byte", `"pubkey_hash": 105`, `"pubkey_hash": 256`, `field "address.pubkey_hash" can't be a number 256`},
		{"later format", `"format": 1`, `"format": 2`, "format 2, this version reads 1"},
		{"no format", `"format": 1,`, ``, "format 0, this version reads 1"},
		{"name", `"name": "farm"`, `"name": "Farm"`, `network name "Farm": want 1 to 32 of a-z, 0-9 and -`},
		{"a name like an id", `"name": "farm"`, `"name": "farm-0ac3209b"`, `network name "farm-0ac3209b" looks like an id: want another end than - and 8 hex digits`},
		{"difficulty", `"asert"`, `"bitcoin"`, `difficulty "bitcoin": want asert or none`},
		{"spacing", `"spacing_s": 30`, `"spacing_s": 0`, "network farm: spacing 0s: want whole seconds, at least one"},
		{"half-life", `"half_life_s": 1200,`, ``, "network farm: half-life 0s: want whole seconds, at least one"},
		{"half-life without use", `"asert"`, `"none"`, "network farm: half-life 20m0s with a schedule that has none"},
		{"reward", `"reward": "50"`, `"reward": "fifty"`, `reward: amount "fifty": want coins, with at most 8 decimal places`},
		{"maturity", `"maturity_blocks": 100`, `"maturity_blocks": 0`, "maturity of 0 blocks: want 1 to 1000000"},
		{"limit", `"1e0fffff"`, `"3fffff"`, `pow_limit: bits "3fffff": want 8 hex digits`},
		{"limit with leading zeros", `"1e0fffff"`, `"20007fff"`, "pow limit 20007fff: write 1f7fff00"},
		{"limit that is none", `"1e0fffff"`, `"1fffffff"`, "network farm: genesis: "},
		{"harder than genesis", `"1e0fffff"`, `"1e0ffffe"`, "network farm: genesis: "},
		{"weight", `"max_weight": 4000000`, `"max_weight": 4000001`, "network farm: block weight of 4000001: want 4000 to 4000000"},
		{"small weight", `"max_weight": 4000000`, `"max_weight": 3999`, "network farm: block weight of 3999: want 4000 to 4000000"},
		{"no weight", `"max_weight": 4000000,`, ``, "max_weight is missing"},
		{"address prefix", `"bech32": "farm"`, `"bech32": "fa1rm"`, `address prefix "fa1rm": want 1 to 16 of a-z, 0 and 2-9, a letter first`},
		{"one prefix for two", `"script_hash": 107`, `"script_hash": 105`, "addresses of keys and of scripts both start with byte 105"},
		{"genesis", `"genesis": "`, `"genesis": "x`, "genesis is not hexadecimal"},
		{"genesis cut off", `00000000"`, `000000"`, "genesis: "},
		{"unworked genesis", `0f1ec6100000`, `0f1ec7100000`, "network farm: genesis: "},
		{"checkpoint height", `"format": 1`, `"format": 1, "checkpoints": {"07": "` + strings.Repeat("0", 63) + `1"}`, `checkpoint at "07": want a height`},
		{"checkpoint hash", `"format": 1`, `"format": 1, "checkpoints": {"7": "12"}`, "checkpoint 7: hash of 2 characters, want 64"},
		{"checkpoint of zero", `"format": 1`, `"format": 1, "checkpoints": {"7": "` + strings.Repeat("0", 64) + `"}`, "network farm: checkpoint 7 is zero"},
		{"checkpoint of genesis", `"format": 1`, `"format": 1, "checkpoints": {"0": "` + strings.Repeat("1", 64) + `"}`,
			"network farm: checkpoint 0 is " + strings.Repeat("1", 64) + ", the genesis block is 00000845f9d2191287eadfeeaa3a380b29d5a8be84c81bc0893bf9560ac3209b"},
		{"minimum work", `"format": 1`, `"format": 1, "minimum_work": "100"`, "minimum_work: work of 3 characters, want 64 hex digits"},
		{"too long", `{`, strings.Repeat(" ", MaxNetworkFile) + `{`, "more than 65536 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			data := strings.Replace(string(farmFile(t)), tt.old, tt.text, 1)
			if data == string(farmFile(t)) {
				t.Fatalf("no %q in the file", tt.old)
			}
			p, err := ParseNetwork([]byte(data))
			if err == nil || p != nil || !strings.HasPrefix(err.Error(), "network file: "+tt.want) {
				t.Errorf("%v, %v, want network file: %s", p, err, tt.want)
			}
			if strings.HasSuffix(tt.want, "genesis: ") && !errors.As(err, new(*RuleError)) {
				t.Errorf("%v, want a RuleError after %s", err, tt.want)
			}
		})
	}
}

// TestNetworkFileChanged changes each thing that is fixed at birth, to another that
// is right in itself.
func TestNetworkFileChanged(t *testing.T) {
	p := farm(t)
	p.PowLimit = 0x1f3fffff
	made, err := mined(t, p, func(*Block) {}).MarshalFile()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseNetwork(made); err != nil {
		t.Fatalf("unchanged: %v", err)
	}
	tests := []struct{ name, old, text string }{
		{"name", `"name": "farm"`, `"name": "firm"`},
		{"spacing", `"spacing_s": 30`, `"spacing_s": 31`},
		{"half-life", `"half_life_s": 1200`, `"half_life_s": 1201`},
		{"difficulty", "\"asert\",\n  \"half_life_s\": 1200", `"none"`},
		{"reward", `"reward": "50"`, `"reward": "50.00000001"`},
		{"halving", `"halving_blocks": 210000`, `"halving_blocks": 0`},
		{"maturity", `"maturity_blocks": 100`, `"maturity_blocks": 99`},
		{"weight", `"max_weight": 4000000`, `"max_weight": 3999999`},
		{"bech32 prefix", `"bech32": "farm"`, `"bech32": "firm"`},
		{"prefix of keys' addresses", `"pubkey_hash": 105`, `"pubkey_hash": 106`},
		{"prefix of scripts' addresses", `"script_hash": 107`, `"script_hash": 106`},
		{"prefix of keys", `"private_key": 233`, `"private_key": 232`},
	}
	for _, tt := range tests {
		data := strings.Replace(string(made), tt.old, tt.text, 1)
		if p, err := ParseNetwork([]byte(data)); p != nil || !errors.Is(err, ErrNetworkChanged) {
			t.Errorf("%s: %v, %v, want %v", tt.name, p, err, ErrNetworkChanged)
		}
	}
	easier := strings.Replace(string(made), `"1f3fffff"`, `"1f7fffff"`, 1)
	if p, err := ParseNetwork([]byte(easier)); p != nil || err == nil || err.Error() != "network file: genesis: want no parent, and the bits of pow_limit" {
		t.Errorf("an easier limit: %v, %v", p, err)
	}
}

// TestNetworkFileTrust adds what may be added later: it is the same network.
func TestNetworkFileTrust(t *testing.T) {
	p := farm(t)
	p.Checkpoints = map[uint32]hashing.Hash{0: p.Genesis.Hash(), 7: {1}, 4_294_967_295: {2}}
	p.MinimumWork, p.FinalityDepth = Work{1 << 40, 0, 0, 1}, 100
	data, err := p.MarshalFile()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseNetwork(data)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, p) || got.ID() != "farm-0ac3209b" {
		t.Errorf("%s: read %+v, want %+v", got.ID(), got, p)
	}
}

// TestMarshalFileRefuses what no file can tell.
func TestMarshalFileRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(p *Params)
		want   string
	}{
		{"a soft fork that waits", func(p *Params) { p.Forks.Taproot = 7 }, "version rolling is off, or soft forks wait for a height: a network file says neither"},
		{"no version rolling", func(p *Params) { p.VersionRolling = false }, "version rolling is off, or soft forks wait for a height: a network file says neither"},
		{"Bitcoin's schedule", func(p *Params) { p.Schedule, p.HalfLife = ScheduleBitcoin, 0 }, "schedule 2: want asert or none"},
		{"no genesis", func(p *Params) { p.Genesis = nil }, "network farm: no genesis block"},
		{"too many checkpoints", func(p *Params) {
			p.Checkpoints = map[uint32]hashing.Hash{}
			for height := range uint32(1000) {
				p.Checkpoints[1+height] = hashing.Hash{1}
			}
		}, "network file of "},
	}
	for _, tt := range tests {
		p := farm(t)
		tt.change(p)
		if _, err := p.MarshalFile(); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
	for _, p := range Networks() {
		if _, err := p.MarshalFile(); err == nil {
			t.Errorf("built-in %s was written to a file", p.Name)
		}
	}
}

// mined returns the network with a genesis block that was changed and mined again.
func mined(t *testing.T, p *Params, change func(b *Block)) *Params {
	t.Helper()
	b, err := NewGenesis(p, "hello", [8]byte{1}, 1_700_000_000)
	if err != nil {
		t.Fatal(err)
	}
	change(b)
	root, _ := hashing.MerkleRoot(b.ids())
	b.Header.SetMerkleRoot(root)
	for nonce := uint32(0); CheckProofOfWork(b.Hash(), b.Header.Bits(), p.PowLimit) != nil; nonce++ {
		b.Header.SetNonce(nonce)
	}
	p.Genesis = b
	return p
}

func TestNewGenesis(t *testing.T) {
	p := farm(t)
	p.Name, p.Schedule, p.HalfLife, p.MaxWeight, p.PowLimit = "still", ScheduleNone, 0, 5000, 0x207fffff
	data, err := mined(t, p, func(*Block) {}).MarshalFile()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseNetwork(data)
	if err != nil {
		t.Fatal(err)
	}
	if got.Schedule != ScheduleNone || got.MaxFuture() != 2*time.Hour || got.BlockWeight() != 5000 || GenesisMessage(got.Genesis) != "hello" || got.Genesis.Header.Time() != 1_700_000_000 {
		t.Errorf("read %+v", got)
	}
	one, err1 := NewGenesis(p, "hello", [8]byte{1}, 1_700_000_000)
	two, err2 := NewGenesis(p, "hello", [8]byte{2}, 1_700_000_000)
	if err1 != nil || err2 != nil || one.Hash() == two.Hash() {
		t.Errorf("two tags: %s, %v and %s, %v, want two blocks", one.Hash(), err1, two.Hash(), err2)
	}
}

func TestGenesisMessage(t *testing.T) {
	tests := []struct {
		script, want string
	}{
		{"\x05hello\x08\x00\x01\x02\x03\x04\x05\x06\x07", "hello"},
		{"\x05hello", "hello"},
		{"\x05hello\x01", ""},
		{"\x05hello\x00\x00", ""},
		{"\x05hel\x1b[", ""},
		{"\x06hello", ""},
	}
	for _, tt := range tests {
		b := &Block{Transactions: []*wire.MsgTx{coinbaseTx([]byte(tt.script), nil, 0)}}
		if got := GenesisMessage(b); got != tt.want {
			t.Errorf("script %q: %q, want %q", tt.script, got, tt.want)
		}
	}
	if got := GenesisMessage(Bitcoin().Genesis); got != "" {
		t.Errorf("bitcoin: %q", got)
	}
	if got := GenesisMessage(Dev().Genesis); got != "JBC dev 2026-11-20: a chain to try things on" {
		t.Errorf("dev: %q", got)
	}
}

// TestGenesisShape mines blocks that commit to the parameters and are of another
// shape than ours: a part that the hash does not tell could differ between nodes.
func TestGenesisShape(t *testing.T) {
	const shape = "genesis: want one transaction with one output and no witness"
	tests := []struct {
		name   string
		change func(b *Block)
		want   string
	}{
		{"two outputs", func(b *Block) {
			tx := b.Transactions[0]
			tx.TxOut = append(tx.TxOut, &wire.TxOut{PkScript: []byte{0x51}})
		}, shape},
		{"a witness", func(b *Block) { b.Transactions[0].TxIn[0].Witness = wire.TxWitness{{1}} }, shape},
		{"two transactions", func(b *Block) {
			b.Transactions = append(b.Transactions, &wire.MsgTx{
				TxIn: []*wire.TxIn{{PreviousOutPoint: wire.OutPoint{Index: 1}}}, TxOut: []*wire.TxOut{{PkScript: []byte{0x51}}},
			})
		}, shape},
		{"a parent", func(b *Block) { b.Header.SetPrev(hashing.Hash{1}) }, "genesis: want no parent, and the bits of pow_limit"},
		{"harder bits", func(b *Block) { b.Header.SetBits(0x1f1fffff) }, "genesis: want no parent, and the bits of pow_limit"},
		{"coins", func(b *Block) { b.Transactions[0].TxOut[0].Value = 1 }, "genesis: pays 1 units, want none"},
	}
	for _, tt := range tests {
		p := farm(t)
		p.PowLimit = 0x1f3fffff
		p = mined(t, p, tt.change)
		if err := p.Check(); err != nil {
			t.Errorf("%s: no network at all: %v", tt.name, err)
		}
		if _, err := p.MarshalFile(); err == nil || err.Error() != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
}

func TestNewGenesisRefuses(t *testing.T) {
	tests := []struct {
		name, message string
		change        func(p *Params)
		want          string
	}{
		{"no message", "", func(*Params) {}, `genesis message "": want 1 to 75 bytes of printable UTF-8`},
		{"a long message", strings.Repeat("é", 38), func(*Params) {}, `genesis message "` + strings.Repeat("é", 38) + `": want 1 to 75 bytes of printable UTF-8`},
		{"a message for terminals", "\x1b[2J", func(*Params) {}, `genesis message "\x1b[2J": want 1 to 75 bytes of printable UTF-8`},
		{"broken UTF-8", "a\xff", func(*Params) {}, `genesis message "a\xff": want 1 to 75 bytes of printable UTF-8`},
		{"a bad name", "x", func(p *Params) { p.Name = "" }, `network name "": want 1 to 32 of a-z, 0-9 and -`},
		{"a bad spacing", "x", func(p *Params) { p.Spacing = time.Millisecond }, "spacing 1ms: want whole seconds, at least one"},
		{"no prefix", "x", func(p *Params) { p.Address.Bech32HRPSegwit = "" }, `address prefix "": want 1 to 16 of a-z, 0 and 2-9, a letter first`},
	}
	for _, tt := range tests {
		p := farm(t)
		tt.change(p)
		if _, err := NewGenesis(p, tt.message, [8]byte{}, 0); err == nil || err.Error() != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
}

// FuzzParseNetwork reads any bytes: what is taken is a network that can be used,
// and is written and read again as the same.
func FuzzParseNetwork(f *testing.F) {
	f.Add(farmFile(f))
	f.Add([]byte(`{"format":1,"checkpoints":{"1":null},"address":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParseNetwork(data)
		if err != nil {
			if p != nil || strings.ContainsAny(err.Error(), "\n\r") {
				t.Fatalf("%v, error %q", p, err)
			}
			return
		}
		written, err := p.MarshalFile()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseNetwork(written)
		if err != nil || !reflect.DeepEqual(again, p) {
			t.Fatalf("%+v, %v, want %+v", again, err, p)
		}
	})
}

// FuzzNewGenesis makes networks of any parameters: one that can have a genesis
// block has a file, which is read as the same.
func FuzzNewGenesis(f *testing.F) {
	f.Add("farm", uint32(30), uint32(1200), int64(50*Coin), uint32(210_000), uint32(100), 4_000_000, "farm", byte(105), byte(107), byte(233), "hello", uint32(7), uint32(100), uint64(1))
	f.Add("still", uint32(1), uint32(0), int64(0), uint32(0), uint32(1), 4_000, "s", byte(0), byte(255), byte(0), "\u00e9", uint32(0), uint32(0), uint64(0))
	f.Fuzz(func(t *testing.T, name string, spacing, halfLife uint32, reward int64, halving, maturity uint32, weight int, prefix string,
		key, script, private byte, message string, height, finality uint32, work uint64) {
		p := &Params{
			Name: name, PowLimit: 0x207fffff, Schedule: ScheduleASERT, Spacing: time.Duration(spacing) * time.Second, HalfLife: time.Duration(halfLife) * time.Second,
			InitialSubsidy: reward, HalvingInterval: halving, Maturity: maturity, MaxWeight: weight, VersionRolling: true,
			Address:       &chaincfg.Params{Name: name, Bech32HRPSegwit: prefix, PubKeyHashAddrID: key, ScriptHashAddrID: script, PrivateKeyID: private},
			FinalityDepth: finality, MinimumWork: Work{work},
		}
		if halfLife == 0 {
			p.Schedule = ScheduleNone
		}
		var err error
		if p.Genesis, err = NewGenesis(p, message, [8]byte{}, height); err != nil {
			return
		}
		for nonce := uint32(0); CheckProofOfWork(p.Genesis.Hash(), p.PowLimit, p.PowLimit) != nil; nonce++ {
			p.Genesis.Header.SetNonce(nonce)
		}
		p.Checkpoints = map[uint32]hashing.Hash{height: p.Genesis.Hash()}
		data, err := p.MarshalFile()
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseNetwork(data)
		if weight == 0 { // in Params that is the default, and a file says it
			p.MaxWeight = MaxBlockWeight
		}
		if err != nil || !reflect.DeepEqual(got, p) {
			t.Fatalf("%+v, %v, want %+v", got, err, p)
		}
	})
}
