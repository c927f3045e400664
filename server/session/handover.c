#include "server/session/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "server/base/object.h"
#include "server/ring/closer.h"
#include "server/session/kernel_tls.h"
#include "server/session/private.h"

__attribute__((format(printf, 2, 3))) static enum handover_result refuse(struct handover *out,
                                                                         const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(out->why, sizeof(out->why), format, arguments);
  va_end(arguments);
  return HANDOVER_NOT_POSSIBLE;
}

static const char *why_not(const struct session *session) {
  if (!relay_may_begin(session)) {
    return "the session is no established one of the socket path, or has calls in flight";
  }
  if (!kernel_tls_fits(stream_fd(session->stream))) {
    return "the socket is not TCP";
  }
  if (session->ended || bytes_len(&session->inbox) > 0) {
    return "the peer has sent something already";
  }
  if (transport_unsent(session) > 0) {
    return "something is still to be sent";
  }
  return stream_is_idle(session->stream) ? NULL : "the daemon is reading from the socket";
}

// Half of a connection is worse than none.
static enum handover_result fail(struct session *session, struct handover *out, int os_errno) {
  struct tls_error error;
  tls_error_os(&error, os_errno, "hand the receiving keys to the kernel");
  session_fail(session, &error);
  stream_reset(session->stream);
  transport_close(session);
  refuse(out, "the kernel took the keys to send with, and not those to receive: %s",
         strerrordesc_np(os_errno));
  return HANDOVER_BROKE;
}

static enum handover_result set(struct session *session, const struct engine_traffic_keys *keys,
                                struct handover *out) {
  int os_errno = 0;
  switch (kernel_tls_set(stream_fd(session->stream), keys, &os_errno)) {
    case KERNEL_TLS_SET:
      return HANDOVER_DONE;
    case KERNEL_TLS_HALF_SET:
      return fail(session, out, os_errno);
    case KERNEL_TLS_NOT_SET:
      break;
  }
  return refuse(out, "the kernel refused: %s", strerrordesc_np(os_errno));
}

static enum handover_result export_and_set(struct session *session, struct handover *out) {
  struct engine_traffic_keys keys;
  const char *why = NULL;
  status_t given = engine_traffic_keys(session->engine, &keys, &why);
  if (!status_ok(given)) {
    return refuse(out, "%s", why);
  }
  enum handover_result result = set(session, &keys, out);
  explicit_bzero(&keys, sizeof(keys));
  return result;
}

// All that can fail for want of memory or descriptors comes before the kernel has the keys.
static enum handover_result hand_over(struct session *session, struct handover *out) {
  struct relay *record = relay_new_handed_over(session);
  out->fd = fcntl(stream_fd(session->stream), F_DUPFD_CLOEXEC, 0);
  enum handover_result result = record == NULL || out->fd < 0
                                    ? refuse(out, "no memory, or no descriptors, for it")
                                    : export_and_set(session, out);
  if (result == HANDOVER_DONE) {
    session->relay = record;
    transport_close(session);
    return result;
  }
  if (out->fd >= 0) {
    closer_close(session->uid, out->fd);
    out->fd = -1;
  }
  relay_free(record);
  return result;
}

enum handover_result session_hand_over(struct session *session, struct handover *out) {
  OBJECT_CHECK(session, SESSION_MAGIC);
  *out = (struct handover){.fd = -1};
  const char *why = why_not(session);
  if (why != NULL) {
    return refuse(out, "%s", why);
  }
  enum handover_result result = hand_over(session, out);
  if (result != HANDOVER_NOT_POSSIBLE) {
    engine_forget_traffic_keys(session->engine);
  }
  return result;
}
