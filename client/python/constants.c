// The numbers of the module: the daemon's OpenSSL's, and CPython's own.

#include <stdio.h>
#include <string.h>

#include "client/python/errors.h"
#include "client/python/state.h"

// struct named is a number that doesn't depend on OpenSSL.
struct named {
  const char *name;
  long value;
};

static const struct named fixed[] = {
    {"SSL_ERROR_ZERO_RETURN", ERROR_ZERO_RETURN},
    {"SSL_ERROR_WANT_READ", ERROR_WANT_READ},
    {"SSL_ERROR_WANT_WRITE", ERROR_WANT_WRITE},
    {"SSL_ERROR_WANT_X509_LOOKUP", 4},
    {"SSL_ERROR_SYSCALL", ERROR_SYSCALL},
    {"SSL_ERROR_SSL", ERROR_SSL},
    {"SSL_ERROR_WANT_CONNECT", 7},
    {"SSL_ERROR_EOF", ERROR_EOF},
    {"SSL_ERROR_INVALID_ERROR_CODE", 10},
    {"CERT_NONE", 0},
    {"CERT_OPTIONAL", 1},
    {"CERT_REQUIRED", 2},
    {"VERIFY_DEFAULT", 0},
    {"PROTOCOL_SSLv23", 2},
    {"PROTOCOL_TLS", 2},
    {"PROTOCOL_TLS_CLIENT", 0x10},
    {"PROTOCOL_TLS_SERVER", 0x11},
    {"PROTOCOL_TLSv1", 3},
    {"PROTOCOL_TLSv1_1", 4},
    {"PROTOCOL_TLSv1_2", 5},
    {"PROTO_MINIMUM_SUPPORTED", -2},
    {"PROTO_MAXIMUM_SUPPORTED", -1},
    {"PROTO_SSLv3", TLSAGENT_PROTOCOL_SSL_3_0},
    {"PROTO_TLSv1", TLSAGENT_PROTOCOL_TLS_1_0},
    {"PROTO_TLSv1_1", TLSAGENT_PROTOCOL_TLS_1_1},
    {"PROTO_TLSv1_2", TLSAGENT_PROTOCOL_TLS_1_2},
    {"PROTO_TLSv1_3", TLSAGENT_PROTOCOL_TLS_1_3},
    {"ENCODING_PEM", 1},
    {"ENCODING_DER", 2},
};

static int add_fixed(PyObject *module) {
  for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
    if (PyModule_AddIntConstant(module, fixed[i].name, fixed[i].value) != 0) {
      return -1;
    }
  }
  return 0;
}

// --- OpenSSL's ---

// struct translated is a number that OpenSSL has by another name.
struct translated {
  const char *name;
  const char *openssl;
  int since;  // 0: in every version
};

