// SessionService.ExportKeyingMaterial, ChannelBinding and SharedCiphers.
#include <string.h>

#include "server/service/convert.h"
#include "server/service/visit.h"

// ---------------------------------------------------------------------------------------------
// ExportKeyingMaterial.

static void respond_export(struct call *call, struct visit *visit) {
  const Tlsagent__V1__ExportKeyingMaterialRequest *from =
      (const Tlsagent__V1__ExportKeyingMaterialRequest *)call_request(call);
  Tlsagent__V1__ExportKeyingMaterialResponse response =
      TLSAGENT__V1__EXPORT_KEYING_MATERIAL_RESPONSE__INIT;
  uint8_t data[ENGINE_EXPORT_MAX];
  struct slice context = slice_of(NULL, 0);
  if (from->context_value != NULL) {
    context = slice_of_binary(from->context_value->value);
  }
  struct tls_error error;
  status_t exported =
      engine_export(session_engine(visit->session), from->label,
                    from->context_value == NULL ? NULL : &context, data, from->length, &error);
  if (status_ok(exported)) {
    response.data = binary_of(slice_of(data, from->length));
  } else if (exported.code == STATUS_INVALID_ARGUMENT) {
    response.error = convert_error(call_arena(call), &error);
  } else {
    call_fail(call, exported.code, "the handshake is not done yet");
    return;
  }
  reply(call, &response);
  explicit_bzero(data, sizeof(data));
}

void session_export_keying_material(struct call *call, const ProtobufCMessage *request) {
  const Tlsagent__V1__ExportKeyingMaterialRequest *from =
      (const Tlsagent__V1__ExportKeyingMaterialRequest *)request;
  size_t label_len = strlen(from->label);
  if (label_len < 1 || label_len > ENGINE_LABEL_MAX) {
    call_fail(call, STATUS_INVALID_ARGUMENT, "label has 1 to 249 bytes");
  } else if (from->length < 1 || from->length > ENGINE_EXPORT_MAX) {
    call_fail(call, STATUS_INVALID_ARGUMENT, "length is from 1 to 4096");
  } else if (from->context_value != NULL &&
             from->context_value->value.len > ENGINE_EXPORT_CONTEXT_MAX) {
    call_fail(call, STATUS_INVALID_ARGUMENT, "context_value has at most 65535 bytes");
  } else {
    start_visit(call, from->session, false, respond_export);
  }
}

// ---------------------------------------------------------------------------------------------
// ChannelBinding.

static void respond_binding(struct call *call, struct visit *visit) {
  const Tlsagent__V1__ChannelBindingRequest *from =
      (const Tlsagent__V1__ChannelBindingRequest *)call_request(call);
  Tlsagent__V1__ChannelBindingResponse response = TLSAGENT__V1__CHANNEL_BINDING_RESPONSE__INIT;
  struct slice data;
  status_t bound = engine_channel_binding(session_engine(visit->session),
                                          (enum engine_binding)from->kind, call_arena(call), &data);
  if (status_ok(bound)) {
    response.data = ARENA_MESSAGE(call_arena(call), BytesValue, bytes_value);
  }
  if (response.data != NULL) {
    response.data->value = binary_of(data);
  }
  reply(call, &response);
}

void session_channel_binding(struct call *call, const ProtobufCMessage *request) {
  const Tlsagent__V1__ChannelBindingRequest *from =
      (const Tlsagent__V1__ChannelBindingRequest *)request;
  if ((int)from->kind < ENGINE_BINDING_UNIQUE || (int)from->kind > ENGINE_BINDING_END_POINT) {
    call_fail(call, STATUS_INVALID_ARGUMENT, "kind is no ChannelBindingKind");
    return;
  }
  start_visit(call, from->session, false, respond_binding);
}

// ---------------------------------------------------------------------------------------------
// SharedCiphers.

static void write_shared(struct arena *arena, const struct tls_cipher_info *ciphers, size_t num,
                         Tlsagent__V1__SharedCiphersResponse *out) {
  out->ciphers = arena_array(arena, num, sizeof(*out->ciphers));
  for (size_t i = 0; out->ciphers != NULL && i < num; i++) {
    Tlsagent__V1__CipherInfo *cipher = convert_cipher(arena, &ciphers[i]);
    if (cipher != NULL) {
      out->ciphers[out->n_ciphers++] = cipher;
    }
  }
}

static void respond_shared(struct call *call, struct visit *visit) {
  Tlsagent__V1__SharedCiphersResponse response = TLSAGENT__V1__SHARED_CIPHERS_RESPONSE__INIT;
  struct engine *engine = session_engine(visit->session);
  struct tls_cipher_info *ciphers = NULL;
  size_t num = 0;
  status_t shared = engine_shared_ciphers(engine, call_arena(call), &ciphers, &num);
  if (!status_ok(shared)) {
    call_fail(call, shared.code, "%s",
              engine_get_role(engine) == ENGINE_CLIENT ? "only a server knows what both sides offer"
                                                       : "the client's offer has not come yet");
    return;
  }
  write_shared(call_arena(call), ciphers, num, &response);
  reply(call, &response);
}

void session_shared_ciphers(struct call *call, const ProtobufCMessage *request) {
  const Tlsagent__V1__SharedCiphersRequest *from =
      (const Tlsagent__V1__SharedCiphersRequest *)request;
  start_visit(call, from->session, false, respond_shared);
}
