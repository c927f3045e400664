package tlsagent

import (
	"crypto/x509"
	"errors"

	v1 "tlsagent/internal/tlsagentv1"
)

// A CertificateVerificationError is why a peer's certificate was refused. Err is what crypto/tls would have given, where
// crypto/x509 has a type for it: x509.UnknownAuthorityError, x509.HostnameError, x509.CertificateInvalidError. errors.As
// finds it.
type CertificateVerificationError struct {
	// UnverifiedCertificates has the peer's own certificate. Here it has no other.
	UnverifiedCertificates []*x509.Certificate
	// Code is OpenSSL's number of the failure, X509_V_ERR_* (X509_STORE_CTX_get_error(3)).
	Code int
	// Message is the same in words.
	Message string
	// Err is the failure as crypto/x509 has it, or else as a text.
	Err error
}

// Error tells why.
func (e *CertificateVerificationError) Error() string {
	return "tlsagent: failed to verify certificate: " + e.Message
}

// Unwrap gives Err.
func (e *CertificateVerificationError) Unwrap() error { return e.Err }

// What of OpenSSL's X509_V_ERR_* (<openssl/x509_vfy.h>) crypto/x509 has a word for.
const (
	verifyNoIssuer         = 2
	verifyNotYetValid      = 9
	verifyExpired          = 10
	verifySelfSigned       = 18
	verifySelfSignedRoot   = 19
	verifyNoLocalIssuer    = 20
	verifyNoFirstSignature = 21
	verifyPathTooLong      = 25
	verifyWrongPurpose     = 26
	verifyUntrusted        = 27
	verifyNotPermitted     = 47
	verifyExcluded         = 48
	verifyWrongHost        = 62
	verifyWrongAddress     = 64
	verifyNoCA             = 79
)

var invalidReasons = map[int]x509.InvalidReason{
	verifyNotYetValid:  x509.Expired,
	verifyExpired:      x509.Expired,
	verifyPathTooLong:  x509.TooManyIntermediates,
	verifyWrongPurpose: x509.IncompatibleUsage,
	verifyNotPermitted: x509.CANotAuthorizedForThisName,
	verifyExcluded:     x509.CANotAuthorizedForThisName,
	verifyNoCA:         x509.NotAuthorizedToSign,
}

// newVerificationError says what is wrong with a peer that was to be called name.
func newVerificationError(from *v1.TlsError, peer *v1.Peer, name string) error {
	failure := &CertificateVerificationError{Code: int(from.GetVerifyCode()), Message: from.GetVerifyMessage()}
	leaf, err := x509.ParseCertificate(peer.GetDer())
	if err != nil {
		failure.Err = errors.New(failure.Message)
		return failure
	}
	failure.UnverifiedCertificates = []*x509.Certificate{leaf}
	failure.Err = shaped(failure.Code, failure.Message, leaf, name)
	return failure
}

// shaped gives a failure the shape that crypto/x509 gives it.
func shaped(code int, message string, leaf *x509.Certificate, name string) error {
	switch code {
	case verifyNoIssuer, verifySelfSigned, verifySelfSignedRoot, verifyNoLocalIssuer, verifyNoFirstSignature, verifyUntrusted:
		return x509.UnknownAuthorityError{Cert: leaf}
	case verifyWrongHost, verifyWrongAddress:
		return x509.HostnameError{Certificate: leaf, Host: name}
	}
	if reason, known := invalidReasons[code]; known {
		return x509.CertificateInvalidError{Cert: leaf, Reason: reason, Detail: message}
	}
	return errors.New(message)
}
