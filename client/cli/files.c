#include "client/cli/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// A request's frame holds this and some more.
enum { FILE_MAX = TLSAGENT_FRAME_MAX - 4096 };

static int fail(const struct cli *cli, const char *path, int fd, int why) {
  if (fd > STDIN_FILENO) {
    close(fd);
  }
  return complain(cli, EXIT_IO, "cannot read %s: %s", path, strerrordesc_np(why));
}

int read_file(const struct cli *cli, const char *path, struct file *out) {
  const int fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return fail(cli, path, fd, errno);
  }
  *out = (struct file){.data = malloc(FILE_MAX + 1)};
  ssize_t got = out->data == NULL ? -1 : 1;
  while (got > 0 && out->len < FILE_MAX) {
    got = read(fd, out->data + out->len, FILE_MAX - out->len);
    out->len += got > 0 ? (size_t)got : 0;
  }
  if (got != 0) {
    const int why = got > 0 ? EFBIG : errno;
    wipe_file(out);
    return fail(cli, path, fd, why);
  }
  out->data[out->len] = '\0';
  if (fd != STDIN_FILENO) {
    close(fd);
  }
  return EXIT_OK;
}

int complain_file(const struct cli *cli, const struct tlsagent_error *error) {
  return error->fault == TLSAGENT_FAULT_TLS ? complain(cli, EXIT_IO, "%s", error->message)
                                            : complain_error(cli, error);
}

void wipe_file(struct file *file) {
  if (file->data != NULL) {
    explicit_bzero(file->data, file->len);
  }
  free(file->data);
  *file = (struct file){0};
}
