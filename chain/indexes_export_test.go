package chain

// SetIndexBatch bounds what a batch of a build has, in bytes.
func (c *Chain) SetIndexBatch(n int) { c.indexes.batch = n }
