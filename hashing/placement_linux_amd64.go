//go:build linux && amd64 && !purego

package hashing

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// In about one process of a hundred a kernel of some 20 KB runs at a third to two
// thirds of its rate, for as long as the process lives: the physical pages that its
// code happens to lie in compete for the same places in the core's caches
// (docs/measurements.md). Other pages cure that.

// hugePage is the unit in which memory can come as one piece.
const hugePage = 2 << 20

// maxText is more than any kernel's code has.
const maxText = 256 << 10

// Replace moves the code of k's assembly to other pages of memory, at the same
// addresses: others may run it meanwhile. An error leaves it where it was.
func (k Kernel) Replace() error {
	for _, text := range k.text {
		from, to := text()
		page := uintptr(os.Getpagesize())
		if err := replaceText(from&^(page-1), (to+page-1)&^(page-1)); err != nil {
			return fmt.Errorf("kernel %s: other pages for its code: %w", k.Name, err)
		}
	}
	return nil
}

// replaceText puts a copy of the whole pages from..to in their place.
func replaceText(from, to uintptr) error {
	if to <= from || to-from > maxText {
		return fmt.Errorf("%d bytes of code at %#x", to-from, from)
	}
	size := to - from
	room, err := unix.MmapPtr(-1, 0, nil, 2*hugePage, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return err
	}
	defer unix.MunmapPtr(room, 2*hugePage) //nolint:errcheck // what is not moved away goes
	at := unsafe.Add(room, hugePage-uintptr(room)%hugePage)
	_ = unix.Madvise(unsafe.Slice((*byte)(at), hugePage), unix.MADV_HUGEPAGE) // small pages do as well, as a rule
	code := unsafe.Slice((*byte)(at), size)
	copy(code, unsafe.Slice((*byte)(textPointer(from)), size))
	if err := unix.Mprotect(code, unix.PROT_READ|unix.PROT_EXEC); err != nil {
		return err
	}
	_, err = unix.MremapPtr(at, size, textPointer(from), size, unix.MREMAP_MAYMOVE|unix.MREMAP_FIXED)
	return err
}

// textPointer makes a pointer of the address of code, which never moves and which
// no garbage collector looks after.
func textPointer(at uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&at)) }
