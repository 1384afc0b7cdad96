package coordinator

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// Keys of the coordinator's records.
var (
	epochKey  = []byte("epoch") // 8 bytes, big-endian: the last epoch
	jobPrefix = []byte("job/")  // then epoch and number, 8 bytes big-endian each
)

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

// jobRecord is a job as it is kept for the next start.
type jobRecord struct {
	Job      protocol.Job `json:"job"`
	Template []byte       `json:"template"` // chain.Template.Encode
}

func jobKey(id protocol.JobID) []byte {
	key := append([]byte(nil), jobPrefix...)
	key = binary.BigEndian.AppendUint64(key, id.Epoch)
	return binary.BigEndian.AppendUint64(key, id.Number)
}

// keepJob stores a job before it is announced, so that a solution of it can be
// taken by the next start too, and forgets those that are over. It does not wait
// for the disk: kill -9 loses nothing that was written, and a power loss takes
// the workers of this machine along.
func keepJob(st *store.Store, started *job, dropped []*job) error {
	value, err := json.Marshal(jobRecord{Job: started.Job, Template: started.template.Encode()})
	if err != nil {
		return fmt.Errorf("job %s: %w", started.JobID, err)
	}
	b := st.NewBatch()
	b.Set(store.Coordinator, jobKey(started.JobID), value)
	for _, old := range dropped {
		b.Delete(store.Coordinator, jobKey(old.JobID))
	}
	_, err = b.Apply()
	return err
}

// restoreJobs returns the jobs of earlier starts that can still be solved, oldest
// first. One that can't be read any more is left out: it is no part of the chain.
func restoreJobs(st *store.Store) ([]*job, error) {
	var kept []*job
	err := st.Iterate(store.Coordinator, jobPrefix, func(_, value []byte) error {
		var record jobRecord
		if err := json.Unmarshal(value, &record); err != nil || record.Job.Validate() != nil {
			return nil
		}
		template, err := chain.DecodeTemplate(record.Template)
		if err != nil {
			return nil
		}
		kept = append(kept, restoredJob(record.Job, template))
		return nil
	})
	if n := len(kept) - keptJobs; n > 0 {
		kept = kept[n:]
	}
	return kept, err
}

// randomTag makes a job's coinbase unlike that of any other job.
func randomTag() (tag [8]byte) {
	rand.Read(tag[:]) // never fails
	return tag
}

// randomSecret returns the key of a slot's MACs.
func randomSecret() []byte {
	secret := make([]byte, 32)
	rand.Read(secret) // never fails
	return secret
}
