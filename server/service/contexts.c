// ContextService.
#include <string.h>

#include "server/base/counters.h"
#include "server/service/convert.h"
#include "server/service/directories.h"
#include "server/service/materials.h"
#include "server/service/settings.h"

static void ref_context(void *object) {
  tls_context_ref(object);
}

static void unref_context(void *object) {
  tls_context_unref(object);
}

static void end_context(void *object) {
  (void)object;  // sessions made from it go on
}

const struct handle_kind context_handles = {
    .name = "context",
    .quota = QUOTA_CONTEXTS,
    .ref = ref_context,
    .unref = unref_context,
    .end = end_context,
};

// ---------------------------------------------------------------------------------------------
// Reading a change.

static struct tls_pair read_pair(struct call *call, const Tlsagent__V1__CertificatePair *from,
                                 uint64_t *total, struct refusal *refusal) {
  struct tls_pair pair = {
      .chain = read_material(call, from->chain, refusal),
      .key = read_material(call, from->key, refusal),
      .has_password = from->password != NULL,
  };
  if (from->chain == NULL) {
    refusal_set(refusal, STATUS_INVALID_ARGUMENT, "a pair has no chain");
  }
  if (from->password != NULL) {
    pair.password = slice_of_binary(from->password->value);
  }
  *total += pair.chain.len + pair.key.len;
  return pair;
}

static void read_pairs(struct call *call, Tlsagent__V1__CertificatePair *const *from, size_t num,
                       struct tls_context_change *out, uint64_t *total, struct refusal *refusal) {
  struct tls_pair *pairs = arena_array(call_arena(call), num, sizeof(*pairs));
  if (pairs == NULL) {
    refusal_set(refusal, STATUS_RESOURCE_EXHAUSTED, "too many pairs");
    return;
  }
  for (size_t i = 0; i < num; i++) {
    pairs[i] = read_pair(call, from[i], total, refusal);
  }
  out->pairs = pairs;
  out->num_pairs = num;
}

static void read_trust(struct call *call, const Tlsagent__V1__TrustSettings *from,
                       struct tls_trust *out, uint64_t *total, struct refusal *refusal) {
  if (from == NULL) {
    return;
  }
  out->certificates =
      read_materials(call, from->certificates, from->n_certificates, total, refusal);
  out->num_certificates = from->n_certificates;
  out->crls = read_materials(call, from->crls, from->n_crls, total, refusal);
  out->num_crls = from->n_crls;
  out->system = from->system;
  out->max_bytes = environment.config.limits->context_bytes;
  read_directories(call, from->directories, from->n_directories, out, refusal);
}

// The parts that Create and Configure share. What was taken is for release_directories.
static void read_change(struct call *call, const Tlsagent__V1__ContextSettings *settings,
                        Tlsagent__V1__CertificatePair *const *pairs, size_t num_pairs,
                        const Tlsagent__V1__TrustSettings *trust, struct tls_context_change *out,
                        struct refusal *refusal) {
  uint64_t total = 0;
  *out = (struct tls_context_change){0};
  read_settings(call_arena(call), settings, &out->settings, refusal);
  read_dh_params(call, settings, &out->settings, refusal);
  read_pairs(call, pairs, num_pairs, out, &total, refusal);
  read_trust(call, trust, &out->trust, &total, refusal);
  if (total > environment.config.limits->context_bytes) {
    refusal_set(refusal, STATUS_RESOURCE_EXHAUSTED,
                "the materials are longer together than the limit context_bytes");
  }
}

// ---------------------------------------------------------------------------------------------
// Create and Configure.

static status_t read_kind(Tlsagent__V1__ContextKind from, enum tls_context_kind *out) {
  switch (from) {
    case TLSAGENT__V1__CONTEXT_KIND__CONTEXT_KIND_UNSPECIFIED:
    case TLSAGENT__V1__CONTEXT_KIND__CONTEXT_KIND_BOTH:
      *out = TLS_CONTEXT_BOTH;
      return OK_STATUS;
    case TLSAGENT__V1__CONTEXT_KIND__CONTEXT_KIND_CLIENT:
      *out = TLS_CONTEXT_CLIENT;
      return OK_STATUS;
    case TLSAGENT__V1__CONTEXT_KIND__CONTEXT_KIND_SERVER:
      *out = TLS_CONTEXT_SERVER;
      return OK_STATUS;
    default:
      return status_of(STATUS_INVALID_ARGUMENT);
  }
}

