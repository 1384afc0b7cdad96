package coordinator

import "crypto/rand"

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
