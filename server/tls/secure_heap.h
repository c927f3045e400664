// Where private keys live: memory that is never swapped nor dumped, as far as it reaches. Inside
// server/tls only.
#ifndef TLSAGENT_SERVER_TLS_SECURE_HEAP_H_
#define TLSAGENT_SERVER_TLS_SECURE_HEAP_H_

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

// secure_heap_start makes OpenSSL's secure heap, once. Where the system refuses, keys live in
// ordinary memory: secure_heap_bytes is then 0.
void secure_heap_start(void);

size_t secure_heap_bytes(void);

// secure_heap_is_locked tells whether it is kept out of swap (mlock(2) was allowed).
bool secure_heap_is_locked(void);

// secure_heap_has_room tells whether one more long-lived key may go there. The handshakes' own keys
// live there too and can't live elsewhere, so a part of it is kept for them.
bool secure_heap_has_room(void);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_TLS_SECURE_HEAP_H_
