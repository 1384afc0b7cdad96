package coordinator

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

// jobRecord is a job as it is kept for the next start.
type jobRecord struct {
	Job      protocol.Job `json:"job"`
	Template []byte       `json:"template"` // chain.Template.Encode
}

// jobFile names a job's file so that names sort as jobs were made.
func jobFile(dir string, id protocol.JobID) string {
	return filepath.Join(dir, fmt.Sprintf("%016x-%016x", id.Epoch, id.Number))
}

// keepJob writes a job into a file of its own before it is announced, so that a
// solution of it can be taken by the next start too, and forgets those that are
// over. The file is not synced: kill -9 loses nothing that the kernel has, and a
// power loss takes the workers of this machine along. The store would not do: what
// is applied there waits in the process's memory for the sync of the block before,
// and the farm has the job meanwhile.
func keepJob(dir string, started *job, dropped []*job) error {
	value, err := json.Marshal(jobRecord{Job: started.Job, Template: started.template.Encode()})
	if err != nil {
		return fmt.Errorf("job %s: %w", started.JobID, err)
	}
	if err := os.WriteFile(jobFile(dir, started.JobID), value, 0o600); err != nil {
		return &store.FailedError{Dir: dir, Op: "write job " + started.JobID.String(), Err: err}
	}
	for _, old := range dropped {
		_ = os.Remove(jobFile(dir, old.JobID)) // restoreJobs removes what is left over
	}
	return nil
}

// restoreJobs returns the jobs of earlier starts that can still be solved, oldest
// first. One that can't be read any more is left out: it is no part of the chain.
func restoreJobs(dir string) ([]*job, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	files, err := os.ReadDir(dir) // sorted
	if err != nil {
		return nil, err
	}
	files = slices.DeleteFunc(files, func(f os.DirEntry) bool { return !f.Type().IsRegular() })
	if n := len(files) - keptJobs; n > 0 {
		for _, old := range files[:n] {
			_ = os.Remove(filepath.Join(dir, old.Name()))
		}
		files = files[n:]
	}
	var kept []*job
	for _, file := range files {
		path := filepath.Join(dir, file.Name())
		value, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		j, err := decodeJob(value)
		if err != nil {
			_ = os.Remove(path)
			continue
		}
		kept = append(kept, j)
	}
	return kept, nil
}

func decodeJob(value []byte) (*job, error) {
	var record jobRecord
	if err := json.Unmarshal(value, &record); err != nil {
		return nil, err
	}
	if err := record.Job.Validate(); err != nil {
		return nil, err
	}
	template, err := chain.DecodeTemplate(record.Template)
	if err != nil {
		return nil, err
	}
	return restoredJob(record.Job, template), nil
}
