package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// chainOf is a source whose blocks are letters, each on the one before it.
type chainOf struct {
	letters string
	asked   int
	change  func(c *chainOf) // before an answer, may be nil
}

func (c *chainOf) header(height uint32) (h hashing.Header) {
	if height > 0 {
		before := c.header(height - 1)
		h.SetPrev(before.Hash())
	}
	h.SetNonce(uint32(c.letters[height]))
	return h
}

func (c *chainOf) tip(context.Context) (chain.Ref, error) {
	height := uint32(len(c.letters) - 1)
	h := c.header(height)
	return chain.Ref{Hash: h.Hash(), Height: height}, nil
}

func (c *chainOf) block(_ context.Context, height uint32) (*protocol.BlockInfo, error) {
	if c.asked++; c.change != nil {
		c.change(c)
	}
	if int(height) >= len(c.letters) {
		return nil, nil
	}
	h := c.header(height)
	return &protocol.BlockInfo{Height: height, Hash: h.Hash(), Header: h, Prev: h.Prev(), Miner: c.letters[height : height+1]}, nil
}

// letters is what a folder has from a height on, with ? for a hole.
func letters(t *testing.T, f *blockFolder, from uint32) string {
	t.Helper()
	entries, err := os.ReadDir(f.path)
	if err != nil {
		t.Fatal(err)
	}
	out := ""
	for height := from; len(out) < len(entries); height++ {
		b, _, ok, err := f.read(height)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			out += "?"
			continue
		}
		out += b.Miner
	}
	return out
}

