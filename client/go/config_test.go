package tlsagent

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestAConfigThatMakesNoSenseIsRefused(t *testing.T) {
	other := pairsOf(ours.leaf(nil))
	for name, bad := range map[string]struct {
		change func(*Config)
		word   string
	}{
		"no certificate":  {func(c *Config) { c.Certificates = nil }, "needs a certificate"},
		"another's key":   {func(c *Config) { c.Certificates[0].Key = other[0].Key }, "pairs[0]"},
		"no key":          {func(c *Config) { c.Certificates[0].Key = []byte("nothing") }, "pairs[0].key"},
		"two of one type": {func(c *Config) { c.Certificates = append(c.Certificates, other...) }, "pairs[1]"},
		"no verification": {func(c *Config) { c.ClientAuth = tls.RequireAnyClientCert }, "RequireAnyClientCert"},
		"cipher suite":    {func(c *Config) { c.CipherSuites = []uint16{0xfefe} }, "0xfefe"},
		"only of TLS 1.3": {func(c *Config) { c.CipherSuites = []uint16{tls.TLS_AES_128_GCM_SHA256} }, "TLS 1.2"},
		"curve":           {func(c *Config) { c.CurvePreferences = []tls.CurveID{1} }, "CurveID"},
		"protocol":        {func(c *Config) { c.NextProtos = []string{strings.Repeat("a", 256)} }, ""},
	} {
		config := serverConfig()
		bad.change(config)
		listener, err := Listen("tcp", "127.0.0.1:0", config)
		if err == nil {
			listener.Close()
			t.Errorf("%s: it was taken", name)
		} else if !strings.Contains(err.Error(), bad.word) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAClientNeedsAName(t *testing.T) {
	near, _ := tcpPair(t)
	config := clientConfig()
	config.ServerName = ""
	if err := Client(near, config).Handshake(); err != errNoServerName {
		t.Error(err)
	}
}

// What is chosen is what is agreed on.
func TestVersionsSuitesAndCurvesAreAsConfigured(t *testing.T) {
	for suite := range map[uint16]bool{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: true,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: true} {
		config := clientConfig()
		config.CipherSuites = []uint16{suite}
		config.MaxVersion = tls.VersionTLS12
		client, _ := established(t, config)
		if state := client.ConnectionState(); state.CipherSuite != suite || state.Version != tls.VersionTLS12 {
			t.Errorf("%+v", state)
		}
	}
	for _, curves := range [][]tls.CurveID{{tls.X25519, tls.CurveP256}, {tls.X25519, tls.CurveP521}} {
		near, far := tcpPair(t)
		config, peer := clientConfig(), stock()
		config.CurvePreferences, peer.CurvePreferences = curves, []tls.CurveID{tls.CurveP521}
		err, _ := both(Client(near, config).Handshake, tls.Server(far, peer).Handshake)
		if shared := curves[1] == tls.CurveP521; (err == nil) != shared {
			t.Errorf("%v: %v", curves, err)
		}
	}
}

func TestEverySuiteHasANameThatOpenSSLKnows(t *testing.T) {
	if len(cipherNames) != len(tls.CipherSuites())+len(tls.InsecureCipherSuites())-3 {
		t.Errorf("%d suites have names", len(cipherNames))
	}
	for suite, name := range cipherNames {
		if isTLS13(suite) || name == "" {
			t.Errorf("%#04x: %q", suite, name)
		}
	}
}

func TestNoSharedProtocolEndsTheHandshake(t *testing.T) {
	near, far := tcpPair(t)
	config, peer := serverConfig(), stock()
	config.NextProtos, peer.NextProtos = []string{"one"}, []string{"two"}
	client, server := tls.Client(near, peer), Server(far, config)
	clientErr, serverErr := both(client.Handshake, server.Handshake)
	var alert AlertError
	if clientErr == nil || !errors.As(serverErr, &alert) || alert != 120 {
		t.Errorf("client: %v, server: %v", clientErr, serverErr)
	}
}

// Clone has every exported field, also one that is added one day.
func TestCloneCopiesEveryField(t *testing.T) {
	config := &Config{}
	value := reflect.ValueOf(config).Elem()
	for i := 0; i < value.NumField(); i++ {
		if value.Type().Field(i).IsExported() {
			fill(t, value.Field(i))
		}
	}
	copied := reflect.ValueOf(config.Clone()).Elem()
	for i := 0; i < copied.NumField(); i++ {
		if copied.Type().Field(i).IsExported() && copied.Field(i).IsZero() {
			t.Errorf("%s isn't copied", copied.Type().Field(i).Name)
		}
	}
	if (*Config)(nil).Clone() != nil {
		t.Error("nil has a copy")
	}
}

func fill(t *testing.T, field reflect.Value) {
	switch field.Kind() {
	case reflect.Ptr:
		field.Set(reflect.New(field.Type().Elem()))
	case reflect.Slice:
		field.Set(reflect.MakeSlice(field.Type(), 1, 1))
	case reflect.String:
		field.SetString("x")
	case reflect.Bool:
		field.SetBool(true)
	case reflect.Int, reflect.Int64:
		field.SetInt(1)
	case reflect.Uint16:
		field.SetUint(1)
	case reflect.Func:
		field.Set(reflect.MakeFunc(field.Type(), nil))
	case reflect.Interface:
		field.Set(reflect.ValueOf(NewLRUClientSessionCache(1)))
	default:
		t.Fatalf("a field of kind %v", field.Kind())
	}
}

func TestPoolsTakeWhatHasACertificate(t *testing.T) {
	root, _, key := files(t, goodLeaf)
	pool := NewCertPool()
	if err := pool.AddFile(key); err == nil || pool.AppendCertsFromPEM([]byte("nothing")) {
		t.Error("a pool took what is no certificate")
	}
	if err := pool.AddFile(root); err != nil {
		t.Fatal(err)
	}
	config := clientConfig()
	config.RootCAs = pool.Clone()
	established(t, config)
}

func TestFilesAreACertificate(t *testing.T) {
	_, chain, key := files(t, goodLeaf)
	pair, err := LoadX509KeyPair(chain, key)
	if err != nil {
		t.Fatal(err)
	}
	near, far := tcpPair(t)
	greetBoth(t, Client(near, clientConfig()), Server(far, &Config{Certificates: []Certificate{pair}}))
	if _, err := LoadX509KeyPair(chain, "/nowhere"); err == nil {
		t.Error("a key that isn't there was loaded")
	}
	if _, err := X509KeyPair(nil, nil); err == nil {
		t.Error("nothing is a certificate")
	}
}

func TestDialTakesTheNameOfTheAddress(t *testing.T) {
	listener, err := Listen("tcp", "127.0.0.1:0", serverConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for conn, err := listener.Accept(); err == nil; conn, err = listener.Accept() {
			go func(conn net.Conn) { defer conn.Close(); greet(conn) }(conn)
		}
	}()
	config := clientConfig()
	config.ServerName = ""
	conn, err := DialWithDialer(&net.Dialer{Timeout: patience, Deadline: time.Now().Add(patience)}, "tcp",
		listener.Addr().String(), config)
	if err != nil {
		t.Fatal(err)
	}
	if err := greet(conn); err != nil || conn.ConnectionState().ServerName != "127.0.0.1" {
		t.Errorf("%v, %+v", err, conn.ConnectionState())
	}
	conn.Close()
	config = &Config{RootCAs: theirs.pool()}
	if conn, err := (&Dialer{Config: config}).Dial("tcp", listener.Addr().String()); err == nil || conn != nil {
		t.Errorf("%v, %v", conn, err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	if conn, err := Dial("tcp", "localhost:"+port, &Config{RootCAs: ours.pool()}); err != nil {
		t.Error(err)
	} else if _, err := io.WriteString(conn, "hello"); err != nil {
		t.Error(err)
	} else {
		conn.Close()
	}
}

func TestNamesInAddresses(t *testing.T) {
	for addr, want := range map[string]string{"example.org:443": "example.org", "example.org.:443": "example.org",
		"[::1]:443": "::1", "[fe80::1%lo]:443": "fe80::1", "nameonly": "nameonly"} {
		if got := hostOf(addr); got != want {
			t.Errorf("%s: %q", addr, got)
		}
	}
}
