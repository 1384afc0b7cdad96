package coordinator

import (
	"fmt"
	"path/filepath"

	"github.com/nats-io/nkeys"

	"github.com/jbcnet/jbc/coordinator/access"
)

// Files of a data directory that hold secrets, readable by their owner alone.
const (
	// SigningKeyFile holds the seed of the nkey that signs jobs and verdicts.
	SigningKeyFile = "coordinator.nk"
	// PayoutKeyFile holds the private key that blocks pay to unless an address is
	// given.
	PayoutKeyFile = "payout.key"
)

// SigningKey returns the coordinator's nkey from the data directory, made on
// first use.
func SigningKey(dataDir string) (nkeys.KeyPair, error) {
	path := filepath.Join(dataDir, SigningKeyFile)
	seed, err := access.Secret(path, func() ([]byte, error) {
		key, err := nkeys.CreateUser()
		if err != nil {
			return nil, err
		}
		return key.Seed()
	})
	if err != nil {
		return nil, err
	}
	key, err := nkeys.FromSeed(seed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}
