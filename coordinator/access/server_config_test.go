package access

import (
	"strings"
	"testing"

	"github.com/jbcnet/jbc/coordinator/protocol"
)

// TestServerConfig tells another server what the embedded one does.
func TestServerConfig(t *testing.T) {
	config := ServerConfig(protocol.NewSubjects("dev-1a2b3c4d"), []ServerUser{{Role: protocol.RoleWorker, Name: "rig1", PublicKey: "UA"}})
	for _, want := range []string{"max_pending: 1048576\n", "max_payload: 17408\n", "ping_interval: \"5s\"\n", "ping_max: 2\n", "nkey: UA\n", `"jbc.v1.dev-1a2b3c4d.ask.*.rig1"`} {
		if strings.Count(config, want) != 1 {
			t.Errorf("want %q once in\n%s", want, config)
		}
	}
}
