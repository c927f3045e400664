// decode prints what is in a file of certificates, PEM or DER.
//
//	decode FILE
package main

import (
	"fmt"
	"os"
	"strings"

	"tlsagent"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: decode FILE")
		os.Exit(2)
	}
	if err := decode(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "decode:", err)
		os.Exit(1)
	}
}

func decode(path string) error {
	file, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	certificates, err := tlsagent.Decode(file)
	if err != nil {
		return err
	}
	for _, certificate := range certificates {
		show(certificate)
	}
	return nil
}

func show(certificate *tlsagent.CertificateInfo) {
	fmt.Println("subject: ", certificate.Subject)
	fmt.Println("issuer:  ", certificate.Issuer)
	fmt.Println("names:   ", strings.Join(certificate.Names, ", "))
	fmt.Println("valid:   ", certificate.NotBefore, "to", certificate.NotAfter)
	fmt.Println("key:     ", certificate.KeyType, certificate.KeyBits, certificate.KeyCurve)
	fmt.Printf("sha256:   %X\n", certificate.FingerprintSHA256)
	fmt.Println()
}
