#include "server/rpc/share.h"

#include <stdlib.h>

void shares_init(struct shares *shares, const struct limits *limits) {
  *shares = (struct shares){.limits = *limits};
  pthread_mutex_init(&shares->lock, NULL);
  list_init(&shares->list);
  ceiling_init(&shares->all.calls, NULL, "calls", limits->calls);
  ceiling_init(&shares->all.request_bytes, NULL, "request_bytes", limits->request_bytes);
  ceiling_init(&shares->all.reply_bytes, NULL, "reply_bytes", limits->reply_bytes);
  ceiling_init(&shares->all.descriptors, NULL, "descriptors", limits->descriptors);
}

void shares_cleanup(struct shares *shares) {
  struct list *link;
  while ((link = list_pop_front(&shares->list)) != NULL) {
    free(LIST_ENTRY(link, struct share, link));
  }
  pthread_mutex_destroy(&shares->lock);
}

// Without connections no new calls come, so that what is unused stays so.
static bool is_unused(const struct share *share) {
  return share->connections == 0 && ceiling_used(&share->calls) == 0 &&
         ceiling_used(&share->request_bytes) == 0 && ceiling_used(&share->reply_bytes) == 0 &&
         ceiling_used(&share->descriptors) == 0;
}

static struct share *find(struct shares *shares, uid_t uid) {
  LIST_FOR(link, &shares->list) {
    struct share *share = LIST_ENTRY(link, struct share, link);
    if (share->uid == uid) {
      return share;
    }
  }
  return NULL;
}

static void drop_unused(struct shares *shares) {
  LIST_FOR(link, &shares->list) {
    struct share *share = LIST_ENTRY(link, struct share, link);
    if (is_unused(share)) {
      list_remove(&share->link);
      free(share);
    }
  }
}

static struct share *make(struct shares *shares, uid_t uid) {
  const struct limits *limits = &shares->limits;
  struct share *all = &shares->all;
  struct share *share = calloc(1, sizeof(*share));
  if (share == NULL) {
    return NULL;
  }
  share->uid = uid;
  ceiling_init(&share->calls, &all->calls, "calls_per_owner", limits->calls_per_owner);
  ceiling_init(&share->request_bytes, &all->request_bytes, "request_bytes_per_owner",
               limits->request_bytes_per_owner);
  ceiling_init(&share->reply_bytes, &all->reply_bytes, "reply_bytes_per_owner",
               limits->reply_bytes_per_owner);
  ceiling_init(&share->descriptors, &all->descriptors, "descriptors_per_owner",
               limits->descriptors_per_owner);
  list_push_back(&shares->list, &share->link);
  return share;
}

// Shares go when the next one is made: a call's last word to its share needs no lock then.
struct share *share_enter(struct shares *shares, uid_t uid) {
  pthread_mutex_lock(&shares->lock);
  struct share *share = find(shares, uid);
  if (share == NULL) {
    drop_unused(shares);
    share = make(shares, uid);
  }
  if (share != NULL) {
    share->connections++;
  }
  pthread_mutex_unlock(&shares->lock);
  return share;
}

void share_leave(struct shares *shares, struct share *share) {
  pthread_mutex_lock(&shares->lock);
  share->connections--;
  pthread_mutex_unlock(&shares->lock);
}
