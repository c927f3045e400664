#include <stdlib.h>

#include "server/tenant/tenant_priv.h"

struct charge {
  struct tenant *tenant;
  struct owner *owner;  // with a reference: an object may outlive its client
  enum quota quota;
};

static status_t take(struct charge *charge) {
  pthread_mutex_lock(&charge->tenant->lock);
  status_t status = quota_take(charge->tenant, charge->owner, charge->quota);
  if (status_ok(status)) {
    charge->owner->refs++;
  }
  pthread_mutex_unlock(&charge->tenant->lock);
  return status;
}

status_t charge_take(struct client *client, enum quota quota, struct charge **out) {
  struct charge *charge = malloc(sizeof(*charge));
  ENSURE(charge != NULL, RESOURCE_EXHAUSTED);
  *charge = (struct charge){client->tenant, client->owner, quota};
  status_t status = take(charge);
  if (!status_ok(status)) {
    free(charge);
    return status;
  }
  *out = charge;
  return OK_STATUS;
}

static status_t move_locked(struct charge *charge, uid_t uid) {
  struct owner *to = owner_ref_uid(charge->tenant, uid);
  ENSURE(to != NULL, RESOURCE_EXHAUSTED);
  status_t status = quota_move(charge->tenant, charge->owner, to, charge->quota);
  if (status_ok(status)) {
    owner_unref(charge->owner);
    charge->owner = to;
  } else {
    owner_unref(to);
  }
  return status;
}

status_t charge_move(struct charge *charge, const struct peer *peer) {
  pthread_mutex_lock(&charge->tenant->lock);
  status_t status = move_locked(charge, peer->uid);
  pthread_mutex_unlock(&charge->tenant->lock);
  return status;
}

void charge_give(struct charge *charge) {
  pthread_mutex_lock(&charge->tenant->lock);
  quota_give_locked(charge->tenant, charge->owner, charge->quota);
  owner_unref(charge->owner);
  pthread_mutex_unlock(&charge->tenant->lock);
  free(charge);
}
