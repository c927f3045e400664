#include "tests/support/peer.h"

#include <openssl/err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { PATIENCE_SECONDS = 30, PROTOCOL_MAX = 255 };

struct peer {
  SSL_CTX *ctx;
  SSL *ssl;
  int fd;
  unsigned char alpn[PROTOCOL_MAX + 1];  // as on the wire: its length, its name
  unsigned alpn_len;
};

static void insist(bool good, const char *what) {
  if (!good) {
    fprintf(stderr, "peer: %s\n", what);
    ERR_print_errors_fp(stderr);
    abort();
  }
}

static void show_identity(SSL_CTX *ctx, const struct pki_identity *identity) {
  BIO *bio = BIO_new_mem_buf(identity->chain_pem, -1);
  X509 *first = PEM_read_bio_X509(bio, NULL, NULL, NULL);
  insist(SSL_CTX_use_certificate(ctx, first) == 1, "certificate");
  X509_free(first);
  X509 *next = PEM_read_bio_X509(bio, NULL, NULL, NULL);
  while (next != NULL) {
    insist(SSL_CTX_add_extra_chain_cert(ctx, next) == 1, "chain");
    next = PEM_read_bio_X509(bio, NULL, NULL, NULL);
  }
  ERR_clear_error();
  BIO_free(bio);
  insist(SSL_CTX_use_PrivateKey(ctx, identity->key) == 1, "key");
}

static void insist_on(SSL_CTX *ctx, const struct pki_identity *root) {
  X509_STORE *store = SSL_CTX_get_cert_store(ctx);
  insist(X509_STORE_add_cert(store, root->certificate) == 1, "root");
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
}

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *offered, unsigned offered_len, void *arg) {
  const struct peer *peer = arg;
  unsigned char *chosen = NULL;
  (void)ssl;
  int found =
      SSL_select_next_proto(&chosen, out_len, peer->alpn, peer->alpn_len, offered, offered_len);
  *out = chosen;
  return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

static void set_alpn(struct peer *peer, const char *protocol) {
  size_t len = strlen(protocol);
  insist(len <= PROTOCOL_MAX, "protocol");
  peer->alpn[0] = (unsigned char)len;
  memcpy(peer->alpn + 1, protocol, len);
  peer->alpn_len = (unsigned)len + 1;
  insist(SSL_CTX_set_alpn_protos(peer->ctx, peer->alpn, peer->alpn_len) == 0, "alpn");
  SSL_CTX_set_alpn_select_cb(peer->ctx, choose_alpn, peer);
}

static void make_context(struct peer *peer, const struct peer_request *request) {
  peer->ctx = SSL_CTX_new(request->server ? TLS_server_method() : TLS_client_method());
  insist(peer->ctx != NULL, "context");
  if (request->identity != NULL) {
    show_identity(peer->ctx, request->identity);
  }
  if (request->root != NULL) {
    insist_on(peer->ctx, request->root);
  }
  if (request->version != 0) {
    SSL_CTX_set_min_proto_version(peer->ctx, request->version);
    SSL_CTX_set_max_proto_version(peer->ctx, request->version);
  }
  if (request->alpn != NULL) {
    set_alpn(peer, request->alpn);
  }
}

static void attach(struct peer *peer, int fd) {
  peer->fd = fd;
  if (fd < 0) {
    SSL_set_bio(peer->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    return;
  }
  struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  signal(SIGPIPE, SIG_IGN);
  insist(SSL_set_fd(peer->ssl, fd) == 1, "socket");
}

struct peer *peer_new(const struct peer_request *request, int fd) {
  struct peer *peer = calloc(1, sizeof(*peer));
  insist(peer != NULL, "memory");
  make_context(peer, request);
  peer->ssl = SSL_new(peer->ctx);
  insist(peer->ssl != NULL, "ssl");
  attach(peer, fd);
  if (request->server) {
    SSL_set_accept_state(peer->ssl);
  } else {
    SSL_set_connect_state(peer->ssl);
    SSL_set_tlsext_host_name(peer->ssl, request->server_name);
  }
  return peer;
}

void peer_free(struct peer *peer) {
  if (peer == NULL) {
    return;
  }
  SSL_free(peer->ssl);
  SSL_CTX_free(peer->ctx);
  if (peer->fd >= 0) {
    close(peer->fd);
  }
  ERR_clear_error();
  free(peer);
}

SSL *peer_ssl(struct peer *peer) {
  return peer->ssl;
}

int peer_fd(const struct peer *peer) {
  return peer->fd;
}

bool peer_handshake(struct peer *peer) {
  ERR_clear_error();
  return SSL_do_handshake(peer->ssl) == 1;
}

size_t peer_read(struct peer *peer, void *out, size_t size) {
  size_t len = 0;
  ERR_clear_error();
  return SSL_read_ex(peer->ssl, out, size, &len) == 1 ? len : 0;
}

bool peer_write(struct peer *peer, const void *data, size_t len) {
  size_t written = 0;
  ERR_clear_error();
  return SSL_write_ex(peer->ssl, data, len, &written) == 1 && written == len;
}

bool peer_shutdown(struct peer *peer) {
  ERR_clear_error();
  return SSL_shutdown(peer->ssl) >= 0;
}

bool peer_was_shut_down(const struct peer *peer) {
  return (SSL_get_shutdown(peer->ssl) & SSL_RECEIVED_SHUTDOWN) != 0;
}

void peer_feed(struct peer *peer, const void *data, size_t len) {
  size_t written = 0;
  insist(len == 0 ||
             (BIO_write_ex(SSL_get_rbio(peer->ssl), data, len, &written) == 1 && written == len),
         "feed");
}

size_t peer_take(struct peer *peer, void *out, size_t size) {
  size_t len = 0;
  return BIO_read_ex(SSL_get_wbio(peer->ssl), out, size, &len) == 1 ? len : 0;
}
