// Which method is it, and what does it ask? A table built once, and messages unpacked into an
// arena.
#ifndef TLSAGENT_SERVER_RPC_DISPATCH_H_
#define TLSAGENT_SERVER_RPC_DISPATCH_H_

#include <stdbool.h>
#include <stddef.h>

#include "server/base/arena.h"
#include "server/base/slice.h"
#include "server/base/status.h"
#include "server/rpc/call.h"

#ifdef __cplusplus
extern "C" {
#endif

struct dispatch;

// dispatch_new indexes methods, which must outlive it. INVALID_ARGUMENT when two have one name.
status_t dispatch_new(const struct method *methods, size_t num_methods, struct dispatch **out);
void dispatch_free(struct dispatch *dispatch);

// dispatch_find returns the method of that name, or NULL.
const struct method *dispatch_find(const struct dispatch *dispatch, struct slice service,
                                   struct slice method);
// dispatch_has_service tells an unknown method from an unknown service.
bool dispatch_has_service(const struct dispatch *dispatch, struct slice service);

// dispatch_unpack reads payload into the arena, where all of the message then is. INVALID_ARGUMENT
// when it is no such message, RESOURCE_EXHAUSTED when the arena's ceiling is too low for what it
// claims.
status_t dispatch_unpack(const ProtobufCMessageDescriptor *descriptor, struct slice payload,
                         struct arena *arena, const ProtobufCMessage **out);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_RPC_DISPATCH_H_
