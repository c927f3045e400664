// OpenSSL's ordinary heap. Inside server/tls only.
#ifndef TLSAGENT_SERVER_TLS_WIPING_HEAP_H_
#define TLSAGENT_SERVER_TLS_WIPING_HEAP_H_

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

// wiping_heap_start lets us see every block that OpenSSL gives back. False when OpenSSL has
// allocated something already, or for somebody else: then blocks go back as they are.
bool wiping_heap_start(void);

// Between wiping_heap_begin and wiping_heap_end every block that this thread gives back is wiped.
// OpenSSL wipes what it knows to be secret, but not all that a key passes through on its way from
// PEM into the secure heap. To wipe always would make a handshake a twentieth slower.
void wiping_heap_begin(void);
void wiping_heap_end(void);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_TLS_WIPING_HEAP_H_