static void give_charge(void *charge) {
  charge_give(charge);
}

// Counts the edition that is about to be made.
static status_t charge_edition(struct call *call, struct tls_context_change *change) {
  struct charge *charge = NULL;
  TRY(charge_take(call_client(call), QUOTA_CONTEXT_EDITIONS, &charge));
  change->charge = (struct tls_charge){give_charge, charge};
  return OK_STATUS;
}

static void fail_editions(struct call *call) {
  call_fail(call, STATUS_RESOURCE_EXHAUSTED,
            "no more contexts, and sessions still use what they were: end some, or raise --limit "
            "context_editions and context_editions_per_owner");
}

static void reply_created(struct call *call, uint64_t handle, const struct tls_error *error) {
  Tlsagent__V1__CreateContextResponse response = TLSAGENT__V1__CREATE_CONTEXT_RESPONSE__INIT;
  response.context = handle;
  response.error = error == NULL ? NULL : convert_error(call_arena(call), error);
  reply(call, &response);
}

static void fail_full(struct call *call, struct status status) {
  call_fail(call, status.code,
            "no more contexts: release some, or raise --limit contexts and contexts_per_owner");
}

// Gives a context its name, if it is to have one; then it has both, name and handle, or neither.
static void reply_named(struct call *call, struct tls_context *context, const char *name,
                        uint64_t handle) {
  struct client *client = call_client(call);
  status_t published =
      name[0] == '\0' ? OK_STATUS : name_publish(client, &context_handles, name, context);
  if (status_ok(published)) {
    reply_created(call, handle, NULL);
    return;
  }
  status_t dropped = handle_drop(client, &context_handles, handle);
  (void)dropped;  // the client may have ended
  if (published.code == STATUS_ALREADY_EXISTS) {
    call_fail(call, published.code, "a context of that name exists: Open it, or Forget the name");
  } else {
    fail_full(call, published);
  }
}

// Gives a new context its handle and its name. Takes the reference over.
static void hand_out(struct call *call, struct tls_context *context, const char *name) {
  uint64_t handle = 0;
  tls_context_ref(context);
  status_t added = handle_add(call_client(call), &context_handles, context, &handle);
  if (status_ok(added)) {
    reply_named(call, context, name, handle);
  } else {
    tls_context_unref(context);
    fail_full(call, added);
  }
  tls_context_unref(context);
}

static void make_context(struct call *call, enum tls_context_kind kind,
                         const struct tls_context_change *change, const char *name) {
  struct tls_error error;
  struct tls_context *context = NULL;
  status_t made = tls_context_new(kind, change, &context, &error);
  if (status_ok(made)) {
    hand_out(call, context, name);
    return;
  }
  change->charge.give(change->charge.owner);
  if (made.code == STATUS_INVALID_ARGUMENT) {
    reply_created(call, 0, &error);
  } else {
    call_fail(call, made.code, "no memory for another context");
  }
}

void context_create(struct call *call, const ProtobufCMessage *request) {
  const Tlsagent__V1__CreateContextRequest *from =
      (const Tlsagent__V1__CreateContextRequest *)request;
  struct refusal refusal = {0};
  struct tls_context_change change;
  enum tls_context_kind kind = TLS_CONTEXT_BOTH;
  if (!status_ok(read_kind(from->kind, &kind))) {
    refusal_set(&refusal, STATUS_INVALID_ARGUMENT, "kind is no ContextKind");
  }
  if (strlen(from->name) > TENANT_NAME_MAX) {
    refusal_set(&refusal, STATUS_INVALID_ARGUMENT, "a name has at most 255 bytes");
  }
  read_change(call, from->settings, from->pairs, from->n_pairs, from->trust, &change, &refusal);
  if (refused(&refusal)) {
    call_fail(call, refusal.code, "%s", refusal.text);
  } else if (!status_ok(charge_edition(call, &change))) {
    fail_editions(call);
  } else {
    make_context(call, kind, &change, from->name);
  }
  release_directories(&change.trust);
}

