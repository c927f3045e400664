#include "server/tls/edition.h"

#include <openssl/err.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/tls/engine_callbacks.h"
#include "server/tls/kdf_provider.h"
#include "server/tls/openssl_error.h"
#include "server/tls/proof.h"
#include "server/tls/settings.h"

enum { ARENA_MAX = 1 << 20 };  // settings are a few lists of names

// ---------------------------------------------------------------------------------------------
// Gathering: what the last edition had, and the change.

static status_t gather_settings(struct edition *edition, const struct edition *base,
                                const struct tls_settings *change, struct tls_error *error) {
  struct tls_settings first;
  settings_default(edition->kind, &first);
  const struct tls_settings *before = base == NULL ? &first : &base->settings;
  status_t merged = settings_merge(&edition->settings, before, &edition->arena);
  if (status_ok(merged)) {
    merged = settings_merge(&edition->settings, change, &edition->arena);
  }
  if (status_ok(merged)) {
    merged = settings_alpn_wire(&edition->settings, &edition->arena, &edition->alpn);
  }
  if (!status_ok(merged)) {
    return tls_out_of_memory(error);
  }
  TRY(settings_check_kind(edition->kind, change, error));
  return settings_check(change, &edition->settings, error);
}

// Where a pair of this type is, or where the next one goes.
static size_t place_of_type(const struct edition *edition, const char *type) {
  size_t at = 0;
  while (at < edition->num_pairs && strcmp(own_pair_type(&edition->pairs[at]), type) != 0) {
    at++;
  }
  return at;
}

static status_t refuse_pair(size_t index, struct tls_error *error, const char *text,
                            const char *detail) {
  char item[48];
  snprintf(item, sizeof(item), "pairs[%zu]", index);
  return tls_refuse(error, item, "%s%s", text, detail);
}

static status_t gather_base_pairs(struct edition *edition, const struct edition *base,
                                  struct tls_error *error) {
  for (size_t i = 0; base != NULL && i < base->num_pairs; i++) {
    TRY(own_pair_copy(&base->pairs[i], &edition->pairs[i], error));
    edition->num_pairs++;
  }
  return OK_STATUS;
}

// Takes the pair over. One of the same type gives way, unless it came with the same change.
static status_t place_pair(struct edition *edition, struct own_pair *pair, size_t index,
                           struct tls_error *error) {
  const char *type = own_pair_type(pair);
  size_t at = place_of_type(edition, type);
  if (at == EDITION_PAIRS_MAX) {
    return refuse_pair(index, error, "more types of keys than a context can have", "");
  }
  if (edition->given_at[at] > 0) {
    return refuse_pair(index, error,
                       "another pair of this change has the same type of key: ", type);
  }
  own_pair_cleanup(&edition->pairs[at]);
  edition->pairs[at] = *pair;
  edition->given_at[at] = index + 1;
  edition->num_pairs = at < edition->num_pairs ? edition->num_pairs : at + 1;
  return OK_STATUS;
}

static status_t gather_pairs(struct edition *edition, const struct edition *base,
                             const struct tls_context_change *change, struct tls_error *error) {
  TRY(gather_base_pairs(edition, base, error));
  if (change->num_pairs > EDITION_PAIRS_MAX) {
    return tls_refuse(error, "pairs", "more than %d pairs", EDITION_PAIRS_MAX);
  }
  for (size_t i = 0; i < change->num_pairs; i++) {
    struct own_pair pair;
    TRY(own_pair_parse(&change->pairs[i], i, &pair, error));
    status_t placed = place_pair(edition, &pair, i, error);
    if (!status_ok(placed)) {
      own_pair_cleanup(&pair);
      return placed;
    }
  }
  return OK_STATUS;
}

static bool adds_trust(const struct tls_trust *trust) {
  return trust->num_certificates > 0 || trust->num_crls > 0 || trust->num_directories > 0 ||
         trust->system;
}

static status_t gather_trust(struct edition *edition, const struct edition *base,
                             const struct tls_trust *more, struct tls_error *error) {
  if (base != NULL && !adds_trust(more)) {
    edition->trust = trust_set_ref(base->trust);
    return OK_STATUS;
  }
  static const struct trust_items items = {.certificates = "trust.certificates",
                                           .crls = "trust.crls",
                                           .system = "trust.system",
                                           .directories = "trust.directories"};
  return trust_set_extend(base == NULL ? NULL : base->trust, more, &items, &edition->trust, error);
}

