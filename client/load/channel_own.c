// A channel whose session is the own worker's.
#include "client/load/channel.h"

#include <stdio.h>
#include <string.h>

#include "server/ring/closer.h"

enum { OUTPUT_MAX = 256 * 1024, FACTS_MAX = 64 * 1024 };

static bool own_open(struct channel *channel, const struct channel_config *config,
                     struct tls_error *error) {
  struct session_config session = {.context = config->context,
                                   .engine = {.role = ENGINE_CLIENT,
                                              .server_name = config->server_name,
                                              .resumption = config->resumption,
                                              .max_output = OUTPUT_MAX,
                                              .skip_verify = config->insecure},
                                   .path = SESSION_FD,
                                   .fd = config->fd,
                                   .uid = CLOSER_NOBODY};
  tls_error_clear(error);
  channel->session = NULL;
  return status_ok(session_new(&session, &channel->session, error));
}

static void own_submit(struct channel *channel, struct session_op *op) {
  session_submit(channel->session, op);
}

static void own_cancel(struct channel *channel, struct session_op *op) {
  (void)channel;
  session_cancel(op);
}

static void on_closed(struct session_closed *waiter) {
  struct channel *channel = LIST_ENTRY(waiter, struct channel, waiter);
  channel->closed(channel);
}

static void own_close(struct channel *channel) {
  struct session *session = channel->session;
  channel->session = NULL;
  channel->waiter.closed = on_closed;
  session_close(session, &channel->waiter);
  session_unref(session);
}

static bool negotiated(struct channel *channel, struct arena *arena,
                       struct engine_negotiated *out) {
  arena_init(arena, FACTS_MAX);
  return status_ok(engine_negotiated(session_engine(channel->session), arena, out));
}

static bool own_resumed(struct channel *channel) {
  struct arena arena;
  struct engine_negotiated facts;
  bool resumed = negotiated(channel, &arena, &facts) && facts.resumed;
  arena_cleanup(&arena);
  return resumed;
}

static void own_agreed(struct channel *channel, struct agreed *out) {
  struct arena arena;
  struct engine_negotiated facts;
  *out = (struct agreed){.known = negotiated(channel, &arena, &facts)};
  if (out->known) {
    snprintf(out->version, sizeof(out->version), "%s", facts.version_name);
    snprintf(out->cipher, sizeof(out->cipher), "%s", facts.cipher.name);
    snprintf(out->group, sizeof(out->group), "%s", facts.group);
    snprintf(out->alpn, sizeof(out->alpn), "%.*s", (int)facts.alpn.len,
             facts.alpn.len == 0 ? "" : (const char *)facts.alpn.data);
  }
  arena_cleanup(&arena);
}

static struct slice own_resumption(struct channel *channel, struct arena *arena) {
  struct engine_resumption found;
  bool good = status_ok(engine_resumption(session_engine(channel->session), arena, &found));
  return good && found.present && found.resumable ? found.sealed : slice_of(NULL, 0);
}

const struct channel_kind CHANNEL_OWN = {
    .open = own_open,
    .submit = own_submit,
    .cancel = own_cancel,
    .close = own_close,
    .resumed = own_resumed,
    .agreed = own_agreed,
    .resumption = own_resumption,
};
