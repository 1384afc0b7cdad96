package coordinator

import (
	"encoding/binary"
	"errors"

	"github.com/jbcnet/jbc/chain/store"
)

// epochKey holds the last epoch, 8 bytes, big-endian.
var epochKey = []byte("epoch")

// nextEpoch returns a number that no earlier start of this coordinator had. It is
// on the disk when the call returns.
func nextEpoch(st *store.Store) (uint64, error) {
	last, err := st.Get(store.Coordinator, epochKey)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return 0, err
	}
	var epoch uint64 = 1
	if len(last) == 8 {
		epoch = binary.BigEndian.Uint64(last) + 1
	}
	b := st.NewBatch()
	b.Set(store.Coordinator, epochKey, binary.BigEndian.AppendUint64(nil, epoch))
	pending, err := b.Apply()
	if err != nil {
		return 0, err
	}
	return epoch, pending.Wait()
}
