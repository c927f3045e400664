#include <assert.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "server/tls/certificate.h"
#include "server/tls/host.h"
#include "server/tls/openssl_error.h"
#include "server/tls/pem.h"
#include "server/tls/settings.h"
#include "server/tls/trust.h"
#include "server/tls/x509.h"

enum {
  CHAIN_MAX = 256,
  DEPTHS_MAX = 256,
  FAILURES_MAX = 64,  // at one depth
};

// A verification under way.
struct verifying {
  const struct tls_verify_request *request;
  struct arena *arena;
  struct tls_verify_result *out;
  STACK_OF(X509) * chain;
  struct trust_set *trust;
  struct tls_error *error;
  char host[HOST_MAX + 1];  // "" when none is checked
};

// ---------------------------------------------------------------------------------------------
// Collecting failures.

static struct tls_verify_depth *depth_at(struct verifying *verifying, int depth) {
  struct tls_verify_result *out = verifying->out;
  if (depth < 0 || depth >= DEPTHS_MAX) {
    return NULL;
  }
  assert(out->depths != NULL);
  for (; out->num_depths <= (size_t)depth; out->num_depths++) {
    out->depths[out->num_depths].depth = (int)out->num_depths;
  }
  return &out->depths[depth];
}

static bool is_known(const struct tls_verify_depth *depth, long code) {
  for (size_t i = 0; i < depth->num_failures; i++) {
    if (depth->failures[i].code == code) {
      return true;
    }
  }
  return false;
}

static void note_failure(struct verifying *verifying, struct tls_verify_depth *depth, long code) {
  if (depth->failures == NULL) {
    depth->failures = arena_array(verifying->arena, FAILURES_MAX, sizeof(*depth->failures));
  }
  if (depth->failures == NULL || depth->num_failures == FAILURES_MAX || is_known(depth, code)) {
    return;
  }
  char text[320];
  tls_verify_text(code, verifying->host, text, sizeof(text));
  const char *message = arena_string(verifying->arena, text);
  depth->failures[depth->num_failures++] =
      (struct tls_verify_failure){.code = code, .message = message == NULL ? "" : message};
}

// Going on after each failure is what makes OpenSSL find the next.
static int on_step(int good, X509_STORE_CTX *context) {
  struct verifying *verifying = X509_STORE_CTX_get_app_data(context);
  if (!good) {
    struct tls_verify_depth *depth = depth_at(verifying, X509_STORE_CTX_get_error_depth(context));
    if (depth != NULL) {
      note_failure(verifying, depth, X509_STORE_CTX_get_error(context));
    }
    verifying->out->ok = false;
  }
  return 1;
}

// ---------------------------------------------------------------------------------------------
// What to check.

// Certificates for TLS must be as strong as a context wants them by default.
static void expect_purpose(X509_VERIFY_PARAM *param, enum tls_purpose purpose) {
  if (purpose == TLS_PURPOSE_ANY) {
    return;
  }
  bool server = purpose == TLS_PURPOSE_SERVER;
  X509_VERIFY_PARAM_set_purpose(param, server ? X509_PURPOSE_SSL_SERVER : X509_PURPOSE_SSL_CLIENT);
  X509_VERIFY_PARAM_set_trust(param, server ? X509_TRUST_SSL_SERVER : X509_TRUST_SSL_CLIENT);
  X509_VERIFY_PARAM_set_auth_level(param, settings_default_level());
}

static status_t expect_host(struct verifying *verifying, X509_VERIFY_PARAM *param) {
  if (verifying->host[0] == '\0') {
    return OK_STATUS;
  }
  X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return host_expect(param, verifying->host) ? OK_STATUS : tls_out_of_memory(verifying->error);
}

static status_t read_host(struct verifying *verifying) {
  const char *host = verifying->request->host;
  if (host == NULL || host[0] == '\0') {
    return OK_STATUS;
  }
  const char *fault = host_fault(host);
  if (fault != NULL) {
    return tls_refuse(verifying->error, "host", "%s", fault);
  }
  host_copy(host, verifying->host);
  return OK_STATUS;
}

static status_t set_expectations(struct verifying *verifying, X509_STORE_CTX *context) {
  const struct tls_verify_request *request = verifying->request;
  X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(context);
  X509_VERIFY_PARAM_set_flags(param, request->flags | X509_V_FLAG_TRUSTED_FIRST);
  expect_purpose(param, request->purpose);
  if (request->has_time) {
    X509_VERIFY_PARAM_set_time(param, (time_t)request->at_unix);
  }
  return expect_host(verifying, param);
}

