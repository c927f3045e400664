// How the daemon hears of a context's settings.
#include <string.h>

#include "client/python/context.h"
#include "client/python/errors.h"
#include "client/python/socket.h"

// What sessions made by this module are bound to, as CPython's are.
static const char session_id_context[] = "Python";

// ALPN's wire form is a length before each name. What doesn't fit its length ends the list.
enum { ALPN_MAX = 255 };

// A change as the daemon takes it, with what its pointers point at. All of it is copied or held, so
// that the GIL can go.
struct change {
  struct tlsagent_context_settings settings;
  struct tlsagent_bytes names[ALPN_MAX];
  struct tlsagent_alpn alpn;
  struct tlsagent_decisions decisions;
  struct tlsagent_event_settings events;
  PyObject *wire;
  char *ciphers;
  char *groups;
  char *psk_hint;
  unsigned news;  // what the change tells, until it has
};

static void change_free(struct change *change) {
  Py_XDECREF(change->wire);
  free(change->ciphers);
  free(change->groups);
  free(change->psk_hint);
}

static struct tlsagent_optional given(uint64_t value) {
  return (struct tlsagent_optional){true, value};
}

static bool tells(const struct change *change, unsigned news) {
  return (change->news & news) != 0;
}

static void put_verification(struct change *change, const struct context *context) {
  struct tlsagent_context_settings *out = &change->settings;
  if (tells(change, NEWS_VERIFY_MODE)) {
    out->verify_mode = given((uint64_t)context->verify_mode + TLSAGENT_VERIFY_NONE);
    out->check_hostname = given(context->check_hostname != 0);
  }
  if (tells(change, NEWS_VERIFY_FLAGS)) {
    out->verify_flags = given(context->verify_flags);
  }
  if (tells(change, NEWS_HOST_FLAGS)) {
    out->host_flags = given(context->host_flags);
  }
}

static void put_numbers(struct change *change, const struct context *context) {
  struct tlsagent_context_settings *out = &change->settings;
  if (tells(change, NEWS_OPTIONS)) {
    out->options = given(context->options);
  }
  if (tells(change, NEWS_MIN_VERSION)) {
    out->min_version = given((uint64_t)context->min_version);
  }
  if (tells(change, NEWS_MAX_VERSION)) {
    out->max_version = given((uint64_t)context->max_version);
  }
  if (tells(change, NEWS_NUM_TICKETS)) {
    out->num_tickets = given((uint64_t)context->num_tickets);
  }
  if (tells(change, NEWS_POST_HANDSHAKE_AUTH)) {
    out->post_handshake_auth = given(context->post_handshake_auth != 0);
  }
  out->session_id_context = tlsagent_bytes_of(session_id_context, sizeof(session_id_context) - 1);
}

static void put_alpn(struct change *change, struct context *context) {
  if (!tells(change, NEWS_ALPN) || context->alpn == NULL) {
    return;
  }
  change->wire = Py_NewRef(context->alpn);
  const uint8_t *at = (const uint8_t *)PyBytes_AsString(change->wire);
  size_t left = (size_t)PyBytes_Size(change->wire);
  while (left > 1 && at[0] != 0 && at[0] < left && change->alpn.num_protocols < ALPN_MAX) {
    size_t len = at[0];
    change->names[change->alpn.num_protocols++] = tlsagent_bytes_of(at + 1, len);
    at += 1 + len;
    left -= 1 + len;
  }
  change->alpn.protocols = change->names;
  change->settings.alpn = &change->alpn;
}

static void put_callbacks(struct change *change, const struct context *context) {
  if (tells(change, NEWS_DECISIONS)) {
    change->decisions = (struct tlsagent_decisions){
        .server_name = context->sni_callback != NULL,
        .psk_client = context->psk_client_callback != NULL,
        .psk_server = context->psk_server_callback != NULL,
    };
    change->settings.decisions = &change->decisions;
  }
  if (tells(change, NEWS_EVENTS)) {
    change->events = (struct tlsagent_event_settings){
        .key_log = context->keylog_fd >= 0,
        .messages = context->msg_callback != NULL,
    };
    change->settings.events = &change->events;
  }
}

