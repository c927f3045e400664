// The cells by the package tlsagent. conformance_test.py says what each cell has to do and to print.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"time"

	"tlsagent"
)

const aMoment = 500 * time.Millisecond

func say(name string, value any) {
	fmt.Printf("%s=%v\n", name, value)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func client(ca string, pair ...string) *tlsagent.Config {
	config := &tlsagent.Config{RootCAs: tlsagent.NewCertPool()}
	check(config.RootCAs.AddFile(ca))
	if len(pair) > 0 {
		own, err := tlsagent.LoadX509KeyPair(pair[0], pair[1])
		check(err)
		config.Certificates = []tlsagent.Certificate{own}
	}
	return config
}

func dial(config *tlsagent.Config, port string) *tlsagent.Conn {
	conn, err := tlsagent.Dial("tcp", "localhost:"+port, config)
	check(err)
	return conn
}

func page(config *tlsagent.Config, port string) {
	transport := &http.Transport{DialTLSContext: config.DialContext, DisableKeepAlives: true}
	response, err := (&http.Client{Transport: transport}).Get("https://localhost:" + port + "/page")
	check(err)
	body, err := io.ReadAll(response.Body)
	check(err)
	say("status", response.StatusCode)
	say("body", strings.TrimSpace(string(body)))
}

func get(args []string) {
	page(client(args[1], args[2:]...), args[0])
}

func alpn(args []string) {
	config := client(args[1])
	config.NextProtos = []string{"matrix/2", "http/1.1"}
	conn := dial(config, args[0])
	say("alpn", conn.ConnectionState().NegotiatedProtocol)
	conn.Close()
	page(config, args[0])
}

func resume(args []string) {
	config := client(args[1])
	config.ClientSessionCache = tlsagent.NewLRUClientSessionCache(1)
	for i := 0; i < 2; i++ {
		conn := dial(config, args[0])
		fmt.Fprint(conn, "GET /page HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		response, err := io.ReadAll(conn)
		check(err)
		head, body, _ := bytes.Cut(response, []byte("\r\n\r\n"))
		say("status", string(bytes.Fields(head)[1]))
		say("body", strings.TrimSpace(string(body)))
		say("resumed", conn.ConnectionState().DidResume)
		conn.Close()
	}
}

func ask(conn *tlsagent.Conn) {
	fmt.Fprintln(conn, "question")
	answer := make([]byte, 100)
	n, err := conn.Read(answer)
	check(err)
	say("then", strings.TrimSpace(string(answer[:n])))
	check(conn.Close())
}

func cancel(args []string) {
	config := client(args[1])
	ctx, giveUp := context.WithCancel(context.Background())
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(httptrace.WroteRequestInfo) { time.AfterFunc(aMoment, giveUp) },
	})
	request, err := http.NewRequestWithContext(ctx, "GET", "https://localhost:"+args[0]+"/", nil)
	check(err)
	_, err = (&http.Client{Transport: &http.Transport{DialTLSContext: config.DialContext}}).Do(request)
	if errors.Is(err, context.Canceled) {
		say("cancelled", "context.Canceled")
	}
	ask(dial(config, args[0]))
}

func deadline(args []string) {
	conn := dial(client(args[1]), args[0])
	check(conn.SetReadDeadline(time.Now().Add(aMoment)))
	if _, err := conn.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		say("expired", "os.ErrDeadlineExceeded")
	}
	check(conn.SetReadDeadline(time.Time{}))
	ask(conn)
}

func bulk(args []string) {
	conn := dial(client(args[1]), args[0])
	source, err := os.Open(args[2])
	check(err)
	target, err := os.Create(args[3])
	check(err)
	_, err = io.Copy(conn, source)
	check(err)
	_, err = io.Copy(target, conn)
	check(err)
	check(conn.Close())
}

func serve(args []string) {
	pair, err := tlsagent.LoadX509KeyPair(args[0], args[1])
	check(err)
	listener, err := tlsagent.Listen("tcp", "127.0.0.1:0", &tlsagent.Config{Certificates: []tlsagent.Certificate{pair}})
	check(err)
	say("port", listener.Addr().(*net.TCPAddr).Port)
	check(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		say("request", r.Method+" "+r.RequestURI+" "+r.Proto)
		fmt.Fprintln(w, "conformance")
	})))
}

func decode(args []string) {
	file, err := os.ReadFile(args[0])
	check(err)
	certificates, err := tlsagent.Decode(file)
	check(err)
	for _, one := range certificates {
		_, name, _ := strings.Cut(one.Subject, "CN=")
		name, _, _ = strings.Cut(name, ",")
		var names []string
		for _, labelled := range one.Names {
			_, text, _ := strings.Cut(labelled, ":")
			names = append(names, text)
		}
		say("cn", name)
		say("names", strings.Join(names, ","))
		say("until", one.NotAfter.Unix())
	}
}

func main() {
	cells := map[string]func([]string){"get": get, "alpn": alpn, "resume": resume, "cancel": cancel, "deadline": deadline,
		"bulk": bulk, "serve": serve, "decode": decode}
	cells[os.Args[1]](os.Args[2:])
}
