package tlsagent

import (
	"crypto/tls"
	"crypto/x509"
	"sync"
)

// A Config is what connections are made from. After it has been used by one it must not be changed; it may be used by
// any number of goroutines, and should be, since the daemon makes a context from it once and shares that. Close it when
// no connection will be made from it any more; the garbage collector does so otherwise.
//
// The zero Config is a client's that trusts the daemon's system store, as a nil *Config is.
type Config struct {
	// Agent is the daemon. Nil is Default().
	Agent *Agent

	// Context is the name of a context that the daemon holds already (CreateContextRequest.name), with its keys and
	// settings, so that none of them is ever in this process. What a context is made from (Certificates to
	// SessionTicketsDisabled) must be unset then.
	Context string

	// Certificates are shown to the peer: one for each type of key. A server needs one.
	Certificates []Certificate

	// RootCAs are whom a client trusts. Nil is the system store of the daemon.
	RootCAs *CertPool

	// ServerName is whom a client wants to talk to: sent to the server, and looked for in its certificate. A client
	// needs it, unless InsecureSkipVerify is set; Dial takes the address for it.
	ServerName string

	// InsecureSkipVerify takes any certificate of any server. VerifyPeerCertificate and VerifyConnection are asked all
	// the same.
	InsecureSkipVerify bool

	// ClientAuth is what a server wants to see of its clients. OpenSSL can't ask for certificates that it doesn't
	// verify: RequestClientCert and RequireAnyClientCert are refused.
	ClientAuth tls.ClientAuthType

	// ClientCAs are whom a server trusts. Nil is the system store of the daemon.
	ClientCAs *CertPool

	// NextProtos are the application protocols (ALPN), the best first.
	NextProtos []string

	// MinVersion is the lowest version, tls.VersionTLS12 and so on. 0 is TLS 1.2.
	MinVersion uint16

	// MaxVersion is the highest version. 0 is the highest of the daemon.
	MaxVersion uint16

	// CipherSuites are those for TLS 1.2 and below, the best first. Nil is OpenSSL's choice. As in crypto/tls, those
	// of TLS 1.3 can't be chosen and are passed over here.
	CipherSuites []uint16

	// CurvePreferences are the groups for the key exchange, the best first. Nil is OpenSSL's choice.
	CurvePreferences []tls.CurveID

	// SessionTicketsDisabled has a server resume nothing, and a client neither offer nor remember sessions.
	SessionTicketsDisabled bool

	// ClientSessionCache keeps what a client can resume. Nil: it resumes nothing.
	ClientSessionCache ClientSessionCache

	// VerifyPeerCertificate is asked after the daemon has verified the peer, if that showed certificates and no session
	// was resumed. An error ends the handshake with that error.
	VerifyPeerCertificate func(rawCerts [][]byte, verifiedChains [][]*x509.Certificate) error

	// VerifyConnection is asked after VerifyPeerCertificate, of every connection.
	VerifyConnection func(tls.ConnectionState) error

	mu       sync.Mutex
	contexts map[role]*tlsContext
}

// role is which end of a connection something is for.
type role int

const (
	roleClient role = iota
	roleServer
)

// Clone returns a Config with the same fields, for changing some of them. The daemon makes a context of its own from it.
func (c *Config) Clone() *Config {
	if c == nil {
		return nil
	}
	return &Config{
		Agent:                  c.Agent,
		Context:                c.Context,
		Certificates:           c.Certificates,
		RootCAs:                c.RootCAs,
		ServerName:             c.ServerName,
		InsecureSkipVerify:     c.InsecureSkipVerify,
		ClientAuth:             c.ClientAuth,
		ClientCAs:              c.ClientCAs,
		NextProtos:             c.NextProtos,
		MinVersion:             c.MinVersion,
		MaxVersion:             c.MaxVersion,
		CipherSuites:           c.CipherSuites,
		CurvePreferences:       c.CurvePreferences,
		SessionTicketsDisabled: c.SessionTicketsDisabled,
		ClientSessionCache:     c.ClientSessionCache,
		VerifyPeerCertificate:  c.VerifyPeerCertificate,
		VerifyConnection:       c.VerifyConnection,
	}
}

// Close has the daemon forget what it made from the Config. Connections go on; a new one has it made again.
func (c *Config) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for role, context := range c.contexts {
		context.release()
		delete(c.contexts, role)
	}
	return nil
}

func (c *Config) agent() *Agent {
	if c.Agent != nil {
		return c.Agent
	}
	return Default()
}

// sessions is where a client's sessions are kept, or nil.
func (c *Config) sessions() ClientSessionCache {
	if c.SessionTicketsDisabled {
		return nil
	}
	return c.ClientSessionCache
}

// verifies says whether the peer's certificate counts for something.
func (c *Config) verifies(end role) bool {
	if end == roleClient {
		return !c.InsecureSkipVerify
	}
	return c.ClientAuth >= tls.VerifyClientCertIfGiven || c.Context != ""
}

// emptyConfig is what a nil *Config stands for.
var emptyConfig Config

func orEmpty(config *Config) *Config {
	if config == nil {
		return &emptyConfig
	}
	return config
}