// ---------------------------------------------------------------------------------------------
// What to check it with.

static bool take_certificate(void *state, struct pem_object object) {
  STACK_OF(X509) *chain = state;
  if (sk_X509_num(chain) < CHAIN_MAX && sk_X509_push(chain, object.certificate) > 0) {
    return true;
  }
  X509_free(object.certificate);
  return false;
}

static status_t read_chain(struct verifying *verifying) {
  verifying->chain = sk_X509_new_null();
  if (verifying->chain == NULL) {
    return tls_out_of_memory(verifying->error);
  }
  switch (pem_each(verifying->request->chain, PEM_WANT_CERTIFICATES, take_certificate,
                   verifying->chain)) {
    case PEM_EACH_DAMAGED:
      return tls_refuse(verifying->error, "chain", "certificate %d can't be read",
                        sk_X509_num(verifying->chain) + 1);
    case PEM_EACH_STOPPED:
      return tls_refuse(verifying->error, "chain", "more than %d certificates", CHAIN_MAX);
    case PEM_EACH_DONE:
      break;
  }
  return sk_X509_num(verifying->chain) == 0
             ? tls_refuse(verifying->error, "chain", "no certificate in the bytes")
             : OK_STATUS;
}

static status_t read_trust(struct verifying *verifying) {
  static const struct trust_items items = {
      .certificates = "trust", .crls = "crls", .system = "system_trust"};
  const struct tls_verify_request *request = verifying->request;
  const struct tls_trust trust = {.certificates = request->trust,
                                  .num_certificates = request->num_trust,
                                  .crls = request->crls,
                                  .num_crls = request->num_crls,
                                  .system = request->system_trust};
  return trust_set_extend(NULL, &trust, &items, &verifying->trust, verifying->error);
}

// ---------------------------------------------------------------------------------------------

static status_t describe_chain(struct verifying *verifying, X509_STORE_CTX *context) {
  STACK_OF(X509) *built = X509_STORE_CTX_get0_chain(context);
  for (int i = 0; built != NULL && i < sk_X509_num(built); i++) {
    struct tls_verify_depth *depth = depth_at(verifying, i);
    if (depth != NULL) {
      TRY(x509_describe(sk_X509_value(built, i), verifying->arena, &depth->certificate));
      depth->has_certificate = true;
    }
  }
  return OK_STATUS;
}

static status_t run(struct verifying *verifying, X509_STORE_CTX *context) {
  TRY(set_expectations(verifying, context));
  if (!X509_STORE_CTX_set_app_data(context, verifying)) {
    return tls_out_of_memory(verifying->error);
  }
  X509_STORE_CTX_set_verify_cb(context, on_step);
  verifying->out->ok = true;
  int verified = X509_verify_cert(context);
  if (verified < 0 && X509_STORE_CTX_get_error(context) == X509_V_ERR_OUT_OF_MEM) {
    return tls_out_of_memory(verifying->error);
  }
  if (verified <= 0) {
    on_step(0, context);
  }
  return describe_chain(verifying, context);
}

static status_t verify(struct verifying *verifying) {
  TRY(read_host(verifying));
  TRY(read_chain(verifying));
  TRY(read_trust(verifying));
  X509_STORE_CTX *context = X509_STORE_CTX_new();
  bool good = context != NULL &&
              X509_STORE_CTX_init(context, trust_set_store(verifying->trust),
                                  sk_X509_value(verifying->chain, 0), verifying->chain) == 1;
  status_t status = good ? run(verifying, context) : tls_out_of_memory(verifying->error);
  X509_STORE_CTX_free(context);
  return status;
}

status_t tls_chain_verify(const struct tls_verify_request *request, struct arena *arena,
                          struct tls_verify_result *out, struct tls_error *error) {
  *out = (struct tls_verify_result){.ok = false};
  out->depths = arena_array(arena, DEPTHS_MAX, sizeof(*out->depths));
  if (out->depths == NULL) {
    return tls_out_of_memory(error);
  }
  struct verifying verifying = {.request = request, .arena = arena, .out = out, .error = error};
  status_t status = verify(&verifying);
  if (status_ok(status) && arena->exhausted) {
    status = tls_out_of_memory(error);
  }
  sk_X509_pop_free(verifying.chain, X509_free);
  trust_set_unref(verifying.trust);
  ERR_clear_error();
  return status;
}
