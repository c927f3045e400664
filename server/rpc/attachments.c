#include "server/rpc/attachments.h"

#include <string.h>

#include "server/ring/closer.h"

void attachments_init(struct attachments *set, struct ceiling *ceiling, uid_t uid) {
  set->ceiling = ceiling;
  set->uid = uid;
  set->num = 0;
  set->too_many = false;
  set->over_ceiling = false;
}

static void close_uncounted(struct attachments *set, const int *fds, size_t num) {
  for (size_t i = 0; i < num; i++) {
    closer_close(set->uid, fds[i]);
  }
}

static void close_held(struct attachments *set) {
  for (size_t i = 0; i < set->num; i++) {
    if (set->fds[i] >= 0) {
      closer_close(set->uid, set->fds[i]);
      ceiling_give(set->ceiling, 1);
    }
  }
  set->num = 0;
}

static bool is_refused(const struct attachments *set) {
  return set->too_many || set->over_ceiling != NULL;
}

// Puts descriptors that are counted already at the end.
static void append(struct attachments *set, const int *fds, size_t num) {
  set->too_many = set->too_many || num > STREAM_FDS_MAX - set->num;
  if (is_refused(set)) {
    close_uncounted(set, fds, num);
    ceiling_give(set->ceiling, num);
    close_held(set);
    return;
  }
  memcpy(set->fds + set->num, fds, num * sizeof(*fds));
  set->num += num;
}

void attachments_add(struct attachments *set, const int *fds, size_t num, size_t dropped) {
  set->too_many = set->too_many || dropped > 0;
  if (num > 0 && !ceiling_take(set->ceiling, num)) {
    set->over_ceiling = ceiling_lacking(set->ceiling, num);
    close_uncounted(set, fds, num);
    num = 0;
  }
  if (num > 0 || is_refused(set)) {
    append(set, fds, num);
  }
}

// From a set that nothing was taken from yet.
void attachments_move(struct attachments *to, struct attachments *from) {
  to->too_many = to->too_many || from->too_many;
  to->over_ceiling = to->over_ceiling != NULL ? to->over_ceiling : from->over_ceiling;
  if (from->num > 0 || is_refused(to)) {
    append(to, from->fds, from->num);
  }
  attachments_init(from, from->ceiling, from->uid);
}

status_t attachments_take(struct attachments *set, size_t index, int *out) {
  ENSURE(index < set->num && set->fds[index] >= 0, INVALID_ARGUMENT);
  *out = set->fds[index];
  set->fds[index] = -1;
  ceiling_give(set->ceiling, 1);
  return OK_STATUS;
}

void attachments_close(struct attachments *set) {
  close_held(set);
  attachments_init(set, set->ceiling, set->uid);
}
