// The keys of records, for whoever goes on with them (kernel TLS). OpenSSL gives neither the keys
// nor the numbers of records, but it tells the secrets they come from (RFC 8446, section 7.3), as
// lines of the key log, at the moment when it takes them into use, and every record that it has
// encrypted or decrypted. TLS 1.2 is left out: there the sender chooses a part of the nonce, which
// OpenSSL doesn't tell.
#include <openssl/crypto.h>
#include <stdlib.h>

#include "server/base/object.h"
#include "server/tls/engine_private.h"
#include "server/tls/tls13_kdf.h"

enum { SECRET_MAX = 48, KEY_UPDATE = SSL3_MT_KEY_UPDATE };

// One direction.
struct traffic_secret {
  uint8_t bytes[SECRET_MAX];
  size_t len;  // 0: not yet
  uint64_t records;
};

struct traffic {
  struct traffic_secret sent;
  struct traffic_secret received;
  bool in_record;  // a record's header was read, and not yet its body
  bool lost;       // something could not be followed
};

struct cipher {
  uint16_t number;
  enum engine_record_cipher cipher;
  const char *hash;
  size_t key_len;
};

static const struct cipher ciphers[] = {
    {0x1301, ENGINE_AES_128_GCM, "SHA256", 16},
    {0x1302, ENGINE_AES_256_GCM, "SHA384", 32},
    {0x1303, ENGINE_CHACHA20_POLY1305, "SHA256", 32},
};

static const struct cipher *cipher_of(const struct engine *engine) {
  const SSL_CIPHER *in_use = SSL_get_current_cipher(engine->ssl);
  uint16_t number = in_use == NULL ? 0 : SSL_CIPHER_get_protocol_id(in_use);
  for (size_t i = 0; i < sizeof(ciphers) / sizeof(ciphers[0]); i++) {
    if (ciphers[i].number == number) {
      return &ciphers[i];
    }
  }
  return NULL;
}

static bool allowed;

void engine_allow_traffic_keys(void) {
  allowed = true;
}

bool traffic_is_allowed(void) {
  return allowed;
}

bool traffic_begin(struct engine *engine) {
  engine->traffic = allowed ? calloc(1, sizeof(*engine->traffic)) : NULL;
  return engine->traffic != NULL || !allowed;
}

void engine_forget_traffic_keys(struct engine *engine) {
  if (engine->traffic != NULL) {
    OPENSSL_cleanse(engine->traffic, sizeof(*engine->traffic));
    free(engine->traffic);
    engine->traffic = NULL;
  }
}

// ---------------------------------------------------------------------------------------------
// Following them.

// "LABEL RANDOM SECRET", the latter two in hexadecimal: returns the secret, or NULL for another
// label.
static const char *secret_in(const char *line, const char *label) {
  size_t len = strlen(label);
  const char *last = strrchr(line, ' ');
  return strncmp(line, label, len) == 0 && line[len] == ' ' ? last + 1 : NULL;
}

static bool read_secret(struct traffic_secret *secret, const char *hex) {
  *secret = (struct traffic_secret){.len = 0};
  return OPENSSL_hexstr2buf_ex(secret->bytes, sizeof(secret->bytes), &secret->len, hex, '\0') == 1;
}

static void take_secret(struct traffic *traffic, struct traffic_secret *secret, const char *hex) {
  if (hex != NULL && !read_secret(secret, hex)) {
    traffic->lost = true;
  }
}

// The lines come when the keys are taken into use, each direction's for itself: the records that
// were counted before were of the handshake.
void traffic_on_key_log(struct engine *engine, const char *line) {
  struct traffic *traffic = engine->traffic;
  if (traffic == NULL) {
    return;
  }
  bool client = engine->role == ENGINE_CLIENT;
  take_secret(traffic, client ? &traffic->sent : &traffic->received,
              secret_in(line, "CLIENT_TRAFFIC_SECRET_0"));
  take_secret(traffic, client ? &traffic->received : &traffic->sent,
              secret_in(line, "SERVER_TRAFFIC_SECRET_0"));
}

