// serve serves a folder over https. The private key is tlsagentd's once it runs.
//
//	serve ADDRESS CHAIN.pem KEY.pem FOLDER
package main

import (
	"fmt"
	"net/http"
	"os"

	"tlsagent"
)

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: serve ADDRESS CHAIN.pem KEY.pem FOLDER")
		os.Exit(2)
	}
	if err := serve(os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		os.Exit(1)
	}
}

func serve(address, chain, key, folder string) error {
	pair, err := tlsagent.LoadX509KeyPair(chain, key)
	if err != nil {
		return err
	}
	config := &tlsagent.Config{
		Certificates: []tlsagent.Certificate{pair},
		NextProtos:   []string{"http/1.1"},
	}
	listener, err := tlsagent.Listen("tcp", address, config)
	if err != nil {
		return err
	}
	fmt.Printf("https://%s/\n", listener.Addr())
	return http.Serve(listener, http.FileServer(http.Dir(folder)))
}
