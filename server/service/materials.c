#include "server/service/materials.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/ring/closer.h"
#include "server/service/convert.h"
#include "server/service/descriptors.h"

// ---------------------------------------------------------------------------------------------
// Descriptors

bool take_material_descriptor(struct call *call, const Tlsagent__V1__Material *material, int *out,
                              struct refusal *refusal) {
  const ProtobufCBinaryData none = {0};
  return material->source_case == TLSAGENT__V1__MATERIAL__SOURCE_FD_TOKEN
             ? take_descriptor_by_token(call, material->fd_token, out, refusal)
             : take_descriptor(call, material->fd, none, out, refusal);
}

// ---------------------------------------------------------------------------------------------
// Files. A worker can't wait for what a pipe, a socket or a terminal may bring some day; nor for a
// file system of the client's own, which an overlay shows as any other, and which may hang already
// where a file's kind is asked for.

bool may_pass_files(uid_t uid) {
  return uid == 0 || uid == geteuid();
}

// As much as there is, which may be less than it was: somebody may cut the file meanwhile.
static bool read_bytes(int fd, uint8_t *out, size_t size, size_t *out_len) {
  size_t len = 0;
  ssize_t n = 1;
  while (len < size && n != 0) {
    n = pread(fd, out + len, size - len, (off_t)len);
    if (n < 0 && errno != EINTR) {
      return false;
    }
    len += n > 0 ? (size_t)n : 0;
  }
  *out_len = len;
  return true;
}

// Files of the kernel's that have no size (/proc) may have something to say but no end: they count
// as empty.
static struct slice read_whole(struct call *call, int fd, size_t size, struct refusal *refusal) {
  struct slice none = slice_of(NULL, 0);
  size_t len = 0;
  uint8_t *data = size == 0 ? NULL : arena_bytes(call_arena(call), size);
  if (size == 0) {
    return none;
  }
  if (data == NULL) {
    refusal_set(refusal, STATUS_RESOURCE_EXHAUSTED, "no memory for a material's file");
    return none;
  }
  if (!read_bytes(fd, data, size, &len)) {
    refusal_set(refusal, STATUS_INVALID_ARGUMENT,
                "a material's file can't be read: is its descriptor open for reading?");
    return none;
  }
  return slice_of(data, len);
}

static struct slice read_file(struct call *call, int fd, struct refusal *refusal) {
  struct slice none = slice_of(NULL, 0);
  struct stat found;
  if (fstat(fd, &found) != 0 || !S_ISREG(found.st_mode)) {
    refusal_set(refusal, STATUS_INVALID_ARGUMENT,
                "a material's descriptor is no regular file: send the bytes of anything else");
    return none;
  }
  if ((uint64_t)found.st_size > environment.config.limits->material_bytes) {
    refusal_set(refusal, STATUS_RESOURCE_EXHAUSTED,
                "a material's file is longer than the limit material_bytes");
    return none;
  }
  return read_whole(call, fd, (size_t)found.st_size, refusal);
}

static struct slice read_descriptor(struct call *call, const Tlsagent__V1__Material *material,
                                    struct refusal *refusal) {
  int fd = -1;
  if (!take_material_descriptor(call, material, &fd, refusal)) {
    return slice_of(NULL, 0);
  }
  struct slice data = slice_of(NULL, 0);
  const uid_t uid = client_peer(call_client(call))->uid;
  if (may_pass_files(uid)) {
    data = read_file(call, fd, refusal);
  } else {
    refusal_set(
        refusal, STATUS_PERMISSION_DENIED,
        "tlsagentd runs as another user, and reads materials by descriptor only for its own "
        "user and root: send the bytes instead");
  }
  closer_close(uid, fd);
  return data;
}

// ---------------------------------------------------------------------------------------------

struct slice read_material(struct call *call, const Tlsagent__V1__Material *material,
                           struct refusal *refusal) {
  struct slice none = slice_of(NULL, 0);
  if (material == NULL) {
    return none;
  }
  switch (material->source_case) {
    case TLSAGENT__V1__MATERIAL__SOURCE_DATA:
      if (material->data.len > environment.config.limits->material_bytes) {
        refusal_set(refusal, STATUS_RESOURCE_EXHAUSTED,
                    "a material is longer than the limit material_bytes");
      }
      return slice_of_binary(material->data);
    case TLSAGENT__V1__MATERIAL__SOURCE_FD:
    case TLSAGENT__V1__MATERIAL__SOURCE_FD_TOKEN:
      return read_descriptor(call, material, refusal);
    default:
      refusal_set(refusal, STATUS_INVALID_ARGUMENT, "a material has neither data nor a descriptor");
      return none;
  }
}

const struct slice *read_materials(struct call *call, Tlsagent__V1__Material *const *materials,
                                   size_t num, uint64_t *total, struct refusal *refusal) {
  struct slice *list = arena_array(call_arena(call), num, sizeof(*list));
  if (list == NULL) {
    refusal_set(refusal, STATUS_RESOURCE_EXHAUSTED, "too many materials");
    return NULL;
  }
  for (size_t i = 0; i < num; i++) {
    list[i] = read_material(call, materials[i], refusal);
    *total += list[i].len;
  }
  return list;
}

void read_dh_params(struct call *call, const Tlsagent__V1__ContextSettings *from,
                    struct tls_settings *out, struct refusal *refusal) {
  if (from != NULL && from->dh_params != NULL) {
    out->present |= TLS_SET_DH_PARAMS;
    out->dh_params = read_material(call, from->dh_params, refusal);
  }
}
