// One half of a TLS connection over memory BIOs, and what both halves need to meet.
#ifndef TLSAGENT_TESTS_BENCH_LIB_TLS_HALF_H_
#define TLSAGENT_TESTS_BENCH_LIB_TLS_HALF_H_

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#include "tests/bench/lib/wire.h"

// More than a flight of a handshake here, or a record of an echo, ever takes.
enum { FLIGHT_ROOM = 8192 };

enum key_kind { KEY_ECDSA_P256, KEY_RSA_2048 };

// A server's certificate, signed by itself, with its key.
struct identity {
  X509 *certificate;
  EVP_PKEY *key;
  BIO *chain_pem;
  BIO *key_pem;
};

struct tls_half {
  SSL *ssl;
  BIO *in;
  BIO *out;
};

bool identity_make(struct identity *identity, enum key_kind kind);
void identity_free(struct identity *identity);

// pem_bytes views what a BIO of identity holds.
struct view pem_bytes(BIO *pem);

// tls_context makes the context of a client, or of a server when it has an identity: TLS 1.3 with
// X25519 and nothing else, as the daemon's are in this benchmark. NULL: it failed, and said why.
SSL_CTX *tls_context(const struct identity *identity);

bool half_open(struct tls_half *half, SSL_CTX *context, bool server);
void half_close(struct tls_half *half);

// half_give hands over ciphertext from the other half, half_take takes what there is for it.
bool half_give(struct tls_half *half, const void *data, size_t len);
size_t half_take(struct tls_half *half, uint8_t *out, size_t size);

// half_step goes on with the handshake: false when it failed. half_done tells whether it is over.
bool half_step(struct tls_half *half);
bool half_done(const struct tls_half *half);

// half_settle reads what comes after a handshake: tickets, and no data.
bool half_settle(struct tls_half *half);

// fail_tls is fail() with OpenSSL's reason.
bool fail_tls(const char *what);

#endif  // TLSAGENT_TESTS_BENCH_LIB_TLS_HALF_H_
