package tlsagent

import (
	"crypto/tls"
	"net"
	"testing"
)

// resumes connects twice with one Config and says whether the second one resumed the first.
func resumes(t *testing.T, config *Config, peer func(net.Conn) net.Conn) bool {
	t.Helper()
	var last *Conn
	for range [2]int{} {
		near, far := tcpPair(t)
		last = Client(near, config)
		greetBoth(t, last, peer(far))
		last.Close()
	}
	state := last.ConnectionState()
	if config.InsecureSkipVerify == (len(state.VerifiedChains) == 1) || len(state.PeerCertificates) == 0 {
		t.Errorf("%d chains, %d certificates", len(state.VerifiedChains), len(state.PeerCertificates))
	}
	return state.DidResume
}

// toStock has one crypto/tls Config serve every connection, for its ticket keys are there.
func toStock() func(net.Conn) net.Conn {
	config := stock()
	return func(conn net.Conn) net.Conn { return tls.Server(conn, config) }
}

func TestASessionIsResumed(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		config := clientConfig()
		config.MaxVersion, config.ClientSessionCache = version, NewLRUClientSessionCache(0)
		if !resumes(t, config, toStock()) {
			t.Error("it was not")
		}
	})
}

func TestAServerResumes(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		for _, auth := range []tls.ClientAuthType{tls.NoClientCert, tls.RequireAndVerifyClientCert} {
			config, peer := serverConfig(), stock()
			config.ClientAuth, config.ClientCAs, config.MaxVersion = auth, ours.pool(), version
			peer.ClientSessionCache = tls.NewLRUClientSessionCache(0)
			var last *tls.Conn
			for range [2]int{} {
				near, far := tcpPair(t)
				last = tls.Client(near, peer)
				greetBoth(t, last, Server(far, config))
			}
			if !stateOf(last).DidResume {
				t.Errorf("%v: it does not", auth)
			}
		}
	})
}

func TestNothingIsResumedWithoutACache(t *testing.T) {
	if resumes(t, clientConfig(), toStock()) {
		t.Error("it was")
	}
}

func TestNothingIsResumedWithTicketsDisabled(t *testing.T) {
	config := clientConfig()
	config.ClientSessionCache, config.SessionTicketsDisabled = NewLRUClientSessionCache(0), true
	if resumes(t, config, toStock()) {
		t.Error("the client resumed")
	}
	versions(t, func(t *testing.T, version uint16) {
		client, server := clientConfig(), serverConfig()
		client.ClientSessionCache, server.SessionTicketsDisabled = NewLRUClientSessionCache(0), true
		client.MaxVersion = version
		if resumes(t, client, func(conn net.Conn) net.Conn { return Server(conn, server) }) {
			t.Error("the server resumed")
		}
	})
}

func TestWhatWasNotVerifiedIsNotResumedByWhoVerifies(t *testing.T) {
	cache, peer := NewLRUClientSessionCache(0), toStock()
	careless, careful := clientConfig(), clientConfig()
	careless.InsecureSkipVerify = true
	careless.ClientSessionCache, careful.ClientSessionCache = cache, cache
	if !resumes(t, careless, peer) {
		t.Error("the careless one didn't resume")
	}
	near, far := tcpPair(t)
	client := Client(near, careful)
	greetBoth(t, client, peer(far))
	if client.ConnectionState().DidResume {
		t.Error("it was")
	}
}

func TestACacheForgetsWhatWasNotUsedForTheLongestTime(t *testing.T) {
	cache := NewLRUClientSessionCache(2)
	cache.Put("a", &ClientSessionState{})
	cache.Put("b", &ClientSessionState{})
	cache.Get("a")
	cache.Put("c", &ClientSessionState{})
	for key, want := range map[string]bool{"a": true, "b": false, "c": true} {
		if _, is := cache.Get(key); is != want {
			t.Errorf("%s: %v", key, is)
		}
	}
}
