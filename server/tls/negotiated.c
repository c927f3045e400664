#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <string.h>

#include "server/base/object.h"
#include "server/base/utf8.h"
#include "server/tls/ciphers.h"
#include "server/tls/engine_private.h"
#include "server/tls/openssl_error.h"
#include "server/tls/x509.h"

// ---------------------------------------------------------------------------------------------
// What was agreed.

// OpenSSL's own name, which settings take too: "x25519", "secp256r1".
static const char *group_of(SSL *ssl) {
#if OPENSSL_VERSION_NUMBER >= 0x30200000L
  const char *name = SSL_get0_group_name(ssl);
#else
  int group = (int)SSL_get_negotiated_group(ssl);
  const char *name = group == NID_undef ? NULL : SSL_group_to_name(ssl, group);
#endif
  return name == NULL ? "" : name;
}

struct signature_name {
  const char *name;
  int type;
  bool has_digest;  // that isn't part of the name
};

static const char *signature_of(SSL *ssl, struct arena *arena) {
  static const struct signature_name names[] = {
      {"RSA", EVP_PKEY_RSA, true},          {"RSA-PSS", EVP_PKEY_RSA_PSS, true},
      {"ECDSA", EVP_PKEY_EC, true},         {"DSA", EVP_PKEY_DSA, true},
      {"ed25519", EVP_PKEY_ED25519, false}, {"ed448", EVP_PKEY_ED448, false},
  };
  int type = NID_undef;
  int digest = NID_undef;
  if (!SSL_get_peer_signature_type_nid(ssl, &type)) {
    return "";
  }
  bool has_digest = SSL_get_peer_signature_nid(ssl, &digest) && digest != NID_undef;
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    if (names[i].type == type && names[i].has_digest && has_digest) {
      return arena_printf(arena, "%s+%s", names[i].name, OBJ_nid2sn(digest));
    }
    if (names[i].type == type) {
      return names[i].name;
    }
  }
  const char *name = OBJ_nid2sn(type);
  return name == NULL ? "" : name;
}

static const char *name_asked_for(const struct engine *engine, struct arena *arena) {
  return utf8_text(arena, SSL_get_servername(engine->ssl, TLSEXT_NAMETYPE_host_name));
}

static status_t describe(struct engine *engine, struct arena *arena,
                         struct engine_negotiated *out) {
  const unsigned char *alpn = NULL;
  unsigned alpn_len = 0;
  SSL_get0_alpn_selected(engine->ssl, &alpn, &alpn_len);
  *out = (struct engine_negotiated){
      .version = SSL_version(engine->ssl),
      .version_name = SSL_get_version(engine->ssl),
      .alpn = slice_of(alpn, alpn_len),
      .server_name = name_asked_for(engine, arena),
      .resumed = SSL_session_reused(engine->ssl) == 1,
      .group = group_of(engine->ssl),
      .peer_signature = signature_of(engine->ssl, arena),
  };
  TRY(cipher_describe(SSL_get_current_cipher(engine->ssl), arena, &out->cipher));
  ENSURE(out->server_name != NULL && out->peer_signature != NULL, RESOURCE_EXHAUSTED);
  return OK_STATUS;
}

status_t engine_negotiated(struct engine *engine, struct arena *arena,
                           struct engine_negotiated *out) {
  OBJECT_CHECK(engine, ENGINE_MAGIC);
  ENSURE(engine_established(engine), FAILED_PRECONDITION);
  status_t status = describe(engine, arena, out);
  ERR_clear_error();
  return status;
}

// ---------------------------------------------------------------------------------------------
// What could have been.

static status_t describe_shared(const STACK_OF(SSL_CIPHER) * own, STACK_OF(SSL_CIPHER) * offered,
                                struct arena *arena, struct tls_cipher_info **out,
                                size_t *out_num) {
  *out = arena_array(arena, (size_t)sk_SSL_CIPHER_num(own), sizeof(**out));
  ENSURE(*out != NULL, RESOURCE_EXHAUSTED);
  for (int i = 0; i < sk_SSL_CIPHER_num(own); i++) {
    const SSL_CIPHER *cipher = sk_SSL_CIPHER_value(own, i);
    if (sk_SSL_CIPHER_find(offered, (SSL_CIPHER *)cipher) >= 0) {
      TRY(cipher_describe(cipher, arena, &(*out)[*out_num]));
      (*out_num)++;
    }
  }
  return OK_STATUS;
}

