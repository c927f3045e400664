// A context: one SSL_CTX with its settings, certificates, keys and trust. Shared, long-lived,
// counted; every function may be called from any thread.
//
// All changes are atomic: a change makes another SSL_CTX, which takes the place of the last when
// all of it is good; sessions keep the one they began with. Before anybody sees it, it has shaken
// hands with itself in memory, since OpenSSL short of memory can give an SSL_CTX that looks whole
// and is not.
//
// Tickets given out before a change go on to be good after it, unless it changes whom or what the
// context verifies. Their keys change by the clock, so that a ticket is good for session_timeout,
// but never for more than a day and a half. Sessions kept for resumption by id are forgotten by
// every change.
#ifndef TLSAGENT_SERVER_TLS_CONTEXT_H_
#define TLSAGENT_SERVER_TLS_CONTEXT_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/arena.h"
#include "server/base/slice.h"
#include "server/base/status.h"
#include "server/tls/certificate.h"
#include "server/tls/error.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tls_context;

// The numbers are those of tlsagent.v1.ContextKind and VerifyMode.
enum tls_context_kind { TLS_CONTEXT_BOTH = 1, TLS_CONTEXT_CLIENT = 2, TLS_CONTEXT_SERVER = 3 };
enum tls_verify_mode { TLS_VERIFY_NONE = 1, TLS_VERIFY_OPTIONAL = 2, TLS_VERIFY_REQUIRED = 3 };

// Which fields of tls_settings have a value.
enum tls_setting {
  TLS_SET_MIN_VERSION = 1 << 0,
  TLS_SET_MAX_VERSION = 1 << 1,
  TLS_SET_CIPHERS = 1 << 2,
  TLS_SET_CIPHERSUITES = 1 << 3,
  TLS_SET_GROUPS = 1 << 4,
  TLS_SET_SIGALGS = 1 << 5,
  TLS_SET_CLIENT_SIGALGS = 1 << 6,
  TLS_SET_OPTIONS = 1 << 7,
  TLS_SET_VERIFY_MODE = 1 << 8,
  TLS_SET_VERIFY_FLAGS = 1 << 9,
  TLS_SET_HOST_FLAGS = 1 << 10,
  TLS_SET_VERIFY_DEPTH = 1 << 11,
  TLS_SET_CHECK_HOSTNAME = 1 << 12,
  TLS_SET_ALPN = 1 << 13,
  TLS_SET_NUM_TICKETS = 1 << 14,
  TLS_SET_SESSION_ID_CONTEXT = 1 << 15,
  TLS_SET_SESSION_TIMEOUT = 1 << 16,
  TLS_SET_SESSION_CACHE_SIZE = 1 << 17,
  TLS_SET_SECURITY_LEVEL = 1 << 18,
  TLS_SET_POST_HANDSHAKE_AUTH = 1 << 19,
  TLS_SET_DH_PARAMS = 1 << 20,
  TLS_SET_PSK_HINT = 1 << 21,
  TLS_SET_DECISIONS = 1 << 22,
  TLS_SET_EVENTS = 1 << 23
};

// Which choices of a handshake suspend it (engine_decision).
struct tls_decisions {
  bool server_name;
  bool psk_client;
  bool psk_server;
};

// Which events engines collect (engine_take_events).
struct tls_events {
  bool key_log;
  bool messages;
};

// Field for field the ContextSettings of tlsagent.v1; a field counts when its bit is in present.
struct tls_settings {
  uint32_t present;
  int min_version;  // number on the wire; 0 lifts the bound
  int max_version;
  int security_level;
  const char *ciphers;
  const char *ciphersuites;
  const char *groups;
  const char *sigalgs;
  const char *client_sigalgs;
  uint64_t options;  // the whole SSL_OP_* set
  unsigned long verify_flags;
  enum tls_verify_mode verify_mode;
  unsigned host_flags;
  int verify_depth;
  bool check_hostname;
  bool post_handshake_auth;
  const struct slice *alpn;  // preference order, 1..255 bytes each
  size_t num_alpn;
  size_t num_tickets;
  struct slice session_id_context;  // at most 32 bytes
  long session_timeout;             // seconds
  long session_cache_size;          // 0 keeps none
  struct slice dh_params;           // PEM
  const char *psk_hint;             // at most 256 bytes
  bool alpn_require_overlap;
  struct tls_decisions decisions;
  struct tls_events events;
};

// A chain, own certificate first, with its key, each PEM or DER; an empty key is looked for in the
// chain's PEM. has_password tells an empty password from none. A chain without intermediates is
// completed from the trust. The bytes are the caller's to wipe.
struct tls_pair {
  struct slice chain;
  struct slice key;
  struct slice password;
  bool has_password;
};

