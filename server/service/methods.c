// The table of methods: the architecture of the service on one screen.

#include "server/ring/closer.h"
#include "server/service/private.h"

struct environment environment;

void service_start(const struct service_config *config) {
  environment.config = *config;
  environment.started = clock_now();
  fronts_init(&environment.fronts);
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
#define REQUEST(message) &tlsagent__v1__##message##_request__descriptor

// Methods of the .proto files that are not here answer UNIMPLEMENTED.
static const struct method methods[] = {
    {AGENT, "Ping", REQUEST(ping), agent_ping},
    {AGENT, "Hello", REQUEST(hello), agent_hello},
    {AGENT, "Info", REQUEST(info), agent_info},
    {AGENT, "Limits", REQUEST(limits), agent_limits},
    {AGENT, "Counters", REQUEST(counters), agent_counters},
    {AGENT, "Cancel", REQUEST(cancel), agent_cancel},
    {AGENT, "RandomBytes", REQUEST(random_bytes), agent_random_bytes},
    {AGENT, "AddEntropy", REQUEST(add_entropy), agent_add_entropy},
    {AGENT, "LookupObject", REQUEST(lookup_object), agent_lookup_object},
    {CERTIFICATE, "Decode", REQUEST(decode), certificate_decode},
    {CERTIFICATE, "Verify", REQUEST(verify), certificate_verify},
    {CONTEXT, "Create", REQUEST(create_context), context_create},
    {CONTEXT, "Configure", REQUEST(configure_context), context_configure},
    {CONTEXT, "Describe", REQUEST(describe_context), context_describe},
    {CONTEXT, "ListTrust", REQUEST(list_trust), context_list_trust},
    {CONTEXT, "Open", REQUEST(open_context), context_open},
    {CONTEXT, "Release", REQUEST(release_context), context_release},
    {CONTEXT, "Forget", REQUEST(forget_context), context_forget},
    {SESSION, "Connect", REQUEST(connect), session_connect},
    {SESSION, "Accept", REQUEST(accept), session_accept},
    {SESSION, "Handshake", REQUEST(handshake), session_handshake},
    {SESSION, "Read", REQUEST(read), session_read},
    {SESSION, "Write", REQUEST(write), session_write},
    {SESSION, "Shutdown", REQUEST(shutdown), session_shutdown},
    {SESSION, "Describe", REQUEST(describe_session), session_describe},
    {SESSION, "PeerCertificate", REQUEST(peer_certificate), session_peer_certificate},
    {SESSION, "ExportKeyingMaterial", REQUEST(export_keying_material),
     session_export_keying_material},
    {SESSION, "ChannelBinding", REQUEST(channel_binding), session_channel_binding},
    {SESSION, "GetResumption", REQUEST(get_resumption), session_get_resumption},
    {SESSION, "RequestClientCertificate", REQUEST(request_client_certificate),
     session_request_client_certificate},
    {SESSION, "UpdateKeys", REQUEST(update_keys), session_update_keys},
    {SESSION, "SharedCiphers", REQUEST(shared_ciphers), session_shared_ciphers},
    {SESSION, "SetContext", REQUEST(set_context), session_set_context},
    {SESSION, "Relay", REQUEST(relay), session_begin_relay},
    {SESSION, "WaitEnd", REQUEST(wait_end), session_wait_end},
    {SESSION, "Close", REQUEST(close_session), session_close_handle},
    {RELAY, "Listen", REQUEST(listen), relay_listen},
    {RELAY, "Describe", REQUEST(describe_listener), relay_describe},
    {RELAY, "Next", REQUEST(next_ends), relay_next},
    {RELAY, "Close", REQUEST(close_listener), relay_close_listener},
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
