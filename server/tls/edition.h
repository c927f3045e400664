// An edition: one state of a context, that never changes. To change a context is to make another
// edition of it and to put that in the place of the last; sessions keep the one they began with.
// Inside server/tls only.
#ifndef TLSAGENT_SERVER_TLS_EDITION_H_
#define TLSAGENT_SERVER_TLS_EDITION_H_

#include <openssl/ssl.h>

#include "server/base/arena.h"
#include "server/base/list.h"
#include "server/base/slice.h"
#include "server/tls/context.h"
#include "server/tls/keys.h"
#include "server/tls/ticket_keys.h"
#include "server/tls/trust.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { EDITION_PAIRS_MAX = 8 };

struct edition {
  struct list link;  // in its context, until nobody uses it
  size_t refs;       // guarded by the context
  enum tls_context_kind kind;
  struct arena arena;                        // what settings and alpn point at
  struct tls_settings settings;              // merged; what is absent is OpenSSL's own
  struct slice alpn;                         // as on the wire
  struct own_pair pairs[EDITION_PAIRS_MAX];  // one of each key type
  size_t given_at[EDITION_PAIRS_MAX];        // 1 + its place in the change; 0: the base had it
  size_t num_pairs;
  struct trust_set *trust;
  SSL_CTX *ctx;
  struct ticket_keys *ticket_keys;  // shared by editions that verify alike; NULL: a CLIENT
  uint64_t serial;                  // no two editions of the process have the same
  struct tls_charge charge;
  struct tls_session_stats before;  // what the self-test left in ctx's counters
};

// edition_new makes the edition that follows base, or the first when base is NULL. It has shaken
// hands with itself. INVALID_ARGUMENT and RESOURCE_EXHAUSTED as in tls_context_configure.
status_t edition_new(enum tls_context_kind kind, const struct edition *base,
                     const struct tls_context_change *change, struct edition **out,
                     struct tls_error *error);

// edition_free frees it. No session may be left that began with it. NULL is fine.
void edition_free(struct edition *edition);

// edition_verifies_alike tells whether a peer that was verified by one would be by the other.
bool edition_verifies_alike(const struct edition *a, const struct edition *b);

// edition_stats is what ctx has counted since.
struct tls_session_stats edition_stats(const struct edition *edition);

// session_stats_add adds more to sum, counter by counter.
void session_stats_add(struct tls_session_stats *sum, const struct tls_session_stats *more);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_TLS_EDITION_H_
