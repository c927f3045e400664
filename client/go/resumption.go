package tlsagent

import (
	"container/list"
	"crypto/tls"
	"crypto/x509"
	"sync"

	v1 "tlsagent/internal/tlsagentv1"
)

// A ClientSessionState is what a client needs to resume a session. It is good for connections of the same Config, as
// long as the daemon lives.
type ClientSessionState struct {
	context *tlsContext
	sealed  []byte
	chains  [][]*x509.Certificate // verified when the session was made
}

// A ClientSessionCache keeps ClientSessionStates by the server's name. Many goroutines may use it at a time.
type ClientSessionCache interface {
	// Get finds what was put under a key.
	Get(key string) (session *ClientSessionState, ok bool)
	// Put keeps a session under a key, instead of what was there.
	Put(key string, session *ClientSessionState)
}

// cacheCapacity is what NewLRUClientSessionCache takes 0 for, as in crypto/tls.
const cacheCapacity = 64

type lruCache struct {
	mu       sync.Mutex
	capacity int
	order    *list.List // of *lruEntry, the last used one in front
	entries  map[string]*list.Element
}

type lruEntry struct {
	key     string
	session *ClientSessionState
}

// NewLRUClientSessionCache returns a cache that forgets what wasn't used for the longest time when it has more than
// capacity entries; less than 1 is taken as 64.
func NewLRUClientSessionCache(capacity int) ClientSessionCache {
	if capacity < 1 {
		capacity = cacheCapacity
	}
	return &lruCache{capacity: capacity, order: list.New(), entries: make(map[string]*list.Element)}
}

// Get implements ClientSessionCache.
func (l *lruCache) Get(key string) (*ClientSessionState, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	element, ok := l.entries[key]
	if !ok {
		return nil, false
	}
	l.order.MoveToFront(element)
	return element.Value.(*lruEntry).session, true
}

// Put implements ClientSessionCache.
func (l *lruCache) Put(key string, session *ClientSessionState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if element, ok := l.entries[key]; ok {
		l.order.Remove(element)
	}
	l.entries[key] = l.order.PushFront(&lruEntry{key, session})
	if l.order.Len() > l.capacity {
		oldest := l.order.Remove(l.order.Back()).(*lruEntry)
		delete(l.entries, oldest.key)
	}
}

// cacheKey is the server's name, or its address when it has none.
func (c *Conn) cacheKey() string {
	if c.serverName != "" {
		return c.serverName
	}
	return c.conn.RemoteAddr().String()
}

// cached is the session that this client may offer, or nil.
func (c *Conn) cached(in *tlsContext) *ClientSessionState {
	cache := c.config.sessions()
	if cache == nil || c.role != roleClient {
		return nil
	}
	session, ok := cache.Get(c.cacheKey())
	if !ok || session == nil || session.context != in {
		return nil
	}
	return session
}

func (c *Conn) offered(in *tlsContext) *v1.BytesValue {
	c.resumed = c.cached(in)
	if c.resumed == nil {
		return nil
	}
	return &v1.BytesValue{Value: c.resumed.sealed}
}

// recallChains gives a resumed connection the chains of the one that it resumes.
func (c *Conn) recallChains() {
	if c.resumed != nil && c.state.DidResume {
		c.state.VerifiedChains = c.resumed.chains
	}
}

// rememberEarly puts the session into the cache after the handshake, of which a ticket is part up to TLS 1.2.
func (c *Conn) rememberEarly() {
	if c.state.Version < tls.VersionTLS13 {
		c.remember()
	}
}

// rememberLate does so with the first plaintext: tickets of TLS 1.3 come before it.
func (c *Conn) rememberLate() {
	if len(c.in.plain) != 0 {
		c.remember()
	}
}

// remember puts what resumes this connection into the cache, if there is a cache and there is something.
func (c *Conn) remember() {
	cache := c.config.sessions()
	if c.in.remembered || cache == nil || c.role != roleClient {
		return
	}
	c.in.remembered = true
	answer := &v1.GetResumptionResponse{}
	err := c.session.ask(c.session.ctx, "GetResumption", &v1.GetResumptionRequest{Session: c.session.handle}, answer)
	if err != nil || !c.resumable(answer) {
		return // the next handshake is a full one
	}
	cache.Put(c.cacheKey(), &ClientSessionState{c.session.context, answer.GetResumption().GetValue(), c.state.VerifiedChains})
}

// resumable says whether a session has what its version resumes by: a ticket, or, before TLS 1.3, an id.
func (c *Conn) resumable(answer *v1.GetResumptionResponse) bool {
	if answer.GetResumption() == nil {
		return false
	}
	return answer.GetHasTicket() || (c.state.Version < tls.VersionTLS13 && len(answer.GetId()) != 0)
}
