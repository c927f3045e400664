// Context settings, both ways between the wire and tls.
#ifndef TLSAGENT_SERVER_SERVICE_SETTINGS_H_
#define TLSAGENT_SERVER_SERVICE_SETTINGS_H_

#include "server/service/private.h"
#include "server/tls/context.h"

#ifdef __cplusplus
extern "C" {
#endif

// read_settings reads settings that may be absent (NULL). What this build can't do is refused.
void read_settings(struct arena *arena, const Tlsagent__V1__ContextSettings *from,
                   struct tls_settings *out, struct refusal *refusal);

// write_settings writes every setting that has a value.
Tlsagent__V1__ContextSettings *write_settings(struct arena *arena,
                                              const struct tls_settings *settings);

// read_material gives the bytes of a material, or refuses: absent, by descriptor, too long.
struct slice read_material(const Tlsagent__V1__Material *material, struct refusal *refusal);
// read_materials reads a list of them into the arena and adds up their lengths in *total.
const struct slice *read_materials(struct arena *arena, Tlsagent__V1__Material *const *materials,
                                   size_t num, uint64_t *total, struct refusal *refusal);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_SERVICE_SETTINGS_H_
