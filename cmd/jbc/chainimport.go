package main

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/hashing"
)

func newChainImport(s *shell) *cobra.Command {
	var f chainDirFlags
	cmd := &cobra.Command{
		Use:   "import FILE...",
		Short: "Take in the blocks of block files",
		Long: "Take in the blocks of block files, as jbc chain export and Bitcoin's nodes write them,\n" +
			"parents before children; gzip and bzip2 are seen through, \"-\" is standard input. Every\n" +
			"block is judged by all rules, scripts on all cores. Blocks that are there already are\n" +
			"passed over: an import that ended early goes on when it is started again. No\n" +
			"coordinator may use the directory meanwhile.",
		Example: "  jbc chain import --network bitcoin blocks.dat\n  ssh farm jbc chain export - | jbc chain import -",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError(errors.New("no block file"), "usage: "+cmd.UseLine())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.importFiles(cmd, s, args) },
	}
	f.add(cmd)
	return cmd
}

func (f *chainDirFlags) importFiles(cmd *cobra.Command, s *shell, names []string) (err error) {
	ctx := cmd.Context()
	params, err := f.params()
	if err != nil {
		return err
	}
	files := &blockFiles{params: params, names: names, stdin: cmd.InOrStdin(), stop: ctx.Done()}
	if err := files.measure(); err != nil {
		return err
	}
	dir, err := f.make(s, params)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()

	var did chain.ImportProgress
	var latest atomic.Pointer[chain.ImportProgress]
	latest.Store(&chain.ImportProgress{Height: dir.chain.Tip().Height})
	begin := time.Now()
	describe := func(elapsed time.Duration) string {
		return describeImport(*latest.Load(), files.read.Load(), files.total, elapsed)
	}
	failed := s.showWork(describe, func() (err error) {
		did, err = dir.chain.Import(ctx, files.blocks(), time.Now(), func(p chain.ImportProgress) {
			latest.Store(&p)
			files.passed(p.Blocks + p.Known)
		})
		return err
	})
	elapsed := time.Since(begin)
	tip := dir.chain.Tip()
	fmt.Fprintf(s.out, "imported  %d blocks, %s, in %v (%s), %d known before\ntip       %d  %s\n",
		did.Blocks, about(did.Bytes), elapsed.Round(time.Millisecond), perSecond(int64(did.Blocks+did.Known), elapsed), did.Known, tip.Height, tip.Hash)
	return explainImport(failed, files, did.Blocks+did.Known, dir.chain)
}

// describeImport is the status line of an import.
func describeImport(p chain.ImportProgress, read, total int64, elapsed time.Duration) string {
	text := fmt.Sprintf("height %d  %s blocks", p.Height, perSecond(int64(p.Blocks+p.Known), elapsed))
	if b := bar(read, total, elapsed); b != "" {
		return b + "  " + text
	}
	return about(read) + "  " + text
}

// explainImport says of what ended an import where it happened, after so many
// blocks, and what to try.
func explainImport(err error, files *blockFiles, after int, ch *chain.Chain) error {
	var (
		file   *chain.BlockFileError
		rule   *chain.RuleError
		orphan *chain.OrphanError
	)
	tip := ch.Tip()
	kept := fmt.Sprintf("what came before is imported, the tip is at height %d", tip.Height)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return withHint(fmt.Errorf("%w: the tip is at height %d", errInterrupted, tip.Height), "the same command goes on from there")
	case errors.As(err, new(*chain.MagicError)):
		return withHint(err, "--network says which network the blocks are of; "+kept)
	case errors.As(err, new(*chain.CutError)):
		return withHint(err, kept+"; import the whole file to go on from there")
	case errors.As(err, &file):
		return withHint(err, kept)
	case errors.As(err, &rule):
		return withHint(fmt.Errorf("%s: %w", files.place(after).describe(rule, ch), err),
			fmt.Sprintf("docs/consensus.md has rule %d; %s", ruleOf(rule), kept))
	case errors.As(err, &orphan):
		return withHint(fmt.Errorf("%s: %w", files.place(after), err), "a block file has parents before their children; "+kept)
	}
	return explainStore(err)
}

// ruleOf returns the rule that was broken first.
func ruleOf(e *chain.RuleError) chain.Rule {
	for e.Cause != nil {
		e = e.Cause
	}
	return e.Rule
}

// blockFiles reads block files one after the other, and remembers where the blocks
// are that nobody has judged yet.
type blockFiles struct {
	params *chain.Params
	names  []string
	stdin  io.Reader
	stop   <-chan struct{}
	total  int64        // bytes of all, 0 where that is not known
	read   atomic.Int64 // bytes of them

	mu    sync.Mutex
	first int // number of the first place
	after []blockPlace
}

// blockPlace is where a block file has a block.
type blockPlace struct {
	file   string
	offset int64
	header []byte // 80 bytes, fewer where there are no more
}

func (p blockPlace) String() string { return fmt.Sprintf("%s, byte %d", p.file, p.offset) }