static bool expand(const struct engine *engine, const struct traffic_secret *secret,
                   const char *label, uint8_t *out, size_t len) {
  const struct cipher *cipher = cipher_of(engine);
  const struct tls13_kdf_hash *hash = cipher == NULL ? NULL : tls13_kdf_hash(cipher->hash);
  const struct tls13_kdf_label whole = {.prefix = slice_of_string("tls13 "),
                                        .label = slice_of_string(label)};
  return hash != NULL && tls13_kdf_expand(hash, slice_of(secret->bytes, secret->len), &whole,
                                          slice_of(NULL, 0), out, len);
}

// RFC 8446, section 7.2; the numbers begin anew.
static void update(struct engine *engine, struct traffic_secret *secret) {
  uint8_t next[SECRET_MAX];
  if (!expand(engine, secret, "traffic upd", next, secret->len)) {
    engine->traffic->lost = true;
  } else {
    memcpy(secret->bytes, next, secret->len);
  }
  secret->records = 0;
  OPENSSL_cleanse(next, sizeof(next));
}

// Headers are told before a record is read, the inner content type when it has been decrypted, or
// encrypted, and messages after the records that they came in, before anything is done about them.
void traffic_on_message(struct engine *engine, bool sent, int content_type, struct slice data) {
  struct traffic *traffic = engine->traffic;
  if (traffic == NULL) {
    return;
  }
  struct traffic_secret *secret = sent ? &traffic->sent : &traffic->received;
  if (content_type == SSL3_RT_HEADER && !sent) {
    traffic->in_record = true;
  } else if (content_type == SSL3_RT_INNER_CONTENT_TYPE) {
    secret->records++;
    traffic->in_record = traffic->in_record && sent;
  } else if (content_type == SSL3_RT_HANDSHAKE && data.len > 0 && data.data[0] == KEY_UPDATE) {
    update(engine, secret);
  }
}

// ---------------------------------------------------------------------------------------------
// Giving them.

static const char *why_not_this_kind(const struct engine *engine) {
  if (engine->traffic == NULL) {
    return "the keys of this session were not kept: the wish has to come with Connect or Accept";
  }
  if (!engine->established || engine->failed) {
    return "the handshake isn't done";
  }
  if (SSL_version(engine->ssl) != TLS1_3_VERSION) {
    return "only TLS 1.3 is handed to the kernel";
  }
  if (cipher_of(engine) == NULL) {
    return "the cipher is none of those that are handed to the kernel";
  }
  return engine->traffic->lost ? "the keys of this session could not be followed" : NULL;
}

static bool has_begun_more(const struct engine *engine) {
  return SSL_in_init(engine->ssl) || engine->asked_certificate ||
         SSL_get_key_update_type(engine->ssl) != SSL_KEY_UPDATE_NONE;
}

static const char *why_not_now(const struct engine *engine) {
  if (SSL_get_shutdown(engine->ssl) != 0) {
    return "the session has ended, or is about to";
  }
  if (has_begun_more(engine)) {
    return "another handshake has begun after the first";
  }
  if (SSL_has_pending(engine->ssl) || engine->traffic->in_record || engine->pipe.input.len > 0) {
    return "the peer has sent something already";
  }
  return bytes_len(engine->pipe.output) > 0 ? "something is still to be sent" : NULL;
}

static bool give(const struct engine *engine, const struct traffic_secret *from,
                 struct engine_traffic_key *out) {
  out->sequence = from->records;
  return from->len > 0 && expand(engine, from, "key", out->key, cipher_of(engine)->key_len) &&
         expand(engine, from, "iv", out->iv, sizeof(out->iv));
}

status_t engine_traffic_keys(const struct engine *engine, struct engine_traffic_keys *out,
                             const char **out_why) {
  OBJECT_CHECK(engine, ENGINE_MAGIC);
  *out_why = why_not_this_kind(engine);
  *out_why = *out_why == NULL ? why_not_now(engine) : *out_why;
  ENSURE(*out_why == NULL, FAILED_PRECONDITION);
  *out =
      (struct engine_traffic_keys){.version = TLS1_3_VERSION, .cipher = cipher_of(engine)->cipher};
  if (give(engine, &engine->traffic->sent, &out->send) &&
      give(engine, &engine->traffic->received, &out->receive)) {
    return OK_STATUS;
  }
  OPENSSL_cleanse(out, sizeof(*out));
  *out_why = "the keys of this session could not be followed";
  return status_of(STATUS_FAILED_PRECONDITION);
}
