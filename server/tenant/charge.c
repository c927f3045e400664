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

void charge_give(struct charge *charge) {
  pthread_mutex_lock(&charge->tenant->lock);
  quota_give_locked(charge->tenant, charge->owner, charge->quota);
  owner_unref(charge->owner);
  pthread_mutex_unlock(&charge->tenant->lock);
  free(charge);
}