// describe names a block that broke a rule, by its height where that is known and
// the rule does not say it.
func (p blockPlace) describe(rule *chain.RuleError, ch *chain.Chain) string {
	text := p.String()
	if len(p.header) < hashing.HeaderSize {
		return fmt.Sprintf("%s: a block of %d bytes breaks rule %d", text, len(p.header), ruleOf(rule))
	}
	header := hashing.Header(p.header)
	text += fmt.Sprintf(": block %s", header.Hash())
	if parent, ok := ch.Lookup(header.Prev()); ok && rule.Height == 0 {
		text += fmt.Sprintf(" at height %d", parent.Height+1)
	}
	return fmt.Sprintf("%s breaks rule %d", text, ruleOf(rule))
}

// measure looks at every file before anything is done with one.
func (f *blockFiles) measure() error {
	known := true
	for _, name := range f.names {
		if name == "-" {
			known = false
			continue
		}
		info, err := os.Stat(name)
		if err == nil && info.IsDir() {
			err = fmt.Errorf("%s is a directory", name)
		}
		if err != nil {
			return usageError(fmt.Errorf("block file: %w", err), "name block files, or - for standard input")
		}
		known = known && info.Mode().IsRegular()
		f.total += info.Size()
	}
	if !known {
		f.total = 0
	}
	return nil
}

// blocks returns the blocks of all files.
func (f *blockFiles) blocks() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, name := range f.names {
			if !f.blocksOf(name, yield) {
				return
			}
		}
	}
}

// blocksOf says whether another file may follow.
func (f *blockFiles) blocksOf(name string, yield func([]byte, error) bool) (more bool) {
	in, err := f.open(name)
	if err != nil {
		yield(nil, err)
		return false
	}
	defer in.Close()
	if name == "-" {
		name = "standard input"
	}
	plain, err := unpacked(&counter{r: in, n: &f.read}, f.params.Magic())
	if err != nil {
		yield(nil, fmt.Errorf("%s: %w", name, err))
		return false
	}
	offset := int64(0)
	for raw, err := range f.params.ReadBlocks(plain) {
		if err != nil {
			yield(nil, fmt.Errorf("%s: %w", name, err))
			return false
		}
		f.add(blockPlace{file: name, offset: offset, header: bytes.Clone(raw[:min(len(raw), hashing.HeaderSize)])})
		if !yield(raw, nil) {
			return false
		}
		offset += chain.RecordHead + int64(len(raw))
	}
	return true
}

// open opens a file. What may make a reader wait, as a pipe does, is read until
// stop is closed.
func (f *blockFiles) open(name string) (io.ReadCloser, error) {
	if name == "-" {
		return stoppableInput(f.stop, f.stdin), nil
	}
	if info, err := os.Stat(name); err != nil || info.Mode().IsRegular() {
		return os.Open(name)
	}
	return &stoppable{stop: f.stop, open: func() (io.ReadCloser, error) { return os.Open(name) }}, nil
}

func (f *blockFiles) add(p blockPlace) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.after = append(f.after, p)
}

// passed forgets where the first n blocks are.
func (f *blockFiles) passed(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.after = append([]blockPlace(nil), f.after[n-f.first:]...)
	f.first = n
}

// place returns where the block after the first n is.
func (f *blockFiles) place(n int) blockPlace {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n -= f.first; n < 0 || n >= len(f.after) {
		return blockPlace{}
	}
	return f.after[n]
}

// unpacked returns what a file holds, of one that gzip or bzip2 packed too. Blocks of
// the network begin with its magic, whatever that looks like.
func unpacked(r io.Reader, magic [4]byte) (io.Reader, error) {
	in := bufio.NewReaderSize(r, 256<<10)
	head, err := in.Peek(10)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, err
	case bytes.HasPrefix(head, magic[:]):
		return in, nil
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b, 8}):
		return gzip.NewReader(in)
	case bytes.HasPrefix(head, []byte("BZh")) && len(head) == 10 && string(head[4:]) == "1AY&SY":
		return bzip2.NewReader(in), nil
	}
	return in, nil
}

// counter counts what is read through it.
type counter struct {
	r io.Reader
	n *atomic.Int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// stoppable reads until stop is closed. Nothing can end an open or a read that waits:
// it is left behind, and ends with the process.
type stoppable struct {
	stop <-chan struct{}
	open func() (io.ReadCloser, error)
	once sync.Once
	data chan []byte
	err  error // set before data is closed
	rest []byte
}

// stoppableInput reads r, which stays open, until stop is closed.
func stoppableInput(stop <-chan struct{}, r io.Reader) *stoppable {
	return &stoppable{stop: stop, open: func() (io.ReadCloser, error) { return io.NopCloser(r), nil }}
}

func (s *stoppable) Read(p []byte) (int, error) {
	s.once.Do(func() {
		s.data = make(chan []byte)
		go s.run()
	})
	for len(s.rest) == 0 {
		select {
		case data, ok := <-s.data:
			if !ok {
				return 0, s.err
			}
			s.rest = data
		case <-s.stop:
			return 0, context.Canceled
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// Close leaves what was opened to run.
func (*stoppable) Close() error { return nil }

func (s *stoppable) run() {
	defer close(s.data)
	r, err := s.open()
	if err != nil {
		s.err = err
		return
	}
	defer r.Close()
	for {
		buf := make([]byte, 64<<10)
		n, err := r.Read(buf)
		select {
		case s.data <- buf[:n]:
		case <-s.stop:
			return
		}
		if err != nil {
			s.err = err
			return
		}
	}
}
