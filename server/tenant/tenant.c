#include <assert.h>
#include <stdlib.h>

#include "server/base/counters.h"
#include "server/base/object.h"
#include "server/tenant/tenant_priv.h"

// Which limits bound a quota.
static const struct {
  const char *all_name;
  const char *owner_name;
  size_t all;
  size_t owner;
} quotas[QUOTA_COUNT] = {
#define ROW(name)                                             \
  {                                                           \
#name, #name "_per_owner", offsetof(struct limits, name), \
        offsetof(struct limits, name##_per_owner)             \
  }
    [QUOTA_CONNECTIONS] = ROW(connections), [QUOTA_SESSIONS] = ROW(sessions),
    [QUOTA_CONTEXTS] = ROW(contexts),       [QUOTA_CONTEXT_EDITIONS] = ROW(context_editions),
    [QUOTA_LISTENERS] = ROW(listeners),     [QUOTA_DESCRIPTOR_TOKENS] = ROW(descriptor_tokens),
#undef ROW
};

static uint64_t limit_at(const struct limits *limits, size_t offset) {
  return *(const uint64_t *)(const void *)((const char *)limits + offset);
}

static uint64_t max_of_all(const struct tenant *tenant, enum quota quota) {
  return limit_at(&tenant->limits, quotas[quota].all);
}

static uint64_t max_of_owner(const struct tenant *tenant, enum quota quota) {
  return limit_at(&tenant->limits, quotas[quota].owner);
}

status_t tenant_new(const struct limits *limits, struct tenant **out) {
  struct tenant *tenant = malloc(sizeof(*tenant));
  ENSURE(tenant != NULL, RESOURCE_EXHAUSTED);
  *tenant = (struct tenant){.magic = TENANT_MAGIC, .limits = *limits};
  pthread_mutex_init(&tenant->lock, NULL);
  list_init(&tenant->owners);
  *out = tenant;
  return OK_STATUS;
}

void tenant_free(struct tenant *tenant) {
  if (tenant == NULL) {
    return;
  }
  OBJECT_CHECK(tenant, TENANT_MAGIC);
  names_free_all(tenant);
  assert(list_empty(&tenant->owners));  // every client has left and is unreferenced
  identities_free(tenant);
  pthread_mutex_destroy(&tenant->lock);
  tenant->magic = 0;
  free(tenant);
}

struct owner *owner_find(struct tenant *tenant, uid_t uid) {
  LIST_FOR(link, &tenant->owners) {
    struct owner *owner = LIST_ENTRY(link, struct owner, link);
    if (owner->uid == uid) {
      return owner;
    }
  }
  return NULL;
}

static struct owner *owner_new(struct tenant *tenant, uid_t uid) {
  struct owner *owner = calloc(1, sizeof(*owner));
  if (owner == NULL) {
    return NULL;
  }
  owner->uid = uid;
  list_init(&owner->clients);
  list_init(&owner->names);
  list_push_back(&tenant->owners, &owner->link);
  return owner;
}

struct owner *owner_ref_uid(struct tenant *tenant, uid_t uid) {
  struct owner *owner = owner_find(tenant, uid);
  if (owner == NULL) {
    owner = owner_new(tenant, uid);
  }
  if (owner != NULL) {
    owner->refs++;
  }
  return owner;
}

void owner_unref(struct owner *owner) {
  assert(owner->refs > 0);
  owner->refs--;
  if (owner->refs == 0) {
    list_remove(&owner->link);
    free(owner);
  }
}

status_t quota_take(struct tenant *tenant, struct owner *owner, enum quota quota) {
  if (tenant->used[quota] >= max_of_all(tenant, quota) ||
      owner->used[quota] >= max_of_owner(tenant, quota)) {
    counter_add(COUNTER_limits_hit, 1);
    return status_of(STATUS_RESOURCE_EXHAUSTED);
  }
  tenant->used[quota]++;
  owner->used[quota]++;
  return OK_STATUS;
}

status_t quota_move(struct tenant *tenant, struct owner *from, struct owner *to, enum quota quota) {
  assert(from->used[quota] > 0);
  if (to->used[quota] >= max_of_owner(tenant, quota)) {
    counter_add(COUNTER_limits_hit, 1);
    return status_of(STATUS_RESOURCE_EXHAUSTED);
  }
  from->used[quota]--;
  to->used[quota]++;
  return OK_STATUS;
}

void quota_give_locked(struct tenant *tenant, struct owner *owner, enum quota quota) {
  assert(tenant->used[quota] > 0);
  assert(owner->used[quota] > 0);
  tenant->used[quota]--;
  owner->used[quota]--;
}

void quota_give(struct client *client, enum quota quota) {
  pthread_mutex_lock(&client->tenant->lock);
  quota_give_locked(client->tenant, client->owner, quota);
  pthread_mutex_unlock(&client->tenant->lock);
}

static status_t connect_locked(struct tenant *tenant, uid_t uid) {
  struct owner *owner = owner_ref_uid(tenant, uid);
  ENSURE(owner != NULL, RESOURCE_EXHAUSTED);
  status_t status = quota_take(tenant, owner, QUOTA_CONNECTIONS);
  if (!status_ok(status)) {
    owner_unref(owner);
  }
  return status;
}

status_t tenant_connect(struct tenant *tenant, const struct peer *peer) {
  OBJECT_CHECK(tenant, TENANT_MAGIC);
  pthread_mutex_lock(&tenant->lock);
  status_t status = connect_locked(tenant, peer->uid);
  pthread_mutex_unlock(&tenant->lock);
  return status;
}

void tenant_disconnect(struct tenant *tenant, const struct peer *peer) {
  OBJECT_CHECK(tenant, TENANT_MAGIC);
  pthread_mutex_lock(&tenant->lock);
  struct owner *owner = owner_find(tenant, peer->uid);
  assert(owner != NULL);
  quota_give_locked(tenant, owner, QUOTA_CONNECTIONS);
  owner_unref(owner);
  pthread_mutex_unlock(&tenant->lock);
}

uint64_t tenant_count(struct tenant *tenant, enum quota quota) {
  OBJECT_CHECK(tenant, TENANT_MAGIC);
  pthread_mutex_lock(&tenant->lock);
  uint64_t count = tenant->used[quota];
  pthread_mutex_unlock(&tenant->lock);
  return count;
}

struct quota_limit tenant_limit(struct tenant *tenant, const struct peer *peer, enum quota quota) {
  OBJECT_CHECK(tenant, TENANT_MAGIC);
  pthread_mutex_lock(&tenant->lock);
  const struct owner *owner = owner_find(tenant, peer->uid);
  uint64_t owned = owner == NULL ? 0 : owner->used[quota];
  bool owner_full = owned >= max_of_owner(tenant, quota);
  bool all_full = tenant->used[quota] >= max_of_all(tenant, quota);
  pthread_mutex_unlock(&tenant->lock);
  // What one's own uid uses up one can mend; so that is named first.
  if (owner_full || !all_full) {
    return (struct quota_limit){quotas[quota].owner_name, max_of_owner(tenant, quota)};
  }
  return (struct quota_limit){quotas[quota].all_name, max_of_all(tenant, quota)};
}

struct quota_limit client_limit(struct client *client, enum quota quota) {
  OBJECT_CHECK(client, CLIENT_MAGIC);
  return tenant_limit(client->tenant, &client->peer, quota);
}
