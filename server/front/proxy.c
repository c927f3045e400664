#include "server/front/proxy.h"

#include <netinet/in.h>
#include <string.h>

#include "server/tls/certificate.h"

enum {
  VERSION_2_PROXY = 0x21,
  FAMILY_NONE = 0x00,
  FAMILY_TCP4 = 0x11,
  FAMILY_TCP6 = 0x21,

  TYPE_ALPN = 0x01,
  TYPE_AUTHORITY = 0x02,
  TYPE_SSL = 0x20,
  SUBTYPE_SSL_VERSION = 0x21,
  SUBTYPE_SSL_CN = 0x22,
  SUBTYPE_SSL_CIPHER = 0x23,

  CLIENT_SSL = 0x01,
  CLIENT_CERT_CONN = 0x02,
  CLIENT_CERT_SESS = 0x04,

  TLV_HEADER = 3,
  SSL_FIXED = 5,
  FACTS_BYTES_MAX = 64 * 1024
};

static const uint8_t signature[12] = {'\r', '\n', '\r', '\n', 0,   '\r',
                                      '\n', 'Q',  'U',  'I',  'T', '\n'};

// Appends what fits whole.
struct writer {
  uint8_t *out;
  size_t len;
};

static bool put(struct writer *writer, const void *data, size_t len) {
  if (len > PROXY_HEADER_MAX - writer->len) {
    return false;
  }
  if (len > 0) {
    memcpy(writer->out + writer->len, data, len);
  }
  writer->len += len;
  return true;
}

static void write_length(uint8_t *out, size_t len) {
  out[0] = (uint8_t)(len >> 8);
  out[1] = (uint8_t)len;
}

static void put_tlv(struct writer *writer, uint8_t type, const void *data, size_t len) {
  uint8_t header[TLV_HEADER] = {type};
  if (len == 0 || len > PROXY_HEADER_MAX - writer->len ||
      TLV_HEADER > PROXY_HEADER_MAX - writer->len - len) {
    return;
  }
  write_length(header + 1, len);
  put(writer, header, sizeof(header));
  put(writer, data, len);
}

static void put_text(struct writer *writer, uint8_t type, const char *text) {
  if (text != NULL) {
    put_tlv(writer, type, text, strlen(text));
  }
}

// ---------------------------------------------------------------------------------------------
// Addresses

void proxy_look_at(int fd, struct proxy_addresses *out) {
  *out = (struct proxy_addresses){.source = {.ss_family = AF_UNSPEC}};
  socklen_t len = sizeof(out->source);
  if (getpeername(fd, (struct sockaddr *)&out->source, &len) != 0) {
    out->source.ss_family = AF_UNSPEC;
  }
  len = sizeof(out->destination);
  if (getsockname(fd, (struct sockaddr *)&out->destination, &len) != 0) {
    out->destination.ss_family = AF_UNSPEC;
  }
}

static uint8_t family_of(const struct proxy_addresses *addresses) {
  if (addresses->source.ss_family != addresses->destination.ss_family) {
    return FAMILY_NONE;
  }
  switch (addresses->source.ss_family) {
    case AF_INET:
      return FAMILY_TCP4;
    case AF_INET6:
      return FAMILY_TCP6;
    default:
      return FAMILY_NONE;
  }
}

static void put_ipv4(struct writer *writer, const struct proxy_addresses *addresses) {
  const struct sockaddr_in *source = (const struct sockaddr_in *)&addresses->source;
  const struct sockaddr_in *destination = (const struct sockaddr_in *)&addresses->destination;
  put(writer, &source->sin_addr, sizeof(source->sin_addr));
  put(writer, &destination->sin_addr, sizeof(destination->sin_addr));
  put(writer, &source->sin_port, sizeof(source->sin_port));
  put(writer, &destination->sin_port, sizeof(destination->sin_port));
}

