package tlsagent

import (
	"context"
	"crypto/x509"
	"time"

	v1 "tlsagent/internal/tlsagentv1"
)

// CertificateInfo is a certificate as the daemon's OpenSSL reads it, also one that crypto/x509 refuses.
type CertificateInfo struct {
	Subject, Issuer     string // on one line, as RFC 2253 has it
	Version             int    // 1, 2 or 3
	SerialNumber        string // hexadecimal, upper case
	NotBefore, NotAfter time.Time
	Names               []string // of subjectAltName, "DNS:example.org", "IP Address:192.0.2.1"
	KeyType             string   // "RSA", "EC", "ED25519"
	KeyBits             int
	KeyCurve            string // of an EC key: "prime256v1"
	SignatureAlgorithm  string
	KeyUsage            []string // "digitalSignature", by the names of RFC 5280
	ExtKeyUsage         []string // OpenSSL's long names, or OIDs
	IsCA                bool
	FingerprintSHA256   []byte // of the certificate
	SPKISHA256          []byte // of its public key, the pin of RFC 7469
	Raw                 []byte // DER
}

// X509 parses the certificate by crypto/x509.
func (i *CertificateInfo) X509() (*x509.Certificate, error) {
	return x509.ParseCertificate(i.Raw)
}

// Decode decodes every certificate in PEM or DER, by way of Default.
func Decode(pemOrDER []byte) ([]*CertificateInfo, error) {
	return Default().Decode(context.Background(), pemOrDER)
}

// Decode decodes every certificate in PEM, whatever stands between them, or in DER.
func (a *Agent) Decode(ctx context.Context, pemOrDER []byte) ([]*CertificateInfo, error) {
	link, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	answer := &v1.DecodeResponse{}
	err = link.call(ctx, "CertificateService.Decode", &v1.DecodeRequest{Certificates: material(pemOrDER)}, answer)
	if err != nil {
		return nil, err
	}
	if answer.GetError() != nil {
		return nil, newError("decode", answer.GetError())
	}
	var out []*CertificateInfo
	for _, certificate := range answer.GetCertificates() {
		out = append(out, infoOf(certificate))
	}
	return out, nil
}

func infoOf(from *v1.Certificate) *CertificateInfo {
	return &CertificateInfo{
		Subject:            from.GetSubjectText(),
		Issuer:             from.GetIssuerText(),
		Version:            int(from.GetVersion()),
		SerialNumber:       from.GetSerialNumber(),
		NotBefore:          time.Unix(from.GetNotBeforeUnix(), 0).UTC(),
		NotAfter:           time.Unix(from.GetNotAfterUnix(), 0).UTC(),
		Names:              namesOf(from.GetSubjectAltNames()),
		KeyType:            from.GetKeyType(),
		KeyBits:            int(from.GetKeyBits()),
		KeyCurve:           from.GetKeyCurve(),
		SignatureAlgorithm: from.GetSignatureAlgorithm(),
		KeyUsage:           from.GetKeyUsage(),
		ExtKeyUsage:        from.GetExtendedKeyUsage(),
		IsCA:               from.GetBasicConstraints().GetCa(),
		FingerprintSHA256:  from.GetFingerprintSha256(),
		SPKISHA256:         from.GetSpkiSha256(),
		Raw:                from.GetDer(),
	}
}

// Kinds of names by OpenSSL's labels of them.
var nameLabels = map[v1.AlternativeNameKind]string{
	v1.AlternativeNameKind_ALTERNATIVE_NAME_KIND_DNS:           "DNS:",
	v1.AlternativeNameKind_ALTERNATIVE_NAME_KIND_EMAIL:         "email:",
	v1.AlternativeNameKind_ALTERNATIVE_NAME_KIND_URI:           "URI:",
	v1.AlternativeNameKind_ALTERNATIVE_NAME_KIND_IP:            "IP Address:",
	v1.AlternativeNameKind_ALTERNATIVE_NAME_KIND_DIRECTORY:     "DirName:",
	v1.AlternativeNameKind_ALTERNATIVE_NAME_KIND_REGISTERED_ID: "Registered ID:",
}

func namesOf(names []*v1.AlternativeName) []string {
	var out []string
	for _, name := range names {
		out = append(out, nameLabels[name.GetKind()]+name.GetText())
	}
	return out
}
