// The other end of a TLS connection, by OpenSSL alone: none of the daemon's code is in it.
#ifndef TLSAGENT_TESTS_SUPPORT_PEER_H_
#define TLSAGENT_TESTS_SUPPORT_PEER_H_

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#include "tests/support/pki.h"

#ifdef __cplusplus
extern "C" {
#endif

// What a peer is to be like. All zero: a client that shows no certificate and takes any.
struct peer_request {
  bool server;
  const struct pki_identity *identity;  // what it shows; NULL: nothing
  const struct pki_identity *root;      // whom it insists on; NULL: it takes anybody
  const char *server_name;              // client: sent as SNI
  const char *alpn;                     // its one protocol; NULL: none
  int version;                          // the only one it speaks; 0: any
};

struct peer;

// peer_new makes a peer on a connected socket, which it takes over. With fd -1 it is one in memory,
// that is fed and emptied by hand. Aborts when it can't.
struct peer *peer_new(const struct peer_request *request, int fd);
// peer_free closes its socket, without close_notify. NULL is fine.
void peer_free(struct peer *peer);

SSL *peer_ssl(struct peer *peer);
int peer_fd(const struct peer *peer);

// On a socket these wait, but not for ever. peer_handshake and peer_write are all or false;
// peer_read gives at least one byte, or 0 at the end and on errors; peer_shutdown sends
// close_notify.
bool peer_handshake(struct peer *peer);
size_t peer_read(struct peer *peer, void *out, size_t size);
bool peer_write(struct peer *peer, const void *data, size_t len);
bool peer_shutdown(struct peer *peer);
// peer_was_shut_down tells whether close_notify was received.
bool peer_was_shut_down(const struct peer *peer);

// In memory: what the other end sent goes in, and what is for it comes out.
void peer_feed(struct peer *peer, const void *data, size_t len);
size_t peer_take(struct peer *peer, void *out, size_t size);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_TESTS_SUPPORT_PEER_H_
