package main

import (
	"bytes"
	"compress/bzip2"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jbcnet/jbc/chain"
)

// The script that block 9 of Bitcoin pays to, and the first payment between people.
const (
	hal        = "script:410411db93e1dcdb8a016b49840f8c53bc1eb68a382e97b1482ecad7b148a6909a5cb2e0eaddfb84ccf9744464f82e160bfa9b8b64f9d4c03f999b8643f656b412a3ac"
	firstSpend = "f4184fc596403b9d638783cf57adfe4c75c605f6356fbc91338530e9831e9e16"
)

// realChain makes a data directory with the first 2,016 blocks of Bitcoin, whose
// indexes were never built.
func realChain(t *testing.T) (dir string) {
	t.Helper()
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	dir = t.TempDir()
	file, err := os.Open(filepath.Join("..", "..", "chain", "testdata", "vectors", "blockfiles", "mainnet_0_2015.blk.bz2"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	data, err := openDataDir(dir, chain.Bitcoin(), chain.Options{})
	if err != nil {
		t.Fatal(err)
	}
	blocks := chain.Bitcoin().ReadBlocks(bzip2.NewReader(file))
	if _, err := data.chain.Import(t.Context(), blocks, time.Now(), nil); err != nil {
		t.Fatal(err)
	}
	if err := data.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// jbcChain runs a chain command on a directory of Bitcoin's network.
func jbcChain(ctx context.Context, dir, command string) (status int, out, errs string) {
	var stdout, stderr bytes.Buffer
	args := append([]string{"chain"}, strings.Fields(command)...)
	status = run(ctx, append(args, "--network", "bitcoin", "--data-dir", dir), &stdout, &stderr)
	return status, stdout.String(), stderr.String()
}

// TestChainIndexCommands asks for real transactions and scripts: without an index,
// when it was built, and when it was dropped.
func TestChainIndexCommands(t *testing.T) {
	dir := realChain(t)
	tests := []struct {
		command string
		status  int
		out     []string // lines of standard output, all of them where it is one
		err     string   // standard error begins with it
	}{
		{"index", 0, []string{"tx not built", "address not built"}, ""},
		{"tx " + firstSpend, 1, nil, "jbc: index tx is at height 0, the tip at 2015\njbc: hint: jbc chain index --tx builds it\n"},
		{"address " + hal, 1, nil, "jbc: index address is at height 0, the tip at 2015\njbc: hint: jbc chain index --address builds it\n"},
		{"index --tx", 0, []string{"tx at the tip, height 2015", "address not built"}, ""},
		{"index --address", 0, []string{"tx at the tip, height 2015", "address at the tip, height 2015"}, ""},
		{"tx " + firstSpend, 0, []string{
			"height 170, transaction 1 of the block", "confirmations 1846", "size 275 bytes, weight 1100", "fee 0",
			"input 0 50 " + hal + " 0437cd7f8525ceed2324359c2d0ba26006d92d856a9c20fa0241106ee5a597c9:0",
			"output 1 40 " + hal,
		}, ""},
		{"tx 4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b", 0, []string{"height 0, transaction 0 of the block", "input 0 coinbase"}, ""},
		{"tx " + strings.Repeat("0", 64), 1, nil, "jbc: no transaction " + strings.Repeat("0", 64) + " on the main chain\n"},
		{"tx 12", 2, nil, "jbc: transaction \"12\": hash of 2 characters, want 64 hex digits\n"},
		{"address " + hal + " --limit 2", 0, []string{
			"balance 18 in 1 outputs, of which 0 can't be spent yet",
			"248 +18 828ef3b079f9c23829c56fe86e85b4a69d9e06e5b54ea597eef5fb3ffef509fe output 1",
			"248 -28 828ef3b079f9c23829c56fe86e85b4a69d9e06e5b54ea597eef5fb3ffef509fe input 0",
			"there is more: --after 248:1:in:0",
		}, ""},
		{"address " + hal + " --after 170:1:in:0", 0, []string{"9 +50 0437cd7f8525ceed2324359c2d0ba26006d92d856a9c20fa0241106ee5a597c9 output 0"}, ""},
		{"address " + hal + " --unspent", 0, []string{"248 18 828ef3b079f9c23829c56fe86e85b4a69d9e06e5b54ea597eef5fb3ffef509fe:1"}, ""},
		{"address script:6a", 0, []string{"balance 0 in 0 outputs, of which 0 can't be spent yet"}, ""},
		{"address script:6", 2, nil, "jbc: script \"6\": "},
		{"address 1zzz", 2, nil, "jbc: address \"1zzz\": not an address of this network"},
		{"address " + hal + " --after 170", 2, nil, "jbc: place \"170\": want one as in 170:1:in:0\n"},
		{"address " + hal + " --after 170:1:up:0", 2, nil, "jbc: place \"170:1:up:0\": want one as in 170:1:in:0\n"},
		{"address " + hal + " --unspent --after 170", 2, nil, "jbc: place \"170\": want the id of a transaction and a number, with a colon\n"},
		{"address " + hal + " --limit 0", 2, nil, "jbc: limit 0: want 1 to 1000\n"},
		{"index --tx --drop tx", 2, nil, "jbc: index tx is to be built and to be dropped\n"},
		{"index --drop address", 0, []string{"tx at the tip, height 2015", "address not built"}, ""},
		{"address " + hal, 1, nil, "jbc: index address is at height 0, the tip at 2015\n"},
		{"index --drop blocks", 2, nil, "jbc: invalid argument \"blocks\" for \"--drop\" flag: no index \"blocks\"; there are tx, address\n"},
	}
	for _, tt := range tests {
		t.Run(tt.command, func(t *testing.T) {
			status, out, errs := jbcChain(t.Context(), dir, tt.command)
			if status != tt.status || !strings.HasPrefix(errs, tt.err) || tt.err == "" && errs != "" {
				t.Errorf("exit status %d, want %d; standard error %q, want %q", status, tt.status, errs, tt.err)
			}
			var lines []string
			for line := range strings.Lines(out) {
				lines = append(lines, strings.Join(strings.Fields(line), " "))
			}
			for _, want := range tt.out {
				if !slices.Contains(lines, want) {
					t.Errorf("no line %q in %q", want, lines)
				}
			}
		})
	}
}

// TestChainAddressPages reads a history in JSON, a line at a time, both ways.
func TestChainAddressPages(t *testing.T) {
	dir := realChain(t)
	if status, _, errs := jbcChain(t.Context(), dir, "index --address"); status != 0 {
		t.Fatal(errs)
	}
	page := func(flags string) (r addressReport) {
		status, out, errs := jbcChain(t.Context(), dir, "address "+hal+" --json "+flags)
		if err := json.Unmarshal([]byte(out), &r); err != nil || status != 0 {
			t.Fatalf("%s: exit status %d, %v: %s", flags, status, err, errs)
		}
		return r
	}
	all := page("--oldest-first").History
	if len(all) != 11 || all[0].Height != 9 || all[10].Value != 18*chain.Coin {
		t.Fatalf("history %+v, want 11 events from height 9 on", all)
	}
	for _, order := range []string{"", " --oldest-first"} {
		var got []addressEvent
		for after := ""; ; {
			r := page("--limit 1" + after + order)
			got = append(got, r.History...)
			if r.Next == "" {
				break
			}
			after = " --after " + r.Next
		}
		if order == "" {
			slices.Reverse(got)
		}
		if !slices.Equal(got, all) {
			t.Errorf("pages%s: %+v, want %+v", order, got, all)
		}
	}
}

// TestChainIndexInterrupted cancels, as Ctrl-C does, before the first batch.
func TestChainIndexInterrupted(t *testing.T) {
	dir := realChain(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	status, _, errs := jbcChain(ctx, dir, "index --tx")
	if status != exitInterrupted || !strings.HasPrefix(errs, "jbc: interrupted: index tx is at height 0\njbc: hint: the same command goes on from there\n") {
		t.Errorf("exit status %d, want %d; standard error %q", status, exitInterrupted, errs)
	}
}
