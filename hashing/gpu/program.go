package gpu

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
)

// program is what devices run.
//
//go:embed kernel.cl
var program string

// ProgramID tells apart the programs that devices were given to run: what was measured
// of one says nothing of another.
func ProgramID() string {
	sum := sha256.Sum256([]byte(program))
	return hex.EncodeToString(sum[:8])
}
