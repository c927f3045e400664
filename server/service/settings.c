#include "server/service/settings.h"

#include "server/service/convert.h"

// ---------------------------------------------------------------------------------------------
// From the wire. One reader per type of value; the table of fields is read_settings itself
// (but for dh_params, a material: materials.c).

static bool known_version(Tlsagent__V1__ProtocolVersion version) {
  return protobuf_c_enum_descriptor_get_value(&tlsagent__v1__protocol_version__descriptor,
                                              (int)version) != NULL;
}

static void read_version(const Tlsagent__V1__VersionBound *from, uint32_t bit,
                         struct tls_settings *out, int *value, struct refusal *refusal) {
  if (from == NULL) {
    return;
  }
  if (!known_version(from->version)) {
    refusal_set(refusal, STATUS_INVALID_ARGUMENT, "a version bound is no ProtocolVersion");
  }
  out->present |= bit;
  *value = (int)from->version;
}

static void read_text(const Tlsagent__V1__StringValue *from, uint32_t bit, struct tls_settings *out,
                      const char **value) {
  if (from != NULL) {
    out->present |= bit;
    *value = from->value;
  }
}

static bool read_u32(const Tlsagent__V1__UInt32Value *from, uint32_t bit,
                     struct tls_settings *out) {
  if (from != NULL) {
    out->present |= bit;
  }
  return from != NULL;
}

static void read_numbers(const Tlsagent__V1__ContextSettings *from, struct tls_settings *out) {
  if (read_u32(from->host_flags, TLS_SET_HOST_FLAGS, out)) {
    out->host_flags = from->host_flags->value;
  }
  if (read_u32(from->verify_depth, TLS_SET_VERIFY_DEPTH, out)) {
    out->verify_depth =
        from->verify_depth->value > INT32_MAX ? INT32_MAX : (int)from->verify_depth->value;
  }
  if (read_u32(from->num_tickets, TLS_SET_NUM_TICKETS, out)) {
    out->num_tickets = from->num_tickets->value;
  }
  if (read_u32(from->session_timeout_seconds, TLS_SET_SESSION_TIMEOUT, out)) {
    out->session_timeout = from->session_timeout_seconds->value;
  }
  if (read_u32(from->session_cache_size, TLS_SET_SESSION_CACHE_SIZE, out)) {
    out->session_cache_size = from->session_cache_size->value;
  }
  if (read_u32(from->security_level, TLS_SET_SECURITY_LEVEL, out)) {
    out->security_level =
        from->security_level->value > INT32_MAX ? INT32_MAX : (int)from->security_level->value;
  }
  if (from->options != NULL) {
    out->present |= TLS_SET_OPTIONS;
    out->options = from->options->value;
  }
  if (from->verify_flags != NULL) {
    out->present |= TLS_SET_VERIFY_FLAGS;
    out->verify_flags = from->verify_flags->value;
  }
}

static void read_texts(const Tlsagent__V1__ContextSettings *from, struct tls_settings *out) {
  read_text(from->ciphers, TLS_SET_CIPHERS, out, &out->ciphers);
  read_text(from->ciphersuites, TLS_SET_CIPHERSUITES, out, &out->ciphersuites);
  read_text(from->groups, TLS_SET_GROUPS, out, &out->groups);
  read_text(from->signature_algorithms, TLS_SET_SIGALGS, out, &out->sigalgs);
  read_text(from->client_signature_algorithms, TLS_SET_CLIENT_SIGALGS, out, &out->client_sigalgs);
  read_text(from->psk_identity_hint, TLS_SET_PSK_HINT, out, &out->psk_hint);
}

static void read_verification(const Tlsagent__V1__ContextSettings *from, struct tls_settings *out,
                              struct refusal *refusal) {
  if (from->verify_mode != NULL) {
    Tlsagent__V1__VerifyMode mode = from->verify_mode->value;
    if ((int)mode < TLS_VERIFY_NONE || (int)mode > TLS_VERIFY_REQUIRED) {
      refusal_set(refusal, STATUS_INVALID_ARGUMENT, "verify_mode is no VerifyMode");
    }
    out->present |= TLS_SET_VERIFY_MODE;
    out->verify_mode = (enum tls_verify_mode)mode;
  }
  if (from->check_hostname != NULL) {
    out->present |= TLS_SET_CHECK_HOSTNAME;
    out->check_hostname = from->check_hostname->value;
  }
  if (from->post_handshake_auth != NULL) {
    out->present |= TLS_SET_POST_HANDSHAKE_AUTH;
    out->post_handshake_auth = from->post_handshake_auth->value;
  }
}

