// Events: what OpenSSL does and whom it tells, kept in order until somebody asks.
#include <stdlib.h>

#include "server/base/counters.h"
#include "server/base/object.h"
#include "server/tls/engine_callbacks.h"
#include "server/tls/engine_private.h"

// Lines of the key log have room of their own: no peer can drown them.
enum { KEY_LOG_MAX = ENGINE_EVENTS_MAX / 4 };

struct event {
  struct list link;
  struct engine_event event;
  uint8_t data[];
};

static size_t size_of(size_t len) {
  return sizeof(struct event) + len + 1;
}

static size_t *used_of(struct engine *engine, enum engine_event_kind kind) {
  return kind == ENGINE_EVENT_KEY_LOG ? &engine->key_log_bytes : &engine->message_bytes;
}

static struct event *allocate(struct engine *engine, const struct engine_event *from) {
  size_t most = from->kind == ENGINE_EVENT_KEY_LOG ? KEY_LOG_MAX : ENGINE_EVENTS_MAX;
  size_t *used = used_of(engine, from->kind);
  bool fits = from->data.len < most && *used + size_of(from->data.len) <= most;
  struct event *event = fits ? malloc(size_of(from->data.len)) : NULL;
  if (event != NULL) {
    *used += size_of(from->data.len);
  }
  return event;
}

static void keep(struct engine *engine, const struct engine_event *from) {
  struct event *event = allocate(engine, from);
  if (event == NULL) {
    counter_add(COUNTER_events_dropped, 1);
    return;
  }
  event->event = *from;
  event->event.data.data = event->data;
  if (from->data.len > 0) {
    memcpy(event->data, from->data.data, from->data.len);
  }
  event->data[from->data.len] = '\0';
  list_push_back(&engine->events, &event->link);
}

static void drop_first(struct engine *engine) {
  struct event *event = LIST_ENTRY(list_pop_front(&engine->events), struct event, link);
  size_t size = size_of(event->event.data.len);
  *used_of(engine, event->event.kind) -= size;
  explicit_bzero(event, size);
  free(event);
}

// ---------------------------------------------------------------------------------------------
// From OpenSSL.

static void on_key_log(const SSL *ssl, const char *line) {
  struct engine *engine = SSL_get_app_data(ssl);
  if (engine == NULL) {
    return;
  }
  traffic_on_key_log(engine, line);
  if (engine->keeps_key_log) {
    const struct engine_event event = {.kind = ENGINE_EVENT_KEY_LOG, .data = slice_of_string(line)};
    keep(engine, &event);
  }
}

static void on_message(int sent, int version, int content_type, const void *data, size_t len,
                       SSL *ssl, void *state) {
  struct engine *engine = SSL_get_app_data(ssl);
  (void)state;
  if (engine == NULL) {
    return;
  }
  traffic_on_message(engine, sent != 0, content_type, slice_of(data, len));
  if (engine->keeps_messages) {
    const struct engine_event event = {
        .kind = ENGINE_EVENT_MESSAGE,
        .data = slice_of(data, len),
        .sent = sent != 0,
        .version = version,
        .content_type = content_type,
    };
    keep(engine, &event);
  }
}

// OpenSSL looks for the key log's callback in the SSL_CTX, and for that of messages in the SSL.
void events_set_callback(SSL_CTX *ctx, const struct tls_settings *settings) {
  if (settings->events.key_log || traffic_is_allowed()) {
    SSL_CTX_set_keylog_callback(ctx, on_key_log);
  }
}

void events_listen(struct engine *engine, const struct edition *edition) {
  engine->keeps_messages = edition->settings.events.messages;
  engine->keeps_key_log = edition->settings.events.key_log;
  bool listens = engine->keeps_messages || engine->traffic != NULL;
  SSL_set_msg_callback(engine->ssl, listens ? on_message : NULL);
}

void events_end(struct engine *engine) {
  while (!list_empty(&engine->events)) {
    drop_first(engine);
  }
}

// ---------------------------------------------------------------------------------------------
// To whoever asks.

// How many there are up to max bytes, but at least one.
static size_t count(const struct engine *engine, size_t max) {
  size_t num = 0;
  size_t total = 0;
  LIST_FOR(it, &engine->events) {
    total += size_of(LIST_ENTRY(it, struct event, link)->event.data.len);
    if (num > 0 && total > max) {
      break;
    }
    num++;
  }
  return num;
}

static status_t copy_events(const struct engine *engine, struct arena *arena,
                            struct engine_event *out, size_t num) {
  const struct list *link = engine->events.next;
  for (size_t i = 0; i < num; i++, link = link->next) {
    const struct event *event = LIST_ENTRY(link, struct event, link);
    out[i] = event->event;
    out[i].data.data = arena_copy(arena, slice_of(event->data, event->event.data.len + 1));
    ENSURE(out[i].data.data != NULL, RESOURCE_EXHAUSTED);
  }
  return OK_STATUS;
}

status_t engine_take_events(struct engine *engine, struct arena *arena, size_t max,
                            struct engine_event **out, size_t *out_num) {
  OBJECT_CHECK(engine, ENGINE_MAGIC);
  *out = NULL;
  *out_num = 0;
  if (list_empty(&engine->events)) {
    return OK_STATUS;
  }
  size_t num = count(engine, max);
  *out = arena_array(arena, num, sizeof(**out));
  ENSURE(*out != NULL, RESOURCE_EXHAUSTED);
  TRY(copy_events(engine, arena, *out, num));
  for (size_t i = 0; i < num; i++) {
    drop_first(engine);
  }
  *out_num = num;
  return OK_STATUS;
}
