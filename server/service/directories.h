// Directories of hashed CA files that clients pass, for contexts to search (tls_directory). The
// daemon opens files in them with its own rights, so only its own user and root may pass any.
#ifndef TLSAGENT_SERVER_SERVICE_DIRECTORIES_H_
#define TLSAGENT_SERVER_SERVICE_DIRECTORIES_H_

#include <sys/types.h>

#include "server/service/private.h"
#include "server/tls/context.h"

#ifdef __cplusplus
extern "C" {
#endif

// directory_new makes one of a descriptor, with one reference. It takes fd over in any case: on
// success until the last reference is given back. INVALID_ARGUMENT: it is no directory.
// PERMISSION_DENIED: this user may have none searched (may_pass_files); nothing was asked of it.
status_t directory_new(int fd, uid_t uid, struct tls_directory *out);

// read_directories takes the descriptors of the list. What it stores, also of a refused request, is
// for release_directories, and outlives the call, which may be answered before that.
void read_directories(struct call *call, Tlsagent__V1__Material *const *from, size_t num,
                      struct tls_trust *out, struct refusal *refusal);
void release_directories(const struct tls_trust *trust);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_SERVICE_DIRECTORIES_H_