static void put_ipv6(struct writer *writer, const struct proxy_addresses *addresses) {
  const struct sockaddr_in6 *source = (const struct sockaddr_in6 *)&addresses->source;
  const struct sockaddr_in6 *destination = (const struct sockaddr_in6 *)&addresses->destination;
  put(writer, &source->sin6_addr, sizeof(source->sin6_addr));
  put(writer, &destination->sin6_addr, sizeof(destination->sin6_addr));
  put(writer, &source->sin6_port, sizeof(source->sin6_port));
  put(writer, &destination->sin6_port, sizeof(destination->sin6_port));
}

static void put_addresses(struct writer *writer, const struct proxy_addresses *addresses) {
  switch (family_of(addresses)) {
    case FAMILY_TCP4:
      put_ipv4(writer, addresses);
      break;
    case FAMILY_TCP6:
      put_ipv6(writer, addresses);
      break;
    default:
      break;
  }
}

// ---------------------------------------------------------------------------------------------
// TLS

static const char *common_name(const struct tls_certificate *certificate) {
  const struct tls_name *subject = &certificate->subject;
  const char *name = NULL;
  for (size_t i = 0; i < subject->num_steps; i++) {
    for (size_t j = 0; j < subject->steps[i].num_attributes; j++) {
      const struct tls_name_attribute *attribute = &subject->steps[i].attributes[j];
      if (strcmp(attribute->short_type, "CN") == 0) {
        name = attribute->text;
      }
    }
  }
  return name;
}

// The fixed part says whether a certificate came with the session, and whether on this very
// connection, and 0 when it was good; then comes what is known by name.
static void put_ssl(struct writer *writer, struct engine *engine, struct arena *arena,
                    const struct engine_negotiated *negotiated) {
  uint8_t room[PROXY_HEADER_MAX];
  uint8_t fixed[SSL_FIXED] = {CLIENT_SSL, 0, 0, 0, 1};
  struct writer inner = {.out = room};
  struct engine_peer peer;
  struct tls_certificate certificate;
  bool shown = status_ok(engine_peer(engine, arena, &peer)) && peer.der.len > 0;
  bool verified = shown && peer.verify_code == 0;
  if (shown) {
    fixed[0] |= negotiated->resumed ? CLIENT_CERT_SESS : CLIENT_CERT_CONN | CLIENT_CERT_SESS;
    fixed[4] = verified ? 0 : 1;
  }
  put(&inner, fixed, sizeof(fixed));
  put_text(&inner, SUBTYPE_SSL_VERSION, negotiated->version_name);
  put_text(&inner, SUBTYPE_SSL_CIPHER, negotiated->cipher.name);
  if (verified && status_ok(engine_peer_certificate(engine, arena, &certificate))) {
    put_text(&inner, SUBTYPE_SSL_CN, common_name(&certificate));
  }
  put_tlv(writer, TYPE_SSL, room, inner.len);
}

static void put_facts(struct writer *writer, struct engine *engine) {
  struct arena arena;
  struct engine_negotiated negotiated;
  arena_init(&arena, FACTS_BYTES_MAX);
  if (status_ok(engine_negotiated(engine, &arena, &negotiated))) {
    put_tlv(writer, TYPE_ALPN, negotiated.alpn.data, negotiated.alpn.len);
    put_text(writer, TYPE_AUTHORITY, negotiated.server_name);
    put_ssl(writer, engine, &arena, &negotiated);
  }
  arena_cleanup(&arena);
}

size_t proxy_header(const struct proxy_addresses *addresses, struct engine *engine,
                    uint8_t out[PROXY_HEADER_MAX]) {
  enum { LENGTH_AT = sizeof(signature) + 2, BODY_AT = LENGTH_AT + 2 };
  const uint8_t head[BODY_AT - sizeof(signature)] = {VERSION_2_PROXY, family_of(addresses)};
  struct writer writer = {.out = out};
  put(&writer, signature, sizeof(signature));
  put(&writer, head, sizeof(head));
  put_addresses(&writer, addresses);
  put_facts(&writer, engine);
  write_length(out + LENGTH_AT, writer.len - BODY_AT);
  return writer.len;
}