// ---------------------------------------------------------------------------------------------
// Building the SSL_CTX.

static const SSL_METHOD *method_of(enum tls_context_kind kind) {
  switch (kind) {
    case TLS_CONTEXT_CLIENT:
      return TLS_client_method();
    case TLS_CONTEXT_SERVER:
      return TLS_server_method();
    case TLS_CONTEXT_BOTH:
      break;
  }
  return TLS_method();
}

// A chain that came without intermediates is completed once, from the trust, and not at each
// handshake: up to the root if that is trusted, as OpenSSL would do it. A chain that can't be is
// sent as it is.
static void complete_chain(SSL_CTX *ctx, const struct own_pair *pair) {
  if (sk_X509_num(pair->intermediates) == 0) {
    SSL_CTX_build_cert_chain(ctx,
                             SSL_BUILD_CHAIN_FLAG_IGNORE_ERROR | SSL_BUILD_CHAIN_FLAG_CLEAR_ERROR);
    ERR_clear_error();
  }
}

// A pair that the context had before is now at odds with a setting.
static status_t refuse_use(const struct own_pair *pair, size_t given_at, struct tls_error *error) {
  const char *reason = ERR_reason_error_string(ERR_peek_last_error());
  reason = reason == NULL ? "OpenSSL gives no reason" : reason;
  if (given_at > 0) {
    return refuse_pair(given_at - 1, error, "can't be used: ", reason);
  }
  return tls_refuse(error, "settings", "the context's %s certificate can't be used with these: %s",
                    own_pair_type(pair), reason);
}

static status_t use_pair(SSL_CTX *ctx, const struct own_pair *pair, size_t given_at,
                         struct tls_error *error) {
  ERR_clear_error();
  if (!SSL_CTX_use_cert_and_key(ctx, pair->certificate, pair->key, pair->intermediates, 1)) {
    return refuse_use(pair, given_at, error);
  }
  complete_chain(ctx, pair);
  return OK_STATUS;
}

static status_t use_pairs(const struct edition *edition, struct tls_error *error) {
  for (size_t i = 0; i < edition->num_pairs; i++) {
    TRY(use_pair(edition->ctx, &edition->pairs[i], edition->given_at[i], error));
  }
  return OK_STATUS;
}

