package coordinator

import "crypto/rand"

// randomTag makes a job's coinbase unlike that of any other job.
func randomTag() (tag [8]byte) {
	rand.Read(tag[:]) // never fails
	return tag
}
