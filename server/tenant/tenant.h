// Who may use what: owners (user ids, and identities of who is no user of this machine), their
// clients, the clients' handles, and quotas.
//
// A client is one or more connections of one peer: the first makes it, others join it with its
// token. What a client made ends with its last connection. A handle belongs to one client;
// another's, a stale and a guessed one are all NOT_FOUND. Every function may be called from any
// thread.
#ifndef TLSAGENT_SERVER_TENANT_TENANT_H_
#define TLSAGENT_SERVER_TENANT_TENANT_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "server/base/arena.h"
#include "server/base/limits.h"
#include "server/base/slice.h"
#include "server/base/status.h"
#include "server/base/token.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tenant;  // all owners and clients of the daemon
struct client;

enum { CLIENT_TOKEN_BYTES = TOKEN_BYTES, TENANT_NAME_MAX = 255 };

// Who is at the other end of a connection: a user by the kernel's word (SO_PEERCRED), or an
// identity (tenant_identity).
struct peer {
  uid_t uid;
  gid_t gid;
  pid_t pid;
  const char *identity;  // NULL of a user; lives as long as the tenant
};

// From here on a number stands for an identity. systemd gives no user one of these, nor does
// Debian; who has one nevertheless isn't served.
#define PEER_IDENTITIES_FIRST ((uid_t)0xFFFF0000)

enum { IDENTITY_MAX = 255, IDENTITIES_MAX = 1024, PEER_TEXT_MAX = IDENTITY_MAX + 1 };

// peer_text writes who it is for a line of the log: "uid 1000, pid 77", or the identity.
void peer_text(const struct peer *peer, char out[PEER_TEXT_MAX]);

// What can be counted against the daemon's and the owner's limit.
enum quota {
  QUOTA_CONNECTIONS,
  QUOTA_SESSIONS,
  QUOTA_CONTEXTS,
  QUOTA_CONTEXT_EDITIONS,
  QUOTA_LISTENERS,
  QUOTA_DESCRIPTOR_TOKENS,
  QUOTA_COUNT
};

// A kind of object that handles name. The table holds one reference of each object.
struct handle_kind {
  const char *name;             // "session"
  enum quota quota;             // what one handle counts against
  void (*ref)(void *object);    // takes a reference
  void (*unref)(void *object);  // gives one back
  void (*end)(void *object);    // the client is gone or has dropped the handle; before the unref
  // ref may be called with a lock of tenant's held, and so calls nothing here; end and unref never
  // are.
};

// tenant_new copies the limits. tenant_free forgets all names; every connection and client must be
// gone.
status_t tenant_new(const struct limits *limits, struct tenant **out);
void tenant_free(struct tenant *tenant);

// tenant_identity makes the peer of an identity, 1 to IDENTITY_MAX bytes of printable ASCII: the
// same owner whenever it is the same text. It is remembered for good. INVALID_ARGUMENT for another
// text, RESOURCE_EXHAUSTED when there are IDENTITIES_MAX, or without memory.
status_t tenant_identity(struct tenant *tenant, const char *text, struct peer *out);

// tenant_connect counts a new connection of peer, or RESOURCE_EXHAUSTED; tenant_disconnect gives it
// back. The connection belongs to no client yet.
status_t tenant_connect(struct tenant *tenant, const struct peer *peer);
void tenant_disconnect(struct tenant *tenant, const struct peer *peer);

// client_new makes a client with one connection and one reference.
status_t client_new(struct tenant *tenant, const struct peer *peer, struct client **out);
// client_join adds a connection to the client with that token: UNAUTHENTICATED when there is none,
// or it is of another user id. The token is compared in constant time. Takes a reference.
status_t client_join(struct tenant *tenant, const struct peer *peer, struct slice token,
                     struct client **out);
// client_leave takes a connection away; with the last one all handles end. The reference stays.
void client_leave(struct client *client);
void client_ref(struct client *client);
void client_unref(struct client *client);

const uint8_t *client_token(const struct client *client);  // CLIENT_TOKEN_BYTES
// client_has_token compares in constant time.
bool client_has_token(const struct client *client, struct slice token);
const struct peer *client_peer(const struct client *client);

// handle_add names an object and takes over the caller's reference of it. RESOURCE_EXHAUSTED past
// the quota, FAILED_PRECONDITION when the client has ended; the reference then stays the caller's.
status_t handle_add(struct client *client, const struct handle_kind *kind, void *object,
                    uint64_t *out);
// handle_get finds an object and takes a reference for the caller, or NULL.
void *handle_get(struct client *client, const struct handle_kind *kind, uint64_t handle);
// handle_drop ends a handle: calls kind->end and gives the table's reference back. NOT_FOUND.
status_t handle_drop(struct client *client, const struct handle_kind *kind, uint64_t handle);

// A charge is one of a quota for what outlives handles: memory that sessions go on to use.
struct charge;
// charge_take counts one more against the daemon's and the client's owner's limit, or
// RESOURCE_EXHAUSTED. It may outlive the client, but not the tenant.
status_t charge_take(struct client *client, enum quota quota, struct charge **out);
// charge_move counts it against peer's limit from now on, and no more against its owner's until
// then: when it is known only later who uses something. RESOURCE_EXHAUSTED: all stays as it was.
status_t charge_move(struct charge *charge, const struct peer *peer);
// charge_give gives it back and frees it.
void charge_give(struct charge *charge);

// Names: objects that outlive their client, for clients of the same user id. Each kind has names of
// its own, of 1 to TENANT_NAME_MAX bytes. A name counts against kind->quota of the owner.
//
// name_publish takes a reference of its own. INVALID_ARGUMENT for the name's length,
// ALREADY_EXISTS, or RESOURCE_EXHAUSTED past the quota.
status_t name_publish(struct client *client, const struct handle_kind *kind, const char *text,
                      void *object);
// name_get takes a reference for the caller, or returns NULL.
void *name_get(struct client *client, const struct handle_kind *kind, const char *text);
// name_forget gives the name's reference back, without kind->end. NOT_FOUND.
status_t name_forget(struct client *client, const struct handle_kind *kind, const char *text);

// name_of finds the name that the owner's clients know an object by, in the arena, or NULL.
char *name_of(struct client *client, const struct handle_kind *kind, const void *object,
              struct arena *arena);

// tenant_count tells how many of a quota are in use.
uint64_t tenant_count(struct tenant *tenant, enum quota quota);

// The limit that a quota ran into, for the sentence that says so.
struct quota_limit {
  const char *name;  // "sessions_per_owner", as --limit takes it
  uint64_t value;
};
// tenant_limit names the limit that keeps peer from having one more, after a RESOURCE_EXHAUSTED:
// its own if that is reached, else the daemon's. client_limit is the same for a client.
struct quota_limit tenant_limit(struct tenant *tenant, const struct peer *peer, enum quota quota);
struct quota_limit client_limit(struct client *client, enum quota quota);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_TENANT_TENANT_H_
