// SessionService.DescriptorToken, and whatever else takes a descriptor.
#include "server/service/descriptors.h"

#include "server/base/counters.h"
#include "server/service/convert.h"

static bool refuse(struct refusal *refusal, enum status_code code, const char *text) {
  refusal_set(refusal, code, text);
  return false;
}

bool take_descriptor_by_token(struct call *call, ProtobufCBinaryData token, int *out,
                              struct refusal *refusal) {
  return status_ok(deposit_take(call, slice_of_binary(token), out)) ||
         refuse(refusal, STATUS_NOT_FOUND,
                "no descriptor waits under this token: it was not put there, the token is used up "
                "or expired, or it is another client's");
}

// Tokens are of no use where nobody can say who a user of this machine is.
static const char REMOTE[] =
    "descriptors come and go on Unix sockets only, and this client came by TCP";

static bool is_remote(const struct call *call) {
  return client_peer(call_client(call))->identity != NULL;
}

bool take_descriptor(struct call *call, uint32_t index, ProtobufCBinaryData token, int *out,
                     struct refusal *refusal) {
  if (token.len > 0) {
    return take_descriptor_by_token(call, token, out, refusal);
  }
  if (is_remote(call)) {
    return refuse(refusal, STATUS_FAILED_PRECONDITION, REMOTE);
  }
  if (!call_carries_fds(call)) {
    return refuse(refusal, STATUS_FAILED_PRECONDITION,
                  "gRPC carries no descriptors: put it under a token of "
                  "SessionService.DescriptorToken, and name that");
  }
  return status_ok(call_take_fd(call, index, out)) ||
         refuse(refusal, STATUS_INVALID_ARGUMENT,
                "no descriptor of that index came with the call, or it is taken already: pass it "
                "by SCM_RIGHTS");
}

// ---------------------------------------------------------------------------------------------
// Tokens

static const char *why_full(struct call *call) {
  struct quota_limit limit = client_limit(call_client(call), QUOTA_DESCRIPTOR_TOKENS);
  counter_add(COUNTER_limits_hit, 1);
  return arena_printf(call_arena(call),
                      "limit \"%s\" (%llu) is reached: use tokens or let them expire, or start "
                      "tlsagentd with --limit %s=N",
                      limit.name, (unsigned long long)limit.value, limit.name);
}

static const char *why_no_token(struct call *call, enum status_code code) {
  switch (code) {
    case STATUS_RESOURCE_EXHAUSTED:
      return why_full(call);
    case STATUS_FAILED_PRECONDITION:
      return "the client has ended";
    default:
      return "the kernel gives no random bytes";
  }
}

bool make_token(struct call *call, enum deposit_way way, uint8_t out[DEPOSIT_TOKEN_BYTES],
                struct refusal *refusal) {
  if (is_remote(call)) {
    return refuse(refusal, STATUS_FAILED_PRECONDITION, REMOTE);
  }
  status_t made = deposit_new(call, way, out);
  if (status_ok(made)) {
    return true;
  }
  const char *why = why_no_token(call, made.code);
  return refuse(refusal, made.code, why == NULL ? "no memory for the call" : why);
}

void session_descriptor_token(struct call *call, const ProtobufCMessage *request) {
  (void)request;
  Tlsagent__V1__DescriptorTokenResponse response = TLSAGENT__V1__DESCRIPTOR_TOKEN_RESPONSE__INIT;
  struct refusal refusal = {0};
  uint8_t token[DEPOSIT_TOKEN_BYTES];
  if (!make_token(call, DEPOSIT_IN, token, &refusal)) {
    call_fail(call, refusal.code, "%s", refusal.text);
    return;
  }
  response.token = binary_of(slice_of(token, sizeof(token)));
  response.milliseconds = (uint32_t)environment.config.limits->descriptor_token_millis;
  reply(call, &response);
}
