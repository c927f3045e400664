// --via: a running tlsagentd does the TLS, asked by RPC from the worker's loop.
#ifndef TLSAGENT_CLIENT_LOAD_VIA_H_
#define TLSAGENT_CLIENT_LOAD_VIA_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/c/tlsagent.h"
#include "client/load/settings.h"
#include "server/ring/loop.h"

#ifdef __cplusplus
extern "C" {
#endif

// One worker's connections to the daemon, all of one client. A daemon takes so many calls at a time
// on each, so there are several.
struct via;
struct via_link;

// via_open connects and makes the context, waiting for the daemon; not on a worker. False with a
// sentence of at most size bytes in why.
bool via_open(const struct settings *settings, struct loop *loop, size_t num_conns,
              struct via **out, char *why, size_t size);
// via_close disconnects: the daemon ends what is left. After via_stop and the worker.
void via_close(struct via *via);

// What follows is for the worker's thread. via_start begins to listen to the daemon, via_stop ends
// that.
void via_start(struct via *via);
void via_stop(struct via *via);

// via_link gives the connection for the loads' connection number n.
struct via_link *via_link(struct via *via, size_t n);
uint64_t via_context(const struct via_link *link);
// via_submit is tlsagent_submit: the call's id, or 0 with error, and done is then not called.
uint32_t via_submit(struct via_link *link, enum tlsagent_method method, const void *request,
                    tlsagent_done *done, void *user, struct tlsagent_error *error);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_CLIENT_LOAD_VIA_H_
