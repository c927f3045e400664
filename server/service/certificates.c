// CertificateService.
#include "server/service/convert.h"
#include "server/service/materials.h"

enum { DECODE_MAX = 256 };

void certificate_decode(struct call *call, const ProtobufCMessage *request) {
  const Tlsagent__V1__DecodeRequest *from = (const Tlsagent__V1__DecodeRequest *)request;
  struct refusal refusal = {0};
  struct slice data = read_material(call, from->certificates, &refusal);
  if (from->certificates == NULL) {
    refusal_set(&refusal, STATUS_INVALID_ARGUMENT, "certificates is absent");
  }
  if (from->max_certificates > DECODE_MAX) {
    refusal_set(&refusal, STATUS_INVALID_ARGUMENT, "max_certificates is at most 256");
  }
  if (refused(&refusal)) {
    call_fail(call, refusal.code, "%s", refusal.text);
    return;
  }
  struct arena *arena = call_arena(call);
  size_t max = from->max_certificates == 0 ? DECODE_MAX : from->max_certificates;
  struct tls_certificate *certificates = NULL;
  size_t num = 0;
  struct tls_error error;
  Tlsagent__V1__DecodeResponse response = TLSAGENT__V1__DECODE_RESPONSE__INIT;
  status_t decoded = tls_certificates_decode(data, max, arena, &certificates, &num, &error);
  if (status_ok(decoded)) {
    response.certificates =
        convert_certificates(arena, certificates, num, &response.n_certificates);
  } else if (decoded.code == STATUS_INVALID_ARGUMENT) {
    response.error = convert_error(arena, &error);
  } else {
    call_fail(call, decoded.code, "the certificates do not fit the memory of one call");
    return;
  }
  reply(call, &response);
}

// ---------------------------------------------------------------------------------------------

static Tlsagent__V1__VerifyFailure *write_failure(struct arena *arena,
                                                  const struct tls_verify_failure *failure) {
  Tlsagent__V1__VerifyFailure *out = ARENA_MESSAGE(arena, VerifyFailure, verify_failure);
  if (out != NULL) {
    out->code = failure->code;
    out->message = (char *)failure->message;
  }
  return out;
}

static Tlsagent__V1__VerifyDepth *write_depth(struct arena *arena,
                                              const struct tls_verify_depth *depth) {
  Tlsagent__V1__VerifyDepth *out = ARENA_MESSAGE(arena, VerifyDepth, verify_depth);
  if (out == NULL) {
    return NULL;
  }
  out->depth = (uint32_t)depth->depth;
  out->certificate =
      depth->has_certificate ? convert_certificate(arena, &depth->certificate) : NULL;
  out->failures = arena_array(arena, depth->num_failures, sizeof(*out->failures));
  out->n_failures = out->failures == NULL ? 0 : depth->num_failures;
  for (size_t i = 0; i < out->n_failures; i++) {
    out->failures[i] = write_failure(arena, &depth->failures[i]);
    if (out->failures[i] == NULL) {
      out->n_failures = i;
    }
  }
  return out;
}

static void write_depths(struct arena *arena, const struct tls_verify_result *result,
                         Tlsagent__V1__VerifyResponse *out) {
  out->ok = result->ok;
  out->depths = arena_array(arena, result->num_depths, sizeof(*out->depths));
  out->n_depths = out->depths == NULL ? 0 : result->num_depths;
  for (size_t i = 0; i < out->n_depths; i++) {
    out->depths[i] = write_depth(arena, &result->depths[i]);
    if (out->depths[i] == NULL) {
      out->n_depths = i;
    }
  }
}

static void read_verify(struct call *call, const Tlsagent__V1__VerifyRequest *from,
                        struct tls_verify_request *out, struct refusal *refusal) {
  uint64_t total = 0;
  *out = (struct tls_verify_request){
      .chain = read_material(call, from->chain, refusal),
      .trust = read_materials(call, from->trust, from->n_trust, &total, refusal),
      .num_trust = from->n_trust,
      .system_trust = from->system_trust,
      .crls = read_materials(call, from->crls, from->n_crls, &total, refusal),
      .num_crls = from->n_crls,
      .host = from->host,
      .purpose = (enum tls_purpose)from->purpose,
      .flags = from->flags,
      .has_time = from->at_unix != NULL,
      .at_unix = from->at_unix == NULL ? 0 : (int64_t)from->at_unix->value,
  };
  if (from->chain == NULL) {
    refusal_set(refusal, STATUS_INVALID_ARGUMENT, "chain is absent");
  }
  if ((unsigned)from->purpose > TLS_PURPOSE_CLIENT) {
    refusal_set(refusal, STATUS_INVALID_ARGUMENT, "purpose is no VerifyPurpose");
  }
  if (from->at_unix != NULL && from->at_unix->value > INT64_MAX) {
    refusal_set(refusal, STATUS_INVALID_ARGUMENT, "at_unix is beyond the end of time");
  }
}

void certificate_verify(struct call *call, const ProtobufCMessage *request) {
  const Tlsagent__V1__VerifyRequest *from = (const Tlsagent__V1__VerifyRequest *)request;
  struct arena *arena = call_arena(call);
  struct refusal refusal = {0};
  struct tls_verify_request asked;
  read_verify(call, from, &asked, &refusal);
  if (refused(&refusal)) {
    call_fail(call, refusal.code, "%s", refusal.text);
    return;
  }
  struct tls_error error;
  struct tls_verify_result result;
  Tlsagent__V1__VerifyResponse response = TLSAGENT__V1__VERIFY_RESPONSE__INIT;
  status_t verified = tls_chain_verify(&asked, arena, &result, &error);
  if (status_ok(verified)) {
    write_depths(arena, &result, &response);
  } else if (verified.code == STATUS_INVALID_ARGUMENT) {
    response.error = convert_error(arena, &error);
  } else {
    call_fail(call, verified.code, "the chain does not fit the memory of one call");
    return;
  }
  reply(call, &response);
}