static struct tls_context *find(struct call *call, uint64_t handle) {
  struct tls_context *context = handle_get(call_client(call), &context_handles, handle);
  if (context == NULL) {
    call_fail(call, STATUS_NOT_FOUND, "no such context");
  }
  return context;
}

static void change_context(struct call *call, struct tls_context *context,
                           const struct tls_context_change *change) {
  struct tls_error error;
  Tlsagent__V1__ConfigureContextResponse response = TLSAGENT__V1__CONFIGURE_CONTEXT_RESPONSE__INIT;
  status_t made = tls_context_configure(context, change, &error);
  if (!status_ok(made)) {
    change->charge.give(change->charge.owner);
  }
  if (made.code == STATUS_INVALID_ARGUMENT) {
    response.error = convert_error(call_arena(call), &error);
  }
  if (status_ok(made) || response.error != NULL) {
    reply(call, &response);
  } else {
    call_fail(call, made.code, "no memory for the change");
  }
}

static void configure(struct call *call, struct tls_context_change *change,
                      const struct refusal *refusal, uint64_t handle) {
  struct tls_context *context = find(call, handle);
  if (context == NULL) {
    return;
  }
  if (refused(refusal)) {
    call_fail(call, refusal->code, "%s", refusal->text);
  } else if (!status_ok(charge_edition(call, change))) {
    fail_editions(call);
  } else {
    change_context(call, context, change);
  }
  tls_context_unref(context);
}

void context_configure(struct call *call, const ProtobufCMessage *request) {
  const Tlsagent__V1__ConfigureContextRequest *from =
      (const Tlsagent__V1__ConfigureContextRequest *)request;
  struct refusal refusal = {0};
  struct tls_context_change change;
  read_change(call, from->settings, from->pairs, from->n_pairs, from->trust, &change, &refusal);
  configure(call, &change, &refusal, from->context);
  release_directories(&change.trust);
}

// ---------------------------------------------------------------------------------------------
// Describe and ListTrust.

static void write_ciphers(struct arena *arena, const struct tls_context_info *info,
                          Tlsagent__V1__DescribeContextResponse *out) {
  out->ciphers = arena_array(arena, info->num_ciphers, sizeof(*out->ciphers));
  out->n_ciphers = out->ciphers == NULL ? 0 : info->num_ciphers;
  for (size_t i = 0; i < out->n_ciphers; i++) {
    out->ciphers[i] = convert_cipher(arena, &info->ciphers[i]);
    if (out->ciphers[i] == NULL) {
      out->n_ciphers = i;
    }
  }
}

static Tlsagent__V1__TrustCounts *write_trust(struct arena *arena,
                                              const struct tls_trust_counts *trust) {
  Tlsagent__V1__TrustCounts *out = ARENA_MESSAGE(arena, TrustCounts, trust_counts);
  if (out != NULL) {
    out->certificates = trust->certificates;
    out->crls = trust->crls;
    out->ca_certificates = trust->ca_certificates;
  }
  return out;
}

static Tlsagent__V1__SessionStats *write_stats(struct arena *arena,
                                               const struct tls_session_stats *stats) {
  Tlsagent__V1__SessionStats *out = ARENA_MESSAGE(arena, SessionStats, session_stats);
  if (out == NULL) {
    return NULL;
  }
  out->number = (uint64_t)stats->number;
  out->connect = (uint64_t)stats->connect;
  out->connect_good = (uint64_t)stats->connect_good;
  out->connect_renegotiate = (uint64_t)stats->connect_renegotiate;
  out->accept = (uint64_t)stats->accept;
  out->accept_good = (uint64_t)stats->accept_good;
  out->accept_renegotiate = (uint64_t)stats->accept_renegotiate;
  out->hits = (uint64_t)stats->hits;
  out->misses = (uint64_t)stats->misses;
  out->timeouts = (uint64_t)stats->timeouts;
  out->cache_full = (uint64_t)stats->cache_full;
  return out;
}

