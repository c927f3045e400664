#include "server/service/convert.h"

#include "server/base/utf8.h"

void *arena_message(struct arena *arena, size_t size,
                    const ProtobufCMessageDescriptor *descriptor) {
  void *message = arena_alloc(arena, size);
  if (message != NULL) {
    protobuf_c_message_init(descriptor, message);
  }
  return message;
}

ProtobufCBinaryData binary_of(struct slice slice) {
  // protobuf-c has no const; packing only reads.
  return (ProtobufCBinaryData){.len = slice.len, .data = (uint8_t *)slice.data};
}

struct slice slice_of_binary(ProtobufCBinaryData data) {
  return slice_of(data.data, data.len);
}

ProtobufCBinaryData *binary_list(struct arena *arena, const struct slice *slices, size_t num) {
  ProtobufCBinaryData *list = arena_array(arena, num, sizeof(*list));
  for (size_t i = 0; list != NULL && i < num; i++) {
    list[i] = binary_of(slices[i]);
  }
  return list;
}

static char *text_of(struct arena *arena, const char *text) {
  return (char *)utf8_text(arena, text);
}

// An array of strings the way protobuf-c has it.
static char **texts_of(struct arena *arena, const char *const *texts, size_t num, size_t *out_num) {
  char **list = arena_array(arena, num, sizeof(*list));
  *out_num = list == NULL ? 0 : num;
  for (size_t i = 0; i < *out_num; i++) {
    list[i] = text_of(arena, texts[i]);
    if (list[i] == NULL) {
      *out_num = i;
    }
  }
  return list;
}

Tlsagent__V1__TlsError *convert_error(struct arena *arena, const struct tls_error *error) {
  Tlsagent__V1__TlsError *out = ARENA_MESSAGE(arena, TlsError, tls_error);
  if (out == NULL) {
    return NULL;
  }
  out->kind = (Tlsagent__V1__ErrorKind)error->kind;
  out->ssl_error = (uint32_t)error->ssl_error;
  out->code = error->code;
  out->library_number = (uint32_t)error->library_number;
  out->library = text_of(arena, error->library);
  out->reason_number = (uint32_t)error->reason_number;
  out->reason = text_of(arena, error->reason);
  out->text = text_of(arena, error->text);
  out->verify_code = error->verify_code;
  out->verify_message = text_of(arena, error->verify_message);
  out->os_errno = (uint32_t)error->os_errno;
  out->item = text_of(arena, error->item);
  out->detail = text_of(arena, error->detail);
  if (error->alert != TLS_ALERT_NONE) {
    out->alert = ARENA_MESSAGE(arena, UInt32Value, uint32_value);
    if (out->alert != NULL) {
      out->alert->value = (uint32_t)error->alert;
    }
  }
  return out;
}

// ---------------------------------------------------------------------------------------------
// Certificates.

static Tlsagent__V1__NameAttribute *convert_attribute(struct arena *arena,
                                                      const struct tls_name_attribute *attribute) {
  Tlsagent__V1__NameAttribute *out = ARENA_MESSAGE(arena, NameAttribute, name_attribute);
  if (out == NULL) {
    return NULL;
  }
  out->type = (char *)attribute->type;
  out->short_type = (char *)attribute->short_type;
  if (attribute->text != NULL) {
    out->value_case = TLSAGENT__V1__NAME_ATTRIBUTE__VALUE_TEXT;
    out->text = (char *)attribute->text;
  } else {
    out->value_case = TLSAGENT__V1__NAME_ATTRIBUTE__VALUE_RAW;
    out->raw = binary_of(attribute->raw);
  }
  return out;
}

static Tlsagent__V1__RelativeName *convert_step(struct arena *arena,
                                                const struct tls_relative_name *step) {
  Tlsagent__V1__RelativeName *out = ARENA_MESSAGE(arena, RelativeName, relative_name);
  if (out == NULL) {
    return NULL;
  }
  out->attributes = arena_array(arena, step->num_attributes, sizeof(*out->attributes));
  out->n_attributes = out->attributes == NULL ? 0 : step->num_attributes;
  for (size_t i = 0; i < out->n_attributes; i++) {
    out->attributes[i] = convert_attribute(arena, &step->attributes[i]);
    if (out->attributes[i] == NULL) {
      out->n_attributes = i;
    }
  }
  return out;
}

static Tlsagent__V1__RelativeName **convert_name(struct arena *arena, const struct tls_name *name,
                                                 size_t *out_num) {
  Tlsagent__V1__RelativeName **list =
      arena_array(arena, name->num_steps, sizeof(Tlsagent__V1__RelativeName *));
  *out_num = list == NULL ? 0 : name->num_steps;
  for (size_t i = 0; i < *out_num; i++) {
    list[i] = convert_step(arena, &name->steps[i]);
    if (list[i] == NULL) {
      *out_num = i;
    }
  }
  return list;
}