static const struct translated translated[] = {
    {"VERIFY_CRL_CHECK_LEAF", "X509_V_FLAG_CRL_CHECK", 0},
    {"VERIFY_X509_STRICT", "X509_V_FLAG_X509_STRICT", 0},
    {"VERIFY_ALLOW_PROXY_CERTS", "X509_V_FLAG_ALLOW_PROXY_CERTS", 0},
    {"VERIFY_X509_TRUSTED_FIRST", "X509_V_FLAG_TRUSTED_FIRST", 0},
    {"VERIFY_X509_PARTIAL_CHAIN", "X509_V_FLAG_PARTIAL_CHAIN", 0},
    {"OP_NO_SSLv2", "SSL_OP_NO_SSLv2", 0},
    {"OP_NO_SSLv3", "SSL_OP_NO_SSLv3", 0},
    {"OP_NO_TLSv1", "SSL_OP_NO_TLSv1", 0},
    {"OP_NO_TLSv1_1", "SSL_OP_NO_TLSv1_1", 0},
    {"OP_NO_TLSv1_2", "SSL_OP_NO_TLSv1_2", 0},
    {"OP_NO_TLSv1_3", "SSL_OP_NO_TLSv1_3", 0},
    {"OP_CIPHER_SERVER_PREFERENCE", "SSL_OP_CIPHER_SERVER_PREFERENCE", 0},
    {"OP_SINGLE_DH_USE", "SSL_OP_SINGLE_DH_USE", 0},
    {"OP_NO_TICKET", "SSL_OP_NO_TICKET", 0},
    {"OP_SINGLE_ECDH_USE", "SSL_OP_SINGLE_ECDH_USE", 0},
    {"OP_NO_COMPRESSION", "SSL_OP_NO_COMPRESSION", 0},
    {"OP_ENABLE_MIDDLEBOX_COMPAT", "SSL_OP_ENABLE_MIDDLEBOX_COMPAT", 0},
    {"OP_NO_RENEGOTIATION", "SSL_OP_NO_RENEGOTIATION", 0},
    {"OP_IGNORE_UNEXPECTED_EOF", "SSL_OP_IGNORE_UNEXPECTED_EOF", 0},
    {"OP_LEGACY_SERVER_CONNECT", "SSL_OP_LEGACY_SERVER_CONNECT", PYTHON_3_12},
    {"OP_ENABLE_KTLS", "SSL_OP_ENABLE_KTLS", PYTHON_3_12},
    {"HOSTFLAG_ALWAYS_CHECK_SUBJECT", "X509_CHECK_FLAG_ALWAYS_CHECK_SUBJECT", 0},
    {"HOSTFLAG_NEVER_CHECK_SUBJECT", "X509_CHECK_FLAG_NEVER_CHECK_SUBJECT", 0},
    {"HOSTFLAG_NO_WILDCARDS", "X509_CHECK_FLAG_NO_WILDCARDS", 0},
    {"HOSTFLAG_NO_PARTIAL_WILDCARDS", "X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS", 0},
    {"HOSTFLAG_MULTI_LABEL_WILDCARDS", "X509_CHECK_FLAG_MULTI_LABEL_WILDCARDS", 0},
    {"HOSTFLAG_SINGLE_LABEL_SUBDOMAINS", "X509_CHECK_FLAG_SINGLE_LABEL_SUBDOMAINS", 0},
};

// ALERT_DESCRIPTION_X is OpenSSL's SSL_AD_X, for those that CPython has; OpenSSL has more.
static const char *const alerts[] = {
    "CLOSE_NOTIFY",
    "UNEXPECTED_MESSAGE",
    "BAD_RECORD_MAC",
    "RECORD_OVERFLOW",
    "DECOMPRESSION_FAILURE",
    "HANDSHAKE_FAILURE",
    "BAD_CERTIFICATE",
    "UNSUPPORTED_CERTIFICATE",
    "CERTIFICATE_REVOKED",
    "CERTIFICATE_EXPIRED",
    "CERTIFICATE_UNKNOWN",
    "ILLEGAL_PARAMETER",
    "UNKNOWN_CA",
    "ACCESS_DENIED",
    "DECODE_ERROR",
    "DECRYPT_ERROR",
    "PROTOCOL_VERSION",
    "INSUFFICIENT_SECURITY",
    "INTERNAL_ERROR",
    "USER_CANCELLED",
    "NO_RENEGOTIATION",
    "UNSUPPORTED_EXTENSION",
    "CERTIFICATE_UNOBTAINABLE",
    "UNRECOGNIZED_NAME",
    "BAD_CERTIFICATE_STATUS_RESPONSE",
    "BAD_CERTIFICATE_HASH_VALUE",
    "UNKNOWN_PSK_IDENTITY",
};

static const struct tlsagent_constant *find(const struct module_state *state, const char *name) {
  for (size_t i = 0; i < state->info->num_constants; i++) {
    if (strcmp(state->info->constants[i].name, name) == 0) {
      return &state->info->constants[i];
    }
  }
  return NULL;
}

int64_t constant_of(const struct module_state *state, const char *name) {
  const struct tlsagent_constant *found = find(state, name);
  return found == NULL ? 0 : found->value;
}

static int add_number(PyObject *module, const char *name, int64_t value) {
  PyObject *number = PyLong_FromLongLong(value);
  const int result = number == NULL ? -1 : PyModule_AddObjectRef(module, name, number);
  Py_XDECREF(number);
  return result;
}

// What the daemon's OpenSSL doesn't have isn't there, as if it had been compiled with it.
static int add_translated(PyObject *module, const struct module_state *state) {
  for (size_t i = 0; i < sizeof(translated) / sizeof(translated[0]); i++) {
    const struct tlsagent_constant *found =
        state->version < translated[i].since ? NULL : find(state, translated[i].openssl);
    if (found != NULL && add_number(module, translated[i].name, found->value) != 0) {
      return -1;
    }
  }
  return 0;
}

