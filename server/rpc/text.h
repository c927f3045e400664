// Text that a peer's parser will take: proto3 strings are UTF-8, or the whole message is refused.
#ifndef TLSAGENT_SERVER_RPC_TEXT_H_
#define TLSAGENT_SERVER_RPC_TEXT_H_

#include <stddef.h>

#include "server/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

// text_mend copies text into out, as much as fits with its NUL. What is not UTF-8 and control
// characters become '?'; a character is never cut in two.
void text_mend(char *out, size_t size, const char *text);

// text_quote copies a name of a peer's into out for a sentence: printable ASCII as it is,
// everything else as '?', and "..." where it was cut.
void text_quote(char *out, size_t size, struct slice name);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_RPC_TEXT_H_