// The server's order counts. Without overlap the handshake goes on without ALPN, unless told not
// to.
static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *offered, unsigned offered_len, void *state) {
  const struct edition *edition = state;
  (void)ssl;
  unsigned char *chosen = NULL;
  int result = SSL_select_next_proto(&chosen, out_len, edition->alpn.data,
                                     (unsigned)edition->alpn.len, offered, offered_len);
  if (result != OPENSSL_NPN_NEGOTIATED) {
    return edition->settings.alpn_require_overlap ? SSL_TLSEXT_ERR_ALERT_FATAL
                                                  : SSL_TLSEXT_ERR_NOACK;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

static status_t use_alpn(struct edition *edition, struct tls_error *error) {
  if (edition->alpn.len == 0) {
    return OK_STATUS;
  }
  // Unlike most, it returns 0 for success.
  if (SSL_CTX_set_alpn_protos(edition->ctx, edition->alpn.data, (unsigned)edition->alpn.len) != 0) {
    return tls_refuse(error, "settings.alpn", "refused by OpenSSL");
  }
  SSL_CTX_set_alpn_select_cb(edition->ctx, select_alpn, edition);
  return OK_STATUS;
}

static void set_modes(SSL_CTX *ctx) {
  SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                            SSL_MODE_AUTO_RETRY | SSL_MODE_NO_AUTO_CHAIN);
  SSL_CTX_clear_mode(ctx, SSL_MODE_RELEASE_BUFFERS);  // engines free theirs when they are idle
  SSL_CTX_set_read_ahead(ctx, 0);
}

static status_t build(struct edition *edition, struct tls_error *error) {
  ERR_clear_error();
  edition->ctx = SSL_CTX_new_ex(NULL, kdf_provider_query(), method_of(edition->kind));
  if (edition->ctx == NULL) {
    return tls_out_of_memory(error);
  }
  set_modes(edition->ctx);
  engine_set_callbacks(edition->ctx);
  decisions_set_callback(edition->ctx, &edition->settings);
  events_set_callback(edition->ctx, &edition->settings);
  SSL_CTX_set1_cert_store(edition->ctx, trust_set_store(edition->trust));
  TRY(settings_apply(edition->ctx, edition->kind, &edition->settings, error));
  settings_keep_level(edition->ctx, &edition->settings);
  TRY(use_pairs(edition, error));
  return use_alpn(edition, error);
}

// ---------------------------------------------------------------------------------------------
// The proof.

// Settings that may leave too little of the protocol for our peer.
static bool is_restricted(const struct tls_settings *settings) {
  const uint32_t restricting = TLS_SET_MIN_VERSION | TLS_SET_MAX_VERSION | TLS_SET_CIPHERSUITES |
                               TLS_SET_GROUPS | TLS_SET_SIGALGS | TLS_SET_OPTIONS |
                               TLS_SET_SECURITY_LEVEL;
  return (settings->present & restricting) != 0 ||
         strcmp(settings->ciphers, SETTINGS_DEFAULT_CIPHERS) != 0;
}

// Whatever a client's settings leave of the protocol, some server may agree to it. But where the
// defaults have worked once they always do, unless OpenSSL made half an SSL_CTX for want of memory.
static status_t prove_client(const struct edition *edition, struct tls_error *error) {
  static atomic_bool defaults_work;
  if (edition->kind == TLS_CONTEXT_SERVER) {
    return OK_STATUS;
  }
  enum proof proof = proof_as_client(edition->ctx, error);
  bool restricted = is_restricted(&edition->settings);
  if (proof == PROOF_GOOD && !restricted) {
    atomic_store(&defaults_work, true);
  }
  bool damaged = proof == PROOF_IMPOSSIBLE && !restricted && atomic_load(&defaults_work);
  return proof == PROOF_NO_MEMORY || damaged ? tls_out_of_memory(error) : OK_STATUS;
}

// Our peer takes anything, so what fails with it fails with everybody. A context that is being
// changed setting by setting may be in such a state for a while, and a pre-shared key may do what
// can't be tried without one.
static status_t prove_server(const struct edition *edition, bool is_new, struct tls_error *error) {
  if (edition->kind == TLS_CONTEXT_CLIENT || edition->num_pairs == 0) {
    return OK_STATUS;
  }
  switch (proof_as_server(edition->ctx, error)) {
    case PROOF_NO_MEMORY:
      return status_of(STATUS_RESOURCE_EXHAUSTED);
    case PROOF_IMPOSSIBLE:
      return is_new && !edition->settings.decisions.psk_server ? status_of(STATUS_INVALID_ARGUMENT)
                                                               : OK_STATUS;
    case PROOF_GOOD:
      break;
  }
  return OK_STATUS;
}

static void read_stats(SSL_CTX *ctx, struct tls_session_stats *out) {
  *out = (struct tls_session_stats){
      .number = SSL_CTX_sess_number(ctx),
      .connect = SSL_CTX_sess_connect(ctx),
      .connect_good = SSL_CTX_sess_connect_good(ctx),
      .connect_renegotiate = SSL_CTX_sess_connect_renegotiate(ctx),
      .accept = SSL_CTX_sess_accept(ctx),
      .accept_good = SSL_CTX_sess_accept_good(ctx),
      .accept_renegotiate = SSL_CTX_sess_accept_renegotiate(ctx),
      .hits = SSL_CTX_sess_hits(ctx),
      .misses = SSL_CTX_sess_misses(ctx),
      .timeouts = SSL_CTX_sess_timeouts(ctx),
      .cache_full = SSL_CTX_sess_cache_full(ctx),
  };
}

// The self-test leaves no session behind, and its counts are taken off again.
static status_t prove(struct edition *edition, bool is_new, struct tls_error *error) {
  long mode = SSL_CTX_set_session_cache_mode(edition->ctx, SSL_SESS_CACHE_OFF);
  TRY(prove_client(edition, error));
  TRY(prove_server(edition, is_new, error));
  SSL_CTX_set_session_cache_mode(edition->ctx, mode);
  read_stats(edition->ctx, &edition->before);
  ERR_clear_error();
  return OK_STATUS;
}

// ---------------------------------------------------------------------------------------------

static bool same_text(const char *a, const char *b) {
  return strcmp(a == NULL ? "" : a, b == NULL ? "" : b) == 0;
}

bool edition_verifies_alike(const struct edition *a, const struct edition *b) {
  const struct tls_settings *one = &a->settings;
  const struct tls_settings *other = &b->settings;
  return a->trust == b->trust && one->verify_mode == other->verify_mode &&
         one->post_handshake_auth == other->post_handshake_auth &&
         one->verify_flags == other->verify_flags &&
         SSL_CTX_get_verify_depth(a->ctx) == SSL_CTX_get_verify_depth(b->ctx) &&
         SSL_CTX_get_security_level(a->ctx) == SSL_CTX_get_security_level(b->ctx) &&
         same_text(one->sigalgs, other->sigalgs) &&
         same_text(one->client_sigalgs, other->client_sigalgs);
}

// Tickets given out under the last edition go on to be good, unless a peer could use one to get
// around what is verified now.
static struct ticket_keys *share_ticket_keys(const struct edition *edition,
                                             const struct edition *base) {
  long lifetime = SSL_CTX_get_timeout(edition->ctx);
  if (base == NULL || !edition_verifies_alike(edition, base)) {
    return ticket_keys_new(lifetime);
  }
  ticket_keys_set_lifetime(base->ticket_keys, lifetime);
  return ticket_keys_ref(base->ticket_keys);
}

static status_t use_tickets(struct edition *edition, const struct edition *base,
                            struct tls_error *error) {
  if (edition->kind == TLS_CONTEXT_CLIENT) {
    return OK_STATUS;
  }
  if (tickets_set_callback(edition->ctx)) {
    edition->ticket_keys = share_ticket_keys(edition, base);
  }
  return edition->ticket_keys == NULL ? tls_out_of_memory(error) : OK_STATUS;
}

static status_t make(struct edition *edition, const struct edition *base,
                     const struct tls_context_change *change, struct tls_error *error) {
  TRY(gather_settings(edition, base, &change->settings, error));
  TRY(gather_pairs(edition, base, change, error));
  TRY(gather_trust(edition, base, &change->trust, error));
  TRY(build(edition, error));
  TRY(prove(edition, base == NULL, error));
  return use_tickets(edition, base, error);  // last: what is shared is changed only with the whole
}

status_t edition_new(enum tls_context_kind kind, const struct edition *base,
                     const struct tls_context_change *change, struct edition **out,
                     struct tls_error *error) {
  struct edition *edition = calloc(1, sizeof(*edition));
  if (edition == NULL) {
    return tls_out_of_memory(error);
  }
  static atomic_ullong num_editions;
  edition->kind = kind;
  edition->serial = atomic_fetch_add(&num_editions, 1);
  list_init(&edition->link);
  arena_init(&edition->arena, ARENA_MAX);
  status_t status = make(edition, base, change, error);
  if (!status_ok(status)) {
    edition_free(edition);
    return status;
  }
  edition->charge = change->charge;
  *out = edition;
  return OK_STATUS;
}

void edition_free(struct edition *edition) {
  if (edition == NULL) {
    return;
  }
  SSL_CTX_free(edition->ctx);
  ticket_keys_unref(edition->ticket_keys);
  for (size_t i = 0; i < edition->num_pairs; i++) {
    own_pair_cleanup(&edition->pairs[i]);
  }
  trust_set_unref(edition->trust);
  arena_cleanup(&edition->arena);
  if (edition->charge.give != NULL) {
    edition->charge.give(edition->charge.owner);
  }
  free(edition);
}

// ---------------------------------------------------------------------------------------------
// Counters.

// Every counter of tls_session_stats is a long: they are added in a row.
enum { NUM_COUNTERS = sizeof(struct tls_session_stats) / sizeof(long) };

static void add(struct tls_session_stats *sum, const struct tls_session_stats *more, long times) {
  long *to = &sum->number;
  const long *from = &more->number;
  for (size_t i = 0; i < NUM_COUNTERS; i++) {
    to[i] += times * from[i];
  }
}

void session_stats_add(struct tls_session_stats *sum, const struct tls_session_stats *more) {
  add(sum, more, 1);
}

struct tls_session_stats edition_stats(const struct edition *edition) {
  struct tls_session_stats stats;
  read_stats(edition->ctx, &stats);
  add(&stats, &edition->before, -1);
  return stats;
}
