//go:build linux

package farm

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/hashing"
)

// smithy makes blocks at any times, on networks whose difficulty follows them too, and
// keeps them in memory.
type smithy struct {
	*chain.Chain
	t      *testing.T
	kernel hashing.Kernel
	made   uint64 // blocks so far: what one smithy makes another makes too, from the same count on
}

func newSmithy(t *testing.T, params *chain.Params) *smithy {
	t.Helper()
	st, err := store.Open(store.Options{Dir: "smithy", Network: params.ID(), FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	c, err := chain.Open(st, params, chain.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &smithy{Chain: c, t: t, kernel: hashing.BestKernel()}
}

// grow makes n blocks on top of each other and returns the last one's hash. The first
// is one spacing after its parent, each other one spacing after the one before; with
// a spacing of zero they are as close as the rules allow, in chain time.
func (s *smithy) grow(on hashing.Hash, n int, spacing time.Duration) hashing.Hash {
	s.t.Helper()
	parent, ok := s.Lookup(on)
	if !ok {
		s.t.Fatalf("no block %s", on)
	}
	at := time.Unix(int64(parent.Header.Time()), 0)
	for range n {
		at = at.Add(spacing)
		on = s.next(on, at)
	}
	return on
}

func (s *smithy) next(on hashing.Hash, at time.Time) hashing.Hash {
	s.t.Helper()
	if parent, _ := s.Lookup(on); at.Unix() <= int64(parent.MedianTime) {
		at = time.Unix(int64(parent.MedianTime)+1, 0)
	}
	s.made++
	opts := chain.TemplateOptions{PayScript: []byte{0x51}, Miner: "smithy"}
	binary.BigEndian.PutUint64(opts.Tag[:], s.made)
	template, err := s.TemplateOn(on, at, opts)
	if err != nil {
		s.t.Fatal(err)
	}
	header := template.Header(0, template.Time)
	search := hashing.NewSearch(header, []uint32{header.Version()}, template.Target())
	var hits [64]hashing.Hit
	for first := uint64(0); ; first += 1 << 12 {
		if first >= 1<<32 {
			s.t.Fatalf("no nonce for bits %s", template.Bits)
		}
		if _, found := s.kernel.Scan(&search, uint32(first), 1<<12, hits[:]); found > 0 {
			break
		}
	}
	header.SetNonce(hits[0].Nonce)
	did, err := s.Accept(template.Block(header, 0), at)
	if err != nil {
		s.t.Fatal(err)
	}
	return did.Hash
}

// write puts the chain that ends with a block into a block file.
func (s *smithy) write(tip hashing.Hash) (path string) {
	s.t.Helper()
	e, ok := s.Lookup(tip)
	raw := make([][]byte, e.Height)
	for ; ok && e.Height > 0; e, ok = s.Lookup(e.Header.Prev()) {
		var err error
		if raw[e.Height-1], err = s.RawBlock(e.Hash); err != nil {
			s.t.Fatal(err)
		}
	}
	path = filepath.Join(s.t.TempDir(), "blocks.dat")
	file, err := os.Create(path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer file.Close()
	for _, b := range raw {
		if err := s.Params().WriteBlock(file, b); err != nil {
			s.t.Fatal(err)
		}
	}
	return path
}

// network makes a private network with jbc network new and returns its file, too.
func (f *farm) network(t *testing.T, name string, flags ...string) (file string, params *chain.Params) {
	t.Helper()
	file = filepath.Join(f.home, name+".network.json")
	if _, errs, status := f.run(t, append([]string{"network", "new", name, "--output", file}, flags...)...); status != 0 {
		t.Fatalf("network new: status %d: %s", status, errs)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if params, err = chain.ParseNetwork(data); err != nil {
		t.Fatal(err)
	}
	return file, params
}