status_t engine_shared_ciphers(struct engine *engine, struct arena *arena,
                               struct tls_cipher_info **out, size_t *out_num) {
  OBJECT_CHECK(engine, ENGINE_MAGIC);
  const STACK_OF(SSL_CIPHER) *own = SSL_get_ciphers(engine->ssl);
  STACK_OF(SSL_CIPHER) *offered = SSL_get_client_ciphers(engine->ssl);  // NULL for clients
  *out_num = 0;
  ENSURE(own != NULL && offered != NULL, FAILED_PRECONDITION);
  return describe_shared(own, offered, arena, out, out_num);
}

// ---------------------------------------------------------------------------------------------
// The peer.

// A certificate that did not verify is in no session, but at the front of the refused chain.
static X509 *peer_of(const struct engine *engine) {
  X509 *peer = SSL_get0_peer_certificate(engine->ssl);
  return peer == NULL && sk_X509_num(engine->refused_chain) > 0
             ? sk_X509_value(engine->refused_chain, 0)
             : peer;
}

status_t engine_peer(struct engine *engine, struct arena *arena, struct engine_peer *out) {
  OBJECT_CHECK(engine, ENGINE_MAGIC);
  char text[sizeof(engine->error->verify_message)];
  *out = (struct engine_peer){.verify_code = SSL_get_verify_result(engine->ssl)};
  tls_verify_text(out->verify_code, engine->server_name, text, sizeof(text));
  out->verify_message = arena_string(arena, text);
  ENSURE(out->verify_message != NULL, RESOURCE_EXHAUSTED);
  X509 *peer = peer_of(engine);
  if (peer != NULL) {
    TRY(x509_der(peer, arena, &out->der));
  }
  return OK_STATUS;
}

status_t engine_peer_certificate(struct engine *engine, struct arena *arena,
                                 struct tls_certificate *out) {
  OBJECT_CHECK(engine, ENGINE_MAGIC);
  X509 *peer = peer_of(engine);
  ENSURE(peer != NULL, NOT_FOUND);
  return x509_describe(peer, arena, out);
}

static status_t copy_chain(const STACK_OF(X509) * chain, X509 *first, struct arena *arena,
                           struct slice **out, size_t *out_num) {
  int num = chain == NULL ? 0 : sk_X509_num(chain);
  struct slice *list = arena_array(arena, (size_t)num + 1, sizeof(*list));
  ENSURE(list != NULL, RESOURCE_EXHAUSTED);
  size_t used = 0;
  if (first != NULL) {
    TRY(x509_der(first, arena, &list[used++]));
  }
  for (int i = 0; i < num; i++) {
    TRY(x509_der(sk_X509_value(chain, i), arena, &list[used++]));
  }
  *out = list;
  *out_num = used;
  return OK_STATUS;
}

// What the peer sent. OpenSSL leaves a client's own certificate out of it, and of a resumed session
// knows that one only.
static status_t copy_unverified(struct engine *engine, struct arena *arena,
                                struct engine_chains *out) {
  X509 *peer = SSL_get0_peer_certificate(engine->ssl);
  if (peer == NULL) {
    return copy_chain(engine->refused_chain, NULL, arena, &out->unverified, &out->num_unverified);
  }
  const STACK_OF(X509) *sent = SSL_get_peer_cert_chain(engine->ssl);
  bool left_out = sent == NULL || engine->role == ENGINE_SERVER;
  return copy_chain(sent, left_out ? peer : NULL, arena, &out->unverified, &out->num_unverified);
}

// OpenSSL keeps the chain it built even when it isn't good.
static status_t copy_verified(struct engine *engine, struct arena *arena,
                              struct engine_chains *out) {
  bool good = SSL_get_verify_result(engine->ssl) == X509_V_OK;
  return copy_chain(good ? SSL_get0_verified_chain(engine->ssl) : NULL, NULL, arena, &out->verified,
                    &out->num_verified);
}

status_t engine_peer_chains(struct engine *engine, struct arena *arena, struct engine_chains *out) {
  OBJECT_CHECK(engine, ENGINE_MAGIC);
  *out = (struct engine_chains){.num_verified = 0};
  TRY(copy_verified(engine, arena, out));
  return copy_unverified(engine, arena, out);
}
