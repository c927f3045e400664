// The table of methods: the architecture of the service on one screen.

#include "proto/grpc/health/v1/health.pb-c.h"
#include "proto/grpc/reflection/v1/reflection.pb-c.h"
#include "server/ring/closer.h"
#include "server/service/private.h"

struct environment environment;

void service_start(const struct service_config *config) {
  environment.config = *config;
  environment.started = clock_now();
  fronts_init(&environment.fronts);
  desk_init(&environment.desk);
}

void service_drain(void) {
  fronts_drain(&environment.fronts);
}

size_t service_await_relays(clock_time until) {
  return fronts_await_end(&environment.fronts, until);
}

#define AGENT            "tlsagent.v1.AgentService"
#define CERTIFICATE      "tlsagent.v1.CertificateService"
#define CONTEXT          "tlsagent.v1.ContextService"
#define SESSION          "tlsagent.v1.SessionService"
#define RELAY            "tlsagent.v1.RelayService"
#define HEALTH           "grpc.health.v1.Health"
#define REFLECTION       "grpc.reflection.v1.ServerReflection"
#define REFLECTION_ALPHA "grpc.reflection.v1alpha.ServerReflection"
#define HEALTH_REQUEST   &grpc__health__v1__health_check_request__descriptor
#define QUESTION         &grpc__reflection__v1__server_reflection_request__descriptor
#define REQUEST(message) &tlsagent__v1__##message##_request__descriptor

// Methods of the .proto files that are not here answer UNIMPLEMENTED.
static const struct method methods[] = {
    {AGENT, "Ping", REQUEST(ping), agent_ping, METHOD_UNARY},
    {AGENT, "Hello", REQUEST(hello), agent_hello, METHOD_UNARY},
    {AGENT, "Info", REQUEST(info), agent_info, METHOD_UNARY},
    {AGENT, "Limits", REQUEST(limits), agent_limits, METHOD_UNARY},
    {AGENT, "Counters", REQUEST(counters), agent_counters, METHOD_UNARY},
    {AGENT, "Cancel", REQUEST(cancel), agent_cancel, METHOD_UNARY},
    {AGENT, "RandomBytes", REQUEST(random_bytes), agent_random_bytes, METHOD_UNARY},
    {AGENT, "AddEntropy", REQUEST(add_entropy), agent_add_entropy, METHOD_UNARY},
    {AGENT, "LookupObject", REQUEST(lookup_object), agent_lookup_object, METHOD_UNARY},
    {CERTIFICATE, "Decode", REQUEST(decode), certificate_decode, METHOD_UNARY},
    {CERTIFICATE, "Verify", REQUEST(verify), certificate_verify, METHOD_UNARY},
    {CONTEXT, "Create", REQUEST(create_context), context_create, METHOD_UNARY},
    {CONTEXT, "Configure", REQUEST(configure_context), context_configure, METHOD_UNARY},
    {CONTEXT, "Describe", REQUEST(describe_context), context_describe, METHOD_UNARY},
    {CONTEXT, "ListTrust", REQUEST(list_trust), context_list_trust, METHOD_UNARY},
    {CONTEXT, "Open", REQUEST(open_context), context_open, METHOD_UNARY},
    {CONTEXT, "Release", REQUEST(release_context), context_release, METHOD_UNARY},
    {CONTEXT, "Forget", REQUEST(forget_context), context_forget, METHOD_UNARY},
    {SESSION, "Connect", REQUEST(connect), session_connect, METHOD_UNARY},
    {SESSION, "Accept", REQUEST(accept), session_accept, METHOD_UNARY},
    {SESSION, "Handshake", REQUEST(handshake), session_handshake, METHOD_UNARY},
    {SESSION, "Read", REQUEST(read), session_read, METHOD_UNARY},
    {SESSION, "Write", REQUEST(write), session_write, METHOD_UNARY},
    {SESSION, "Shutdown", REQUEST(shutdown), session_shutdown, METHOD_UNARY},
    {SESSION, "Describe", REQUEST(describe_session), session_describe, METHOD_UNARY},
    {SESSION, "PeerCertificate", REQUEST(peer_certificate), session_peer_certificate, METHOD_UNARY},
    {SESSION, "ExportKeyingMaterial", REQUEST(export_keying_material),
     session_export_keying_material, METHOD_UNARY},
    {SESSION, "ChannelBinding", REQUEST(channel_binding), session_channel_binding, METHOD_UNARY},
    {SESSION, "GetResumption", REQUEST(get_resumption), session_get_resumption, METHOD_UNARY},
    {SESSION, "RequestClientCertificate", REQUEST(request_client_certificate),
     session_request_client_certificate, METHOD_UNARY},
    {SESSION, "UpdateKeys", REQUEST(update_keys), session_update_keys, METHOD_UNARY},
    {SESSION, "SharedCiphers", REQUEST(shared_ciphers), session_shared_ciphers, METHOD_UNARY},
    {SESSION, "SetContext", REQUEST(set_context), session_set_context, METHOD_UNARY},
    {SESSION, "Relay", REQUEST(relay), session_begin_relay, METHOD_UNARY},
    {SESSION, "DescriptorToken", REQUEST(descriptor_token), session_descriptor_token, METHOD_UNARY},
    {SESSION, "WaitEnd", REQUEST(wait_end), session_wait_end, METHOD_UNARY},
    {SESSION, "Stream", REQUEST(stream), session_stream, METHOD_BOTH_SEND},
    {SESSION, "Decisions", REQUEST(decisions), session_decisions, METHOD_BOTH_SEND},
    {SESSION, "Close", REQUEST(close_session), session_close_handle, METHOD_UNARY},
    {RELAY, "Listen", REQUEST(listen), relay_listen, METHOD_UNARY},
    {RELAY, "Describe", REQUEST(describe_listener), relay_describe, METHOD_UNARY},
    {RELAY, "Next", REQUEST(next_ends), relay_next, METHOD_UNARY},
    {RELAY, "Close", REQUEST(close_listener), relay_close_listener, METHOD_UNARY},
    {HEALTH, "Check", HEALTH_REQUEST, health_check, METHOD_UNARY},
    {HEALTH, "Watch", HEALTH_REQUEST, health_watch, METHOD_SERVER_SENDS},
    {REFLECTION, "ServerReflectionInfo", QUESTION, reflection_info, METHOD_BOTH_SEND},
    {REFLECTION_ALPHA, "ServerReflectionInfo", QUESTION, reflection_info, METHOD_BOTH_SEND},
};

const struct method *service_methods(size_t *out_num) {
  *out_num = sizeof(methods) / sizeof(methods[0]);
  return methods;
}

void refusal_set(struct refusal *refusal, enum status_code code, const char *text) {
  if (!refused(refusal)) {
    *refusal = (struct refusal){code, text};
  }
}

size_t payload_max(void) {
  enum { HALF_A_FRAME = 2 << 20 };
  uint64_t half_a_queue = environment.config.limits->queued_bytes / 2;
  return half_a_queue < HALF_A_FRAME ? half_a_queue : HALF_A_FRAME;
}

void reply(struct call *call, const void *response) {
  reply_with_fd(call, response, -1);
}

void reply_with_fd(struct call *call, const void *response, int fd) {
  if (call_arena(call)->exhausted) {
    if (fd >= 0) {
      closer_close(client_peer(call_client(call))->uid, fd);
    }
    call_fail(call, STATUS_RESOURCE_EXHAUSTED, "the answer does not fit the memory of one call");
  } else if (fd >= 0) {
    call_reply_with_fd(call, response, fd);
  } else {
    call_reply(call, response);
  }
}
