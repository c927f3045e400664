'use strict';
// What went wrong, as Node's people know it: an Error with a code.

const util = require('util');

// OpenSSL's X509_V_ERR_* by the names that Node gives them.
const VERIFY_CODES = {
  2: 'UNABLE_TO_GET_ISSUER_CERT',
  3: 'UNABLE_TO_GET_CRL',
  4: 'UNABLE_TO_DECRYPT_CERT_SIGNATURE',
  5: 'UNABLE_TO_DECRYPT_CRL_SIGNATURE',
  6: 'UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY',
  7: 'CERT_SIGNATURE_FAILURE',
  8: 'CRL_SIGNATURE_FAILURE',
  9: 'CERT_NOT_YET_VALID',
  10: 'CERT_HAS_EXPIRED',
  11: 'CRL_NOT_YET_VALID',
  12: 'CRL_HAS_EXPIRED',
  13: 'ERROR_IN_CERT_NOT_BEFORE_FIELD',
  14: 'ERROR_IN_CERT_NOT_AFTER_FIELD',
  15: 'ERROR_IN_CRL_LAST_UPDATE_FIELD',
  16: 'ERROR_IN_CRL_NEXT_UPDATE_FIELD',
  17: 'OUT_OF_MEM',
  18: 'DEPTH_ZERO_SELF_SIGNED_CERT',
  19: 'SELF_SIGNED_CERT_IN_CHAIN',
  20: 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  21: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  22: 'CERT_CHAIN_TOO_LONG',
  23: 'CERT_REVOKED',
  24: 'INVALID_CA',
  25: 'PATH_LENGTH_EXCEEDED',
  26: 'INVALID_PURPOSE',
  27: 'CERT_UNTRUSTED',
  28: 'CERT_REJECTED',
};
const NAME_MISMATCHES = new Set([62, 63, 64]); // host, email, address

// gRPC's codes for which the daemon, and all that it held for us, is gone.
const LOST_CODES = new Set([14, 16]);
const GRPC_NAMES = [
  'OK', 'CANCELLED', 'UNKNOWN', 'INVALID_ARGUMENT', 'DEADLINE_EXCEEDED', 'NOT_FOUND', 'ALREADY_EXISTS',
  'PERMISSION_DENIED', 'RESOURCE_EXHAUSTED', 'FAILED_PRECONDITION', 'ABORTED', 'OUT_OF_RANGE', 'UNIMPLEMENTED',
  'INTERNAL', 'UNAVAILABLE', 'DATA_LOSS', 'UNAUTHENTICATED',
];

function withCode(message, code, properties) {
  return Object.assign(new Error(message), { code }, properties);
}

/** The code of a failed verification; "" when it is none. */
function verifyCode(number) {
  return Number(number) === 0 ? '' : VERIFY_CODES[number] || 'UNSPECIFIED';
}

/**
 * A certificate that didn't verify. In what daemon and library call the same name for every wrong name, the message
 * says which was expected.
 */
function verifyError(number, message, host, cert) {
  if (NAME_MISMATCHES.has(Number(number))) {
    const reason = `Host: ${host}. ${message}`;
    return withCode(`Hostname/IP does not match certificate's altnames: ${reason}`, 'ERR_TLS_CERT_ALTNAME_INVALID', {
      reason,
      host,
      cert,
    });
  }
  return withCode(message, verifyCode(number), cert && { cert });
}

// "ERR_SSL_WRONG_VERSION_NUMBER" for the library SSL, "ERR_OSSL_PEM_NO_START_LINE" for the others.
function opensslCode(error) {
  const library = error.library === 'SSL' ? 'SSL' : `OSSL_${error.library || 'UNKNOWN'}`;
  return `ERR_${library}_${error.reason || error.text}`.replace(/[^A-Za-z0-9]+/g, '_').toUpperCase();
}

function opensslError(error) {
  const code = Number(error.code).toString(16).toUpperCase().padStart(8, '0');
  const message = `error:${code}:${error.library} routines::${error.text.toLowerCase()}`;
  return withCode(message, opensslCode(error), {
    library: `${error.library} routines`,
    reason: error.text.toLowerCase(),
  });
}

function invalidError(error) {
  const words = error.detail || error.text;
  const code = error.library ? opensslCode(error) : 'ERR_INVALID_ARG_VALUE';
  return withCode(error.item ? `${error.item}: ${words}` : words, code, { item: error.item, reason: error.text });
}

const BY_KIND = {
  ERROR_KIND_TLS: opensslError,
  ERROR_KIND_INVALID: invalidError,
  ERROR_KIND_TRUNCATED: () =>
    withCode('the peer ended the connection without close_notify: what came before may not be all', 'ECONNRESET'),
  ERROR_KIND_OS: (error) =>
    withCode(error.text, error.osErrno ? util.getSystemErrorName(-error.osErrno) : 'EIO', { errno: -error.osErrno }),
  ERROR_KIND_TIMEOUT: (error) => withCode(error.text, 'ETIMEDOUT'),
  ERROR_KIND_CLOSED_HERE: (error) => withCode(error.text, 'ERR_STREAM_DESTROYED'),
};

/**
 * The Error of a TlsError that an answer carried.
 *
 * @param {object} error tlsagent.v1.TlsError
 * @param {{host?: string, cert?: object}} [about] whom it was about, for a certificate that didn't verify
 */
function tlsError(error, about = {}) {
  const made =
    error.kind === 'ERROR_KIND_VERIFY'
      ? verifyError(error.verifyCode, error.verifyMessage, about.host, about.cert)
      : (BY_KIND[error.kind] || opensslError)(error);
  if (error.alert) {
    made.alert = error.alert.value;
  }
  return made;
}

/** Whether after this failure of a call nothing that the daemon held for us is there any more. */
function isLost(grpcError) {
  return LOST_CODES.has(grpcError.code);
}

/** The Error of a call that the daemon refused, or never answered. */
function callError(grpcError, method, address) {
  if (isLost(grpcError)) {
    return lostError(address, grpcError.details, grpcError);
  }
  const name = GRPC_NAMES[grpcError.code] || 'UNKNOWN';
  return withCode(`${method}: ${grpcError.details}`, `ERR_TLSAGENT_${name}`, { cause: grpcError });
}

function lostError(address, details, cause) {
  return withCode(`no connection to tlsagentd at ${address}: ${details}`, 'ERR_TLSAGENT_UNAVAILABLE', { cause });
}

/** A setting that Node has and the daemon hasn't, or that makes no sense. */
function optionError(message, code = 'ERR_INVALID_ARG_VALUE') {
  return Object.assign(new TypeError(message), { code });
}

module.exports = { withCode, verifyCode, verifyError, tlsError, isLost, callError, lostError, optionError };
