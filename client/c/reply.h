// A reply: the frame's bytes, and the struct of tlsagent.h that was unpacked from them.
#ifndef TLSAGENT_CLIENT_C_REPLY_H_
#define TLSAGENT_CLIENT_C_REPLY_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/c/methods.h"

#ifdef __cplusplus
extern "C" {
#endif

// struct tla_received is what came for a call; descriptors that the reply takes become -1 in it.
struct tla_received {
  uint8_t *body;
  size_t body_len;
  int *fds;
  size_t num_fds;
};

// tla_reply_unpack unpacks the answer to method. It takes over received->body. It returns, and sets
// *out and *error, as the verbs of tlsagent.h do.
bool tla_reply_unpack(void **out, const struct tla_method *method,
                      const struct tla_received *received, struct tlsagent_error *error);

// tla_reply_drop frees a reply that nobody wants, with the descriptors in it. NULL is fine.
void tla_reply_drop(const struct tla_method *method, void *reply);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_CLIENT_C_REPLY_H_