// A text of the context's, copied for as long as the change lives. false without memory.
static bool put_text(struct change *change, unsigned news, const char *text, char **copy,
                     const char **out) {
  if (!tells(change, news) || text == NULL) {
    return true;
  }
  *copy = strdup(text);
  *out = *copy;
  return *copy != NULL;
}

static bool put_texts(struct change *change, const struct context *context) {
  struct tlsagent_context_settings *out = &change->settings;
  return put_text(change, NEWS_CIPHERS, context->ciphers, &change->ciphers, &out->ciphers) &&
         put_text(change, NEWS_GROUPS, context->groups, &change->groups, &out->groups) &&
         put_text(change, NEWS_PSK_HINT, context->psk_hint, &change->psk_hint,
                  &out->psk_identity_hint);
}

// Takes the news for this change: what is set from now on is news again.
static bool change_take(struct change *change, struct context *context) {
  *change = (struct change){.news = context->news};
  put_verification(change, context);
  put_numbers(change, context);
  put_alpn(change, context);
  put_callbacks(change, context);
  if (!put_texts(change, context)) {
    return false;
  }
  context->news = 0;
  return true;
}

// --- The calls, without the GIL ---

enum tlsagent_context_kind context_kind(const struct context *context) {
  switch (context->protocol) {
    case PROTOCOL_TLS_CLIENT:
      return TLSAGENT_CONTEXT_CLIENT;
    case PROTOCOL_TLS_SERVER:
      return TLSAGENT_CONTEXT_SERVER;
    default:
      return TLSAGENT_CONTEXT_BOTH;
  }
}

static struct tlsagent_trust trust_of(const struct context_extras *extras) {
  struct tlsagent_trust trust = {0};
  if (extras != NULL) {
    trust.certificates = extras->certificates;
    trust.num_certificates = extras->num_certificates;
    trust.directories = extras->directories;
    trust.num_directories = extras->num_directories;
  }
  return trust;
}

// What a change still has to tell after its first call.
struct rest {
  struct tlsagent_optional max_version;
  const struct tlsagent_certificate_pair *pair;
};

// Bounds that cross are nobody's fault until a handshake fails for them; the daemon refuses them in
// one request.
static bool bounds_cross(const struct tlsagent_context_settings *settings) {
  return settings->min_version.given && settings->max_version.given &&
         settings->max_version.value != 0 &&
         settings->min_version.value > settings->max_version.value;
}

static struct tlsagent_optional split_bounds(struct tlsagent_context_settings *settings) {
  struct tlsagent_optional later = {false, 0};
  if (bounds_cross(settings)) {
    later = settings->max_version;
    settings->max_version = (struct tlsagent_optional){false, 0};
  }
  return later;
}

// A pair never comes with Create, which refuses what can't shake hands: Python may mend it later.
static bool create(struct context *context, const struct change *change,
                   const struct context_extras *extras, struct tlsagent_client *client,
                   struct tlsagent_error *error) {
  const struct tlsagent_context_create_request request = {
      .kind = context_kind(context), .settings = change->settings, .trust = trust_of(extras)};
  uint64_t number;
  if (!tlsagent_context_create(client, &number, &request, 0, error)) {
    return false;
  }
  context->handle = agent_made(client, AGENT_CONTEXT, number);
  return true;
}

static bool configure(const struct context *context, const struct change *change,
                      const struct context_extras *extras, struct tlsagent_client *client,
                      struct tlsagent_error *error) {
  const struct tlsagent_context_configure_request request = {
      .context = context->handle.number,
      .settings = change->settings,
      .pairs = extras == NULL ? NULL : extras->pair,
      .num_pairs = extras != NULL && extras->pair != NULL,
      .trust = trust_of(extras)};
  return tlsagent_context_configure(client, &request, 0, error);
}