static Tlsagent__V1__AlternativeName *convert_alt_name(struct arena *arena,
                                                       const struct tls_alternative_name *name) {
  Tlsagent__V1__AlternativeName *out = ARENA_MESSAGE(arena, AlternativeName, alternative_name);
  if (out == NULL) {
    return NULL;
  }
  out->kind = (Tlsagent__V1__AlternativeNameKind)name->kind;
  out->value = binary_of(name->value);
  out->text = (char *)name->text;
  out->directory = convert_name(arena, &name->directory, &out->n_directory);
  out->label = (char *)name->label;
  return out;
}

static void convert_alt_names(struct arena *arena, const struct tls_certificate *from,
                              Tlsagent__V1__Certificate *out) {
  size_t num = from->num_alt_names;
  out->subject_alt_names = arena_array(arena, num, sizeof(*out->subject_alt_names));
  out->n_subject_alt_names = out->subject_alt_names == NULL ? 0 : num;
  for (size_t i = 0; i < out->n_subject_alt_names; i++) {
    out->subject_alt_names[i] = convert_alt_name(arena, &from->alt_names[i]);
    if (out->subject_alt_names[i] == NULL) {
      out->n_subject_alt_names = i;
    }
  }
}

static Tlsagent__V1__BasicConstraints *convert_constraints(struct arena *arena,
                                                           const struct tls_certificate *from) {
  if (!from->has_basic_constraints) {
    return NULL;
  }
  Tlsagent__V1__BasicConstraints *out = ARENA_MESSAGE(arena, BasicConstraints, basic_constraints);
  if (out == NULL) {
    return NULL;
  }
  out->ca = from->ca;
  if (from->has_path_length) {
    out->path_length = ARENA_MESSAGE(arena, UInt32Value, uint32_value);
    if (out->path_length != NULL) {
      out->path_length->value = from->path_length;
    }
  }
  return out;
}

static void convert_extensions(struct arena *arena, const struct tls_certificate *from,
                               Tlsagent__V1__Certificate *out) {
  convert_alt_names(arena, from, out);
  out->ocsp = texts_of(arena, from->ocsp, from->num_ocsp, &out->n_ocsp);
  out->ca_issuers = texts_of(arena, from->ca_issuers, from->num_ca_issuers, &out->n_ca_issuers);
  out->crl_distribution_points =
      texts_of(arena, from->crl_points, from->num_crl_points, &out->n_crl_distribution_points);
  out->key_usage = texts_of(arena, from->key_usage, from->num_key_usage, &out->n_key_usage);
  out->extended_key_usage = texts_of(arena, from->extended_key_usage, from->num_extended_key_usage,
                                     &out->n_extended_key_usage);
  out->basic_constraints = convert_constraints(arena, from);
}

static void convert_identity(struct arena *arena, const struct tls_certificate *from,
                             Tlsagent__V1__Certificate *out) {
  out->subject = convert_name(arena, &from->subject, &out->n_subject);
  out->issuer = convert_name(arena, &from->issuer, &out->n_issuer);
  out->version = (uint32_t)from->version;
  out->serial_number = (char *)from->serial_number;
  out->not_before = (char *)from->not_before;
  out->not_after = (char *)from->not_after;
  out->not_before_unix = from->not_before_unix;
  out->not_after_unix = from->not_after_unix;
  out->subject_hash = from->subject_hash;
  out->subject_text = (char *)from->subject_text;
  out->issuer_text = (char *)from->issuer_text;
  out->self_issued = from->self_issued;
}

// Digests stand in the struct itself, which may be gone before the answer is packed.
static ProtobufCBinaryData copy_digest(struct arena *arena, const uint8_t *digest) {
  enum { SHA256_BYTES = 32 };
  uint8_t *copy = arena_copy(arena, slice_of(digest, SHA256_BYTES));
  return binary_of(slice_of(copy, copy == NULL ? 0 : SHA256_BYTES));
}

static void convert_key(struct arena *arena, const struct tls_certificate *from,
                        Tlsagent__V1__Certificate *out) {
  out->fingerprint_sha256 = copy_digest(arena, from->fingerprint_sha256);
  out->spki_sha256 = copy_digest(arena, from->spki_sha256);
  out->key_type = (char *)from->key_type;
  out->key_bits = (uint32_t)from->key_bits;
  out->key_curve = (char *)from->key_curve;
  out->signature_algorithm = (char *)from->signature_algorithm;
  out->der = binary_of(from->der);
  out->pem = (char *)from->pem;
}

Tlsagent__V1__Certificate *convert_certificate(struct arena *arena,
                                               const struct tls_certificate *certificate) {
  Tlsagent__V1__Certificate *out = ARENA_MESSAGE(arena, Certificate, certificate);
  if (out != NULL) {
    convert_identity(arena, certificate, out);
    convert_extensions(arena, certificate, out);
    convert_key(arena, certificate, out);
  }
  return out;
}

Tlsagent__V1__Certificate **convert_certificates(struct arena *arena,
                                                 const struct tls_certificate *certificates,
                                                 size_t num, size_t *out_num) {
  Tlsagent__V1__Certificate **list = arena_array(arena, num, sizeof(Tlsagent__V1__Certificate *));
  *out_num = list == NULL ? 0 : num;
  for (size_t i = 0; i < *out_num; i++) {
    list[i] = convert_certificate(arena, &certificates[i]);
    if (list[i] == NULL) {
      *out_num = i;
    }
  }
  return list;
}