static void read_alpn(struct arena *arena, const Tlsagent__V1__AlpnSettings *from,
                      struct tls_settings *out, struct refusal *refusal) {
  if (from == NULL) {
    return;
  }
  struct slice *list = arena_array(arena, from->n_protocols, sizeof(*list));
  if (list == NULL) {
    refusal_set(refusal, STATUS_RESOURCE_EXHAUSTED, "too many ALPN protocols");
    return;
  }
  for (size_t i = 0; i < from->n_protocols; i++) {
    list[i] = slice_of_binary(from->protocols[i]);
  }
  out->present |= TLS_SET_ALPN;
  out->alpn = list;
  out->num_alpn = from->n_protocols;
  out->alpn_require_overlap = from->require_overlap;
}

static void read_choices(const Tlsagent__V1__ContextSettings *from, struct tls_settings *out) {
  const Tlsagent__V1__DecisionSettings *decisions = from->decisions;
  const Tlsagent__V1__EventSettings *events = from->events;
  if (decisions != NULL) {
    out->present |= TLS_SET_DECISIONS;
    out->decisions = (struct tls_decisions){.server_name = decisions->server_name,
                                            .psk_client = decisions->psk_client,
                                            .psk_server = decisions->psk_server};
  }
  if (events != NULL) {
    out->present |= TLS_SET_EVENTS;
    out->events = (struct tls_events){.key_log = events->key_log, .messages = events->messages};
  }
}

void read_settings(struct arena *arena, const Tlsagent__V1__ContextSettings *from,
                   struct tls_settings *out, struct refusal *refusal) {
  *out = (struct tls_settings){0};
  if (from == NULL) {
    return;
  }
  read_version(from->min_version, TLS_SET_MIN_VERSION, out, &out->min_version, refusal);
  read_version(from->max_version, TLS_SET_MAX_VERSION, out, &out->max_version, refusal);
  read_texts(from, out);
  read_numbers(from, out);
  read_verification(from, out, refusal);
  read_alpn(arena, from->alpn, out, refusal);
  if (from->session_id_context != NULL) {
    out->present |= TLS_SET_SESSION_ID_CONTEXT;
    out->session_id_context = slice_of_binary(from->session_id_context->value);
  }
  read_choices(from, out);
}

// ---------------------------------------------------------------------------------------------
// To the wire.

static Tlsagent__V1__VersionBound *write_version(struct arena *arena, bool present, int version) {
  Tlsagent__V1__VersionBound *out =
      present ? ARENA_MESSAGE(arena, VersionBound, version_bound) : NULL;
  if (out != NULL) {
    out->version = (Tlsagent__V1__ProtocolVersion)version;
  }
  return out;
}

static Tlsagent__V1__StringValue *write_text(struct arena *arena, bool present, const char *text) {
  Tlsagent__V1__StringValue *out = present ? ARENA_MESSAGE(arena, StringValue, string_value) : NULL;
  if (out != NULL) {
    out->value = (char *)text;
  }
  return out;
}

static Tlsagent__V1__UInt32Value *write_u32(struct arena *arena, bool present, uint64_t number) {
  Tlsagent__V1__UInt32Value *out = present ? ARENA_MESSAGE(arena, UInt32Value, uint32_value) : NULL;
  if (out != NULL) {
    out->value = number > UINT32_MAX ? UINT32_MAX : (uint32_t)number;
  }
  return out;
}

static Tlsagent__V1__UInt64Value *write_u64(struct arena *arena, bool present, uint64_t number) {
  Tlsagent__V1__UInt64Value *out = present ? ARENA_MESSAGE(arena, UInt64Value, uint64_value) : NULL;
  if (out != NULL) {
    out->value = number;
  }
  return out;
}

static Tlsagent__V1__BoolValue *write_bool(struct arena *arena, bool present, bool value) {
  Tlsagent__V1__BoolValue *out = present ? ARENA_MESSAGE(arena, BoolValue, bool_value) : NULL;
  if (out != NULL) {
    out->value = value;
  }
  return out;
}

static Tlsagent__V1__BytesValue *write_bytes(struct arena *arena, bool present, struct slice data) {
  Tlsagent__V1__BytesValue *out = present ? ARENA_MESSAGE(arena, BytesValue, bytes_value) : NULL;
  if (out != NULL) {
    out->value = binary_of(data);
  }
  return out;
}

static Tlsagent__V1__AlpnSettings *write_alpn(struct arena *arena, bool present,
                                              const struct tls_settings *from) {
  Tlsagent__V1__AlpnSettings *out =
      present ? ARENA_MESSAGE(arena, AlpnSettings, alpn_settings) : NULL;
  if (out != NULL) {
    out->protocols = binary_list(arena, from->alpn, from->num_alpn);
    out->n_protocols = out->protocols == NULL ? 0 : from->num_alpn;
    out->require_overlap = from->alpn_require_overlap;
  }
  return out;
}

