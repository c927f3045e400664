package tlsagent

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	v1 "tlsagent/internal/tlsagentv1"
)

// check refuses what can't be meant, before the daemon is asked.
func (c *Config) check(end role) error {
	if c.Context != "" {
		return c.checkNamed()
	}
	if end == roleServer && len(c.Certificates) == 0 {
		return errors.New("tlsagent: a server needs a certificate: Config.Certificates and Config.Context are empty")
	}
	switch c.ClientAuth {
	case tls.NoClientCert, tls.VerifyClientCertIfGiven, tls.RequireAndVerifyClientCert:
		return nil
	}
	return fmt.Errorf("tlsagent: OpenSSL has no %v: a certificate that is asked for is verified", c.ClientAuth)
}

func (c *Config) checkNamed() error {
	if len(c.Certificates) != 0 || c.RootCAs != nil || c.InsecureSkipVerify || c.ClientAuth != tls.NoClientCert ||
		c.ClientCAs != nil || len(c.NextProtos) != 0 || c.MinVersion != 0 || c.MaxVersion != 0 ||
		len(c.CipherSuites) != 0 || len(c.CurvePreferences) != 0 || c.SessionTicketsDisabled {
		return fmt.Errorf("tlsagent: the daemon's context %q has its settings already: leave them unset in this Config",
			c.Context)
	}
	return nil
}

// request is the Config in the daemon's words.
func (c *Config) request(end role) (*v1.CreateContextRequest, error) {
	settings, err := c.settings(end)
	if err != nil {
		return nil, err
	}
	request := &v1.CreateContextRequest{Kind: v1.ContextKind_CONTEXT_KIND_CLIENT, Settings: settings}
	if end == roleServer {
		request.Kind = v1.ContextKind_CONTEXT_KIND_SERVER
	}
	for _, pair := range c.Certificates {
		request.Pairs = append(request.Pairs, pairOf(pair))
	}
	if c.verifies(end) {
		request.Trust = trustOf(c.trusted(end))
	}
	return request, nil
}

func (c *Config) settings(end role) (*v1.ContextSettings, error) {
	ciphers, err := cipherList(c.CipherSuites)
	if err != nil {
		return nil, err
	}
	groups, err := groupList(c.CurvePreferences)
	if err != nil {
		return nil, err
	}
	settings := &v1.ContextSettings{Ciphers: ciphers, Groups: groups, MinVersion: bound(c.MinVersion),
		MaxVersion: bound(c.MaxVersion), VerifyMode: &v1.VerifyModeValue{Value: c.verifyMode(end)}}
	if len(c.NextProtos) != 0 {
		settings.Alpn = &v1.AlpnSettings{Protocols: protocols(c.NextProtos), RequireOverlap: true}
	}
	if end == roleClient {
		settings.CheckHostname = &v1.BoolValue{Value: !c.InsecureSkipVerify}
	} else {
		// OpenSSL resumes no session of a verified client without one.
		settings.SessionIdContext = &v1.BytesValue{Value: []byte("tlsagent")}
	}
	return settings, nil
}

func (c *Config) verifyMode(end role) v1.VerifyMode {
	switch {
	case !c.verifies(end):
		return v1.VerifyMode_VERIFY_MODE_NONE
	case end == roleServer && c.ClientAuth == tls.VerifyClientCertIfGiven:
		return v1.VerifyMode_VERIFY_MODE_OPTIONAL
	}
	return v1.VerifyMode_VERIFY_MODE_REQUIRED
}

func (c *Config) trusted(end role) *CertPool {
	if end == roleClient {
		return c.RootCAs
	}
	return c.ClientCAs
}

func material(data []byte) *v1.Material {
	return &v1.Material{Source: &v1.Material_Data{Data: data}}
}

func pairOf(from Certificate) *v1.CertificatePair {
	pair := &v1.CertificatePair{Chain: material(from.Chain)}
	if from.Key != nil {
		pair.Key = material(from.Key)
	}
	if from.Password != nil {
		pair.Password = &v1.BytesValue{Value: from.Password}
	}
	return pair
}

