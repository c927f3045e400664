#include "client/c/request.h"

#include <assert.h>
#include <string.h>

#include "client/c/error.h"

#define TOKEN_KEY "tlsagent-token"

// Fields of ttrpc.Request and ttrpc.KeyValue.
enum { SERVICE = 1, METHOD = 2, PAYLOAD = 3, TIMEOUT_NANO = 4, METADATA = 5 };
enum { KEY = 1, VALUE = 2 };

enum { TOKEN_HEX = 2 * TLSAGENT_TOKEN_LENGTH };

static void to_hex(char out[TOKEN_HEX], const uint8_t *token) {
  static const char digits[] = "0123456789abcdef";
  for (size_t i = 0; i < TLSAGENT_TOKEN_LENGTH; i++) {
    out[2 * i] = digits[token[i] >> 4];
    out[2 * i + 1] = digits[token[i] & 0xF];
  }
}

static void write_pair(struct tla_writer *writer, const char *hex) {
  tla_encode_bytes_field(writer, KEY, TOKEN_KEY, strlen(TOKEN_KEY));
  tla_encode_bytes_field(writer, VALUE, hex, TOKEN_HEX);
}

static void write_token(struct tla_writer *writer, const uint8_t *token) {
  char hex[TOKEN_HEX];
  struct tla_writer count = {0};
  to_hex(hex, token);
  write_pair(&count, hex);
  tla_encode_prefix(writer, METADATA, count.len);
  write_pair(writer, hex);
}

static void write_request(struct tla_writer *writer, const struct tla_envelope *envelope,
                          const struct tla_method *method, const void *request,
                          size_t payload_len) {
  tla_encode_bytes_field(writer, SERVICE, method->service, strlen(method->service));
  tla_encode_bytes_field(writer, METHOD, method->name, strlen(method->name));
  tla_encode_prefix(writer, PAYLOAD, payload_len);
  tla_encode(writer, method->request, request);
  if (envelope->timeout_ms != 0) {
    tla_encode_number_field(writer, TIMEOUT_NANO, envelope->timeout_ms * UINT64_C(1000000));
  }
  if (envelope->token != NULL) {
    write_token(writer, envelope->token);
  }
}

static bool check_size(const struct tla_method *method, const struct tla_writer *count,
                       struct tlsagent_error *error) {
  if (count->len > TLSAGENT_FRAME_MAX) {
    return tla_fail(error, TLSAGENT_FAULT_USAGE,
                    "the request to %s has %zu bytes and a frame holds %u: send it in parts, or "
                    "pass a descriptor",
                    method->name, count->len, TLSAGENT_FRAME_MAX);
  }
  if (count->num_fds > TLSAGENT_FDS_MAX) {
    return tla_fail(error, TLSAGENT_FAULT_USAGE,
                    "the request to %s passes %zu descriptors and can pass %u", method->name,
                    count->num_fds, TLSAGENT_FDS_MAX);
  }
  return true;
}

struct tla_parcel *tla_request_pack(const struct tla_envelope *envelope,
                                    const struct tla_method *method, const void *request,
                                    struct tlsagent_error *error) {
  struct tla_writer payload = {0};
  tla_encode(&payload, method->request, request);
  struct tla_writer count = {0};
  write_request(&count, envelope, method, request, payload.len);
  if (!check_size(method, &count, error)) {
    return NULL;
  }
  struct tla_parcel *parcel = tla_parcel_new(TLA_FRAME_HEADER + count.len);
  if (parcel == NULL) {
    tla_fail_memory(error);
    return NULL;
  }
  int fds[TLSAGENT_FDS_MAX];
  struct tla_writer writer = {.data = parcel->data + TLA_FRAME_HEADER, .fds = fds};
  parcel->secret = method->secret;
  tla_frame_header(parcel->data, (uint32_t)count.len, envelope->stream_id);
  write_request(&writer, envelope, method, request, payload.len);
  assert(writer.len == count.len && writer.num_fds == count.num_fds);
  if (!tla_parcel_attach(parcel, fds, writer.num_fds, error)) {
    tla_parcel_free(parcel);
    return NULL;
  }
  return parcel;
}
