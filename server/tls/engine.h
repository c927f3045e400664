// An engine: one TLS connection, bytes in, bytes out, no I/O. Memory, socket and relay sessions all
// stand on it. One thread at a time may use it; the error queue of that thread is left empty.
//
// Input is borrowed: engine_set_input shows the engine what the peer has sent, the operation takes
// what it needs, record by record, and engine_input_left says what it did not take. Output collects
// in a bounded queue that must be taken away after every operation, failed ones too.
//
// An engine that has failed stays so: every operation then gives ENGINE_FAILED, and engine_error
// the same error. Some failures are no such end, and engine_failed is false after them:
// engine_shutdown_send before the handshake is done, engine_write after it, and those of
// engine_request_certificate and engine_update_keys.
#ifndef TLSAGENT_SERVER_TLS_ENGINE_H_
#define TLSAGENT_SERVER_TLS_ENGINE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/arena.h"
#include "server/base/bytes.h"
#include "server/base/slice.h"
#include "server/base/status.h"
#include "server/tls/context.h"
#include "server/tls/error.h"

#ifdef __cplusplus
extern "C" {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"  // in C a struct and a function may share a name
#endif

struct engine;

// The numbers are those of tlsagent.v1.Role and State.
enum engine_role { ENGINE_CLIENT = 1, ENGINE_SERVER = 2 };
enum engine_result {
  ENGINE_DONE = 1,
  ENGINE_WANT_INPUT = 2,
  ENGINE_WANT_OUTPUT = 3,  // the output queue is full: take from it and call again
  ENGINE_WANT_DECISION = 4,
  ENGINE_CLOSED = 5,  // close_notify was received, after the handshake
  ENGINE_FAILED = 6   // engine_error says why; output may hold an alert
};

// What a context leaves to the client to decide (tls_decisions). The numbers are those of
// tlsagent.v1.DecisionKind.
enum engine_decision_kind {
  ENGINE_DECIDE_NOTHING = 0,
  ENGINE_DECIDE_SERVER_NAME = 1,
  ENGINE_DECIDE_PSK_CLIENT = 2,
  ENGINE_DECIDE_PSK_SERVER = 3
};

// A decision that the handshake waits for. A text that there is none of is NULL; all are UTF-8.
struct engine_decision {
  enum engine_decision_kind kind;
  const char *server_name;   // SERVER_NAME: what the client asked for
  const char *psk_hint;      // PSK_CLIENT: the server's, TLS 1.2 only
  const char *psk_identity;  // PSK_SERVER: the client's
};

// The answer: ENGINE_PROCEED or ENGINE_REFUSE to a server name, ENGINE_PSK to the others.
enum engine_answer_kind { ENGINE_PROCEED, ENGINE_REFUSE, ENGINE_PSK };
struct engine_answer {
  enum engine_answer_kind kind;
  unsigned alert;        // REFUSE: an alert that TLS has (RFC 8446, section 6)
  const char *identity;  // PSK: of a client, at most 256 bytes; "" of a server
  struct slice key;      // PSK: at most 512 bytes; empty to go on without one
};

struct engine_config {
  enum engine_role role;
  const char *server_name;  // client: a name (sent as SNI) or an address; NULL for none
  struct slice resumption;  // client: a session to resume, as engine_resumption seals it, or empty
  size_t max_output;        // ceiling of the output queue, at least 64 KiB
  struct slice owner;       // whose engine it is, at most ENGINE_OWNER_MAX bytes: seals bind to it
  bool growing_records;     // writes begin with small records, which grow; else all are large
  bool traffic_keys;  // engine_traffic_keys will be asked; no good before engine_allow_traffic_keys
  // client, with TLS_VERIFY_NONE: don't even find out whether the server's chain would verify.
  // engine_peer then has X509_V_ERR_UNSPECIFIED.
  bool skip_verify;
};
enum { ENGINE_OWNER_MAX = 32 };

// engine_new makes an engine on a context, which it keeps a reference of; one whose context has
// decisions about pre-shared keys is for one thread until its handshake is over. INVALID_ARGUMENT
// with error: the role doesn't fit the context, the server name is malformed, a client whose
// context checks host names has none, the session to resume was not sealed for this owner and
// context. One that would get around what the engine verifies is not offered, which is no error.
status_t engine_new(struct tls_context *context, const struct engine_config *config,
                    struct engine **out, struct tls_error *error);
// engine_free frees it; nothing is sent. NULL is fine.
void engine_free(struct engine *engine);

// engine_set_input shows what the peer has sent and whether the transport ended after it. Valid
// until the next engine_set_input; call it with an empty slice before the bytes go.
void engine_set_input(struct engine *engine, struct slice input, bool eof);
size_t engine_input_left(const struct engine *engine);

// engine_output is the queue of ciphertext for the peer, for the caller to consume from.
struct bytes *engine_output(struct engine *engine);
// engine_lend_output has ciphertext go straight into a queue of the caller's, of at least 64 KiB,
// until NULL brings back the engine's own. Nothing may be waiting in the queue that is left.
void engine_lend_output(struct engine *engine, struct bytes *output);

// engine_decision is what the handshake waits for, or NULL; every operation gives
// ENGINE_WANT_DECISION until it is answered. Good until the next operation.
const struct engine_decision *engine_decision(const struct engine *engine);

// engine_answer answers the decision; the next operation goes on. FAILED_PRECONDITION: none is
// waited for; INVALID_ARGUMENT: the answer doesn't fit it, and it is waited for still. *out_why
// then is a sentence. What is in the answer is copied, and the key is wiped once it was used.
status_t engine_answer(struct engine *engine, const struct engine_answer *answer,
                       const char **out_why);

// engine_set_context puts a server engine that waits for the server-name decision, or one that has
// neither sent nor received a message, on another context, as SSL_set_SSL_CTX(3) does:
// certificates, trust, ALPN as a server, ciphers for TLS 1.2 and events are the new one's, all else
// remains. INVALID_ARGUMENT with error: the role doesn't fit; FAILED_PRECONDITION: it is too late.
status_t engine_set_context(struct engine *engine, struct tls_context *context,
                            struct tls_error *error);

// engine_handshake goes on with the handshake; ENGINE_DONE when it is over.
enum engine_result engine_handshake(struct engine *engine);

// engine_read gives at most size bytes of plaintext, of one record; at least one when ENGINE_DONE,
// unless size is 0. Like engine_write it goes on with a handshake that is not over.
enum engine_result engine_read(struct engine *engine, void *out, size_t size, size_t *out_len);

// engine_write takes plaintext. *out_accepted may be less than all, with ENGINE_WANT_OUTPUT or
// ENGINE_WANT_INPUT; that much is in the output, as whole records, and nothing of the rest is: to
// give it up, or to write something else, is fine.
enum engine_result engine_write(struct engine *engine, struct slice data, size_t *out_accepted);

// engine_shutdown_send sends close_notify, once. Reading may go on.
enum engine_result engine_shutdown_send(struct engine *engine);

// engine_shutdown_receive looks for the peer's close_notify: ENGINE_CLOSED when it has come.
// Plaintext before it is thrown away and counted in *discarded.
enum engine_result engine_shutdown_receive(struct engine *engine, uint64_t *discarded);

// engine_error is the error of the last ENGINE_FAILED; it stays. Its alert is also there when the
// engine has not noticed the failure yet.
const struct tls_error *engine_error(const struct engine *engine);

// engine_established tells whether the first handshake is over. A later one doesn't undo it.
bool engine_established(const struct engine *engine);
// engine_failed tells whether it has failed for good.
bool engine_failed(const struct engine *engine);
bool engine_shutdown_sent(const struct engine *engine);
bool engine_shutdown_received(const struct engine *engine);
// engine_data_follows tells whether the next engine_read would give data for sure, and nothing else
// of the input be used: there is plaintext ready, or a record that is whole, holds application data
// and fits in room.
bool engine_data_follows(const struct engine *engine, size_t room);
size_t engine_pending(const struct engine *engine);  // plaintext ready (SSL_pending)
enum engine_role engine_get_role(const struct engine *engine);

// engine_release_buffers gives the record buffers of an idle engine back (SSL_free_buffers).
void engine_release_buffers(struct engine *engine);

// One of the events that a context reports (tls_events).
enum engine_event_kind { ENGINE_EVENT_KEY_LOG, ENGINE_EVENT_MESSAGE };
struct engine_event {
  enum engine_event_kind kind;
  struct slice data;  // KEY_LOG: the line, ASCII, a NUL behind it: a secret; MESSAGE: the bytes
  bool sent;          // MESSAGE, as SSL_CTX_set_msg_callback(3) has them
  int version;
  int content_type;
};

// engine_take_events moves what has happened since into the arena, in order; at most about max
// bytes, and at least one event. The rest is for the next time. RESOURCE_EXHAUSTED, and nothing
// taken, past the arena's ceiling.
//
// At most ENGINE_EVENTS_MAX bytes of messages wait to be taken, overhead included, and a quarter as
// much of key log. What comes beyond is dropped and counted (COUNTER_events_dropped). No handshake
// and no single read or write of whole records comes near it.
enum { ENGINE_EVENTS_MAX = 128 * 1024 };
status_t engine_take_events(struct engine *engine, struct arena *arena, size_t max,
                            struct engine_event **out, size_t *out_num);

// What was negotiated, field for field the Negotiated of tlsagent.v1. Strings never NULL; they and
// the slices live as long as the engine, or in the arena.
struct engine_negotiated {
  int version;  // number on the wire
  const char *version_name;
  struct tls_cipher_info cipher;
  struct slice alpn;
  const char *server_name;
  bool resumed;
  const char *group;
  const char *peer_signature;
};

// engine_negotiated describes an established engine; FAILED_PRECONDITION before that.
status_t engine_negotiated(struct engine *engine, struct arena *arena,
                           struct engine_negotiated *out);

// The peer's own certificate, DER, in the arena; empty when it showed none. One that did not verify
// is given too, with the reason.
struct engine_peer {
  struct slice der;
  long verify_code;
  const char *verify_message;
};
status_t engine_peer(struct engine *engine, struct arena *arena, struct engine_peer *out);

// engine_peer_certificate decodes the peer's own certificate into the arena, from what OpenSSL has
// decoded already. NOT_FOUND when it showed none.
status_t engine_peer_certificate(struct engine *engine, struct arena *arena,
                                 struct tls_certificate *out);

// engine_peer_chains gives the verified chain, empty when none verified, and the chain as it was
// sent, own certificate first.
struct engine_chains {
  struct slice *verified;
  size_t num_verified;
  struct slice *unverified;
  size_t num_unverified;
};
status_t engine_peer_chains(struct engine *engine, struct arena *arena, struct engine_chains *out);

// engine_request_certificate has a TLS 1.3 server ask for the client's certificate: the request
// goes out with the next operation, and what becomes of it is the concern of reads. ENGINE_DONE, or
// ENGINE_FAILED with OpenSSL's reason, which is no end of the engine.
enum engine_result engine_request_certificate(struct engine *engine);

// engine_update_keys changes the own keys of TLS 1.3 with the next output, and asks the peer to
// change its own too. As above; ENGINE_WANT_OUTPUT while an earlier change has no room yet.
enum engine_result engine_update_keys(struct engine *engine, bool request_peer);

// engine_export derives len bytes of keying material (RFC 5705, RFC 8446) into out. context may be
// NULL, which TLS 1.2 tells from empty. FAILED_PRECONDITION before the handshake is done;
// INVALID_ARGUMENT with error.
enum { ENGINE_LABEL_MAX = 249, ENGINE_EXPORT_MAX = 4096, ENGINE_EXPORT_CONTEXT_MAX = 65535 };
status_t engine_export(struct engine *engine, const char *label, const struct slice *context,
                       uint8_t *out, size_t len, struct tls_error *error);

// The keys that records of application data are made with, for whoever goes on with the records in
// place of the engine. TLS 1.3: the nonce of a record is iv, XORed with the record's number.
enum engine_record_cipher {
  ENGINE_AES_128_GCM,
  ENGINE_AES_256_GCM,
  ENGINE_CHACHA20_POLY1305,
};
enum { ENGINE_TRAFFIC_KEY_MAX = 32, ENGINE_TRAFFIC_IV = 12 };
struct engine_traffic_key {
  uint8_t key[ENGINE_TRAFFIC_KEY_MAX];  // as many bytes as the cipher takes
  uint8_t iv[ENGINE_TRAFFIC_IV];
  uint64_t sequence;  // the number of the next record
};
struct engine_traffic_keys {
  int version;  // number on the wire
  enum engine_record_cipher cipher;
  struct engine_traffic_key send;
  struct engine_traffic_key receive;
};

// engine_allow_traffic_keys lets contexts that are made from now on have engines that give their
// keys. Once, before there are contexts and threads: OpenSSL then prepares the secrets of every
// handshake for its key log, and wipes them again where nobody has asked.
void engine_allow_traffic_keys(void);

// engine_traffic_keys gives them in *out, which the caller wipes. The engine must not be used for
// data afterwards, or two records would be made with one number. FAILED_PRECONDITION, and *out_why
// is a sentence: the engine wasn't made for it, the version or the cipher is none that can be
// handed on, or something of the connection is still in the engine (plaintext, a part of a record,
// output, a handshake after the first).
status_t engine_traffic_keys(const struct engine *engine, struct engine_traffic_keys *out,
                             const char **out_why);

// engine_forget_traffic_keys wipes what was kept for it. engine_free does so too.
void engine_forget_traffic_keys(struct engine *engine);

// The numbers are those of tlsagent.v1.ChannelBindingKind.
enum engine_binding {
  ENGINE_BINDING_UNIQUE = 1,
  ENGINE_BINDING_EXPORTER = 2,
  ENGINE_BINDING_END_POINT = 3
};

// engine_channel_binding gives a channel binding in the arena. NOT_FOUND when there is none: before
// the handshake, or of this kind.
status_t engine_channel_binding(struct engine *engine, enum engine_binding kind,
                                struct arena *arena, struct slice *out);

// engine_shared_ciphers gives what a server has of the ciphers its client has offered, in the
// server's order, in the arena. FAILED_PRECONDITION for clients, and before the ClientHello.
status_t engine_shared_ciphers(struct engine *engine, struct arena *arena,
                               struct tls_cipher_info **out, size_t *out_num);

// A session that a later client engine can resume.
struct engine_resumption {
  bool present;         // false: there is no session yet
  bool resumable;       // TLS 1.3: a ticket has come
  struct slice sealed;  // a client's: for engine_config.resumption of the same owner, context and
                        // process; a server's opens for nobody
  struct slice id;
  int64_t time;  // seconds since 1970
  int64_t timeout;
  unsigned long ticket_lifetime_hint;
  bool has_ticket;
};

// engine_resumption gives the session as it is now, in the arena.
status_t engine_resumption(struct engine *engine, struct arena *arena,
                           struct engine_resumption *out);

#ifdef __cplusplus
#pragma GCC diagnostic pop
}
#endif

#endif  // TLSAGENT_SERVER_TLS_ENGINE_H_
