package coordinator

import (
	"errors"
	"testing"
)

// A coordinator that nobody can reach any more ends, with an error.
func TestEndsWhenItsConnectionIsClosed(t *testing.T) {
	broker := startBroker(t)
	n := startNode(t, nodeConfig{url: broker.URL()})
	n.conn.Close()
	if err := n.ended(); !errors.Is(err, ErrConnectionClosed) {
		t.Errorf("Run = %v, want %v", err, ErrConnectionClosed)
	}
}