static int add_alerts(PyObject *module, const struct module_state *state) {
  for (size_t i = 0; i < sizeof(alerts) / sizeof(alerts[0]); i++) {
    char name[64];
    char openssl[64];
    snprintf(name, sizeof(name), "ALERT_DESCRIPTION_%s", alerts[i]);
    snprintf(openssl, sizeof(openssl), "SSL_AD_%s", alerts[i]);
    const struct tlsagent_constant *found = find(state, openssl);
    if (found != NULL && add_number(module, name, found->value) != 0) {
      return -1;
    }
  }
  return 0;
}

static int64_t value_of(const struct module_state *state, const char *name) {
  const struct tlsagent_constant *found = find(state, name);
  return found == NULL ? 0 : found->value;
}

// Those that CPython puts together. Empty fragments are a remedy against BEAST, which it keeps.
static int add_composed(PyObject *module, const struct module_state *state) {
  const int64_t chain =
      value_of(state, "X509_V_FLAG_CRL_CHECK") | value_of(state, "X509_V_FLAG_CRL_CHECK_ALL");
  const int64_t all =
      value_of(state, "SSL_OP_ALL") & ~value_of(state, "SSL_OP_DONT_INSERT_EMPTY_FRAGMENTS");
  return add_number(module, "VERIFY_CRL_CHECK_CHAIN", chain) != 0
             ? -1
             : add_number(module, "OP_ALL", all);
}

// --- What there is ---

static const struct {
  const char *name;
  bool value;
  int since;
} features[] = {
    {"HAS_SNI", true, 0},           {"HAS_TLS_UNIQUE", true, 0}, {"HAS_ECDH", true, 0},
    {"HAS_NPN", false, 0},          {"HAS_ALPN", true, 0},       {"HAS_SSLv2", false, 0},
    {"HAS_SSLv3", false, 0},        {"HAS_TLSv1", true, 0},      {"HAS_TLSv1_1", true, 0},
    {"HAS_TLSv1_2", true, 0},       {"HAS_TLSv1_3", true, 0},    {"HAS_PSK", true, PYTHON_3_13},
    {"HAS_PHA", true, PYTHON_3_14},
};

static int add_features(PyObject *module, const struct module_state *state) {
  for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
    PyObject *value = features[i].value ? Py_True : Py_False;
    if (state->version >= features[i].since &&
        PyModule_AddObjectRef(module, features[i].name, value) != 0) {
      return -1;
    }
  }
  return 0;
}

// --- Versions ---

// OpenSSL's number is 0xMNN00PP0S: major, minor, patch, status; CPython reads it as it was
// before 3.0.
static PyObject *version_tuple(uint64_t number) {
  return Py_BuildValue("(iiiii)", (int)(number >> 28 & 0xFF), (int)(number >> 20 & 0xFF),
                       (int)(number >> 12 & 0xFF), (int)(number >> 4 & 0xFF), (int)(number & 0xF));
}

static int add_object(PyObject *module, const char *name, PyObject *object) {
  const int result = object == NULL ? -1 : PyModule_AddObjectRef(module, name, object);
  Py_XDECREF(object);
  return result;
}

static int add_versions(PyObject *module, const struct module_state *state) {
  const struct tlsagent_agent_info_reply *info = state->info;
  if (add_object(module, "OPENSSL_VERSION_NUMBER",
                 PyLong_FromUnsignedLongLong(info->openssl_version_number)) != 0 ||
      add_object(module, "OPENSSL_VERSION_INFO", version_tuple(info->openssl_version_number)) !=
          0 ||
      add_object(module, "OPENSSL_VERSION", PyUnicode_FromString(info->openssl_version)) != 0) {
    return -1;
  }
  return add_object(module, "_OPENSSL_API_VERSION",
                    version_tuple(info->openssl_build_version_number));
}

int constants_init(PyObject *module, struct module_state *state) {
  if (add_fixed(module) != 0 || add_translated(module, state) != 0 ||
      add_alerts(module, state) != 0 || add_composed(module, state) != 0) {
    return -1;
  }
  return add_features(module, state) != 0 ? -1 : add_versions(module, state);
}