// A directory of hashed CA files, for somebody else to read: here are no paths and no descriptors.
struct tls_directory {
  // read stores the bytes of the file of that name, at most size, in out, and how many in *out_len;
  // 0 of a file that is larger or can't be read. False when there is no such file. Any thread.
  bool (*read)(void *owner, const char *name, uint8_t *out, size_t size, size_t *out_len);
  void (*ref)(void *owner);
  void (*unref)(void *owner);
  void *owner;
  uint64_t device, inode;  // the same two: the same directory
};

enum { TLS_TRUST_DIRECTORIES_MAX = 4 };  // of one context

// Whom to trust. certificates may carry revocation lists too. A context takes references of its
// directories; they count for 256 KiB of max_bytes each.
struct tls_trust {
  const struct slice *certificates;  // PEM or DER each
  size_t num_certificates;
  const struct slice *crls;
  size_t num_crls;
  const struct tls_directory *directories;
  size_t num_directories;
  bool system;
  size_t max_bytes;  // of all that is trusted then, the system's aside; 0: any
};

// What an edition of a context is charged with: give(owner) is called once nobody uses it any more,
// on any thread and with no lock held.
struct tls_charge {
  void (*give)(void *owner);
  void *owner;
};

// All that can be asked of a context at once. trust may be all zero.
struct tls_context_change {
  struct tls_settings settings;
  const struct tls_pair *pairs;
  size_t num_pairs;
  struct tls_trust trust;
  struct tls_charge charge;  // give may be NULL; it stays the caller's unless the change is made
};

// tls_library_start sets OpenSSL up for the process: its secure heap, the algorithms every context
// needs, one warm handshake. Call it before anything else here and before listening; again does no
// harm. openssl.cnf is read, as by every program on the machine: its providers, and its lowest
// version, options and security level, hold for contexts that set none; its cipher list gives way
// to ours.
status_t tls_library_start(struct tls_error *error);

// tls_context_new makes a context with one reference. INVALID_ARGUMENT: error says which item was
// refused and why: "pairs[0].key", "settings.ciphers", "trust.certificates[1]", or "settings" when
// a server's certificates and settings together leave no handshake that TLS allows.
// RESOURCE_EXHAUSTED: no memory, or the secure heap is full of keys. It takes a millisecond; 50 the
// first time that a large bundle of certificates is trusted.
status_t tls_context_new(enum tls_context_kind kind, const struct tls_context_change *change,
                         struct tls_context **out, struct tls_error *error);

// tls_context_configure makes all of the change or, failing, none of it. Sessions that exist keep
// what they have. Other than in tls_context_new the result may be a context that no handshake can
// succeed with: who changes one setting after another may have to pass through such a state.
status_t tls_context_configure(struct tls_context *context, const struct tls_context_change *change,
                               struct tls_error *error);

// tls_context_ref takes one more reference and returns context; tls_context_unref gives one back.
struct tls_context *tls_context_ref(struct tls_context *context);
void tls_context_unref(struct tls_context *context);  // NULL is fine

enum tls_context_kind tls_context_get_kind(const struct tls_context *context);

// One cipher, field for field the CipherInfo of tlsagent.v1.
struct tls_cipher_info {
  uint32_t id;
  const char *name;
  const char *standard_name;
  const char *protocol;
  const char *description;
  int strength_bits;
  int algorithm_bits;
  bool aead;
  const char *symmetric;
  const char *digest;
  const char *key_exchange;
  const char *authentication;
};

struct tls_trust_counts {
  unsigned certificates;
  unsigned crls;
  unsigned ca_certificates;
};

// SSL_CTX_sess_number(3), field for field the SessionStats of tlsagent.v1.
struct tls_session_stats {
  long number, connect, connect_good, connect_renegotiate, accept, accept_good, accept_renegotiate,
      hits, misses, timeouts, cache_full;
};

// A context read back. Everything in it lives in the arena, or in OpenSSL's own tables.
struct tls_context_info {
  struct tls_settings settings;  // every field that has a value, defaults included
  struct tls_cipher_info *ciphers;
  size_t num_ciphers;
  struct tls_certificate *certificates;  // the own certificate of each pair
  size_t num_certificates;
  struct tls_trust_counts trust;
  struct tls_session_stats sessions;
};

// tls_context_describe reads a context back. RESOURCE_EXHAUSTED past the arena's ceiling.
status_t tls_context_describe(struct tls_context *context, struct arena *arena,
                              struct tls_context_info *out);

// tls_context_list_trust gives the trusted CA certificates in DER, in the arena; of directories
// those that were looked for and found so far. RESOURCE_EXHAUSTED past its ceiling.
status_t tls_context_list_trust(struct tls_context *context, struct arena *arena,
                                struct slice **out_der, size_t *out_num);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_TLS_CONTEXT_H_
