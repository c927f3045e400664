#include "server/service/directories.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "server/ring/closer.h"
#include "server/service/materials.h"

struct directory {
  atomic_size_t refs;
  int fd;
  uid_t uid;
};

// ---------------------------------------------------------------------------------------------
// Files in it. Names are hashes, made by us. They are links as often as not, to be followed; but
// not into /proc, where the daemon's own descriptors are.

static int open_file(int directory, const char *name) {
  const struct open_how how = {.flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY,
                               .resolve = RESOLVE_NO_MAGICLINKS};
  return (int)syscall(SYS_openat2, directory, name, &how, sizeof(how));
}

static size_t read_bytes(int fd, uint8_t *out, size_t size) {
  size_t len = 0;
  ssize_t n = 1;
  while (len < size && n > 0) {
    n = pread(fd, out + len, size - len, (off_t)len);
    len += n > 0 ? (size_t)n : 0;
  }
  return n < 0 ? 0 : len;
}

static size_t read_regular(int fd, uint8_t *out, size_t size) {
  struct stat found;
  bool good = fstat(fd, &found) == 0 && S_ISREG(found.st_mode) && found.st_size > 0 &&
              (uint64_t)found.st_size <= size;
  return good ? read_bytes(fd, out, (size_t)found.st_size) : 0;
}

static bool directory_read(void *owner, const char *name, uint8_t *out, size_t size,
                           size_t *out_len) {
  const struct directory *directory = owner;
  *out_len = 0;
  int fd = open_file(directory->fd, name);
  if (fd < 0) {
    return errno != ENOENT;
  }
  *out_len = read_regular(fd, out, size);
  close(fd);  // the daemon's own: a file that it opened itself
  return true;
}

// ---------------------------------------------------------------------------------------------

static void directory_ref(void *owner) {
  struct directory *directory = owner;
  atomic_fetch_add_explicit(&directory->refs, 1, memory_order_relaxed);
}

static void directory_unref(void *owner) {
  struct directory *directory = owner;
  if (atomic_fetch_sub_explicit(&directory->refs, 1, memory_order_acq_rel) == 1) {
    closer_close(directory->uid, directory->fd);
    free(directory);
  }
}

// Whoever fills a directory with links has the daemon open what they point at. The daemon's own
// user and root could open it themselves. What a directory looks like says nothing of who fills it:
// an overlay in a client's own namespace can show root's owner and mode over his names.
static status_t check(int fd, uid_t uid, struct stat *found) {
  ENSURE(may_pass_files(uid), PERMISSION_DENIED);
  ENSURE(fstat(fd, found) == 0 && S_ISDIR(found->st_mode), INVALID_ARGUMENT);
  return OK_STATUS;
}

static status_t allocate(int fd, uid_t uid, struct directory **out) {
  struct directory *directory = malloc(sizeof(*directory));
  ENSURE(directory != NULL, RESOURCE_EXHAUSTED);
  *directory = (struct directory){.fd = fd, .uid = uid};
  atomic_init(&directory->refs, 1);
  *out = directory;
  return OK_STATUS;
}

status_t directory_new(int fd, uid_t uid, struct tls_directory *out) {
  struct stat found;
  struct directory *directory = NULL;
  status_t status = check(fd, uid, &found);
  if (status_ok(status)) {
    status = allocate(fd, uid, &directory);
  }
  if (!status_ok(status)) {
    closer_close(uid, fd);
    return status;
  }
  *out = (struct tls_directory){.read = directory_read,
                                .ref = directory_ref,
                                .unref = directory_unref,
                                .owner = directory,
                                .device = found.st_dev,
                                .inode = found.st_ino};
  return OK_STATUS;
}

// ---------------------------------------------------------------------------------------------
// Of a request.

static const char *why_refused(enum status_code code) {
  switch (code) {
    case STATUS_INVALID_ARGUMENT:
      return "an entry of trust.directories is no directory";
    case STATUS_PERMISSION_DENIED:
      return "tlsagentd runs as another user, and searches directories only for its own user and "
             "root: send the bytes of the certificates instead";
    default:
      return "no memory for a directory";
  }
}

static bool read_directory(struct call *call, const Tlsagent__V1__Material *from,
                           struct tls_directory *out, struct refusal *refusal) {
  int fd = -1;
  if (from->source_case != TLSAGENT__V1__MATERIAL__SOURCE_FD &&
      from->source_case != TLSAGENT__V1__MATERIAL__SOURCE_FD_TOKEN) {
    refusal_set(refusal, STATUS_INVALID_ARGUMENT, "an entry of trust.directories is no descriptor");
    return false;
  }
  if (!take_material_descriptor(call, from, &fd, refusal)) {
    return false;
  }
  status_t made = directory_new(fd, client_peer(call_client(call))->uid, out);
  if (!status_ok(made)) {
    refusal_set(refusal, made.code, why_refused(made.code));
  }
  return status_ok(made);
}

void read_directories(struct call *call, Tlsagent__V1__Material *const *from, size_t num,
                      struct tls_trust *out, struct refusal *refusal) {
  if (num > TLS_TRUST_DIRECTORIES_MAX) {
    refusal_set(refusal, STATUS_INVALID_ARGUMENT, "trust.directories has at most 4 entries");
    return;
  }
  struct tls_directory *list = num == 0 ? NULL : calloc(num, sizeof(*list));
  if (num > 0 && list == NULL) {
    refusal_set(refusal, STATUS_RESOURCE_EXHAUSTED, "no memory for a directory");
    return;
  }
  out->directories = list;
  for (size_t i = 0; i < num; i++) {
    if (read_directory(call, from[i], &list[out->num_directories], refusal)) {
      out->num_directories++;
    }
  }
}

void release_directories(const struct tls_trust *trust) {
  for (size_t i = 0; i < trust->num_directories; i++) {
    trust->directories[i].unref(trust->directories[i].owner);
  }
  free((void *)trust->directories);
}
