#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/counters.h"
#include "server/base/object.h"
#include "server/tenant/tenant_priv.h"

static struct client *client_alloc(struct tenant *tenant, const struct peer *peer) {
  struct client *client = malloc(sizeof(*client));
  if (client == NULL) {
    return NULL;
  }
  *client = (struct client){.magic = CLIENT_MAGIC,
                            .tenant = tenant,
                            .peer = *peer,
                            .refs = 1,
                            .connections = 1,
                            .handles = handle_table_empty()};
  pthread_mutex_init(&client->lock, NULL);
  list_init(&client->link);
  return client;
}

static void client_free(struct client *client) {
  pthread_mutex_destroy(&client->lock);
  explicit_bzero(client, sizeof(*client));
  free(client);
}

// From here on the client can be joined.
static status_t client_enter(struct client *client) {
  pthread_mutex_lock(&client->tenant->lock);
  client->owner = owner_ref_uid(client->tenant, client->peer.uid);
  if (client->owner != NULL) {
    list_push_back(&client->owner->clients, &client->link);
  }
  pthread_mutex_unlock(&client->tenant->lock);
  ENSURE(client->owner != NULL, RESOURCE_EXHAUSTED);
  return OK_STATUS;
}

static status_t client_prepare(struct client *client) {
  TRY(token_make(client->token));
  return client_enter(client);
}

status_t client_new(struct tenant *tenant, const struct peer *peer, struct client **out) {
  OBJECT_CHECK(tenant, TENANT_MAGIC);
  struct client *client = client_alloc(tenant, peer);
  ENSURE(client != NULL, RESOURCE_EXHAUSTED);
  status_t status = client_prepare(client);
  if (!status_ok(status)) {
    client_free(client);
    return status;
  }
  counter_add(COUNTER_clients_made, 1);
  *out = client;
  return OK_STATUS;
}

bool client_has_token(const struct client *client, struct slice token) {
  return token_equal(client->token, token);
}

// Looks at every client of the owner: how long this takes says nothing about a guess.
static struct client *find_by_token(struct owner *owner, struct slice token) {
  struct client *found = NULL;
  LIST_FOR(link, &owner->clients) {
    struct client *client = LIST_ENTRY(link, struct client, link);
    found = client_has_token(client, token) ? client : found;
  }
  return found;
}

status_t client_join(struct tenant *tenant, const struct peer *peer, struct slice token,
                     struct client **out) {
  OBJECT_CHECK(tenant, TENANT_MAGIC);
  pthread_mutex_lock(&tenant->lock);
  struct owner *owner = owner_find(tenant, peer->uid);
  struct client *client = owner == NULL ? NULL : find_by_token(owner, token);
  if (client != NULL) {
    client->connections++;
    client_ref(client);
  }
  pthread_mutex_unlock(&tenant->lock);
  ENSURE(client != NULL, UNAUTHENTICATED);
  *out = client;
  return OK_STATUS;
}

void client_leave(struct client *client) {
  OBJECT_CHECK(client, CLIENT_MAGIC);
  pthread_mutex_lock(&client->tenant->lock);
  assert(client->connections > 0);
  client->connections--;
  bool last = client->connections == 0;
  if (last) {
    list_remove(&client->link);
  }
  pthread_mutex_unlock(&client->tenant->lock);
  if (last) {
    client_end_handles(client);
    counter_add(COUNTER_clients_ended, 1);
  }
}

void client_ref(struct client *client) {
  OBJECT_CHECK(client, CLIENT_MAGIC);
  __atomic_fetch_add(&client->refs, 1, __ATOMIC_RELAXED);
}

void client_unref(struct client *client) {
  OBJECT_CHECK(client, CLIENT_MAGIC);
  if (__atomic_sub_fetch(&client->refs, 1, __ATOMIC_ACQ_REL) > 0) {
    return;
  }
  assert(client->connections == 0);
  struct tenant *tenant = client->tenant;
  pthread_mutex_lock(&tenant->lock);
  owner_unref(client->owner);
  pthread_mutex_unlock(&tenant->lock);
  client_free(client);
}

const uint8_t *client_token(const struct client *client) {
  OBJECT_CHECK(client, CLIENT_MAGIC);
  return client->token;
}

const struct peer *client_peer(const struct client *client) {
  OBJECT_CHECK(client, CLIENT_MAGIC);
  return &client->peer;
}
