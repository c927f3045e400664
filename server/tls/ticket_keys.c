#include "server/tls/ticket_keys.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { SEALS_AT_LEAST_SECONDS = 1, SEALS_AT_MOST_SECONDS = 12 * 60 * 60 };

// In the secure heap. Keys that are there are the first, newest first.
struct ring {
  struct ticket_key keys[TICKET_KEYS_MAX];
  clock_time made[TICKET_KEYS_MAX];
  size_t num;
};

struct ticket_keys {
  atomic_size_t refs;
  _Atomic(clock_time (*)(void)) clock;
  pthread_mutex_t mutex;  // guards what follows; held while a key is copied or made
  uint64_t seals_for;     // nanoseconds
  struct ring *ring;
};

// ---------------------------------------------------------------------------------------------
// The ring, with the mutex held. Nobody waits for the time to come: who uses the keys looks at it.

// A ticket that was sealed with a key's last breath is good for two of its times more.
static bool is_over(const struct ticket_keys *keys, size_t i, clock_time now) {
  return now >= clock_add(keys->ring->made[i], keys->seals_for * TICKET_KEYS_MAX);
}

static void forget_last(struct ring *ring) {
  ring->num--;
  OPENSSL_cleanse(&ring->keys[ring->num], sizeof(ring->keys[ring->num]));
}

static void forget_those_over(struct ticket_keys *keys, clock_time now) {
  while (keys->ring->num > 0 && is_over(keys, keys->ring->num - 1, now)) {
    forget_last(keys->ring);
  }
}

static bool may_seal(const struct ticket_keys *keys, size_t i, clock_time now) {
  return i == 0 && now < clock_add(keys->ring->made[i], keys->seals_for);
}

// Keys of a longer lifetime that was made shorter may not be over, and there be no room.
static bool make_key(struct ticket_keys *keys, clock_time now) {
  struct ring *ring = keys->ring;
  struct ticket_key fresh;
  if (RAND_bytes(fresh.name, sizeof(fresh.name)) != 1 ||
      RAND_priv_bytes(fresh.aes, sizeof(fresh.aes)) != 1 ||
      RAND_priv_bytes(fresh.mac, sizeof(fresh.mac)) != 1) {
    ticket_key_wipe(&fresh);
    return false;
  }
  if (ring->num == TICKET_KEYS_MAX) {
    forget_last(ring);
  }
  memmove(&ring->keys[1], &ring->keys[0], ring->num * sizeof(ring->keys[0]));
  memmove(&ring->made[1], &ring->made[0], ring->num * sizeof(ring->made[0]));
  ring->keys[0] = fresh;
  ring->made[0] = now;
  ring->num++;
  ticket_key_wipe(&fresh);
  return true;
}

static bool keep_current(struct ticket_keys *keys, clock_time now) {
  forget_those_over(keys, now);
  return (keys->ring->num > 0 && may_seal(keys, 0, now)) || make_key(keys, now);
}

static size_t place_of(const struct ring *ring, struct slice name) {
  size_t i = 0;
  while (i < ring->num && memcmp(ring->keys[i].name, name.data, sizeof(ring->keys[i].name)) != 0) {
    i++;
  }
  return i;
}

// ---------------------------------------------------------------------------------------------

static uint64_t sealing_time(long lifetime_seconds) {
  long seconds = lifetime_seconds / 2;
  seconds = seconds < SEALS_AT_LEAST_SECONDS ? SEALS_AT_LEAST_SECONDS : seconds;
  seconds = seconds > SEALS_AT_MOST_SECONDS ? SEALS_AT_MOST_SECONDS : seconds;
  return (uint64_t)seconds * NANOS_PER_SECOND;
}

struct ticket_keys *ticket_keys_new(long lifetime_seconds) {
  struct ticket_keys *keys = calloc(1, sizeof(*keys));
  if (keys == NULL) {
    return NULL;
  }
  atomic_init(&keys->refs, 1);
  atomic_init(&keys->clock, clock_now);
  pthread_mutex_init(&keys->mutex, NULL);
  keys->seals_for = sealing_time(lifetime_seconds);
  keys->ring = OPENSSL_secure_zalloc(sizeof(*keys->ring));
  if (keys->ring == NULL || !make_key(keys, clock_now())) {
    ticket_keys_unref(keys);
    return NULL;
  }
  return keys;
}

struct ticket_keys *ticket_keys_ref(struct ticket_keys *keys) {
  atomic_fetch_add_explicit(&keys->refs, 1, memory_order_relaxed);
  return keys;
}

void ticket_keys_unref(struct ticket_keys *keys) {
  if (keys != NULL && atomic_fetch_sub_explicit(&keys->refs, 1, memory_order_acq_rel) == 1) {
    OPENSSL_secure_clear_free(keys->ring, sizeof(*keys->ring));
    pthread_mutex_destroy(&keys->mutex);
    free(keys);
  }
}

void ticket_keys_set_lifetime(struct ticket_keys *keys, long lifetime_seconds) {
  pthread_mutex_lock(&keys->mutex);
  keys->seals_for = sealing_time(lifetime_seconds);
  pthread_mutex_unlock(&keys->mutex);
}

void ticket_keys_set_clock(struct ticket_keys *keys, clock_time (*clock)(void)) {
  atomic_store(&keys->clock, clock);
}

clock_time ticket_keys_now(const struct ticket_keys *keys) {
  return atomic_load_explicit(&keys->clock, memory_order_relaxed)();
}

bool ticket_keys_current(struct ticket_keys *keys, clock_time now, struct ticket_key *out) {
  pthread_mutex_lock(&keys->mutex);
  bool good = keep_current(keys, now);
  if (good) {
    *out = keys->ring->keys[0];
  }
  pthread_mutex_unlock(&keys->mutex);
  return good;
}

enum ticket_key_age ticket_keys_find(struct ticket_keys *keys, struct slice name, clock_time now,
                                     struct ticket_key *out) {
  assert(name.len == TICKET_KEY_NAME_BYTES);
  enum ticket_key_age age = TICKET_KEY_UNKNOWN;
  pthread_mutex_lock(&keys->mutex);
  forget_those_over(keys, now);
  size_t i = place_of(keys->ring, name);
  if (i < keys->ring->num) {
    *out = keys->ring->keys[i];
    age = may_seal(keys, i, now) ? TICKET_KEY_CURRENT : TICKET_KEY_OLD;
  }
  pthread_mutex_unlock(&keys->mutex);
  return age;
}

void ticket_key_wipe(struct ticket_key *key) {
  OPENSSL_cleanse(key, sizeof(*key));
}
