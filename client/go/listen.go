package tlsagent

import (
	"context"
	"net"
)

// A listener gives the server's side of each connection.
type listener struct {
	net.Listener
	config *Config
}

// Accept waits for a connection. Its handshake is left to its first Read or Write, for others not to wait for it.
func (l *listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return Server(conn, l.config), nil
}

// Listen listens at an address for TLS connections. A config that the daemon refuses is an error at once.
func Listen(network, addr string, config *Config) (net.Listener, error) {
	config = orEmpty(config)
	if _, err := config.context(context.Background(), roleServer); err != nil {
		return nil, err
	}
	inner, err := net.Listen(network, addr)
	if err != nil {
		return nil, err
	}
	return NewListener(inner, config), nil
}

// NewListener returns a Listener of TLS connections over those that inner accepts.
func NewListener(inner net.Listener, config *Config) net.Listener {
	return &listener{inner, orEmpty(config)}
}
