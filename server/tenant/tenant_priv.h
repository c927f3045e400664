// Inside of server/tenant. Nobody else includes this.
//
// Two locks, never held together: tenant->lock over owners, quotas, names and who has how many
// connections; client->lock over one client's handles, so that looking a handle up disturbs nobody
// else's calls. Objects' end and unref are always called with neither.
#ifndef TLSAGENT_SERVER_TENANT_TENANT_PRIV_H_
#define TLSAGENT_SERVER_TENANT_TENANT_PRIV_H_

#include <pthread.h>
#include <stdbool.h>

#include "server/base/list.h"
#include "server/tenant/tenant.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  TENANT_MAGIC = 0x7e4a4711,
  CLIENT_MAGIC = 0xc11e4711,
};

// One user id, for as long as it has a connection, a client, a name or a charge.
struct owner {
  struct list link;  // in tenant->owners
  uid_t uid;
  size_t refs;
  uint64_t used[QUOTA_COUNT];
  struct list clients;  // those that can be joined
  struct list names;
};

struct tenant {
  uint32_t magic;
  struct limits limits;
  pthread_mutex_t lock;
  struct list owners;
  uint64_t used[QUOTA_COUNT];
  char *identities[IDENTITIES_MAX];  // in the order of their numbers
  size_t num_identities;
};

// A slot of a handle table: an object, or a link of the chain of free slots.
struct handle_slot {
  const struct handle_kind *kind;  // NULL when free
  void *object;
  uint32_t generation;  // of the handle in it, or of the next one; never 0
  uint32_t next_free;
};

struct handle_table {
  struct handle_slot *slots;
  uint32_t capacity;
  uint32_t first_free;  // == capacity when there is none
};

struct client {
  uint32_t magic;
  struct tenant *tenant;
  struct owner *owner;
  struct peer peer;
  uint8_t token[CLIENT_TOKEN_BYTES];
  size_t refs;         // atomic
  struct list link;    // in owner->clients
  size_t connections;  // under tenant->lock; at 0 it can't be joined any more
  pthread_mutex_t lock;
  bool ended;  // no handle can be added any more
  struct handle_table handles;
};

// ---------------------------------------------------------------------------------------------
// Owners and quotas; tenant->lock is held for all but quota_give.

// owner_find returns the owner of that user id, or NULL.
struct owner *owner_find(struct tenant *tenant, uid_t uid);
// owner_ref_uid finds or makes the owner and takes a reference; NULL without memory.
struct owner *owner_ref_uid(struct tenant *tenant, uid_t uid);
// owner_unref gives a reference back; an owner that nothing refers to is freed.
void owner_unref(struct owner *owner);

// quota_take counts one more against the daemon's and the owner's limit, or RESOURCE_EXHAUSTED.
status_t quota_take(struct tenant *tenant, struct owner *owner, enum quota quota);
// quota_move counts one for another owner, of whose limit it may be past: RESOURCE_EXHAUSTED.
status_t quota_move(struct tenant *tenant, struct owner *from, struct owner *to, enum quota quota);
void quota_give_locked(struct tenant *tenant, struct owner *owner, enum quota quota);
// quota_give is quota_give_locked for those who don't hold the lock.
void quota_give(struct client *client, enum quota quota);

// ---------------------------------------------------------------------------------------------
// Handle tables; the caller holds the lock that guards the table.

// A table of no slots, to begin with.
static inline struct handle_table handle_table_empty(void) {
  struct handle_table table = {NULL, 0, 0};
  return table;
}

// handle_table_add puts an object into a free slot, RESOURCE_EXHAUSTED without memory.
status_t handle_table_add(struct handle_table *table, const struct handle_kind *kind, void *object,
                          uint64_t *out);
// handle_table_find returns the slot of a handle of that kind, or NULL.
struct handle_slot *handle_table_find(struct handle_table *table, const struct handle_kind *kind,
                                      uint64_t handle);
// handle_table_remove frees a slot; its handle never comes back in this table's life.
void handle_table_remove(struct handle_table *table, struct handle_slot *slot);

// identities_free forgets every identity.
void identities_free(struct tenant *tenant);

// names_free_all forgets every name of every owner.
void names_free_all(struct tenant *tenant);

// client_end_handles ends everything in a client's table, once the client is gone.
void client_end_handles(struct client *client);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_TENANT_TENANT_PRIV_H_
