// Seals: what a client keeps for us and can neither read nor change. Under a key of this process
// that nobody else ever has: what an earlier daemon has sealed doesn't open. Inside server/tls
// only; any thread.
#ifndef TLSAGENT_SERVER_TLS_SEAL_H_
#define TLSAGENT_SERVER_TLS_SEAL_H_

#include "server/base/arena.h"
#include "server/base/slice.h"
#include "server/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

// seal_start makes the key, once. RESOURCE_EXHAUSTED: no memory, or no random bytes.
status_t seal_start(void);

// What is sealed in cleartext: cleanse and free it with seal_wipe.
struct sealed_secret {
  uint8_t *data;
  size_t len;
};
void seal_wipe(struct sealed_secret *secret);

// seal_close seals a secret, in the arena. It opens only with the same binding.
status_t seal_close(struct slice secret, struct slice binding, struct arena *arena,
                    struct slice *out);

// seal_open gives the secret back. INVALID_ARGUMENT: not sealed by this process, sealed with
// another binding, or changed since.
status_t seal_open(struct slice sealed, struct slice binding, struct sealed_secret *out);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_TLS_SEAL_H_
