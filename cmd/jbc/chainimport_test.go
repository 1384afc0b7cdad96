package main

import (
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/jbcnet/jbc/chain"
)

// realBlocks is a block file with Bitcoin's first 2,016, packed by bzip2.
func realBlocks(t *testing.T) string {
	path, err := filepath.Abs("../../chain/testdata/vectors/blockfiles/mainnet_0_2015.blk.bz2")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func readBzip2(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(bzip2.NewReader(file))
}

// unbzip2 unpacks a file:
//
//	unbzip2 blocks.bz2 blocks
func unbzip2(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: unbzip2 from to")
	}
	data, err := readBzip2(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), data, 0o600))
}

// endless is a reader that, after what it has, waits for ever. It calls dry then.
type endless struct {
	r   io.Reader
	dry func()
}

func (e *endless) Read(p []byte) (int, error) {
	if n, _ := e.r.Read(p); n > 0 {
		return n, nil
	}
	e.dry()
	select {}
}

// TestCtrlCEndsAnImport cancels, as Ctrl-C does, while standard input has no more for
// now. What was imported is kept, and the next import goes on.
func TestCtrlCEndsAnImport(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	data, err := readBzip2(realBlocks(t))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	status, out, errs := runImport(ctx, &endless{bytes.NewReader(data), cancel}, dir)
	if status != exitInterrupted || !strings.HasPrefix(errs, "jbc: interrupted: the tip is at height ") {
		t.Errorf("exit status %d, standard error %q", status, errs)
	}
	first := regexp.MustCompile(`^imported  ([0-9]+) blocks, .* 1 known before\ntip       ([0-9]+)  `).FindStringSubmatch(out)
	if first == nil || first[1] != first[2] || first[1] == "0" {
		t.Fatalf("standard output: %s", out)
	}
	status, out, errs = runImport(t.Context(), bytes.NewReader(data), dir)
	if status != exitOK || errs != "" || !strings.Contains(out, "\ntip       2015  ") {
		t.Errorf("exit status %d, standard error %q, standard output %s", status, errs, out)
	}
	if strings.HasPrefix(out, "imported  2015 ") {
		t.Errorf("it began anew: %s", out)
	}
}

// TestCtrlCLeavesNothingBehind cancels what makes files: none of them stays.
func TestCtrlCLeavesNothingBehind(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	dir, out := t.TempDir(), t.TempDir()
	if status := run(t.Context(), []string{"chain", "import", "--network", "bitcoin", "--data-dir", dir, realBlocks(t)}, t.Output(), t.Output()); status != exitOK {
		t.Fatalf("import: exit status %d", status)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"verify"}, "jbc: interrupted while verifying blocks: no damage was found so far\n"},
		{[]string{"export", filepath.Join(out, "blocks.dat")}, "jbc: interrupted: nothing was written to " + filepath.Join(out, "blocks.dat") + "\n"},
		{[]string{"export", "--json", out}, "jbc: interrupted: 0 of 2016 blocks are in " + out + "\njbc: hint: the same command goes on from there\n"},
	} {
		var errs bytes.Buffer
		status := run(ctx, append([]string{"chain"}, append(tt.args, "--network", "bitcoin", "--data-dir", dir, "--log-level", "warn")...), t.Output(), &errs)
		if status != exitInterrupted || errs.String() != tt.want {
			t.Errorf("%v: exit status %d, standard error %q, want %q", tt.args, status, errs.String(), tt.want)
		}
	}
	for path, want := range map[string]int{dir: 1, out: 0} {
		if entries, err := os.ReadDir(path); err != nil || len(entries) != want {
			t.Errorf("%s has %v, %v, want %d entries", path, entries, err, want)
		}
	}
}

// runImport runs jbc chain import on standard input.
func runImport(ctx context.Context, in io.Reader, dir string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	s := &shell{out: &out, err: &errs, environ: os.Environ()}
	root := newRoot(s)
	root.SetIn(in)
	root.SetArgs([]string{"chain", "import", "-", "--network", "bitcoin", "--data-dir", dir, "--log-level", "warn"})
	status = report(&errs, root.ExecuteContext(ctx))
	return status, out.String(), errs.String()
}

func TestUnpacked(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write([]byte("blocks")); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	bzipped, err := os.ReadFile(realBlocks(t))
	if err != nil {
		t.Fatal(err)
	}
	magic := chain.Bitcoin().Magic()
	for _, tt := range []struct {
		name  string
		data  string
		magic [4]byte
		want  string
	}{
		{"plain", "blocks", magic, "blocks"},
		{"empty", "", magic, ""},
		{"gzip", packed.String(), magic, "blocks"},
		{"a magic like gzip's", packed.String(), [4]byte(packed.Bytes()), packed.String()},
		{"not quite bzip2", "BZh9 and so on", magic, "BZh9 and so on"},
		{"bzip2", string(bzipped), magic, "\xf9\xbe\xb4\xd9"},
	} {
		r, err := unpacked(strings.NewReader(tt.data), tt.magic)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		got, err := io.ReadAll(r)
		if err != nil || !strings.HasPrefix(string(got), tt.want) || len(got) != len(tt.want) && tt.name != "bzip2" {
			t.Errorf("%s: %.40q, %v, want %.40q", tt.name, got, err, tt.want)
		}
	}
}

func TestBlockFilesForgetWhatPassed(t *testing.T) {
	f := &blockFiles{}
	for i := range int64(10) {
		f.add(blockPlace{file: "f", offset: i})
	}
	f.passed(4)
	f.passed(7)
	for n, want := range map[int]string{6: ", byte 0", 7: "f, byte 7", 9: "f, byte 9", 10: ", byte 0"} {
		if got := f.place(n).String(); got != want {
			t.Errorf("after %d blocks: %q, want %q", n, got, want)
		}
	}
	if len(f.after) != 3 {
		t.Errorf("%d places are kept, want 3", len(f.after))
	}
}

func TestDescribeChainWork(t *testing.T) {
	p := chain.ImportProgress{Blocks: 900, Known: 100, Height: 1234}
	for _, tt := range []struct{ got, want string }{
		{describeImport(p, 25<<20, 100<<20, 10*time.Second), "[#####...............]  25.0 %  30s left  height 1234  100/s blocks"},
		{describeImport(p, 25<<20, 0, 10*time.Second), "25.0 MiB  height 1234  100/s blocks"},
		{describeImport(p, 100<<20, 100<<20, 10*time.Second), "[####################] 100.0 %  height 1234  100/s blocks"},
		{bar(0, 10, time.Second), "[....................]   0.0 %"},
		{bar(11, 10, time.Second), "[####################] 100.0 %"},
		{describeVerify(&stageProgress{chain.VerifyProgress{Stage: chain.VerifyScripts, Done: 1, Total: 2}, time.Unix(0, 0)}, time.Unix(60, 0)),
			"[##########..........]  50.0 %  1m0s left  verifying scripts"},
		{describeVerify(&stageProgress{chain.VerifyProgress{Stage: chain.VerifyOutputs}, time.Unix(0, 0)}, time.Unix(60, 0)), "verifying unspent outputs"},
	} {
		if tt.got != tt.want {
			t.Errorf("got  %q\nwant %q", tt.got, tt.want)
		}
	}
}
