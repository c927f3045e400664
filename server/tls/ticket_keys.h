// The keys that a server seals session tickets with (RFC 5077, section 4; RFC 8446, section 4.6.1),
// which change by the clock. Who got hold of one would read what was sent under a TLS 1.2 ticket
// that it sealed, and be any client that has one. Inside server/tls only; any thread.
#ifndef TLSAGENT_SERVER_TLS_TICKET_KEYS_H_
#define TLSAGENT_SERVER_TLS_TICKET_KEYS_H_

#include <stdbool.h>
#include <stdint.h>

#include "server/base/clock.h"
#include "server/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  TICKET_KEY_NAME_BYTES = 16,
  TICKET_KEY_AES_BYTES = 32,
  TICKET_KEY_MAC_BYTES = 32,
  TICKET_KEYS_MAX = 3  // that are good at any time: one to seal with, two more to open with
};

struct ticket_key {
  uint8_t name[TICKET_KEY_NAME_BYTES];  // stands at the front of each ticket
  uint8_t aes[TICKET_KEY_AES_BYTES];
  uint8_t mac[TICKET_KEY_MAC_BYTES];
};

enum ticket_key_age { TICKET_KEY_UNKNOWN, TICKET_KEY_CURRENT, TICKET_KEY_OLD };

// ticket_keys_new makes a set, in the secure heap, with one reference. A key seals for half of
// lifetime_seconds, which is what tickets are good for, and opens for a whole one after that. NULL:
// no memory, or no random bytes.
struct ticket_keys *ticket_keys_new(long lifetime_seconds);
struct ticket_keys *ticket_keys_ref(struct ticket_keys *keys);
void ticket_keys_unref(struct ticket_keys *keys);  // wipes them with the last; NULL is fine

// ticket_keys_set_lifetime changes the lifetime, of the keys that are there too. However long it
// is, a key seals for half a day at most, and so opens nothing after a day and a half.
void ticket_keys_set_lifetime(struct ticket_keys *keys, long lifetime_seconds);

// ticket_keys_set_clock has ticket_keys_now ask another clock than clock_now: for tests, which
// can't wait.
void ticket_keys_set_clock(struct ticket_keys *keys, clock_time (*clock)(void));
clock_time ticket_keys_now(const struct ticket_keys *keys);

// ticket_keys_current copies the key to seal with at that time, a new one when the time of the last
// is over. False: no random bytes.
bool ticket_keys_current(struct ticket_keys *keys, clock_time now, struct ticket_key *out);

// ticket_keys_find copies the key of that name, unless it is TICKET_KEY_UNKNOWN, or its time is
// over. What it opens with one that is TICKET_KEY_OLD should be sealed anew.
enum ticket_key_age ticket_keys_find(struct ticket_keys *keys, struct slice name, clock_time now,
                                     struct ticket_key *out);

// ticket_key_wipe wipes a copy.
void ticket_key_wipe(struct ticket_key *key);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_TLS_TICKET_KEYS_H_
