package tlsagent_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"

	"tlsagent"
)

func ExampleDial() {
	conn, err := tlsagent.Dial("tcp", "www.example.org:443", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	state := conn.ConnectionState()
	fmt.Println(tls.CipherSuiteName(state.CipherSuite), state.PeerCertificates[0].Subject)
}

func ExampleConfig_DialContext() {
	config := &tlsagent.Config{ClientSessionCache: tlsagent.NewLRUClientSessionCache(0)}
	client := &http.Client{Transport: &http.Transport{DialTLSContext: config.DialContext}}
	response, err := client.Get("https://www.example.org/")
	if err != nil {
		log.Fatal(err)
	}
	response.Body.Close()
}

func ExampleListen() {
	pair, err := tlsagent.LoadX509KeyPair("chain.pem", "key.pem")
	if err != nil {
		log.Fatal(err)
	}
	listener, err := tlsagent.Listen("tcp", ":8443", &tlsagent.Config{Certificates: []tlsagent.Certificate{pair}})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.Serve(listener, nil))
}

// A connection of any kind will do.
func ExampleClient() {
	socket, err := net.Dial("unix", "/run/service.sock")
	if err != nil {
		log.Fatal(err)
	}
	conn := tlsagent.Client(socket, &tlsagent.Config{ServerName: "service.example.org"})
	defer conn.Close()
	fmt.Fprintln(conn, "hello")
}

func ExampleCertificateVerificationError() {
	_, err := tlsagent.Dial("tcp", "self-signed.example.org:443", nil)
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	switch {
	case errors.As(err, &unknown):
		fmt.Println("nobody vouches for it")
	case errors.As(err, &host):
		fmt.Println("it is another host than", host.Host)
	case errors.Is(err, tlsagent.ErrAgentGone):
		fmt.Println("the daemon has gone")
	}
}
