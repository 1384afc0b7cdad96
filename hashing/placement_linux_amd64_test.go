//go:build linux && amd64 && !purego

package hashing

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
)

// backing returns what the kernel says lies behind an address: a file's path, or
// nothing for memory of its own.
func backing(t *testing.T, at uintptr) string {
	t.Helper()
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var from, to uintptr
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x", &from, &to); err == nil && from <= at && at < to {
			fields := strings.Fields(lines.Text())
			if fields[1] != "r-xp" {
				t.Errorf("code at %#x is mapped %s, want r-xp", at, fields[1])
			}
			return strings.Join(fields[5:], " ")
		}
	}
	t.Fatalf("nothing is mapped at %#x", at)
	return ""
}

// TestReplace moves kernels' code while others run it.
func TestReplace(t *testing.T) {
	for _, k := range Kernels() {
		if len(k.text) == 0 || !k.Supported() {
			continue
		}
		t.Run(k.Name, func(t *testing.T) {
			from, to := k.text[0]()
			if from >= to || to-from > maxText {
				t.Fatalf("code from %#x to %#x", from, to)
			}
			// A page that is shared may have gone with another kernel.
			if middle := (from + to) / 2 &^ 4095; from <= middle && middle+4096 <= to && backing(t, middle) == "" {
				t.Fatal("moved before")
			}
			s := NewSearch(Header{}, []uint32{1, 2, 3}, MaxTarget)
			stop := make(chan struct{})
			var others sync.WaitGroup
			for range 2 {
				others.Go(func() {
					hits := make([]Hit, 3*64)
					for {
						select {
						case <-stop:
							return
						default:
						}
						if done, found := k.Scan(&s, 7, 64, hits); done != 64 || found != 3*64 {
							t.Errorf("scan of code that moves: %d done, %d found", done, found)
							return
						}
					}
				})
			}
			for range 3 {
				if err := k.Replace(); err != nil {
					t.Fatal(err)
				}
			}
			close(stop)
			others.Wait()
			for at := from; at < to; at += 4096 {
				if file := backing(t, at); file != "" && file != "[anon]" {
					t.Errorf("code at %#x still lies in %s", at, file)
				}
			}
		})
	}
}

func TestReplaceRefusesWhatIsNoCode(t *testing.T) {
	if err := replaceText(8192, 4096); err == nil {
		t.Error("pages that end before they begin were moved")
	}
	if err := replaceText(4096, 4096+2*maxText); err == nil {
		t.Error("more pages than any kernel has were moved")
	}
}