static bool tell_rest(const struct context *context, const struct rest *rest,
                      struct tlsagent_client *client, struct tlsagent_error *error) {
  const struct tlsagent_context_configure_request request = {
      .context = context->handle.number,
      .settings = {.max_version = rest->max_version},
      .pairs = rest->pair,
      .num_pairs = rest->pair != NULL};
  bool nothing = !rest->max_version.given && rest->pair == NULL;
  return nothing || tlsagent_context_configure(client, &request, 0, error);
}

static bool tell(struct context *context, struct change *change,
                 const struct context_extras *extras, struct tlsagent_client *client,
                 struct tlsagent_error *error) {
  bool is_new = context->handle.number == 0;
  struct rest rest = {split_bounds(&change->settings), NULL};
  if (is_new && extras != NULL) {
    rest.pair = extras->pair;
  }
  bool told = is_new ? create(context, change, extras, client, error)
                     : configure(context, change, extras, client, error);
  if (!told) {
    return false;
  }
  change->news = 0;
  return tell_rest(context, &rest, client, error);
}

static bool take_and_tell(struct context *context, struct change *change,
                          const struct context_extras *extras, struct tlsagent_error *error) {
  const struct agent_handle *handle = context->handle.number == 0 ? NULL : &context->handle;
  struct tlsagent_client *client = agent_take(handle, error);
  bool told = client != NULL && tell(context, change, extras, client, error);
  if (client != NULL) {
    agent_give(client);
  }
  return told;
}

// --- With the GIL ---

static bool sync_locked(struct context *context, const struct context_extras *extras,
                        struct tlsagent_error *error) {
  struct change change;
  if (context->handle.number != 0 && context->news == 0 && extras == NULL) {
    return true;
  }
  if (!change_take(&change, context)) {
    change_free(&change);
    *error = (struct tlsagent_error){.fault = TLSAGENT_FAULT_MEMORY, .message = "no memory"};
    return false;
  }
  if (extras != NULL) {
    change.settings.dh_params = extras->dh_params;
  }
  bool told;
  context->telling = change.news;
  Py_BEGIN_ALLOW_THREADS
  told = take_and_tell(context, &change, extras, error);
  Py_END_ALLOW_THREADS
  context->telling = 0;
  context->news |= change.news;
  change_free(&change);
  return told;
}

// A forked child doesn't have the thread that may have been at it: what that one was telling is
// news again, and its lock is open.
static void take_over(struct context *context) {
  struct tlsagent_error ignored;
  if (agent_owns(&context->process, &ignored)) {
    return;
  }
  context->process = 0;
  context->news |= context->telling;
  context->telling = 0;
  pthread_mutex_init(&context->syncing, NULL);
  agent_owns(&context->process, &ignored);
}

bool context_sync(struct context *context, const struct context_extras *extras,
                  struct tlsagent_error *error) {
  take_over(context);
  Py_BEGIN_ALLOW_THREADS
  pthread_mutex_lock(&context->syncing);
  Py_END_ALLOW_THREADS
  bool told = sync_locked(context, extras, error);
  pthread_mutex_unlock(&context->syncing);
  return told;
}

static size_t num_unopened(const struct context *context) {
  size_t num = 0;
  for (const struct ssl_socket *socket = context->unopened; socket != NULL;
       socket = socket->next_unopened) {
    num++;
  }
  return num;
}

static struct ssl_socket *oldest_unopened(const struct context *context) {
  struct ssl_socket *socket = context->unopened;
  while (socket != NULL && socket->next_unopened != NULL) {
    socket = socket->next_unopened;
  }
  return socket;
}

// Those that other threads make meanwhile are not waited for: there might be no end of them.
bool context_change(struct context *context, unsigned news) {
  for (size_t left = num_unopened(context); left > 0; left--) {
    struct ssl_socket *socket = oldest_unopened(context);
    if (socket != NULL && !socket_open_now(socket)) {
      return false;
    }
  }
  context->news |= news;
  return true;
}