// TestFollower lets a chain grow, shrink and be reorganised, with the follower there
// and away.
func TestFollower(t *testing.T) {
	tests := []struct {
		name   string
		from   uint32
		before string // what a follower had written before, which is gone
		chains []string
		want   string
		asked  int // blocks, at most, in the last step
	}{
		{"from nothing", 0, "", []string{"abcd"}, "abcd", 4},
		{"growing", 0, "", []string{"ab", "abcd"}, "abcd", 3},
		{"nothing new", 0, "", []string{"abcd", "abcd"}, "abcd", 0},
		{"reorganised", 0, "", []string{"abcd", "abxyz"}, "abxyz", 6},
		{"reorganised to as many", 0, "", []string{"abcd", "abcx"}, "abcx", 3},
		{"reorganised to fewer", 0, "", []string{"abcdefg", "abx"}, "abx", 4},
		{"reorganised down to the first", 0, "", []string{"abcd", "xyz"}, "xyz", 6},
		{"shorter", 0, "", []string{"abcd", "ab"}, "ab", 1},
		{"going on", 0, "abcd", []string{"abcdef"}, "abcdef", 3},
		{"going on after a reorganisation", 0, "abcd", []string{"abxyz"}, "abxyz", 6},
		{"going on where it is longer", 0, "abcdefg", []string{"abx"}, "abx", 4},
		{"from a height", 2, "", []string{"abcd", "abcxyz"}, "cxyz", 5},
		{"from a height that is not there", 9, "", []string{"abcd"}, "", 0},
		{"reorganised below the first height", 2, "", []string{"abcd", "xyzuv"}, "zuv", 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			folder, err := openFolder(t.TempDir(), "letters-00000000")
			if err != nil {
				t.Fatal(err)
			}
			if tt.before != "" {
				gone := &follower{folder: folder, from: tt.from, source: &chainOf{letters: tt.before}}
				if err := gone.catchUp(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			source := &chainOf{}
			fw := &follower{folder: folder, from: tt.from, source: source}
			for _, text := range tt.chains {
				source.letters, source.asked = text, 0
				if err := fw.catchUp(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if got := letters(t, folder, tt.from); got != tt.want {
				t.Errorf("the folder has %q, want %q", got, tt.want)
			}
			if source.asked > tt.asked {
				t.Errorf("%d blocks asked for, want at most %d", source.asked, tt.asked)
			}
		})
	}
}

// TestFollowerIsOvertaken reorganises the chain between two answers, at every place.
func TestFollowerIsOvertaken(t *testing.T) {
	for at := 1; at <= 7; at++ {
		folder, err := openFolder(t.TempDir(), "letters-00000000")
		if err != nil {
			t.Fatal(err)
		}
		source := &chainOf{letters: "abcdefg", change: func(c *chainOf) {
			if c.asked == at {
				c.letters = "abxyz"
			}
		}}
		fw := &follower{folder: folder, source: source}
		for range 2 {
			if err := fw.catchUp(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if got := letters(t, folder, 0); got != "abxyz" {
			t.Errorf("overtaken at answer %d: the folder has %q, want abxyz", at, got)
		}
	}
}

// TestFollowerMendsAHalfWayFolder finds a folder whose follower was killed on its way to
// another branch, which has lost meanwhile.
func TestFollowerMendsAHalfWayFolder(t *testing.T) {
	folder, err := openFolder(t.TempDir(), "letters-00000000")
	if err != nil {
		t.Fatal(err)
	}
	main, branch := &chainOf{letters: "abcdefg"}, &chainOf{letters: "abx"}
	if err := (&follower{folder: folder, source: main}).catchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	b, _ := branch.block(t.Context(), 2)
	other := summaryJSON(folder.network, b)
	if wrote, err := folder.put(&other); !wrote || err != nil {
		t.Fatal(wrote, err)
	}
	if got := letters(t, folder, 0); got != "abxdefg" {
		t.Fatalf("the folder has %q, want abxdefg", got)
	}
	if err := (&follower{folder: folder, source: main}).catchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := letters(t, folder, 0); got != "abcdefg" {
		t.Errorf("the folder has %q, want abcdefg", got)
	}
}

// TestFolder keeps what is not its own, and what is known better.
func TestFolder(t *testing.T) {
	folder, err := openFolder(filepath.Join(t.TempDir(), "new"), "letters-00000000")
	if err != nil {
		t.Fatal(err)
	}
	source := &chainOf{letters: "abcd"}
	fw := &follower{folder: folder, source: source}
	for name, text := range map[string]string{"00000007.json": "mine", "notes.json": "{}", "9.json": "{}", "00000008.txt": "x"} {
		if err := os.WriteFile(filepath.Join(folder.path, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := fw.catchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if entries, _ := os.ReadDir(folder.path); len(entries) != 8 {
		t.Errorf("%d files, want 4 blocks and 4 others: %v", len(entries), entries)
	}

	whole, _, _, _ := folder.read(1)
	whole.Transactions = []txJSON{{Inputs: []inputJSON{}, Outputs: []outputJSON{}}}
	if wrote, err := folder.put(&whole); !wrote || err != nil {
		t.Errorf("a block with transactions in the place of one without: written %v, %v", wrote, err)
	}
	if wrote, err := folder.put(&whole); wrote || err != nil {
		t.Errorf("the same again: written %v, %v", wrote, err)
	}
	if err := (&follower{folder: folder, source: source}).catchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b, _, _, _ := folder.read(1); b.Transactions == nil {
		t.Error("a follower took a block's transactions away")
	}

	summary, _ := source.block(t.Context(), 1)
	poorer := summaryJSON(folder.network, summary)
	if wrote, err := folder.put(&poorer); wrote || err != nil {
		t.Errorf("a block without transactions in the place of one with them: written %v, %v", wrote, err)
	}

	// A file that is half there is written anew.
	if err := os.Truncate(folder.file(2), 100); err != nil {
		t.Fatal(err)
	}
	if err := (&follower{folder: folder, source: source}).catchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b, _, ok, _ := folder.read(2); !ok || b.Miner != "c" {
		t.Errorf("a file that was cut short: %+v", b)
	}

	other, err := openFolder(folder.path, "numbers-00000000")
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%s is a block of network %q, not %q", folder.file(0), "letters-00000000", "numbers-00000000")
	if err := (&follower{folder: other, source: &chainOf{letters: "x"}}).catchUp(t.Context()); err == nil || err.Error() != want {
		t.Errorf("another network's folder: %v, want %s", err, want)
	}
	if err := other.cut(1); err == nil || !strings.Contains(err.Error(), "is a block of network") {
		t.Errorf("cutting another network's folder: %v", err)
	}
	if got := letters(t, folder, 0); !strings.HasPrefix(got, "abcd") {
		t.Errorf("another network's folder has %q now, want abcd", got)
	}
}

// failing gives no answer.
type failing struct{ chainOf }

var errAway = errors.New("away")

func (*failing) tip(context.Context) (chain.Ref, error) { return chain.Ref{}, &askError{errAway} }

func TestFollowerWithoutAnswer(t *testing.T) {
	folder, err := openFolder(t.TempDir(), "letters-00000000")
	if err != nil {
		t.Fatal(err)
	}
	err = (&follower{folder: folder, source: &failing{}}).catchUp(t.Context())
	if !errors.Is(err, errAway) || !errors.As(err, new(*askError)) {
		t.Errorf("error %v of type %T, want that of the source", err, err)
	}
}
