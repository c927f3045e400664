// fetch prints an https page. The TLS, and the trust, are tlsagentd's.
//
//	fetch URL [CA.pem]
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"

	"tlsagent"
)

func main() {
	if len(os.Args) < 2 || len(os.Args) > 3 {
		fmt.Fprintln(os.Stderr, "usage: fetch URL [CA.pem]")
		os.Exit(2)
	}
	if err := fetch(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "fetch:", err)
		os.Exit(1)
	}
}

func fetch(url string, trusted []string) error {
	config := &tlsagent.Config{} // the daemon's system store
	for _, path := range trusted {
		config.RootCAs = tlsagent.NewCertPool()
		if err := config.RootCAs.AddFile(path); err != nil {
			return err
		}
	}
	client := &http.Client{Transport: &http.Transport{DialTLSContext: config.DialContext}}
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	_, err = io.Copy(os.Stdout, response.Body)
	return err
}
