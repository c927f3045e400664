#include <assert.h>
#include <stdlib.h>
#include <sys/random.h>

#include "server/base/object.h"
#include "server/tenant/tenant_priv.h"

enum { FIRST_CAPACITY = 8 };

static uint64_t handle_make(uint32_t index, uint32_t generation) {
  return (uint64_t)index << 32 | generation;
}

static uint32_t handle_index(uint64_t handle) {
  return (uint32_t)(handle >> 32);
}

static uint32_t handle_generation(uint64_t handle) {
  return (uint32_t)handle;
}

static uint32_t generation_after(uint32_t generation) {
  return generation == UINT32_MAX ? 1 : generation + 1;
}

// Generations begin at random, so that a handle of another client practically never fits.
static bool random_generation(uint32_t *out) {
  uint32_t generation = 0;
  if (getrandom(&generation, sizeof(generation), 0) != (ssize_t)sizeof(generation)) {
    return false;
  }
  *out = generation == 0 ? 1 : generation;
  return true;
}

static bool slot_init(struct handle_slot *slot, uint32_t next_free) {
  *slot = (struct handle_slot){.next_free = next_free};
  return random_generation(&slot->generation);
}

// Doubles the table. Called with no slot free, so the new ones are the whole chain of free slots.
static status_t table_grow(struct handle_table *table) {
  assert(table->first_free == table->capacity);
  uint32_t capacity = table->capacity == 0 ? FIRST_CAPACITY : table->capacity * 2;
  struct handle_slot *slots = realloc(table->slots, capacity * sizeof(*slots));
  ENSURE(slots != NULL, RESOURCE_EXHAUSTED);
  table->slots = slots;
  for (uint32_t i = table->capacity; i < capacity; i++) {
    ENSURE(slot_init(&slots[i], i + 1), UNAVAILABLE);
  }
  table->first_free = table->capacity;
  table->capacity = capacity;
  return OK_STATUS;
}

status_t handle_table_add(struct handle_table *table, const struct handle_kind *kind, void *object,
                          uint64_t *out) {
  if (table->first_free == table->capacity) {
    TRY(table_grow(table));
  }
  uint32_t index = table->first_free;
  struct handle_slot *slot = &table->slots[index];
  assert(slot->kind == NULL);
  table->first_free = slot->next_free;
  slot->kind = kind;
  slot->object = object;
  *out = handle_make(index, slot->generation);
  return OK_STATUS;
}

struct handle_slot *handle_table_find(struct handle_table *table, const struct handle_kind *kind,
                                      uint64_t handle) {
  if (handle_index(handle) >= table->capacity) {
    return NULL;
  }
  struct handle_slot *slot = &table->slots[handle_index(handle)];
  bool fits = slot->kind == kind && slot->generation == handle_generation(handle);
  return fits ? slot : NULL;
}

void handle_table_remove(struct handle_table *table, struct handle_slot *slot) {
  assert(slot->kind != NULL);
  slot->kind = NULL;
  slot->object = NULL;
  slot->generation = generation_after(slot->generation);
  slot->next_free = table->first_free;
  table->first_free = (uint32_t)(slot - table->slots);
}

static status_t add_counted(struct client *client, const struct handle_kind *kind, void *object,
                            uint64_t *out) {
  pthread_mutex_lock(&client->lock);
  status_t status = client->ended ? status_of(STATUS_FAILED_PRECONDITION)
                                  : handle_table_add(&client->handles, kind, object, out);
  pthread_mutex_unlock(&client->lock);
  return status;
}

status_t handle_add(struct client *client, const struct handle_kind *kind, void *object,
                    uint64_t *out) {
  OBJECT_CHECK(client, CLIENT_MAGIC);
  assert(kind != NULL && object != NULL);
  pthread_mutex_lock(&client->tenant->lock);
  status_t status = quota_take(client->tenant, client->owner, kind->quota);
  pthread_mutex_unlock(&client->tenant->lock);
  TRY(status);
  status = add_counted(client, kind, object, out);
  if (!status_ok(status)) {
    quota_give(client, kind->quota);
  }
  return status;
}

void *handle_get(struct client *client, const struct handle_kind *kind, uint64_t handle) {
  OBJECT_CHECK(client, CLIENT_MAGIC);
  assert(kind != NULL);
  pthread_mutex_lock(&client->lock);
  struct handle_slot *slot = handle_table_find(&client->handles, kind, handle);
  void *object = slot == NULL ? NULL : slot->object;
  if (object != NULL) {
    kind->ref(
        object);  // under the lock, or a drop elsewhere could give the last reference back first
  }
  pthread_mutex_unlock(&client->lock);
  return object;
}

// The end of one object in a table, with no lock held.
static void end_object(struct client *client, const struct handle_kind *kind, void *object) {
  kind->end(object);
  kind->unref(object);
  quota_give(client, kind->quota);
}

status_t handle_drop(struct client *client, const struct handle_kind *kind, uint64_t handle) {
  OBJECT_CHECK(client, CLIENT_MAGIC);
  assert(kind != NULL);
  pthread_mutex_lock(&client->lock);
  struct handle_slot *slot = handle_table_find(&client->handles, kind, handle);
  void *object = slot == NULL ? NULL : slot->object;
  if (slot != NULL) {
    handle_table_remove(&client->handles, slot);
  }
  pthread_mutex_unlock(&client->lock);
  ENSURE(object != NULL, NOT_FOUND);
  end_object(client, kind, object);
  return OK_STATUS;
}

void client_end_handles(struct client *client) {
  pthread_mutex_lock(&client->lock);
  client->ended = true;
  struct handle_table handles = client->handles;
  client->handles = handle_table_empty();
  pthread_mutex_unlock(&client->lock);
  for (uint32_t i = 0; i < handles.capacity; i++) {
    if (handles.slots[i].kind != NULL) {
      end_object(client, handles.slots[i].kind, handles.slots[i].object);
    }
  }
  free(handles.slots);
}
