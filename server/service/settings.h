// Context settings, both ways between the wire and tls.
#ifndef TLSAGENT_SERVER_SERVICE_SETTINGS_H_
#define TLSAGENT_SERVER_SERVICE_SETTINGS_H_

#include "server/service/private.h"
#include "server/tls/context.h"

#ifdef __cplusplus
extern "C" {
#endif

// read_settings reads settings that may be absent (NULL), dh_params aside (materials.h). What this
// build can't do is refused.
void read_settings(struct arena *arena, const Tlsagent__V1__ContextSettings *from,
                   struct tls_settings *out, struct refusal *refusal);

// write_settings writes every setting that has a value.
Tlsagent__V1__ContextSettings *write_settings(struct arena *arena,
                                              const struct tls_settings *settings);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_SERVICE_SETTINGS_H_
