// Materials: what a request carries in itself or by a descriptor that came with it. What can't be
// read is refused; what was taken of a refused request is closed all the same.
#ifndef TLSAGENT_SERVER_SERVICE_MATERIALS_H_
#define TLSAGENT_SERVER_SERVICE_MATERIALS_H_

#include <sys/types.h>

#include "server/service/private.h"
#include "server/tls/context.h"

#ifdef __cplusplus
extern "C" {
#endif

// may_pass_files tells whether this user's descriptors of files and directories are read: those of
// the daemon's own user and of root, who could hang or mislead it anyway. Files of anybody else may
// lie on a file system that he serves himself.
bool may_pass_files(uid_t uid);

// take_material_descriptor gives the descriptor of a material whose source is one; as
// take_descriptor.
bool take_material_descriptor(struct call *call, const Tlsagent__V1__Material *material, int *out,
                              struct refusal *refusal);

// read_material gives the bytes of a material, in the request or in the call's arena. None of one
// that is absent (NULL).
struct slice read_material(struct call *call, const Tlsagent__V1__Material *material,
                           struct refusal *refusal);
// read_materials reads a list of them and adds up their lengths in *total.
const struct slice *read_materials(struct call *call, Tlsagent__V1__Material *const *materials,
                                   size_t num, uint64_t *total, struct refusal *refusal);

// read_dh_params reads the one setting that is a material; from may be NULL.
void read_dh_params(struct call *call, const Tlsagent__V1__ContextSettings *from,
                    struct tls_settings *out, struct refusal *refusal);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_SERVICE_MATERIALS_H_