static Tlsagent__V1__VerifyModeValue *write_verify_mode(struct arena *arena, bool present,
                                                        enum tls_verify_mode mode) {
  Tlsagent__V1__VerifyModeValue *out =
      present ? ARENA_MESSAGE(arena, VerifyModeValue, verify_mode_value) : NULL;
  if (out != NULL) {
    out->value = (Tlsagent__V1__VerifyMode)mode;
  }
  return out;
}

static void write_texts(struct arena *arena, const struct tls_settings *from,
                        Tlsagent__V1__ContextSettings *out) {
  uint32_t has = from->present;
  out->ciphers = write_text(arena, has & TLS_SET_CIPHERS, from->ciphers);
  out->ciphersuites = write_text(arena, has & TLS_SET_CIPHERSUITES, from->ciphersuites);
  out->groups = write_text(arena, has & TLS_SET_GROUPS, from->groups);
  out->signature_algorithms = write_text(arena, has & TLS_SET_SIGALGS, from->sigalgs);
  out->client_signature_algorithms =
      write_text(arena, has & TLS_SET_CLIENT_SIGALGS, from->client_sigalgs);
  out->psk_identity_hint = write_text(arena, has & TLS_SET_PSK_HINT, from->psk_hint);
}

static Tlsagent__V1__DecisionSettings *write_decisions(struct arena *arena, bool present,
                                                       const struct tls_decisions *from) {
  Tlsagent__V1__DecisionSettings *out =
      present ? ARENA_MESSAGE(arena, DecisionSettings, decision_settings) : NULL;
  if (out != NULL) {
    out->server_name = from->server_name;
    out->psk_client = from->psk_client;
    out->psk_server = from->psk_server;
  }
  return out;
}

static Tlsagent__V1__EventSettings *write_events(struct arena *arena, bool present,
                                                 const struct tls_events *from) {
  Tlsagent__V1__EventSettings *out =
      present ? ARENA_MESSAGE(arena, EventSettings, event_settings) : NULL;
  if (out != NULL) {
    out->key_log = from->key_log;
    out->messages = from->messages;
  }
  return out;
}

static void write_numbers(struct arena *arena, const struct tls_settings *from,
                          Tlsagent__V1__ContextSettings *out) {
  uint32_t has = from->present;
  out->options = write_u64(arena, has & TLS_SET_OPTIONS, from->options);
  out->verify_flags = write_u64(arena, has & TLS_SET_VERIFY_FLAGS, from->verify_flags);
  out->host_flags = write_u32(arena, has & TLS_SET_HOST_FLAGS, from->host_flags);
  out->verify_depth = write_u32(arena, has & TLS_SET_VERIFY_DEPTH, (uint64_t)from->verify_depth);
  out->num_tickets = write_u32(arena, has & TLS_SET_NUM_TICKETS, from->num_tickets);
  out->session_timeout_seconds =
      write_u32(arena, has & TLS_SET_SESSION_TIMEOUT, (uint64_t)from->session_timeout);
  out->session_cache_size =
      write_u32(arena, has & TLS_SET_SESSION_CACHE_SIZE, (uint64_t)from->session_cache_size);
  out->security_level =
      write_u32(arena, has & TLS_SET_SECURITY_LEVEL, (uint64_t)from->security_level);
}

Tlsagent__V1__ContextSettings *write_settings(struct arena *arena,
                                              const struct tls_settings *settings) {
  uint32_t has = settings->present;
  Tlsagent__V1__ContextSettings *out = ARENA_MESSAGE(arena, ContextSettings, context_settings);
  if (out == NULL) {
    return NULL;
  }
  out->min_version = write_version(arena, has & TLS_SET_MIN_VERSION, settings->min_version);
  out->max_version = write_version(arena, has & TLS_SET_MAX_VERSION, settings->max_version);
  write_texts(arena, settings, out);
  write_numbers(arena, settings, out);
  out->verify_mode = write_verify_mode(arena, has & TLS_SET_VERIFY_MODE, settings->verify_mode);
  out->check_hostname = write_bool(arena, has & TLS_SET_CHECK_HOSTNAME, settings->check_hostname);
  out->post_handshake_auth =
      write_bool(arena, has & TLS_SET_POST_HANDSHAKE_AUTH, settings->post_handshake_auth);
  out->alpn = write_alpn(arena, has & TLS_SET_ALPN, settings);
  out->session_id_context =
      write_bytes(arena, has & TLS_SET_SESSION_ID_CONTEXT, settings->session_id_context);
  out->decisions = write_decisions(arena, has & TLS_SET_DECISIONS, &settings->decisions);
  out->events = write_events(arena, has & TLS_SET_EVENTS, &settings->events);
  return out;
}