Tlsagent__V1__Certificate **decode_chain(struct arena *arena, const struct slice *der, size_t num,
                                         size_t *out_num) {
  struct tls_certificate *certificates = arena_array(arena, num, sizeof(*certificates));
  size_t decoded = 0;
  for (size_t i = 0; certificates != NULL && i < num; i++) {
    struct tls_error error;
    if (status_ok(tls_certificate_decode(der[i], arena, &certificates[decoded], &error))) {
      decoded++;
    }
  }
  return convert_certificates(arena, certificates, decoded, out_num);
}

// ---------------------------------------------------------------------------------------------
// What was negotiated.

Tlsagent__V1__CipherInfo *convert_cipher(struct arena *arena,
                                         const struct tls_cipher_info *cipher) {
  Tlsagent__V1__CipherInfo *out = ARENA_MESSAGE(arena, CipherInfo, cipher_info);
  if (out == NULL) {
    return NULL;
  }
  out->id = cipher->id;
  out->name = (char *)cipher->name;
  out->standard_name = (char *)cipher->standard_name;
  out->protocol = (char *)cipher->protocol;
  out->description = (char *)cipher->description;
  out->strength_bits = (uint32_t)cipher->strength_bits;
  out->algorithm_bits = (uint32_t)cipher->algorithm_bits;
  out->aead = cipher->aead;
  out->symmetric = (char *)cipher->symmetric;
  out->digest = (char *)cipher->digest;
  out->key_exchange = (char *)cipher->key_exchange;
  out->authentication = (char *)cipher->authentication;
  return out;
}

Tlsagent__V1__Negotiated *convert_negotiated(struct arena *arena,
                                             const struct engine_negotiated *negotiated) {
  Tlsagent__V1__Negotiated *out = ARENA_MESSAGE(arena, Negotiated, negotiated);
  if (out == NULL) {
    return NULL;
  }
  out->version = (Tlsagent__V1__ProtocolVersion)negotiated->version;
  out->version_name = (char *)negotiated->version_name;
  out->cipher = convert_cipher(arena, &negotiated->cipher);
  out->alpn = binary_of(negotiated->alpn);
  out->server_name = text_of(arena, negotiated->server_name);
  out->resumed = negotiated->resumed;
  out->group = (char *)negotiated->group;
  out->peer_signature = (char *)negotiated->peer_signature;
  return out;
}

// ---------------------------------------------------------------------------------------------
// What happens on the way there.

static Tlsagent__V1__StringValue *convert_text(struct arena *arena, const char *text) {
  Tlsagent__V1__StringValue *out =
      text == NULL ? NULL : ARENA_MESSAGE(arena, StringValue, string_value);
  if (out != NULL) {
    out->value = text_of(arena, text);
  }
  return out;
}

Tlsagent__V1__Decision *convert_decision(struct arena *arena,
                                         const struct engine_decision *decision) {
  Tlsagent__V1__Decision *out = ARENA_MESSAGE(arena, Decision, decision);
  if (out == NULL) {
    return NULL;
  }
  out->kind = (Tlsagent__V1__DecisionKind)decision->kind;
  out->server_name = convert_text(arena, decision->server_name);
  out->psk_hint = convert_text(arena, decision->psk_hint);
  out->psk_identity = convert_text(arena, decision->psk_identity);
  return out;
}

static Tlsagent__V1__MessageEvent *convert_message(struct arena *arena,
                                                   const struct engine_event *event) {
  Tlsagent__V1__MessageEvent *out = ARENA_MESSAGE(arena, MessageEvent, message_event);
  if (out != NULL) {
    out->sent = event->sent;
    out->version = (uint32_t)event->version;
    out->content_type = (uint32_t)event->content_type;
    out->data = binary_of(event->data);
  }
  return out;
}

static Tlsagent__V1__SessionEvent *convert_event(struct arena *arena,
                                                 const struct engine_event *event) {
  Tlsagent__V1__SessionEvent *out = ARENA_MESSAGE(arena, SessionEvent, session_event);
  if (out == NULL) {
    return NULL;
  }
  switch (event->kind) {
    case ENGINE_EVENT_KEY_LOG:
      out->event_case = TLSAGENT__V1__SESSION_EVENT__EVENT_KEY_LOG;
      out->key_log = (char *)event->data.data;
      break;
    case ENGINE_EVENT_MESSAGE:
      out->message = convert_message(arena, event);
      out->event_case = TLSAGENT__V1__SESSION_EVENT__EVENT_MESSAGE;
      break;
  }
  return out;
}

Tlsagent__V1__SessionEvent **convert_events(struct arena *arena, const struct engine_event *events,
                                            size_t num, size_t *out_num) {
  Tlsagent__V1__SessionEvent **list = arena_array(arena, num, sizeof(Tlsagent__V1__SessionEvent *));
  *out_num = list == NULL ? 0 : num;
  for (size_t i = 0; i < *out_num; i++) {
    list[i] = convert_event(arena, &events[i]);
    if (list[i] == NULL) {
      *out_num = i;
    }
  }
  return list;
}
