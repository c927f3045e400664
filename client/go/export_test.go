package tlsagent

import (
	"context"
	"testing"
	"time"

	v1 "tlsagent/internal/tlsagentv1"
)

// requestKeyUpdate asks for new keys of both directions, as a peer may at any time (RFC 8446, section 4.6.3).
func (c *Conn) requestKeyUpdate() error {
	_, err := c.session.call(c.session.ctx, "UpdateKeys",
		&v1.UpdateKeysRequest{Session: c.session.handle, RequestPeer: true}, &v1.UpdateKeysResponse{})
	return err
}

// counters are the daemon's.
func counters(t *testing.T, agent *Agent) map[string]uint64 {
	t.Helper()
	link, err := agent.connect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	answer := &v1.CountersResponse{}
	if err := link.call(context.Background(), "AgentService.Counters", &v1.CountersRequest{}, answer); err != nil {
		t.Fatal(err)
	}
	out := make(map[string]uint64)
	for _, counter := range answer.GetCounters() {
		out[counter.GetName()] = counter.GetValue()
	}
	return out
}

// eventually waits until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}
