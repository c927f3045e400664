package tlsagent

import "fmt"

// An AlertError is a TLS alert (RFC 8446, section 6) that ended a connection, sent or received. errors.As finds it in an
// *Error, and its number is what crypto/tls says "remote error" of.
type AlertError uint8

var alertNames = map[AlertError]string{
	0:   "close notify",
	10:  "unexpected message",
	20:  "bad record MAC",
	22:  "record overflow",
	40:  "handshake failure",
	41:  "no certificate",
	42:  "bad certificate",
	43:  "unsupported certificate",
	44:  "revoked certificate",
	45:  "expired certificate",
	46:  "unknown certificate",
	47:  "illegal parameter",
	48:  "unknown certificate authority",
	49:  "access denied",
	50:  "error decoding message",
	51:  "error decrypting message",
	70:  "protocol version not supported",
	71:  "insufficient security level",
	80:  "internal error",
	86:  "inappropriate fallback",
	90:  "user canceled",
	100: "no renegotiation",
	109: "missing extension",
	110: "unsupported extension",
	112: "unrecognized name",
	113: "bad certificate status response",
	115: "unknown PSK identity",
	116: "certificate required",
	120: "no application protocol",
}

// Error tells which alert it was.
func (e AlertError) Error() string {
	if name, known := alertNames[e]; known {
		return "alert: " + name
	}
	return fmt.Sprintf("alert %d", uint8(e))
}
