package tlsagent

import (
	"context"
	"net"
	"strings"
)

// Dial connects to an address and shakes hands. Without Config.ServerName the address's host is taken.
func Dial(network, addr string, config *Config) (*Conn, error) {
	return DialWithDialer(new(net.Dialer), network, addr, config)
}

// DialWithDialer is Dial by way of a dialer, whose Timeout and Deadline count for connecting and handshake together.
func DialWithDialer(dialer *net.Dialer, network, addr string, config *Config) (*Conn, error) {
	return dial(context.Background(), dialer, network, addr, config)
}

// DialContext is Dial for as long as ctx lasts, as http.Transport.DialTLSContext wants it.
func (c *Config) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return (&Dialer{Config: c}).DialContext(ctx, network, addr)
}

// A Dialer dials by a net.Dialer and a Config, either of which may be nil.
type Dialer struct {
	NetDialer *net.Dialer
	Config    *Config
}

// Dial connects and shakes hands. What it returns is a *Conn.
func (d *Dialer) Dial(network, addr string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, addr)
}

// DialContext is Dial for as long as ctx lasts.
func (d *Dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	dialer := d.NetDialer
	if dialer == nil {
		dialer = new(net.Dialer)
	}
	conn, err := dial(ctx, dialer, network, addr, d.Config)
	if err != nil {
		return nil, err // and not a net.Conn that holds a nil *Conn
	}
	return conn, nil
}

func dial(ctx context.Context, dialer *net.Dialer, network, addr string, config *Config) (*Conn, error) {
	ctx, cancel := dialerContext(ctx, dialer)
	defer cancel()
	raw, err := dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	config = orEmpty(config)
	name := config.ServerName
	if name == "" {
		name = hostOf(addr)
	}
	conn := newConn(raw, config, roleClient, name)
	if err := conn.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// dialerContext has ctx end when the dialer's own time does.
func dialerContext(ctx context.Context, dialer *net.Dialer) (context.Context, context.CancelFunc) {
	cancel := context.CancelFunc(func() {})
	if dialer.Timeout != 0 {
		ctx, cancel = context.WithTimeout(ctx, dialer.Timeout)
	}
	if !dialer.Deadline.IsZero() {
		outer := cancel
		inner, cancelInner := context.WithDeadline(ctx, dialer.Deadline)
		return inner, func() { cancelInner(); outer() }
	}
	return ctx, cancel
}

// hostOf is the name in an address: "example.org:443", "[::1%lo]:443".
func hostOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	host, _, _ = strings.Cut(host, "%") // no certificate has a zone
	return strings.TrimSuffix(host, ".")
}
