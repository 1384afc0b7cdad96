package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/btcsuite/btcd/wire/v2"
)

// measureImport takes real blocks from the one after genesis into an empty
// directory. The time runs from the opened chain until it is closed, so that what
// each side holds back from the disk is in it.
func measureImport(ctx context.Context, o *options) ([]Row, error) {
	path := o.file
	if path == "" {
		var err error
		if path, err = rivalFile(); err != nil {
			return nil, err
		}
	}
	blocks, err := readBlockFile(path)
	if err != nil {
		return nil, err
	}
	blocks = blocks[1:]
	inputs, err := countInputs(blocks)
	if err != nil {
		return nil, err
	}
	last := headerOf(blocks[len(blocks)-1]).Hash()

	metrics := []metric{
		{name: fmt.Sprintf("%d blocks", len(blocks)), unit: "blocks/s"},
		{name: fmt.Sprintf("%d inputs", inputs), unit: "inputs/s"},
	}
	return o.compare(ctx, "import", metrics, func(c contender, dir string) ([]float64, error) {
		n, err := c.open(dir, bitcoin, o.settings)
		if err != nil {
			return nil, err
		}
		start := time.Now()
		err = n.Import(blocks)
		if err == nil {
			err = expectTip(n, last, len(blocks))
		}
		if err := closeAfter(n, err); err != nil {
			return nil, err
		}
		seconds := time.Since(start).Seconds()
		return []float64{float64(len(blocks)) / seconds, float64(inputs) / seconds}, nil
	})
}

// countInputs returns how many outputs the blocks spend.
func countInputs(blocks [][]byte) (int, error) {
	spent := 0
	for i, raw := range blocks {
		var b wire.MsgBlock
		if err := b.Deserialize(bytes.NewReader(raw)); err != nil {
			return 0, fmt.Errorf("block %d: %w", i+1, err)
		}
		for _, tx := range b.Transactions[1:] {
			spent += len(tx.TxIn)
		}
	}
	return spent, nil
}
