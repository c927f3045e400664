// A token: a number that nobody guesses, and by which something is found.
#ifndef TLSAGENT_SERVER_BASE_TOKEN_H_
#define TLSAGENT_SERVER_BASE_TOKEN_H_

#include <stdbool.h>
#include <stdint.h>

#include "server/base/slice.h"
#include "server/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { TOKEN_BYTES = 16 };

// token_make takes one from the kernel's random bytes. UNAVAILABLE when it has none.
status_t token_make(uint8_t out[TOKEN_BYTES]);

// token_equal compares a token with a guess in constant time: how long it takes says nothing about
// how much of the guess was right.
bool token_equal(const uint8_t token[TOKEN_BYTES], struct slice guess);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_BASE_TOKEN_H_
