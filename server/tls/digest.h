// SHA-256, fetched once. Inside server/tls only.
#ifndef TLSAGENT_SERVER_TLS_DIGEST_H_
#define TLSAGENT_SERVER_TLS_DIGEST_H_

#include <stddef.h>
#include <stdint.h>

#include "server/base/slice.h"
#include "server/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { DIGEST_SIZE = 32 };

// digest_of hashes the slices one after the other. RESOURCE_EXHAUSTED without memory.
status_t digest_of(const struct slice *data, size_t num, uint8_t out[DIGEST_SIZE]);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_TLS_DIGEST_H_
