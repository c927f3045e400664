// Text that leaves the daemon is UTF-8, whatever a peer has put in a name.
#ifndef TLSAGENT_SERVER_BASE_UTF8_H_
#define TLSAGENT_SERVER_BASE_UTF8_H_

#include <stdbool.h>

#include "server/base/arena.h"
#include "server/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

// utf8_valid tells whether data is well-formed UTF-8 (RFC 3629): no overlong forms, no surrogates.
bool utf8_valid(struct slice data);

// utf8_text returns text itself when it is UTF-8, else a copy in the arena with every byte outside
// ASCII written as \xNN. NULL becomes "". NULL only when the arena is exhausted.
const char *utf8_text(struct arena *arena, const char *text);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_BASE_UTF8_H_