func trustOf(pool *CertPool) *v1.TrustSettings {
	if pool == nil {
		return &v1.TrustSettings{System: true}
	}
	trust := &v1.TrustSettings{}
	for _, file := range pool.files {
		trust.Certificates = append(trust.Certificates, material(file))
	}
	return trust
}

func bound(version uint16) *v1.VersionBound {
	if version == 0 {
		return nil
	}
	return &v1.VersionBound{Version: v1.ProtocolVersion(version)}
}

func protocols(names []string) [][]byte {
	var out [][]byte
	for _, name := range names {
		out = append(out, []byte(name))
	}
	return out
}

// cipherNames has OpenSSL's names of the suites that crypto/tls has names for.
var cipherNames = map[uint16]string{
	tls.TLS_RSA_WITH_RC4_128_SHA:                      "RC4-SHA",
	tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA:                 "DES-CBC3-SHA",
	tls.TLS_RSA_WITH_AES_128_CBC_SHA:                  "AES128-SHA",
	tls.TLS_RSA_WITH_AES_256_CBC_SHA:                  "AES256-SHA",
	tls.TLS_RSA_WITH_AES_128_CBC_SHA256:               "AES128-SHA256",
	tls.TLS_RSA_WITH_AES_128_GCM_SHA256:               "AES128-GCM-SHA256",
	tls.TLS_RSA_WITH_AES_256_GCM_SHA384:               "AES256-GCM-SHA384",
	tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA:              "ECDHE-ECDSA-RC4-SHA",
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA:          "ECDHE-ECDSA-AES128-SHA",
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA:          "ECDHE-ECDSA-AES256-SHA",
	tls.TLS_ECDHE_RSA_WITH_RC4_128_SHA:                "ECDHE-RSA-RC4-SHA",
	tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA:           "ECDHE-RSA-DES-CBC3-SHA",
	tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA:            "ECDHE-RSA-AES128-SHA",
	tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA:            "ECDHE-RSA-AES256-SHA",
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256:       "ECDHE-ECDSA-AES128-SHA256",
	tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256:         "ECDHE-RSA-AES128-SHA256",
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:         "ECDHE-RSA-AES128-GCM-SHA256",
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256:       "ECDHE-ECDSA-AES128-GCM-SHA256",
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384:         "ECDHE-RSA-AES256-GCM-SHA384",
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384:       "ECDHE-ECDSA-AES256-GCM-SHA384",
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256:   "ECDHE-RSA-CHACHA20-POLY1305",
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-ECDSA-CHACHA20-POLY1305",
}

// Suites of TLS 1.3 are numbered 0x1301 and up (RFC 8446, appendix B.4).
func isTLS13(suite uint16) bool {
	return suite>>8 == 0x13
}

func cipherList(suites []uint16) (*v1.StringValue, error) {
	if suites == nil {
		return nil, nil
	}
	var names []string
	for _, suite := range suites {
		name, known := cipherNames[suite]
		if !known && !isTLS13(suite) {
			return nil, fmt.Errorf("tlsagent: nobody knows cipher suite %#04x", suite)
		}
		if known {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, errors.New("tlsagent: Config.CipherSuites has no suite of TLS 1.2: set MinVersion to TLS 1.3 instead")
	}
	return &v1.StringValue{Value: strings.Join(names, ":")}, nil
}

var groupNames = map[tls.CurveID]string{
	tls.CurveP256: "P-256",
	tls.CurveP384: "P-384",
	tls.CurveP521: "P-521",
	tls.X25519:    "X25519",
}

func groupList(curves []tls.CurveID) (*v1.StringValue, error) {
	if len(curves) == 0 {
		return nil, nil
	}
	var names []string
	for _, curve := range curves {
		name, known := groupNames[curve]
		if !known {
			return nil, fmt.Errorf("tlsagent: nobody knows %v", curve)
		}
		names = append(names, name)
	}
	return &v1.StringValue{Value: strings.Join(names, ":")}, nil
}