static void reply_described(struct call *call, struct tls_context *context) {
  struct arena *arena = call_arena(call);
  struct tls_context_info info;
  status_t described = tls_context_describe(context, arena, &info);
  if (!status_ok(described)) {
    call_fail(call, described.code, "the context could not be described");
    return;
  }
  Tlsagent__V1__DescribeContextResponse response = TLSAGENT__V1__DESCRIBE_CONTEXT_RESPONSE__INIT;
  response.kind = (Tlsagent__V1__ContextKind)tls_context_get_kind(context);
  response.settings = write_settings(arena, &info.settings);
  write_ciphers(arena, &info, &response);
  response.certificates = convert_certificates(arena, info.certificates, info.num_certificates,
                                               &response.n_certificates);
  response.trust = write_trust(arena, &info.trust);
  response.sessions = write_stats(arena, &info.sessions);
  response.name = (char *)name_of(call_client(call), &context_handles, context, arena);
  reply(call, &response);
}

void context_describe(struct call *call, const ProtobufCMessage *request) {
  const Tlsagent__V1__DescribeContextRequest *from =
      (const Tlsagent__V1__DescribeContextRequest *)request;
  struct tls_context *context = find(call, from->context);
  if (context != NULL) {
    reply_described(call, context);
    tls_context_unref(context);
  }
}

void context_list_trust(struct call *call, const ProtobufCMessage *request) {
  const Tlsagent__V1__ListTrustRequest *from = (const Tlsagent__V1__ListTrustRequest *)request;
  struct tls_context *context = find(call, from->context);
  if (context == NULL) {
    return;
  }
  struct arena *arena = call_arena(call);
  struct slice *der = NULL;
  size_t num = 0;
  status_t listed = tls_context_list_trust(context, arena, &der, &num);
  Tlsagent__V1__ListTrustResponse response = TLSAGENT__V1__LIST_TRUST_RESPONSE__INIT;
  if (status_ok(listed)) {
    response.der = binary_list(arena, der, num);
    response.n_der = response.der == NULL ? 0 : num;
    if (from->decode) {
      response.certificates = decode_chain(arena, der, num, &response.n_certificates);
    }
    reply(call, &response);
  } else {
    call_fail(call, listed.code, "the trusted certificates do not fit one answer");
  }
  tls_context_unref(context);
}

// ---------------------------------------------------------------------------------------------
// Names and handles.

void context_open(struct call *call, const ProtobufCMessage *request) {
  const Tlsagent__V1__OpenContextRequest *from = (const Tlsagent__V1__OpenContextRequest *)request;
  struct tls_context *context = name_get(call_client(call), &context_handles, from->name);
  if (context == NULL) {
    call_fail(call, STATUS_NOT_FOUND, "no context of that name");
    return;
  }
  Tlsagent__V1__OpenContextResponse response = TLSAGENT__V1__OPEN_CONTEXT_RESPONSE__INIT;
  status_t added = handle_add(call_client(call), &context_handles, context, &response.context);
  if (!status_ok(added)) {
    tls_context_unref(context);
    fail_full(call, added);
    return;
  }
  reply(call, &response);
}

void context_release(struct call *call, const ProtobufCMessage *request) {
  const Tlsagent__V1__ReleaseContextRequest *from =
      (const Tlsagent__V1__ReleaseContextRequest *)request;
  Tlsagent__V1__ReleaseContextResponse response = TLSAGENT__V1__RELEASE_CONTEXT_RESPONSE__INIT;
  if (status_ok(handle_drop(call_client(call), &context_handles, from->context))) {
    reply(call, &response);
  } else {
    call_fail(call, STATUS_NOT_FOUND, "no such context");
  }
}

void context_forget(struct call *call, const ProtobufCMessage *request) {
  const Tlsagent__V1__ForgetContextRequest *from =
      (const Tlsagent__V1__ForgetContextRequest *)request;
  Tlsagent__V1__ForgetContextResponse response = TLSAGENT__V1__FORGET_CONTEXT_RESPONSE__INIT;
  if (status_ok(name_forget(call_client(call), &context_handles, from->name))) {
    reply(call, &response);
  } else {
    call_fail(call, STATUS_NOT_FOUND, "no context of that name");
  }
}
