#include "server/tls/bio.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>

static BIO_METHOD *method;

static size_t smaller(size_t a, size_t b) {
  return a < b ? a : b;
}

static int pipe_read(BIO *bio, char *out, size_t size, size_t *out_len) {
  struct pipe *pipe = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  struct slice taken;
  bool some = slice_take(&pipe->input, smaller(size, pipe->input.len), &taken) && taken.len > 0;
  if (!some) {
    *out_len = 0;
    if (!pipe->eof) {
      BIO_set_retry_read(bio);
    }
    return 0;
  }
  memcpy(out, taken.data, taken.len);
  *out_len = taken.len;
  return 1;
}

// Without memory but with something to take away it is as good as full: there may be some later.
static int refuse_to_write(BIO *bio, struct pipe *pipe) {
  if (bytes_len(pipe->output) > 0) {
    BIO_set_retry_write(bio);
  } else {
    errno = ENOMEM;
  }
  return 0;
}

static int pipe_write(BIO *bio, const char *data, size_t len, size_t *out_len) {
  struct pipe *pipe = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  *out_len = smaller(len, bytes_room(pipe->output));
  if (*out_len == 0 || !status_ok(bytes_append(pipe->output, slice_of(data, *out_len)))) {
    *out_len = 0;
    return refuse_to_write(bio, pipe);
  }
  return 1;
}

static long as_long(size_t n) {
  return n > LONG_MAX ? LONG_MAX : (long)n;
}

// What isn't known is answered with 0. Anything else could promise kernel TLS that isn't there.
static long pipe_ctrl(BIO *bio, int command, long number, void *pointer) {
  const struct pipe *pipe = BIO_get_data(bio);
  (void)number;
  (void)pointer;
  switch (command) {
    case BIO_CTRL_FLUSH:
      return 1;
    case BIO_CTRL_PENDING:
      return as_long(pipe->input.len);
    case BIO_CTRL_WPENDING:
      return as_long(bytes_len(pipe->output));
    case BIO_CTRL_EOF:
      return pipe->eof && pipe->input.len == 0;
    default:
      return 0;
  }
}

static void make_method(void) {
  int type = BIO_get_new_index();
  BIO_METHOD *made = type == 0 ? NULL : BIO_meth_new(type | BIO_TYPE_SOURCE_SINK, "tlsagent pipe");
  if (made != NULL && BIO_meth_set_read_ex(made, pipe_read) &&
      BIO_meth_set_write_ex(made, pipe_write) && BIO_meth_set_ctrl(made, pipe_ctrl)) {
    method = made;
  } else {
    BIO_meth_free(made);
  }
}

BIO *pipe_bio_new(struct pipe *pipe) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, make_method);
  BIO *bio = method == NULL ? NULL : BIO_new(method);
  if (bio != NULL) {
    BIO_set_data(bio, pipe);
    BIO_set_init(bio, 1);
  }
  return bio;
}
