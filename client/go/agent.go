package tlsagent

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// dialPatience is how long a daemon may take to take a connection.
const dialPatience = 5 * time.Second

// An Agent is a tlsagentd. All of its methods may be called by any number of goroutines, whose calls share one
// connection. Sessions and contexts end with that connection; when the daemon has gone, the next Conn dials anew.
type Agent struct {
	path string // "" is looked up by each dial

	mu     sync.Mutex
	link   *link // nil before the first call
	closed bool
}

var defaultAgent Agent

// Default is the Agent that TLSAGENT_SOCKET names, or else the one at the daemon's default place:
// $XDG_RUNTIME_DIR/tlsagent.sock, and /run/tlsagent.sock for root. It is dialled when it is first needed.
func Default() *Agent {
	return &defaultAgent
}

// Open connects to the daemon at an address: "unix:PATH", "unix:@NAME" for the abstract namespace, or either without
// "unix:". An empty address is Default's.
func Open(address string) (*Agent, error) {
	path, err := parseAddress(address)
	if err != nil {
		return nil, err
	}
	agent := &Agent{path: path}
	if _, err := agent.connect(context.Background()); err != nil {
		return nil, err
	}
	return agent, nil
}

// Close ends the connection to the daemon, and with it every session and context that was made over it.
func (a *Agent) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	if a.link != nil {
		a.link.close()
	}
	return nil
}

// connect gives the connection that there is, or a new one when there is none or the daemon has gone.
func (a *Agent) connect(ctx context.Context) (*link, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, &AgentError{Address: a.path, Err: errors.New("this Agent was closed")}
	}
	if a.link != nil && !a.link.isGone() {
		return a.link, nil
	}
	link, err := a.dial(ctx)
	if err == nil {
		a.link = link
	}
	return link, err
}

func (a *Agent) dial(ctx context.Context) (*link, error) {
	path, err := parseAddress(a.path)
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: dialPatience}
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, &AgentError{Address: path, Err: err}
	}
	return newLink(path, conn), nil
}
