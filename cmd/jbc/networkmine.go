package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/hashing"
	"github.com/jbcnet/jbc/worker"
)

// make mines the genesis block, writes the file and says how to go on.
func (f *networkNewFlags) make(ctx context.Context, s *shell, p *chain.Params, genesis *chain.Block) error {
	path, err := f.path(p.Name)
	if err != nil {
		return err
	}
	if err := mineGenesis(ctx, s, genesis); err != nil {
		return err
	}
	p.Genesis = genesis
	data, err := p.MarshalFile()
	if err != nil {
		return err
	}
	if err := writeNew(path, data); err != nil {
		return withHint(fmt.Errorf("network file: %w", err), "choose another place with --output")
	}
	if f.json {
		return s.printNetwork(p, true)
	}
	if !isNetworkFile(path) {
		path = "./" + path // else it would be taken for a name
	}
	_, err = fmt.Fprintf(s.out, "%s: network %s, first block %s\n\n"+
		"Give the file to every machine that keeps the chain, and start:\n"+
		"  jbc coordinator --network %[1]s --mine\n"+
		"  jbc worker --network %[2]s\n"+
		"  jbc status --network %[2]s\n", path, p.ID(), genesis.Hash())
	return err
}

// writeNew writes a file that must not be there yet, and leaves none where it can't.
func writeNew(path string, data []byte) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644) //nolint:gosec // G302: there is nothing secret in it, and others are to read it
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		_ = os.Remove(path) // a part of it is of no use
	}
	return err
}

// errMined ends a sweep that found what it was for.
var errMined = errors.New("mined")

// mineGenesis finds a nonce and, of the version's rollable bits, a value with which
// the block meets its own bits, on all cores.
func mineGenesis(ctx context.Context, s *shell, b *chain.Block) error {
	target, err := b.Header.Bits().Target()
	if err != nil {
		return err
	}
	versions, err := rollVersions(b.Header.Version(), 1<<hashing.VersionRollBits)
	if err != nil {
		return err
	}
	m, err := newMining(0, "")
	if err != nil {
		return err
	}
	m.choose(s.log)
	w := &sweep{header: b.Header, target: target, versions: versions, count: allNonces, hasher: cores{m}}
	mined := false
	w.hit = func(h hashing.Header) error {
		if !mined { // threads may find several before they stop
			b.Header, mined = h, true
		}
		return errMined
	}
	err = watchGenesis(s, w, target.Hashes(), func() error { return w.run(ctx) })
	switch {
	case errors.Is(err, errMined):
		return nil
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%w: no first block after %d hashes, and no file written", errInterrupted, w.done.Load())
	case err != nil:
		return err
	}
	return withHint(fmt.Errorf("no first block in %d hashes", w.total()), "run the command again for another attempt, or with fewer --hashes")
}

// watchGenesis runs work and shows from the first second on how far it is: in a line
// at the bottom of a terminal, now and then in the log anywhere else.
func watchGenesis(s *shell, w *sweep, expected float64, work func() error) error {
	line, onTerminal := s.err.(*statusLine)
	if onTerminal {
		defer line.Clear()
	}
	begin, ended := time.Now(), make(chan error, 1)
	go func() { ended <- work() }()
	timer := time.NewTimer(statusEvery)
	defer timer.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case now := <-timer.C:
			text := describeGenesis(w.done.Load(), expected, now.Sub(begin))
			if onTerminal {
				line.Show(text)
				timer.Reset(statusEvery)
				continue
			}
			s.log.Info(text)
			timer.Reset(firstReport)
		}
	}
}

// describeGenesis says how far the search is. It has no end: what was tried makes no
// difference to what is left.
func describeGenesis(done uint64, expected float64, elapsed time.Duration) string {
	rate := float64(done) / elapsed.Seconds()
	usual := time.Duration(min(expected/max(rate, 1), (1<<30)) * float64(time.Second))
	return fmt.Sprintf("mining the first block: %.2g of about %.2g hashes  %s  usually %s in all",
		float64(done), expected, worker.Rate(rate), usual.Round(time.Second))
}
