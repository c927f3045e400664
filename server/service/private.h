// What the files of this folder share: the environment, the handlers, and how requests are refused.
#ifndef TLSAGENT_SERVER_SERVICE_PRIVATE_H_
#define TLSAGENT_SERVER_SERVICE_PRIVATE_H_

#include "proto/tlsagent/v1/agent.pb-c.h"
#include "proto/tlsagent/v1/certificate.pb-c.h"
#include "proto/tlsagent/v1/common.pb-c.h"
#include "proto/tlsagent/v1/context.pb-c.h"
#include "proto/tlsagent/v1/relay.pb-c.h"
#include "proto/tlsagent/v1/session.pb-c.h"
#include "server/base/clock.h"
#include "server/front/front.h"
#include "server/rpc/deposit.h"
#include "server/service/service.h"
#include "server/session/desk.h"
#include "server/session/session.h"
#include "server/tls/context.h"

#ifdef __cplusplus
extern "C" {
#endif

// The environment of all handlers: written once by service_start, read by every worker. The fronts
// and the desk have locks of their own.
struct environment {
  struct service_config config;
  clock_time started;
  struct fronts fronts;
  struct desk desk;
};
extern struct environment environment;

extern const struct handle_kind context_handles;
extern const struct handle_kind session_handles;

// A refusal is why a request makes no sense: what the readers of requests give back. A code of OK
// means that nothing was refused.
struct refusal {
  enum status_code code;
  const char *text;
};

static inline bool refused(const struct refusal *refusal) {
  return refusal->code != STATUS_OK;
}

// refusal_set keeps the first reason.
void refusal_set(struct refusal *refusal, enum status_code code, const char *text);

// reply answers the call, or fails it when the response did not fit its arena.
void reply(struct call *call, const void *response);
// reply_with_fd does it with a descriptor, and takes that over; -1 is none.
void reply_with_fd(struct call *call, const void *response, int fd);

// place_at_desk is where sessions of the call's client, made from that context, bring decisions.
struct desk_place place_at_desk(const struct call *call, uint64_t context);

// payload_max is how many bytes of a stream one answer may carry, so that it fits its frame and,
// with others, its connection's queue: an answer that can't be queued is lost, and the stream with
// it.
size_t payload_max(void);

// Handlers, one per row of the table.
#define HANDLER(name) void name(struct call *call, const ProtobufCMessage *request)
HANDLER(health_check);
HANDLER(health_watch);
HANDLER(reflection_info);
HANDLER(agent_ping);
HANDLER(agent_hello);
HANDLER(agent_info);
HANDLER(agent_limits);
HANDLER(agent_counters);
HANDLER(agent_cancel);
HANDLER(agent_random_bytes);
HANDLER(agent_add_entropy);
HANDLER(agent_lookup_object);
HANDLER(certificate_decode);
HANDLER(certificate_verify);
HANDLER(context_create);
HANDLER(context_configure);
HANDLER(context_describe);
HANDLER(context_list_trust);
HANDLER(context_open);
HANDLER(context_release);
HANDLER(context_forget);
HANDLER(session_connect);
HANDLER(session_accept);
HANDLER(session_handshake);
HANDLER(session_read);
HANDLER(session_write);
HANDLER(session_shutdown);
HANDLER(session_describe);
HANDLER(session_peer_certificate);
HANDLER(session_export_keying_material);
HANDLER(session_channel_binding);
HANDLER(session_get_resumption);
HANDLER(session_request_client_certificate);
HANDLER(session_update_keys);
HANDLER(session_shared_ciphers);
HANDLER(session_set_context);
HANDLER(session_begin_relay);
HANDLER(session_descriptor_token);
HANDLER(session_wait_end);
HANDLER(session_stream);
HANDLER(session_decisions);
HANDLER(session_close_handle);
HANDLER(relay_listen);
HANDLER(relay_describe);
HANDLER(relay_next);
HANDLER(relay_close_listener);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_SERVICE_PRIVATE_H_
