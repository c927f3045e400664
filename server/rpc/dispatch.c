#include "server/rpc/dispatch.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "server/base/object.h"

enum { DISPATCH_MAGIC = 0xd15b4711 };

struct slot {
  const struct method *method;  // NULL for a hole
};

// A hash table with open addressing, at most half full, so that a look-up always meets a hole.
struct dispatch {
  uint32_t magic;
  const struct method *methods;
  size_t num_methods;
  size_t mask;
  struct slot slots[];
};

// FNV-1a. Who may choose the names is the table's author, not a peer.
static uint32_t hash_more(uint32_t hash, struct slice text) {
  for (size_t i = 0; i < text.len; i++) {
    hash = (hash ^ text.data[i]) * 16777619U;
  }
  return hash;
}

static size_t hash_name(struct slice service, struct slice method) {
  return hash_more(hash_more(2166136261U, service) * 31, method);
}

static bool is_named(const struct method *method, struct slice service, struct slice name) {
  return slice_equal(name, slice_of_string(method->name)) &&
         slice_equal(service, slice_of_string(method->service));
}

// The method's slot, or the hole where it would be.
static size_t slot_of(const struct dispatch *dispatch, struct slice service, struct slice method) {
  size_t slot = hash_name(service, method) & dispatch->mask;
  while (dispatch->slots[slot].method != NULL &&
         !is_named(dispatch->slots[slot].method, service, method)) {
    slot = (slot + 1) & dispatch->mask;
  }
  return slot;
}

static status_t dispatch_add(struct dispatch *dispatch, const struct method *method) {
  size_t slot = slot_of(dispatch, slice_of_string(method->service), slice_of_string(method->name));
  ENSURE(dispatch->slots[slot].method == NULL, INVALID_ARGUMENT);
  dispatch->slots[slot].method = method;
  return OK_STATUS;
}

static status_t dispatch_add_all(struct dispatch *dispatch) {
  for (size_t i = 0; i < dispatch->num_methods; i++) {
    TRY(dispatch_add(dispatch, &dispatch->methods[i]));
  }
  return OK_STATUS;
}

static size_t num_slots_for(size_t num_methods) {
  size_t slots = 2;
  while (slots < 2 * num_methods) {
    slots *= 2;
  }
  return slots;
}

status_t dispatch_new(const struct method *methods, size_t num_methods, struct dispatch **out) {
  size_t num_slots = num_slots_for(num_methods);
  struct dispatch *dispatch = calloc(1, sizeof(*dispatch) + num_slots * sizeof(struct slot));
  ENSURE(dispatch != NULL, RESOURCE_EXHAUSTED);
  dispatch->magic = DISPATCH_MAGIC;
  dispatch->methods = methods;
  dispatch->num_methods = num_methods;
  dispatch->mask = num_slots - 1;
  status_t status = dispatch_add_all(dispatch);
  if (!status_ok(status)) {
    dispatch_free(dispatch);
    return status;
  }
  *out = dispatch;
  return OK_STATUS;
}

void dispatch_free(struct dispatch *dispatch) {
  if (dispatch == NULL) {
    return;
  }
  OBJECT_CHECK(dispatch, DISPATCH_MAGIC);
  dispatch->magic = 0;
  free(dispatch);
}

const struct method *dispatch_find(const struct dispatch *dispatch, struct slice service,
                                   struct slice method) {
  OBJECT_CHECK(dispatch, DISPATCH_MAGIC);
  return dispatch->slots[slot_of(dispatch, service, method)].method;
}

bool dispatch_has_service(const struct dispatch *dispatch, struct slice service) {
  OBJECT_CHECK(dispatch, DISPATCH_MAGIC);
  for (size_t i = 0; i < dispatch->num_methods; i++) {
    if (slice_equal(service, slice_of_string(dispatch->methods[i].service))) {
      return true;
    }
  }
  return false;
}

// What protobuf-c allocates from while it unpacks.
struct unpack_memory {
  struct arena *arena;
  bool exhausted;
};

static void *unpack_alloc(void *data, size_t size) {
  struct unpack_memory *memory = data;
  void *block = arena_bytes(memory->arena, size);  // which protobuf-c fills
  memory->exhausted = memory->exhausted || block == NULL;
  return block;
}

// Everything goes at once, with the arena.
static void unpack_free(void *data, void *block) {
  (void)data;
  (void)block;
}

status_t dispatch_unpack(const ProtobufCMessageDescriptor *descriptor, struct slice payload,
                         struct arena *arena, const ProtobufCMessage **out) {
  static const uint8_t nothing[1];
  struct unpack_memory memory = {.arena = arena};
  ProtobufCAllocator allocator = {
      .alloc = unpack_alloc, .free = unpack_free, .allocator_data = &memory};
  const uint8_t *data = payload.len == 0 ? nothing : payload.data;
  *out = protobuf_c_message_unpack(descriptor, &allocator, payload.len, data);
  ENSURE(*out != NULL || !memory.exhausted, RESOURCE_EXHAUSTED);
  ENSURE(*out != NULL, INVALID_ARGUMENT);
  return OK_STATUS;
}
