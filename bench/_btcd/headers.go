package main

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"time"

	"github.com/jbcnet/jbc/hashing"
)

// measureHeaders lets each side judge a chain of headers and keep it in its index,
// in memory, and weighs that: the heap in use when what waited for the disk has
// gone there, less that of a chain of the same side without any headers.
func measureHeaders(ctx context.Context, o *options) ([]Row, error) {
	headers := headerChain(o.headers)
	metrics := []metric{
		{name: fmt.Sprintf("%d headers", len(headers)), unit: "headers/s"},
		{name: "its index in memory", unit: "bytes/header", less: true},
	}
	return o.compare(ctx, "headers", metrics, func(c contender, dir string) ([]float64, error) {
		_, empty, err := o.judgeHeaders(c, filepath.Join(dir, "empty"), nil)
		if err != nil {
			return nil, err
		}
		took, full, err := o.judgeHeaders(c, filepath.Join(dir, "full"), headers)
		if err != nil {
			return nil, err
		}
		count := float64(len(headers))
		return []float64{count / took.Seconds(), float64(full-empty) / count}, nil
	})
}

// judgeHeaders returns how long a side takes to judge headers, and the heap in use
// when its chain has been closed and still has them.
func (o *options) judgeHeaders(c contender, dir string, headers []hashing.Header) (took time.Duration, heap int64, err error) {
	n, err := c.open(dir, regtest, o.settings)
	if err != nil {
		return 0, 0, err
	}
	start := time.Now()
	tip, height, err := n.Headers(headers)
	took = time.Since(start)
	if err == nil && len(headers) > 0 {
		if want := headers[len(headers)-1].Hash(); tip != want || int(height) != len(headers) {
			err = fmt.Errorf("headers end at %s, height %d, want %s at %d", tip, height, want, len(headers))
		}
	}
	if err := closeAfter(n, err); err != nil {
		return 0, 0, err
	}
	heap = heapInUse()
	runtime.KeepAlive(n)
	return took, heap, nil
}

// heapInUse returns the bytes of what is reachable.
func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what had a finaliser goes the second time
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
