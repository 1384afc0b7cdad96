package script

// queue holds the transactions of a batch whose inputs were not all taken, in the
// order of their coming.
type queue struct {
	jobs   []*job
	head   int // jobs before it are done with
	inputs int // not yet taken
}

func (q *queue) push(j *job) {
	switch {
	case q.head == len(q.jobs):
		q.jobs, q.head = q.jobs[:0], 0
	case q.head > len(q.jobs)/2 && len(q.jobs) == cap(q.jobs):
		n := copy(q.jobs, q.jobs[q.head:])
		clear(q.jobs[n:])
		q.jobs, q.head = q.jobs[:n], 0
	}
	q.jobs = append(q.jobs, j)
	q.inputs += len(j.tx.TxIn)
}

// take takes inputs [first, end) of one transaction for one of so many workers. It
// leaves out what is settled. There is nothing left where j is nil.
func (q *queue) take(workers int, settled func(j *job, input int) bool) (j *job, first, end int) {
	for q.head < len(q.jobs) {
		j = q.jobs[q.head]
		first, end = j.taken, len(j.tx.TxIn)
		if settled(j, first) {
			q.inputs -= end - first
			q.pop()
			continue
		}
		// Little at the end, so that all end together; more while there is much, so
		// that they seldom meet here.
		end = min(end, first+min(max(q.inputs/(4*workers), 1), 16))
		q.inputs -= end - first
		if j.taken = end; end == len(j.tx.TxIn) {
			q.pop()
		}
		return j, first, end
	}
	return nil, 0, 0
}

func (q *queue) pop() {
	q.jobs[q.head] = nil
	q.head++
}
