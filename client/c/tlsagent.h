// tlsagent.h: TLS for a process that has no TLS library: the C client of tlsagentd.
//
// The daemon holds the contexts, the keys and the TLS; this library asks it over a Unix socket. It
// needs nothing but libc: link with -ltlsagent.
//
//   struct tlsagent_error error;
//   struct tlsagent_client *agent = tlsagent_client_open(NULL, 0, &error);
//
//   uint64_t context;
//   tlsagent_context_create(agent, &context,
//                           &(struct tlsagent_context_create_request){
//                               .kind = TLSAGENT_CONTEXT_CLIENT, .trust = {.system = true}},
//                           0, &error);
//
//   struct tlsagent_session_connect_reply *reply;
//   if (!tlsagent_session_connect(agent, &reply,
//                                 &(struct tlsagent_session_connect_request){
//                                     .context = context,
//                                     .transport = tlsagent_over_fd(tcp_socket),
//                                     .server_name = "www.example.org"},
//                                 5000, &error)) {
//     fprintf(stderr, "%s\n", error.message);
//   }
//
//
// CONVENTIONS. What follows holds everywhere and isn't said again.
//
// Verbs. Every rpc of the daemon that takes one message is one function of the same name:
// SessionService.Handshake is tlsagent_session_handshake(), its arguments are a struct
// tlsagent_session_handshake_request, its answer a struct tlsagent_session_handshake_reply. A
// request of one field is just that argument, an empty reply is left out. The .proto files that are
// installed beside this header say what each field means in full; fields have the same names here.
//
// Order. Parameters are: whom to ask, outputs, inputs, the time to wait, the error.
//
// Zero. A request that is all zeros is valid C and asks for defaults: name the fields you care
// about and let the compiler clear the rest. A NULL text, bytes of length 0 and a material of no
// source mean "not given". Where "given as zero" differs, the field is a struct tlsagent_optional,
// or bytes whose data isn't NULL.
//
// Success. A verb returns true when the daemon did, or is doing, what was asked. It returns false
// and fills *error when not; the error's fault says who refused, and error->message is one
// sentence for a person. error may be NULL.
//
// Replies. *out is set whenever the daemon answered, and else NULL. In particular it is set after a
// false return whose fault is TLSAGENT_FAULT_TLS: on the memory path progress.output must be sent
// even then. The caller owns the reply and gives it back to tlsagent_free(), which frees all that
// it points to with it. out may be NULL when the reply isn't wanted. In a reply a text is never
// NULL, and bytes that were absent have NULL data.
//
// Requests. What a request points to is read during the call and not kept. Descriptors that it
// names are duplicated: they stay the caller's, who may close them as soon as the function returns.
//
// Time. timeout_ms is in milliseconds and 0 waits for ever. The daemon enforces it and loses
// nothing by it (session.proto says what a call leaves behind); should the daemon itself be stuck,
// the library gives up TLSAGENT_GRACE_MS later.
//
// Threads. A struct tlsagent_client is one connection, without a lock: one thread uses it at a
// time. A further thread opens a connection of its own with tlsagent_client_join(), which shares
// every context and session: these are numbers that any connection of the same client may use at
// the same time (one thread reads a session while another writes it). The library has no other
// state: functions that take different connections never meet.
//
// Fork. A connection belongs to the process that opened it. In a forked child every call on it
// fails with TLSAGENT_FAULT_USAGE and leaves the parent undisturbed; the child may
// tlsagent_client_close() it and open its own.
//
// Signals. Waits go on after a signal handler (no EINTR is reported). SIGPIPE is never raised.
//
// Loss. When the daemon goes away, each call fails with TLSAGENT_FAULT_LOST, now and from then on.
// Contexts and sessions were gone with it: open a new connection and make them anew.
//
// Versions. Until version 1.0 a struct here may grow from one minor version to the next: the soname
// is libtlsagent.so.0, and programs are recompiled.
#ifndef TLSAGENT_H_
#define TLSAGENT_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TLSAGENT_VERSION      "0.1.0"
#define TLSAGENT_API          __attribute__((visibility("default")))
#define TLSAGENT_MUST_CHECK   __attribute__((warn_unused_result))
#define TLSAGENT_FRAME_MAX    (4U << 20)   // bytes of one request or reply; a larger one is refused
#define TLSAGENT_REPLY_MAX    (64U << 20)  // bytes of memory that one reply may take once unpacked
#define TLSAGENT_FDS_MAX      16U          // descriptors that one request may pass
#define TLSAGENT_CALLS_MAX    4096U        // calls in flight on one connection
#define TLSAGENT_QUEUE_MAX    (16U << 20)  // bytes submitted and not sent yet, on one connection
#define TLSAGENT_GRACE_MS     1000U  // how much longer than timeout_ms a silent daemon is waited for
#define TLSAGENT_TOKEN_LENGTH 16U    // bytes of a client's token

// -----------------------------------------------------------------------------------------------
// Errors.

// enum tlsagent_fault says who is at fault, for programs that branch.
enum tlsagent_fault {
  TLSAGENT_FAULT_NONE = 0,         // nobody: the call succeeded
  TLSAGENT_FAULT_USAGE = 1,        // the caller: the request can't be sent, or not from here
  TLSAGENT_FAULT_UNREACHABLE = 2,  // no daemon could be reached; see os_errno
  TLSAGENT_FAULT_LOST = 3,  // the connection to the daemon ended, or it spoke nonsense; os_errno
  TLSAGENT_FAULT_DEADLINE = 4,  // the call ran out of time
  TLSAGENT_FAULT_REFUSED = 5,   // the daemon refused the call; see rpc_code
  TLSAGENT_FAULT_TLS = 6,       // the call was done and TLS failed; see tls
  TLSAGENT_FAULT_MEMORY = 7,    // no memory, here
};

// enum tlsagent_rpc_code is why the daemon refused a call; the numbers are those of
// google.rpc.Code.
enum tlsagent_rpc_code {
  TLSAGENT_RPC_OK = 0,
  TLSAGENT_RPC_CANCELLED = 1,            // by tlsagent_agent_cancel(), or the session was closed
  TLSAGENT_RPC_UNKNOWN = 2,              // no reason was given
  TLSAGENT_RPC_INVALID_ARGUMENT = 3,     // the request makes no sense
  TLSAGENT_RPC_DEADLINE_EXCEEDED = 4,    // timeout_ms passed
  TLSAGENT_RPC_NOT_FOUND = 5,            // no such context or session, or not this client's
  TLSAGENT_RPC_ALREADY_EXISTS = 6,       // the name is taken
  TLSAGENT_RPC_PERMISSION_DENIED = 7,    // the daemon's policy forbids it
  TLSAGENT_RPC_RESOURCE_EXHAUSTED = 8,   // a limit is reached; see tlsagent_agent_limits()
  TLSAGENT_RPC_FAILED_PRECONDITION = 9,  // not in this state
  TLSAGENT_RPC_ABORTED = 10,
  TLSAGENT_RPC_OUT_OF_RANGE = 11,
  TLSAGENT_RPC_UNIMPLEMENTED = 12,  // this daemon doesn't have the call
  TLSAGENT_RPC_INTERNAL = 13,       // a bug of the daemon
  TLSAGENT_RPC_UNAVAILABLE = 14,    // the daemon is about to stop
  TLSAGENT_RPC_DATA_LOSS = 15,
  TLSAGENT_RPC_UNAUTHENTICATED = 16,  // the token isn't good
};

// struct tlsagent_optional is a number, switch or enum with presence.
struct tlsagent_optional {
  bool given;
  uint64_t value;
};

// TLSAGENT_GIVEN initializes a struct tlsagent_optional: .num_tickets = TLSAGENT_GIVEN(0).
#define TLSAGENT_GIVEN(number) \
  { true, (number) }

// enum tlsagent_error_kind says what went wrong in TLS, for programs that branch.
enum tlsagent_error_kind {
  TLSAGENT_ERROR_UNSPECIFIED = 0,
  TLSAGENT_ERROR_TLS = 1,          // the protocol or OpenSSL refused; see library, reason and text
  TLSAGENT_ERROR_VERIFY = 2,       // the certificate didn't verify; see verify_code, verify_message
  TLSAGENT_ERROR_TRUNCATED = 3,    // the transport ended without close_notify
  TLSAGENT_ERROR_OS = 4,           // the operating system refused; see os_errno
  TLSAGENT_ERROR_TIMEOUT = 5,      // a wait ran out; the operation can be tried again
  TLSAGENT_ERROR_INVALID = 6,      // a setting, certificate or key makes no sense; see item
  TLSAGENT_ERROR_CLOSED_HERE = 7,  // closed from this side before the operation could finish
  TLSAGENT_ERROR_RESOLVE = 8,      // a host name could not be resolved; see text
};

// struct tlsagent_tls_error is one failure of TLS, complete enough to rebuild the exception that
// OpenSSL's users know. Texts that are longer than their array are cut.
struct tlsagent_tls_error {
  enum tlsagent_error_kind kind;
  uint32_t ssl_error;              // SSL_get_error(3), 0 when no SSL operation failed
  uint64_t code;                   // OpenSSL's packed code, 0 when there is none
  uint32_t library_number;         // ERR_GET_LIB
  uint32_t reason_number;          // ERR_GET_REASON
  char library[32];                // "SSL", "X509", "PEM"
  char reason[96];                 // "CERTIFICATE_VERIFY_FAILED"
  char text[256];                  // the reason in words
  int64_t verify_code;             // X509_V_ERR_*, else 0
  char verify_message[256];        // the same in words; for a mismatch it names the expected host
  uint32_t os_errno;               // of a failed system call of the daemon, else 0
  char item[96];                   // which input was at fault: "pairs[1].key", "settings.ciphers"
  struct tlsagent_optional alert;  // the alert that ended the session (RFC 8446, section 6)
  char detail[256];                // of a refused input: what was wrong with it, in full
};

// struct tlsagent_error is why a function failed. It owns nothing: copy it, drop it.
struct tlsagent_error {
  enum tlsagent_fault fault;
  enum tlsagent_rpc_code rpc_code;  // with REFUSED and DEADLINE, else OK
  int os_errno;                     // with UNREACHABLE and LOST, else 0
  struct tlsagent_tls_error tls;    // with TLS, else zeros
  char message[768];                // what happened, why, and what would mend it; never empty
};

// tlsagent_fault_name returns the fault as a word: "unreachable". Never NULL.
TLSAGENT_API const char *tlsagent_fault_name(enum tlsagent_fault fault);

// tlsagent_rpc_code_name returns the code as google.rpc.Code spells it: "NOT_FOUND". Never NULL.
TLSAGENT_API const char *tlsagent_rpc_code_name(enum tlsagent_rpc_code code);

// tlsagent_error_kind_name returns the kind as a word: "truncated". Never NULL.
TLSAGENT_API const char *tlsagent_error_kind_name(enum tlsagent_error_kind kind);

// -----------------------------------------------------------------------------------------------
// Clients: one connection to the daemon each.

struct tlsagent_client;

// struct tlsagent_client_options says which daemon, and as whom.
struct tlsagent_client_options {
  // "unix:PATH", "unix:@NAME" (abstract), "@NAME" or a plain path. NULL: the environment's
  // TLSAGENT_SOCKET, else /run/tlsagent.sock for root, else $XDG_RUNTIME_DIR/tlsagent.sock.
  const char *address;
  // TLSAGENT_TOKEN_LENGTH bytes of the client to join, of the same user id. NULL: a client of its
  // own.
  const uint8_t *token;
};

// tlsagent_client_open connects to the daemon and says hello: when it returns, the daemon is there
// and answers. options may be NULL. It returns NULL and fills *error when there is none; the caller
// owns the result and gives it to tlsagent_client_close(). It waits for the daemon even for event
// loops: open before the loop starts, or with a small timeout_ms.
TLSAGENT_API TLSAGENT_MUST_CHECK struct tlsagent_client *tlsagent_client_open(
    const struct tlsagent_client_options *options, uint32_t timeout_ms,
    struct tlsagent_error *error);

// tlsagent_client_join opens a further connection of the same client, for another thread. It reads
// what never changes of client, so that client's own thread may use it meanwhile. It fails as
// tlsagent_client_open() does, and with USAGE for a client of tlsagent_client_adopt().
TLSAGENT_API TLSAGENT_MUST_CHECK struct tlsagent_client *tlsagent_client_join(
    const struct tlsagent_client *client, uint32_t timeout_ms, struct tlsagent_error *error);

// tlsagent_client_adopt makes a client of a connected stream socket, for a process that was handed
// one and may not connect. It owns fd from then on, and closes it when it fails.
TLSAGENT_API TLSAGENT_MUST_CHECK struct tlsagent_client *tlsagent_client_adopt(
    int fd, uint32_t timeout_ms, struct tlsagent_error *error);

// tlsagent_client_close closes the connection and frees client; NULL is fine. Calls that were
// submitted and not completed are completed with CANCELLED first, while client can still be asked.
// With the client's last connection end its sessions and its unnamed contexts. It may be called in
// a callback; the connection is then closed when the callback has returned.
TLSAGENT_API void tlsagent_client_close(struct tlsagent_client *client);

// tlsagent_client_token returns the client's token, TLSAGENT_TOKEN_LENGTH bytes that live as long
// as client. It is a secret among processes of one user: whoever has it can use the client's
// handles.
TLSAGENT_API const uint8_t *tlsagent_client_token(const struct tlsagent_client *client);

// tlsagent_client_address returns the daemon's address: "unix:/run/tlsagent.sock". It lives as long
// as client.
TLSAGENT_API const char *tlsagent_client_address(const struct tlsagent_client *client);

// tlsagent_client_daemon_version returns the daemon's version, "0.1.0". It lives as long as client.
TLSAGENT_API const char *tlsagent_client_daemon_version(const struct tlsagent_client *client);

// tlsagent_free frees a reply with all that it points to; NULL is fine. Replies don't depend on the
// client: they may outlive it, and any thread may free them.
TLSAGENT_API void tlsagent_free(void *reply);

// -----------------------------------------------------------------------------------------------
// Words that requests and replies share.

// struct tlsagent_bytes is a view of bytes that somebody else owns.
struct tlsagent_bytes {
  const uint8_t *data;
  size_t len;
};

// enum tlsagent_source says where a material's bytes are.
enum tlsagent_source {
  TLSAGENT_SOURCE_NONE = 0,      // not given
  TLSAGENT_SOURCE_DATA = 1,      // in data
  TLSAGENT_SOURCE_FD = 2,        // in the regular file fd, read from its start to its end
  TLSAGENT_SOURCE_FD_TOKEN = 3,  // the same, of one that waits under fd_token
};

// struct tlsagent_material is a certificate, a key, a list: bytes or an open file of them. A
// directory is an fd too. Opening files here and passing them keeps permissions and errno the
// caller's own. Only the daemon's own user and root may pass an fd: anybody else's call fails with
// PERMISSION_DENIED.
struct tlsagent_material {
  enum tlsagent_source source;
  struct tlsagent_bytes data;
  int fd;
  struct tlsagent_bytes fd_token;  // tlsagent_session_descriptor_token()
};

// tlsagent_bytes_of views len bytes at data.
static inline struct tlsagent_bytes tlsagent_bytes_of(const void *data, size_t len) {
  struct tlsagent_bytes bytes = {(const uint8_t *)data, len};
  return bytes;
}

// tlsagent_material_data is material made of len bytes at data.
static inline struct tlsagent_material tlsagent_material_data(const void *data, size_t len) {
  struct tlsagent_material material = {
      TLSAGENT_SOURCE_DATA, {(const uint8_t *)data, len}, 0, {NULL, 0}};
  return material;
}

// tlsagent_material_fd is material read from the open file fd, which stays the caller's.
static inline struct tlsagent_material tlsagent_material_fd(int fd) {
  struct tlsagent_material material = {TLSAGENT_SOURCE_FD, {NULL, 0}, fd, {NULL, 0}};
  return material;
}

// enum tlsagent_role says which end of the TLS connection a session is.
enum tlsagent_role {
  TLSAGENT_ROLE_UNSPECIFIED = 0,
  TLSAGENT_ROLE_CLIENT = 1,
  TLSAGENT_ROLE_SERVER = 2,
};

// enum tlsagent_protocol_version is a version by its number on the wire.
enum tlsagent_protocol_version {
  TLSAGENT_PROTOCOL_UNSPECIFIED = 0,  // in a bound: no bound but the library's own
  TLSAGENT_PROTOCOL_SSL_3_0 = 768,
  TLSAGENT_PROTOCOL_TLS_1_0 = 769,
  TLSAGENT_PROTOCOL_TLS_1_1 = 770,
  TLSAGENT_PROTOCOL_TLS_1_2 = 771,
  TLSAGENT_PROTOCOL_TLS_1_3 = 772,
};

// enum tlsagent_state says where an operation on a session stands.
enum tlsagent_state {
  TLSAGENT_STATE_UNSPECIFIED = 0,
  TLSAGENT_STATE_DONE = 1,           // complete
  TLSAGENT_STATE_WANT_READ = 2,      // needs ciphertext from the peer
  TLSAGENT_STATE_WANT_WRITE = 3,     // needs its output taken away first
  TLSAGENT_STATE_WANT_DECISION = 4,  // needs a decision; the next call carries it
  TLSAGENT_STATE_CLOSED = 5,         // the peer ended the stream with close_notify
  TLSAGENT_STATE_FAILED = 6,         // failed; the error says why
};

// tlsagent_state_name returns the state as a word: "want read". Never NULL.
TLSAGENT_API const char *tlsagent_state_name(enum tlsagent_state state);

// -----------------------------------------------------------------------------------------------
// Certificates.

// enum tlsagent_name_value says what the value of a name's attribute is.
enum tlsagent_name_value {
  TLSAGENT_NAME_NONE = 0,
  TLSAGENT_NAME_TEXT = 3,  // UTF-8 that may hold NULs; a NUL follows its end
  TLSAGENT_NAME_RAW = 4,   // octets that aren't text
};

// struct tlsagent_name_attribute is one attribute of a name, "CN = example.org".
struct tlsagent_name_attribute {
  const char *type;        // OpenSSL's long name or the dotted OID: "commonName"
  const char *short_type;  // OpenSSL's short name or the dotted OID: "CN"
  enum tlsagent_name_value value_kind;
  struct tlsagent_bytes value;
};

// struct tlsagent_relative_name is one step of a name; it usually has one attribute.
struct tlsagent_relative_name {
  const struct tlsagent_name_attribute *attributes;
  size_t num_attributes;
};

// enum tlsagent_alternative_name_kind says what a subjectAltName is.
enum tlsagent_alternative_name_kind {
  TLSAGENT_ALTERNATIVE_NAME_UNSPECIFIED = 0,
  TLSAGENT_ALTERNATIVE_NAME_DNS = 1,
  TLSAGENT_ALTERNATIVE_NAME_EMAIL = 2,
  TLSAGENT_ALTERNATIVE_NAME_URI = 3,
  TLSAGENT_ALTERNATIVE_NAME_IP = 4,
  TLSAGENT_ALTERNATIVE_NAME_DIRECTORY = 5,
  TLSAGENT_ALTERNATIVE_NAME_REGISTERED_ID = 6,
  TLSAGENT_ALTERNATIVE_NAME_OTHER = 7,
};

// struct tlsagent_alternative_name is one name of subjectAltName.
struct tlsagent_alternative_name {
  enum tlsagent_alternative_name_kind kind;
  struct tlsagent_bytes value;  // the octets in the certificate, NULs kept (DNS, email, URI, IP)
  const char *text;             // for people; odd characters are \xNN
  const struct tlsagent_relative_name *directory;  // a directoryName's steps
  size_t num_directory;
  const char *label;  // OpenSSL's label of a name it prints in two parts: "othername"
};

// struct tlsagent_basic_constraints is the extension of that name.
struct tlsagent_basic_constraints {
  bool ca;
  struct tlsagent_optional path_length;  // largest number of intermediates below
};

// struct tlsagent_certificate is an X.509 certificate, decoded.
struct tlsagent_certificate {
  const struct tlsagent_relative_name *subject;  // in the certificate's order
  size_t num_subject;
  const struct tlsagent_relative_name *issuer;
  size_t num_issuer;
  uint32_t version;           // 1, 2 or 3
  const char *serial_number;  // upper-case hexadecimal
  const char *not_before;     // "Jan  2 15:04:05 2030 GMT"
  const char *not_after;
  int64_t not_before_unix;  // seconds since 1970
  int64_t not_after_unix;
  const struct tlsagent_alternative_name *subject_alt_names;
  size_t num_subject_alt_names;
  const char *const *ocsp;  // OCSP responders
  size_t num_ocsp;
  const char *const *ca_issuers;  // where the issuer's certificate can be fetched
  size_t num_ca_issuers;
  const char *const *crl_distribution_points;
  size_t num_crl_distribution_points;
  struct tlsagent_bytes fingerprint_sha256;  // 32 bytes, of the DER
  struct tlsagent_bytes spki_sha256;         // 32 bytes, the "pin" of RFC 7469
  const char *key_type;                      // "RSA", "EC", "ED25519"
  uint32_t key_bits;
  const char *key_curve;            // "prime256v1", for EC
  const char *signature_algorithm;  // "sha256WithRSAEncryption"
  const char *const *key_usage;     // "digitalSignature"
  size_t num_key_usage;
  const char *const *extended_key_usage;
  size_t num_extended_key_usage;
  const struct tlsagent_basic_constraints *basic_constraints;  // NULL when absent
  struct tlsagent_bytes der;
  const char *pem;
  uint32_t subject_hash;     // as openssl-rehash(1) names files by
  const char *subject_text;  // RFC 2253
  const char *issuer_text;
  bool self_issued;
};

// struct tlsagent_certificate_decode_request asks to decode certificates.
struct tlsagent_certificate_decode_request {
  struct tlsagent_material certificates;  // PEM (other blocks and text are skipped) or DER
  uint32_t max_certificates;              // 1 to 256; 0 is taken as 256
};

// struct tlsagent_certificate_decode_reply has the certificates in the order of the input.
struct tlsagent_certificate_decode_reply {
  const struct tlsagent_certificate *certificates;
  size_t num_certificates;
  const struct tlsagent_tls_error *error;  // what could not be read; NULL when nothing
};

// tlsagent_certificate_decode decodes every certificate in the bytes. With an error, certificates
// before the bad one may still be in the reply.
TLSAGENT_API bool tlsagent_certificate_decode(
    struct tlsagent_client *client, struct tlsagent_certificate_decode_reply **out,
    const struct tlsagent_certificate_decode_request *request, uint32_t timeout_ms,
    struct tlsagent_error *error);

// enum tlsagent_verify_purpose says what a certificate is to be used for.
enum tlsagent_verify_purpose {
  TLSAGENT_PURPOSE_UNSPECIFIED = 0,  // no purpose is checked
  TLSAGENT_PURPOSE_TLS_SERVER = 1,
  TLSAGENT_PURPOSE_TLS_CLIENT = 2,
};

// struct tlsagent_certificate_verify_request asks to verify a chain.
struct tlsagent_certificate_verify_request {
  struct tlsagent_material chain;         // the certificate first, then intermediates in any order
  const struct tlsagent_material *trust;  // certificates to trust
  size_t num_trust;
  bool system_trust;  // trust the daemon's system store too
  const struct tlsagent_material *crls;
  size_t num_crls;
  const char *host;  // name or address that the certificate must be for
  enum tlsagent_verify_purpose purpose;
  uint64_t flags;                    // X509_V_FLAG_*
  struct tlsagent_optional at_unix;  // when, in seconds since 1970; not given: now
};

// struct tlsagent_verify_failure is one failed check.
struct tlsagent_verify_failure {
  int64_t code;         // X509_V_ERR_*
  const char *message;  // the same in words
};

// struct tlsagent_verify_depth is how one depth of a chain did.
struct tlsagent_verify_depth {
  uint32_t depth;                                  // 0 is the certificate itself
  const struct tlsagent_certificate *certificate;  // NULL when the chain didn't get that far
  const struct tlsagent_verify_failure *failures;
  size_t num_failures;
};

// struct tlsagent_certificate_verify_reply is how the chain did.
struct tlsagent_certificate_verify_reply {
  bool ok;  // whether every check passed
  const struct tlsagent_verify_depth *depths;
  size_t num_depths;
  const struct tlsagent_tls_error *error;  // what in the request could not be read; else NULL
};

// tlsagent_certificate_verify verifies a chain. A chain that doesn't verify is an answer: the
// function returns true and reply->ok is false. It returns false when there was nothing to verify.
TLSAGENT_API TLSAGENT_MUST_CHECK bool tlsagent_certificate_verify(
    struct tlsagent_client *client, struct tlsagent_certificate_verify_reply **out,
    const struct tlsagent_certificate_verify_request *request, uint32_t timeout_ms,
    struct tlsagent_error *error);

// -----------------------------------------------------------------------------------------------
// Contexts: the long-lived settings, certificates, keys and trust that sessions are made from. A
// context is a number; 0 is never one.

// enum tlsagent_context_kind says which roles a context is for.
enum tlsagent_context_kind {
  TLSAGENT_CONTEXT_UNSPECIFIED = 0,  // taken as BOTH
  TLSAGENT_CONTEXT_BOTH = 1,         // either role; verifies nothing unless told to
  TLSAGENT_CONTEXT_CLIENT = 2,  // clients; verifies the peer and its name unless told otherwise
  TLSAGENT_CONTEXT_SERVER = 3,  // servers
};

// enum tlsagent_verify_mode says whether the peer must show a good certificate.
enum tlsagent_verify_mode {
  TLSAGENT_VERIFY_UNSPECIFIED = 0,
  TLSAGENT_VERIFY_NONE = 1,      // any is taken; a server asks for none
  TLSAGENT_VERIFY_OPTIONAL = 2,  // one that is shown must be good
  TLSAGENT_VERIFY_REQUIRED = 3,  // one must be shown and be good
};

// struct tlsagent_alpn is the protocols to negotiate (RFC 7301).
struct tlsagent_alpn {
  const struct tlsagent_bytes *protocols;  // in order of preference; none at all: no ALPN
  size_t num_protocols;
  bool require_overlap;  // a server's: whether nothing in common ends the handshake
};

// struct tlsagent_decisions says which choices of a handshake the caller makes itself, each by
// TLSAGENT_STATE_WANT_DECISION.
struct tlsagent_decisions {
  bool server_name;
  bool psk_client;
  bool psk_server;
};

// struct tlsagent_event_settings says which events are reported in struct tlsagent_progress.
struct tlsagent_event_settings {
  bool key_log;   // lines of the key log: secrets
  bool messages;  // records, handshake messages and alerts
};

// struct tlsagent_context_settings is everything settable about a context. What isn't given keeps
// its value; context.proto names the OpenSSL page of each.
struct tlsagent_context_settings {
  struct tlsagent_optional min_version;  // enum tlsagent_protocol_version; default TLS 1.2
  struct tlsagent_optional max_version;  // enum tlsagent_protocol_version; default no bound
  const char *ciphers;                   // TLS 1.2 and below, in openssl-ciphers(1) syntax
  const char *ciphersuites;              // TLS 1.3, colon separated
  const char *groups;                    // key exchange, colon separated: "X25519:P-256"
  const char *signature_algorithms;
  const char *client_signature_algorithms;
  struct tlsagent_optional options;         // the whole set of SSL_OP_* bits
  struct tlsagent_optional verify_mode;     // enum tlsagent_verify_mode
  struct tlsagent_optional verify_flags;    // the whole set of X509_V_FLAG_* bits
  struct tlsagent_optional host_flags;      // the whole set of X509_CHECK_FLAG_* bits
  struct tlsagent_optional verify_depth;    // longest chain, in intermediates
  struct tlsagent_optional check_hostname;  // whether a client checks the server's name
  const struct tlsagent_alpn *alpn;         // NULL: not given
  struct tlsagent_optional num_tickets;     // TLS 1.3 tickets after a full handshake
  struct tlsagent_bytes session_id_context;
  struct tlsagent_optional session_timeout_seconds;
  struct tlsagent_optional session_cache_size;
  struct tlsagent_optional security_level;
  struct tlsagent_optional post_handshake_auth;
  struct tlsagent_material dh_params;  // PEM
  const char *psk_identity_hint;
  const struct tlsagent_decisions *decisions;    // NULL: not given
  const struct tlsagent_event_settings *events;  // NULL: not given
};

// struct tlsagent_certificate_pair is a certificate chain with its private key.
struct tlsagent_certificate_pair {
  struct tlsagent_material chain;  // PEM or DER: the own certificate first
  struct tlsagent_material key;    // PEM or DER; not given: it is in chain
  // The key's; data NULL: none, and an encrypted key is refused with reason "BAD_PASSWORD_READ".
  struct tlsagent_bytes password;
};

// struct tlsagent_trust is whom to trust.
struct tlsagent_trust {
  const struct tlsagent_material *certificates;
  size_t num_certificates;
  const struct tlsagent_material *crls;
  size_t num_crls;
  bool system;  // the daemon's system store
  // Descriptors of hashed directories, at most 4, searched as handshakes need them. Of users other
  // than the daemon's own and root they are refused (PERMISSION_DENIED): send the certificates.
  const struct tlsagent_material *directories;
  size_t num_directories;
};

// struct tlsagent_context_create_request asks for a context.
struct tlsagent_context_create_request {
  enum tlsagent_context_kind kind;
  struct tlsagent_context_settings settings;
  const struct tlsagent_certificate_pair *pairs;  // at most one of each key type
  size_t num_pairs;
  struct tlsagent_trust trust;  // not given: nobody, and so no peer verifies
  const char *name;             // a name under which the context outlives this client
};

// struct tlsagent_context_create_reply has the new context.
struct tlsagent_context_create_reply {
  uint64_t context;                        // 0 when error isn't NULL
  const struct tlsagent_tls_error *error;  // what was refused, and why; nothing was made
};

// tlsagent_context_create makes a context and stores it in *out_context, 0 on failure. Refused
// settings and keys are TLSAGENT_FAULT_TLS, with error->tls.item naming which.
TLSAGENT_API TLSAGENT_MUST_CHECK bool tlsagent_context_create(
    struct tlsagent_client *client, uint64_t *out_context,
    const struct tlsagent_context_create_request *request, uint32_t timeout_ms,
    struct tlsagent_error *error);

// struct tlsagent_context_configure_request asks to change a context.
struct tlsagent_context_configure_request {
  uint64_t context;
  struct tlsagent_context_settings settings;
  const struct tlsagent_certificate_pair *pairs;  // to add, or to replace one of the same key type
  size_t num_pairs;
  struct tlsagent_trust trust;  // to add
};

// struct tlsagent_context_configure_reply says whether the change was made.
struct tlsagent_context_configure_reply {
  const struct tlsagent_tls_error *error;  // what was refused; the context is as it was
};

// tlsagent_context_configure changes all that the request gives, or nothing.
TLSAGENT_API TLSAGENT_MUST_CHECK bool tlsagent_context_configure(
    struct tlsagent_client *client, const struct tlsagent_context_configure_request *request,
    uint32_t timeout_ms, struct tlsagent_error *error);

// struct tlsagent_cipher is one cipher suite, as openssl-ciphers(1) -v shows it.
struct tlsagent_cipher {
  uint32_t id;                // the two bytes on the wire in the low half
  const char *name;           // OpenSSL's name
  const char *standard_name;  // IANA's name
  const char *protocol;       // the first version that has it: "TLSv1.2"
  const char *description;
  uint32_t strength_bits;
  uint32_t algorithm_bits;
  bool aead;
  const char *symmetric;
  const char *digest;
  const char *key_exchange;
  const char *authentication;
};

// struct tlsagent_trust_counts is what a trust store holds.
struct tlsagent_trust_counts {
  uint32_t certificates;
  uint32_t crls;
  uint32_t ca_certificates;
};

// struct tlsagent_session_stats counts what a context's sessions did (SSL_CTX_sess_number(3)).
struct tlsagent_session_stats {
  uint64_t number;
  uint64_t connect;
  uint64_t connect_good;
  uint64_t connect_renegotiate;
  uint64_t accept;
  uint64_t accept_good;
  uint64_t accept_renegotiate;
  uint64_t hits;
  uint64_t misses;
  uint64_t timeouts;
  uint64_t cache_full;
};

// struct tlsagent_context_describe_reply is a context, less its secrets.
struct tlsagent_context_describe_reply {
  enum tlsagent_context_kind kind;
  struct tlsagent_context_settings settings;  // every setting that has a value
  const struct tlsagent_cipher *ciphers;      // in order, TLS 1.3 first
  size_t num_ciphers;
  const struct tlsagent_certificate *certificates;  // the own certificate of each pair
  size_t num_certificates;
  struct tlsagent_trust_counts trust;
  struct tlsagent_session_stats sessions;
  const char *name;  // empty when it ends with its client
};

// tlsagent_context_describe reads everything back that isn't secret.
TLSAGENT_API TLSAGENT_MUST_CHECK bool tlsagent_context_describe(
    struct tlsagent_client *client, struct tlsagent_context_describe_reply **out, uint64_t context,
    uint32_t timeout_ms, struct tlsagent_error *error);

// struct tlsagent_context_list_trust_request asks for the trusted certificates.
struct tlsagent_context_list_trust_request {
  uint64_t context;
  bool decode;  // whether each comes decoded too
};

// struct tlsagent_context_list_trust_reply has the trusted CA certificates.
struct tlsagent_context_list_trust_reply {
  const struct tlsagent_bytes *der;
  size_t num_der;
  const struct tlsagent_certificate *certificates;  // in the same order, when asked for
  size_t num_certificates;
};

// tlsagent_context_list_trust lists the trusted CA certificates of a context.
TLSAGENT_API TLSAGENT_MUST_CHECK bool tlsagent_context_list_trust(
    struct tlsagent_client *client, struct tlsagent_context_list_trust_reply **out,
    const struct tlsagent_context_list_trust_request *request, uint32_t timeout_ms,
    struct tlsagent_error *error);

// tlsagent_context_open stores a handle of the context of that name in *out_context, 0 on failure.
TLSAGENT_API TLSAGENT_MUST_CHECK bool tlsagent_context_open(struct tlsagent_client *client,
                                                            uint64_t *out_context, const char *name,
                                                            uint32_t timeout_ms,
                                                            struct tlsagent_error *error);

// tlsagent_context_release drops a handle. Sessions made from it go on; a name stays.
TLSAGENT_API bool tlsagent_context_release(struct tlsagent_client *client, uint64_t context,
                                           uint32_t timeout_ms, struct tlsagent_error *error);

// tlsagent_context_forget ends a name: the context goes with its last handle and session.
TLSAGENT_API bool tlsagent_context_forget(struct tlsagent_client *client, const char *name,
                                          uint32_t timeout_ms, struct tlsagent_error *error);

// -----------------------------------------------------------------------------------------------
// Sessions: one TLS connection each. A session is a number; 0 is never one.

// enum tlsagent_path says how ciphertext travels.
enum tlsagent_path {
  TLSAGENT_PATH_NONE = 0,
  TLSAGENT_PATH_MEMORY = 1,  // in calls: the caller moves it
  TLSAGENT_PATH_FD = 2,      // through a descriptor of the caller's: the daemon moves it
  TLSAGENT_PATH_DIAL = 3,    // through a connection that the daemon makes, if its policy allows
};

// struct tlsagent_feed is ciphertext from the peer, memory path. It isn't kept: what is beyond
// progress.input_consumed must come again with the next call.
struct tlsagent_feed {
  struct tlsagent_bytes data;
  bool eof;  // that the transport ended after data
};

// struct tlsagent_transport is how ciphertext travels; path says which fields count.
struct tlsagent_transport {
  enum tlsagent_path path;
  struct tlsagent_feed feed;  // MEMORY: what the peer sent so far
  int fd;                     // FD: a connected stream socket; the daemon gets a duplicate
  const char *host;           // DIAL
  uint32_t port;              // DIAL: 1 to 65535
  // FD: not empty, the socket waits under this token (tlsagent_session_descriptor_token()), and fd
  // doesn't count.
  struct tlsagent_bytes token;
};

// tlsagent_over_memory is the memory path. struct tlsagent_memory is easier.
static inline struct tlsagent_transport tlsagent_over_memory(void) {
  struct tlsagent_transport transport = {
      TLSAGENT_PATH_MEMORY, {{NULL, 0}, false}, 0, NULL, 0, {NULL, 0}};
  return transport;
}

// tlsagent_over_fd is the socket path over fd, which stays the caller's, open or closed. While the
// session lives, nobody else must read from or write to that socket.
static inline struct tlsagent_transport tlsagent_over_fd(int fd) {
  struct tlsagent_transport transport = {TLSAGENT_PATH_FD, {{NULL, 0}, false}, fd, NULL, 0,
                                         {NULL, 0}};
  return transport;
}

// tlsagent_over_dial is the socket path over a TCP connection that the daemon makes.
static inline struct tlsagent_transport tlsagent_over_dial(const char *host, uint32_t port) {
  struct tlsagent_transport transport = {TLSAGENT_PATH_DIAL, {{NULL, 0}, false}, 0, host, port,
                                         {NULL, 0}};
  return transport;
}

// enum tlsagent_decision_kind says what is to be decided.
enum tlsagent_decision_kind {
  TLSAGENT_DECISION_UNSPECIFIED = 0,
  TLSAGENT_DECISION_SERVER_NAME =
      1,                             // which context; tlsagent_session_set_context() may come first
  TLSAGENT_DECISION_PSK_CLIENT = 2,  // which identity and key
  TLSAGENT_DECISION_PSK_SERVER = 3,  // which key belongs to psk_identity
};

// struct tlsagent_decision is a choice that the handshake waits for. Here a text is NULL when
// absent.
struct tlsagent_decision {
  enum tlsagent_decision_kind kind;
  const char *server_name;
  const char *psk_hint;
  const char *psk_identity;
};

// enum tlsagent_answer says how a decision went.
enum tlsagent_answer {
  TLSAGENT_ANSWER_NONE = 0,
  TLSAGENT_ANSWER_PROCEED = 1,  // go on as if nobody had asked
  TLSAGENT_ANSWER_REFUSE = 2,   // end the handshake with alert
  TLSAGENT_ANSWER_PSK = 3,      // use this identity (clients) and key
};

// struct tlsagent_decision_answer answers a decision; answer says which fields count. PROCEED and
// REFUSE are for SERVER_NAME, PSK for the others; an empty key is none. What doesn't fit fails with
// TLSAGENT_RPC_INVALID_ARGUMENT and the decision stays; one that nobody waits for, with
// TLSAGENT_RPC_FAILED_PRECONDITION.
struct tlsagent_decision_answer {
  enum tlsagent_answer answer;
  uint32_t alert;
  const char *identity;
  struct tlsagent_bytes key;
};

// enum tlsagent_event_kind says what happened.
enum tlsagent_event_kind {
  TLSAGENT_EVENT_NONE = 0,
  TLSAGENT_EVENT_KEY_LOG = 1,
  TLSAGENT_EVENT_MESSAGE = 2,
};

// struct tlsagent_event is a line of the key log, or a record, handshake message or alert.
struct tlsagent_event {
  enum tlsagent_event_kind kind;
  const char *key_log;         // KEY_LOG: without its newline; a secret
  bool sent;                   // MESSAGE: sent or received
  uint32_t version;            // MESSAGE: by its number on the wire
  uint32_t content_type;       // MESSAGE: 22 handshake, 21 alert, 256 header, 257 inner type
  struct tlsagent_bytes data;  // MESSAGE
};

// struct tlsagent_progress is how an operation went.
struct tlsagent_progress {
  enum tlsagent_state state;
  struct tlsagent_bytes output;              // memory path: for the peer, whatever the state
  uint64_t input_consumed;                   // memory path: bytes of the feed that were taken
  const struct tlsagent_tls_error *error;    // exactly when state is FAILED, else NULL
  const struct tlsagent_decision *decision;  // exactly when state is WANT_DECISION, else NULL
  const struct tlsagent_event *events;       // in order
  size_t num_events;
};

// struct tlsagent_negotiated is what both sides agreed on.
struct tlsagent_negotiated {
  enum tlsagent_protocol_version version;
  const char *version_name;  // "TLSv1.3"
  struct tlsagent_cipher cipher;
  struct tlsagent_bytes alpn;  // len 0: none
  const char *server_name;     // empty: none
  bool resumed;
  const char *group;           // "x25519"; empty: none was used
  const char *peer_signature;  // "ECDSA+SHA256"; empty: the peer signed nothing
};

// struct tlsagent_peer is the peer as its certificate shows it.
struct tlsagent_peer {
  struct tlsagent_bytes der;
  const struct tlsagent_certificate *certificate;  // when asked for, else NULL
  int64_t verify_code;                             // 0 is good
  const char *verify_message;
};

// enum tlsagent_kernel_tls says whether the kernel is to do a connection's records in place of a
// relay. Experimental; session.proto says what such a socket is, and when one can be had.
enum tlsagent_kernel_tls {
  TLSAGENT_KERNEL_TLS_NEVER = 0,
  TLSAGENT_KERNEL_TLS_IF_POSSIBLE = 1,
  TLSAGENT_KERNEL_TLS_REQUIRED = 2,  // or TLSAGENT_RPC_FAILED_PRECONDITION
};

// struct tlsagent_relay_options is how a relay is to run.
struct tlsagent_relay_options {
  uint32_t idle_seconds;   // without a byte either way, after which the relay ends; 0: never
  uint32_t total_seconds;  // after which it ends in any case; 0: never
  bool forget;             // the session is closed by itself when the relay has ended
  enum tlsagent_kernel_tls kernel_tls;
  bool by_token;  // the descriptor waits under a token instead of coming with the reply
};

// struct tlsagent_session_relay_reply has the descriptor.
struct tlsagent_session_relay_reply {
  int fd;           // the caller's to close, close-on-exec; tlsagent_free() leaves it open
  bool kernel_tls;  // whether the kernel does the records and fd is the connection's own socket:
                    // read it by tlsagent_kernel_tls_read(), end it by tlsagent_kernel_tls_finish()
  const char *kernel_tls_why;   // why it doesn't, when that was wished; else empty
  struct tlsagent_bytes token;  // by_token: what the descriptor waits under, and fd is -1
};

// struct tlsagent_session_connect_request asks for a client session.
struct tlsagent_session_connect_request {
  uint64_t context;
  struct tlsagent_transport transport;
  const char *server_name;  // sent as SNI if a name, and checked against the certificate
  // From tlsagent_session_get_resumption() of this client and context; negotiated->resumed tells
  // whether it was of use.
  struct tlsagent_bytes resumption;
  struct tlsagent_optional wait_ms;  // how long to wait for the handshake, socket path
  bool decode_peer;                  // whether the peer's certificate comes decoded
  // Application data to send right after the handshake, on the socket path. After DONE all of it
  // was sent; when the wait ran out, bytes_written of tlsagent_session_describe() tells how much
  // was.
  struct tlsagent_bytes first_write;
  // Makes the session a relay once the handshake is done, socket path: the reply has the plaintext
  // descriptor. NULL: no.
  const struct tlsagent_relay_options *relay;
};

// struct tlsagent_session_accept_request asks for a server session.
struct tlsagent_session_accept_request {
  uint64_t context;
  struct tlsagent_transport transport;
  struct tlsagent_optional wait_ms;
  bool decode_peer;
  const struct tlsagent_relay_options *relay;  // as in struct tlsagent_session_connect_request
};

// struct tlsagent_session_connect_reply is a new session.
struct tlsagent_session_connect_reply {
  uint64_t session;  // 0 when it failed: it is gone, only its output remains to be sent
  struct tlsagent_progress progress;
  const struct tlsagent_negotiated *negotiated;  // when the handshake is done
  const struct tlsagent_peer *peer;  // when it showed a certificate, and is done or failed for that
  const struct tlsagent_session_relay_reply *relay;  // when one was asked for, and state is DONE
};

// tlsagent_session_connect opens a client session and takes it as far as it gets: on the socket
// path to the end of the handshake, on the memory path to the ClientHello. A failed handshake
// is TLSAGENT_FAULT_TLS, also when the peer closed the stream instead of shaking hands, and the
// reply is still set. The session ends with tlsagent_session_close(), or with its client.
TLSAGENT_API TLSAGENT_MUST_CHECK bool tlsagent_session_connect(
    struct tlsagent_client *client, struct tlsagent_session_connect_reply **out,
    const struct tlsagent_session_connect_request *request, uint32_t timeout_ms,
    struct tlsagent_error *error);

// struct tlsagent_session_accept_reply is a new session.
struct tlsagent_session_accept_reply {
  uint64_t session;  // 0 when it failed: it is gone, only its output remains to be sent
  struct tlsagent_progress progress;
  const struct tlsagent_negotiated *negotiated;  // when the handshake is done
  const struct tlsagent_peer *peer;  // when it is done and the client showed a certificate
  const struct tlsagent_session_relay_reply *relay;  // when one was asked for, and state is DONE
};

// tlsagent_session_accept opens a server session, the same way.
TLSAGENT_API TLSAGENT_MUST_CHECK bool tlsagent_session_accept(
    struct tlsagent_client *client, struct tlsagent_session_accept_reply **out,
    const struct tlsagent_session_accept_request *request, uint32_t timeout_ms,
    struct tlsagent_error *error);

// struct tlsagent_session_handshake_request asks to go on with a handshake.
struct tlsagent_session_handshake_request {
  uint64_t session;
  struct tlsagent_feed feed;         // memory path
  struct tlsagent_optional wait_ms;  // socket path
  struct tlsagent_decision_answer decision;
  bool decode_peer;
};

// struct tlsagent_session_handshake_reply is how far it got.
struct tlsagent_session_handshake_reply {
  struct tlsagent_progress progress;
  const struct tlsagent_negotiated *negotiated;
  const struct tlsagent_peer *peer;
};

// tlsagent_session_handshake goes on with the handshake. A failed session stays until it is closed.
TLSAGENT_API TLSAGENT_MUST_CHECK bool tlsagent_session_handshake(
    struct tlsagent_client *client, struct tlsagent_session_handshake_reply **out,
    const struct tlsagent_session_handshake_request *request, uint32_t timeout_ms,
    struct tlsagent_error *error);

// struct tlsagent_session_read_request asks for plaintext.
struct tlsagent_session_read_request {
  uint64_t session;
  uint32_t max_bytes;                // 0 is taken as 16384
  struct tlsagent_feed feed;         // memory path
  struct tlsagent_optional wait_ms;  // socket path; when it runs out the answer is WANT_READ
  struct tlsagent_decision_answer decision;
  uint32_t exact_bytes;  // memory path: take no more of feed than a reader of so many needs; 0: any
};

// struct tlsagent_session_read_reply has plaintext.
struct tlsagent_session_read_reply {
  struct tlsagent_progress progress;  // DONE with data, CLOSED at the clean end, or a want-state
  struct tlsagent_bytes data;
  uint32_t pending;  // bytes that are ready beside these
  bool more;         // whether the next Read has something to say without being fed
};

// tlsagent_session_read reads what there is, at least one byte.
TLSAGENT_API TLSAGENT_MUST_CHECK bool tlsagent_session_read(
    struct tlsagent_client *client, struct tlsagent_session_read_reply **out,
    const struct tlsagent_session_read_request *request, uint32_t timeout_ms,
    struct tlsagent_error *error);

// struct tlsagent_session_write_request gives plaintext.
struct tlsagent_session_write_request {
  uint64_t session;
  struct tlsagent_bytes data;        // at most TLSAGENT_FRAME_MAX less a few hundred bytes
  struct tlsagent_feed feed;         // memory path
  struct tlsagent_optional wait_ms;  // socket path; when it runs out the answer is WANT_WRITE
  struct tlsagent_decision_answer decision;
};

// struct tlsagent_session_write_reply is what became of it.
struct tlsagent_session_write_reply {
  struct tlsagent_progress progress;  // DONE when all was taken
  uint64_t accepted;                  // bytes that were taken; go on with the rest
};

// tlsagent_session_write writes plaintext.
TLSAGENT_API TLSAGENT_MUST_CHECK bool tlsagent_session_write(
    struct tlsagent_client *client, struct tlsagent_session_write_reply **out,
    const struct tlsagent_session_write_request *request, uint32_t timeout_ms,
    struct tlsagent_error *error);

// struct tlsagent_session_shutdown_request asks to end the stream.
struct tlsagent_session_shutdown_request {
  uint64_t session;
  struct tlsagent_feed feed;         // memory path
  struct tlsagent_optional wait_ms;  // socket path
  bool await_peer;  // whether to await the peer's close_notify; plaintext before it is thrown away
};

// struct tlsagent_session_shutdown_reply is how the stream ended.
struct tlsagent_session_shutdown_reply {
  struct tlsagent_progress progress;
  bool sent;                       // whether close_notify was sent
  bool received;                   // whether the peer's was received
  struct tlsagent_bytes trailing;  // socket path: the clear text that follows TLS
  uint64_t discarded;              // plaintext bytes thrown away by this call
};

// tlsagent_session_shutdown sends close_notify and, if asked, awaits the peer's. Reading goes on to
// work until the peer ends its side too.
TLSAGENT_API bool tlsagent_session_shutdown(struct tlsagent_client *client,
                                            struct tlsagent_session_shutdown_reply **out,
                                            const struct tlsagent_session_shutdown_request *request,
                                            uint32_t timeout_ms, struct tlsagent_error *error);

// struct tlsagent_session_describe_reply is how a session stands.
struct tlsagent_session_describe_reply {
  enum tlsagent_role role;
  enum tlsagent_state state;
  const struct tlsagent_negotiated *negotiated;  // after the handshake, else NULL
  const struct tlsagent_peer *peer;              // the same, when it showed a certificate
  const struct tlsagent_tls_error *error;        // why it failed, when it did, else NULL
  uint32_t pending;
  bool shutdown_sent;
  bool shutdown_received;
  uint64_t bytes_read;
  uint64_t bytes_written;
  const char *transport;  // "memory", "fd", "dial"
};

// tlsagent_session_describe tells what was negotiated and how the session stands. That the session
// failed earlier is an answer: the function returns true.
TLSAGENT_API TLSAGENT_MUST_CHECK bool tlsagent_session_describe(
    struct tlsagent_client *client, struct tlsagent_session_describe_reply **out, uint64_t session,
    uint32_t timeout_ms, struct tlsagent_error *error);

// struct tlsagent_session_peer_certificate_request asks for the peer's certificates.
struct tlsagent_session_peer_certificate_request {
  uint64_t session;
  bool decode;  // whether they come decoded too
};

// struct tlsagent_session_peer_certificate_reply has both chains, own certificate first.
struct tlsagent_session_peer_certificate_reply {
  const struct tlsagent_peer *peer;             // NULL when it showed none
  const struct tlsagent_bytes *verified_chain;  // the chain that verified; DER
  size_t num_verified_chain;
  const struct tlsagent_bytes *unverified_chain;  // the chain as it was sent; DER
  size_t num_unverified_chain;
  const struct tlsagent_certificate *verified_certificates;
  size_t num_verified_certificates;
  const struct tlsagent_certificate *unverified_certificates;
  size_t num_unverified_certificates;
};

// tlsagent_session_peer_certificate tells the peer's certificate and chains.
TLSAGENT_API TLSAGENT_MUST_CHECK bool tlsagent_session_peer_certificate(
    struct tlsagent_client *client, struct tlsagent_session_peer_certificate_reply **out,
    const struct tlsagent_session_peer_certificate_request *request, uint32_t timeout_ms,
    struct tlsagent_error *error);

// struct tlsagent_session_relay_request asks for a plaintext descriptor.
struct tlsagent_session_relay_request {
  uint64_t session;
  uint32_t idle_seconds;  // these as in struct tlsagent_relay_options
  uint32_t total_seconds;
  bool forget;
  enum tlsagent_kernel_tls kernel_tls;  // for sessions that were opened with that wish
  bool by_token;
};

// tlsagent_session_relay turns an established session of the socket path into a relay: plaintext by
// an ordinary descriptor.
TLSAGENT_API TLSAGENT_MUST_CHECK bool tlsagent_session_relay(
    struct tlsagent_client *client, struct tlsagent_session_relay_reply **out,
    const struct tlsagent_session_relay_request *request, uint32_t timeout_ms,
    struct tlsagent_error *error);

// TLSAGENT_KERNEL_TLS_RECORD is the most that a record brings, in bytes.
#define TLSAGENT_KERNEL_TLS_RECORD 16384U

// tlsagent_kernel_tls_read reads plaintext from a socket whose records the kernel does, passing
// over what isn't any: DONE with *out_len bytes, at least one; CLOSED after close_notify; WANT_READ
// when the socket doesn't block and has nothing now; else FAILED with *error: an alert, a stream
// that was cut off (TRUNCATED), new keys that this kernel doesn't take, a read that failed (OS).
// size is at least TLSAGENT_KERNEL_TLS_RECORD, or it fails with TLSAGENT_FAULT_USAGE; what is in
// buffer means something after DONE only. No daemon is asked, and any thread may.
TLSAGENT_API TLSAGENT_MUST_CHECK enum tlsagent_state tlsagent_kernel_tls_read(
    int fd, size_t *out_len, void *buffer, size_t size, struct tlsagent_error *error);

// tlsagent_kernel_tls_finish sends close_notify on such a socket and ends its own direction.
// Reading goes on. A write that is cut short by a full socket that doesn't block fails with EAGAIN
// in error->tls.os_errno, and can be tried again.
TLSAGENT_API TLSAGENT_MUST_CHECK bool tlsagent_kernel_tls_finish(int fd,
                                                                 struct tlsagent_error *error);

// struct tlsagent_session_descriptor_token_reply has a token, good once.
struct tlsagent_session_descriptor_token_reply {
  struct tlsagent_bytes token;  // 16 bytes. A secret
  uint32_t milliseconds;        // how long it is good for
};

// tlsagent_session_descriptor_token makes a token by which one descriptor can come to the daemon
// beside calls, as gRPC's clients need it; here descriptors come with calls, without one. How one
// is put under it, session.proto says.
TLSAGENT_API TLSAGENT_MUST_CHECK bool tlsagent_session_descriptor_token(
    struct tlsagent_client *client, struct tlsagent_session_descriptor_token_reply **out,
    uint32_t timeout_ms, struct tlsagent_error *error);

// struct tlsagent_session_wait_end_reply is how a relay ended.
struct tlsagent_session_wait_end_reply {
  // CLOSED after close_notify both ways, DONE when the kernel has the connection, else FAILED.
  enum tlsagent_state state;
  const struct tlsagent_tls_error *error;
  uint64_t bytes_read;
  uint64_t bytes_written;
  uint64_t milliseconds;
};

// tlsagent_session_wait_end waits for a relay's end. A relay that failed is TLSAGENT_FAULT_TLS.
TLSAGENT_API TLSAGENT_MUST_CHECK bool tlsagent_session_wait_end(
    struct tlsagent_client *client, struct tlsagent_session_wait_end_reply **out, uint64_t session,
    uint32_t timeout_ms, struct tlsagent_error *error);

// struct tlsagent_session_set_context_request asks to switch context.
struct tlsagent_session_set_context_request {
  uint64_t session;
  uint64_t context;
};

// tlsagent_session_set_context puts a session that awaits the server-name decision, or has not
// started, on another context.
TLSAGENT_API TLSAGENT_MUST_CHECK bool tlsagent_session_set_context(
    struct tlsagent_client *client, const struct tlsagent_session_set_context_request *request,
    uint32_t timeout_ms, struct tlsagent_error *error);

// struct tlsagent_session_export_keying_material_request asks for keying material.
struct tlsagent_session_export_keying_material_request {
  uint64_t session;
  const char *label;                    // 1 to 249 bytes
  struct tlsagent_bytes context_value;  // data NULL: absent, which TLS 1.2 tells from empty
  uint32_t length;                      // 1 to 4096
};

// struct tlsagent_session_export_keying_material_reply has it. It is a secret.
struct tlsagent_session_export_keying_material_reply {
  struct tlsagent_bytes data;
  const struct tlsagent_tls_error *error;
};

// tlsagent_session_export_keying_material derives keying material bound to the session (RFC 5705).
TLSAGENT_API TLSAGENT_MUST_CHECK bool tlsagent_session_export_keying_material(
    struct tlsagent_client *client, struct tlsagent_session_export_keying_material_reply **out,
    const struct tlsagent_session_export_keying_material_request *request, uint32_t timeout_ms,
    struct tlsagent_error *error);

// enum tlsagent_channel_binding_kind says which channel binding.
enum tlsagent_channel_binding_kind {
  TLSAGENT_CHANNEL_BINDING_UNSPECIFIED = 0,
  TLSAGENT_CHANNEL_BINDING_TLS_UNIQUE = 1,
  TLSAGENT_CHANNEL_BINDING_TLS_EXPORTER = 2,
  TLSAGENT_CHANNEL_BINDING_TLS_SERVER_END_POINT = 3,
};

// struct tlsagent_session_channel_binding_request asks for a channel binding.
struct tlsagent_session_channel_binding_request {
  uint64_t session;
  enum tlsagent_channel_binding_kind kind;
};

// struct tlsagent_session_channel_binding_reply has it.
struct tlsagent_session_channel_binding_reply {
  struct tlsagent_bytes data;  // data NULL: there is none (before the handshake, or of this kind)
};

// tlsagent_session_channel_binding tells the session's channel binding (RFC 5929, RFC 9266).
TLSAGENT_API TLSAGENT_MUST_CHECK bool tlsagent_session_channel_binding(
    struct tlsagent_client *client, struct tlsagent_session_channel_binding_reply **out,
    const struct tlsagent_session_channel_binding_request *request, uint32_t timeout_ms,
    struct tlsagent_error *error);

// struct tlsagent_session_get_resumption_reply is a session to resume.
struct tlsagent_session_get_resumption_reply {
  struct tlsagent_bytes resumption;  // data NULL: the handshake is not done yet
  struct tlsagent_bytes id;
  int64_t time;     // when it was made, seconds since 1970
  int64_t timeout;  // its lifetime in seconds
  uint64_t ticket_lifetime_hint;
  bool has_ticket;
};

// tlsagent_session_get_resumption gives what a later tlsagent_session_connect() on the same context
// resumes from. In TLS 1.3 that takes a ticket, which comes with a read.
TLSAGENT_API TLSAGENT_MUST_CHECK bool tlsagent_session_get_resumption(
    struct tlsagent_client *client, struct tlsagent_session_get_resumption_reply **out,
    uint64_t session, uint32_t timeout_ms, struct tlsagent_error *error);

// struct tlsagent_session_request_client_certificate_reply says whether it could be asked.
struct tlsagent_session_request_client_certificate_reply {
  struct tlsagent_progress progress;
};

// tlsagent_session_request_client_certificate asks a TLS 1.3 client for its certificate after the
// handshake; the request goes out with the next output.
TLSAGENT_API TLSAGENT_MUST_CHECK bool tlsagent_session_request_client_certificate(
    struct tlsagent_client *client, struct tlsagent_session_request_client_certificate_reply **out,
    uint64_t session, uint32_t timeout_ms, struct tlsagent_error *error);

// struct tlsagent_session_update_keys_request asks for new traffic keys.
struct tlsagent_session_update_keys_request {
  uint64_t session;
  bool request_peer;  // whether the peer is to change its keys too
};

// struct tlsagent_session_update_keys_reply says whether they could be changed.
struct tlsagent_session_update_keys_reply {
  struct tlsagent_progress progress;
};

// tlsagent_session_update_keys changes the traffic keys of a TLS 1.3 session with the next output.
TLSAGENT_API TLSAGENT_MUST_CHECK bool tlsagent_session_update_keys(
    struct tlsagent_client *client, struct tlsagent_session_update_keys_reply **out,
    const struct tlsagent_session_update_keys_request *request, uint32_t timeout_ms,
    struct tlsagent_error *error);

// struct tlsagent_session_shared_ciphers_reply has the ciphers in the server's order.
struct tlsagent_session_shared_ciphers_reply {
  const struct tlsagent_cipher *ciphers;
  size_t num_ciphers;
};

// tlsagent_session_shared_ciphers lists the ciphers that both sides offer; servers only.
TLSAGENT_API TLSAGENT_MUST_CHECK bool tlsagent_session_shared_ciphers(
    struct tlsagent_client *client, struct tlsagent_session_shared_ciphers_reply **out,
    uint64_t session, uint32_t timeout_ms, struct tlsagent_error *error);

// tlsagent_session_close ends a session: calls in flight end, the transport is closed. It sends
// nothing: tlsagent_session_shutdown() first, so that the peer can tell the end from a cut.
TLSAGENT_API bool tlsagent_session_close(struct tlsagent_client *client, uint64_t session,
                                         uint32_t timeout_ms, struct tlsagent_error *error);

// -----------------------------------------------------------------------------------------------
// Listeners whose connections the daemon relays by itself: TLS on one side, plaintext on the other.

// enum tlsagent_target_kind says what kind of address a listener's connections go on to.
enum tlsagent_target_kind {
  TLSAGENT_TARGET_NONE = 0,
  TLSAGENT_TARGET_TCP = 1,
  TLSAGENT_TARGET_UNIX = 2,
};

// struct tlsagent_target is where they go on to; kind says which fields count. The daemon must
// allow it (--allow-dial).
struct tlsagent_target {
  enum tlsagent_target_kind kind;
  const char *host;       // TCP
  uint32_t port;          // TCP: 1 to 65535
  const char *unix_path;  // UNIX: absolute
};

// struct tlsagent_relay_listen_request asks for a listener.
struct tlsagent_relay_listen_request {
  uint64_t context;
  enum tlsagent_role role;  // SERVER: TLS with who connects. CLIENT: TLS with the target
  int fd;                   // a listening stream socket; the daemon gets a duplicate
  struct tlsagent_target to;
  const char *server_name;     // CLIENT: whom to ask for and to verify; the host of to when NULL
  bool proxy_protocol;         // SERVER: begin with a PROXY protocol header, version 2
  uint32_t handshake_seconds;  // for the handshake; 0: 10
  uint32_t idle_seconds;       // without a byte either way, after which one ends; 0: never
  uint32_t total_seconds;      // after which one ends in any case; 0: never
  uint32_t max_connections;    // at a time; 0: what the limit of sessions allows
  bool keep_ends;              // for tlsagent_relay_next()
  struct tlsagent_bytes fd_token;  // not empty: the socket waits under this token; fd doesn't count
};

// struct tlsagent_relay_listen_reply has its handle.
struct tlsagent_relay_listen_reply {
  uint64_t listener;
};

// tlsagent_relay_listen begins to accept. The listener ends with tlsagent_relay_close() or with its
// client; its connections are closed then.
TLSAGENT_API TLSAGENT_MUST_CHECK bool tlsagent_relay_listen(
    struct tlsagent_client *client, struct tlsagent_relay_listen_reply **out,
    const struct tlsagent_relay_listen_request *request, uint32_t timeout_ms,
    struct tlsagent_error *error);

// struct tlsagent_relay_describe_reply is what a listener has done.
struct tlsagent_relay_describe_reply {
  uint64_t accepted;
  uint64_t active;             // now, handshakes included
  uint64_t established;        // both ends were joined
  uint64_t handshakes_failed;  // or took too long
  uint64_t dials_failed;
  uint64_t refused;        // a limit was reached
  uint64_t bytes_read;     // plaintext from TLS peers, of those that have ended
  uint64_t bytes_written;  // plaintext to TLS peers, of those that have ended
};

// tlsagent_relay_describe tells what a listener has done so far.
TLSAGENT_API TLSAGENT_MUST_CHECK bool tlsagent_relay_describe(
    struct tlsagent_client *client, struct tlsagent_relay_describe_reply **out, uint64_t listener,
    uint32_t timeout_ms, struct tlsagent_error *error);

// enum tlsagent_relay_stage says how far a connection came.
enum tlsagent_relay_stage {
  TLSAGENT_RELAY_STAGE_UNSPECIFIED = 0,
  TLSAGENT_RELAY_STAGE_REFUSED = 1,    // a limit was reached
  TLSAGENT_RELAY_STAGE_HANDSHAKE = 2,  // its TLS handshake failed
  TLSAGENT_RELAY_STAGE_DIAL = 3,       // its target could not be reached
  TLSAGENT_RELAY_STAGE_RELAYED = 4,    // both ends were joined
};

// struct tlsagent_relayed_connection is one connection that has ended.
struct tlsagent_relayed_connection {
  const char *peer;  // "192.0.2.1:4711", "[2001:db8::1]:4711", "unix"
  enum tlsagent_relay_stage stage;
  const struct tlsagent_negotiated *negotiated;  // when the handshake was done
  const struct tlsagent_session_wait_end_reply *end;
};

// struct tlsagent_relay_next_reply has the records of connections that have ended, at least one.
struct tlsagent_relay_next_reply {
  const struct tlsagent_relayed_connection *ends;
  size_t num_ends;
  uint64_t lost;  // since the last answer, because nobody fetched them
};

// tlsagent_relay_next waits until a connection has ended.
TLSAGENT_API TLSAGENT_MUST_CHECK bool tlsagent_relay_next(struct tlsagent_client *client,
                                                          struct tlsagent_relay_next_reply **out,
                                                          uint64_t listener, uint32_t timeout_ms,
                                                          struct tlsagent_error *error);

// tlsagent_relay_close stops accepting, and closes the listener's connections.
TLSAGENT_API bool tlsagent_relay_close(struct tlsagent_client *client, uint64_t listener,
                                       uint32_t timeout_ms, struct tlsagent_error *error);

// -----------------------------------------------------------------------------------------------
// Streams: the socket path with the caller's buffer, as read(2) and write(2) have it.

// tlsagent_session_read_into reads up to size bytes into buffer and stores how many in *out_len. It
// returns DONE with at least one byte, CLOSED at the clean end of the stream, or FAILED with
// *error; after TLSAGENT_FAULT_DEADLINE nothing is lost and it can be called again.
TLSAGENT_API TLSAGENT_MUST_CHECK enum tlsagent_state tlsagent_session_read_into(
    struct tlsagent_client *client, size_t *out_len, uint64_t session, void *buffer, size_t size,
    uint32_t timeout_ms, struct tlsagent_error *error);

// tlsagent_session_write_all writes all len bytes at data, in as many calls as it takes. On failure
// *out_written, which may be NULL, says how many bytes were taken, also after
// TLSAGENT_FAULT_DEADLINE: it can be called again with the rest.
TLSAGENT_API TLSAGENT_MUST_CHECK bool tlsagent_session_write_all(struct tlsagent_client *client,
                                                                 size_t *out_written,
                                                                 uint64_t session, const void *data,
                                                                 size_t len, uint32_t timeout_ms,
                                                                 struct tlsagent_error *error);

// -----------------------------------------------------------------------------------------------
// Memory sessions: the caller moves the ciphertext; the object keeps what isn't used up yet.
//
// The loop of a client that has its own transport:
//
//   while ((state = tlsagent_memory_handshake(memory, 0, &error)) == TLSAGENT_STATE_WANT_READ) {
//     my_send(tlsagent_memory_take(memory, &len), len);  tlsagent_memory_taken(memory, len);
//     n = my_receive(buffer);                            tlsagent_memory_give(memory, buffer, n);
//   }
//   my_send(tlsagent_memory_take(memory, &len), len);  // whatever the state: an alert may be in it
//
// An event loop uses tlsagent_memory_feed() and tlsagent_memory_absorb() with tlsagent_submit().

struct tlsagent_memory;

// tlsagent_memory_connect opens a client session on the memory path; request->transport is ignored.
// The result is the caller's, who gives it to tlsagent_memory_free(). It returns NULL when the
// daemon gave no session; there is then nothing to send.
TLSAGENT_API TLSAGENT_MUST_CHECK struct tlsagent_memory *tlsagent_memory_connect(
    struct tlsagent_client *client, const struct tlsagent_session_connect_request *request,
    uint32_t timeout_ms, struct tlsagent_error *error);

// tlsagent_memory_accept opens a server session on the memory path, the same way.
TLSAGENT_API TLSAGENT_MUST_CHECK struct tlsagent_memory *tlsagent_memory_accept(
    struct tlsagent_client *client, const struct tlsagent_session_accept_request *request,
    uint32_t timeout_ms, struct tlsagent_error *error);

// tlsagent_memory_adopt keeps the buffers of a session that tlsagent_submit() opened; NULL without
// memory. It owns the session from then on.
TLSAGENT_API TLSAGENT_MUST_CHECK struct tlsagent_memory *tlsagent_memory_adopt(
    struct tlsagent_client *client, uint64_t session);

// tlsagent_memory_free has the session closed, without waiting for it, and frees memory; NULL is
// fine. Free it before its client is closed.
TLSAGENT_API void tlsagent_memory_free(struct tlsagent_memory *memory);

// tlsagent_memory_session returns the session, for tlsagent_session_describe() and the like.
TLSAGENT_API uint64_t tlsagent_memory_session(const struct tlsagent_memory *memory);

// tlsagent_memory_give adds len bytes of ciphertext from the peer, and copies them. It returns
// false, and takes nothing, without memory.
TLSAGENT_API TLSAGENT_MUST_CHECK bool tlsagent_memory_give(struct tlsagent_memory *memory,
                                                           const void *data, size_t len);

// tlsagent_memory_give_eof says that the transport ended after what was given.
TLSAGENT_API void tlsagent_memory_give_eof(struct tlsagent_memory *memory);

// tlsagent_memory_take returns the ciphertext to send and stores its length in *out_len. The bytes
// stay until tlsagent_memory_taken(), and the pointer is good until the next call on memory.
TLSAGENT_API const uint8_t *tlsagent_memory_take(const struct tlsagent_memory *memory,
                                                 size_t *out_len);

// tlsagent_memory_taken drops the first len bytes of what tlsagent_memory_take() shows: they are
// sent.
TLSAGENT_API void tlsagent_memory_taken(struct tlsagent_memory *memory, size_t len);

// tlsagent_memory_unused returns the ciphertext that was given and not used, and stores its length
// in *out_len: after a clean end that is the clear text that follows TLS.
TLSAGENT_API const uint8_t *tlsagent_memory_unused(const struct tlsagent_memory *memory,
                                                   size_t *out_len);

// tlsagent_memory_handshake goes on with the handshake. It returns DONE, WANT_READ (give more),
// WANT_DECISION, or FAILED with *error, also when the peer closed the stream before it was open.
// Whatever it returns, there may be output to take; this holds for the following verbs too.
TLSAGENT_API TLSAGENT_MUST_CHECK enum tlsagent_state tlsagent_memory_handshake(
    struct tlsagent_memory *memory, uint32_t timeout_ms, struct tlsagent_error *error);

// tlsagent_memory_read reads up to size bytes into buffer and stores how many in *out_len. It
// returns DONE with at least one byte, CLOSED at the clean end, WANT_READ (give more), or FAILED
// with *error.
TLSAGENT_API TLSAGENT_MUST_CHECK enum tlsagent_state tlsagent_memory_read(
    struct tlsagent_memory *memory, size_t *out_len, void *buffer, size_t size, uint32_t timeout_ms,
    struct tlsagent_error *error);

// tlsagent_memory_write writes len bytes and stores how many were taken in *out_accepted. It
// returns DONE when all were, and FAILED with *error. After WANT_READ (give more) and WANT_WRITE
// (send the output) it is called again with the rest.
TLSAGENT_API TLSAGENT_MUST_CHECK enum tlsagent_state tlsagent_memory_write(
    struct tlsagent_memory *memory, size_t *out_accepted, const void *data, size_t len,
    uint32_t timeout_ms, struct tlsagent_error *error);

// tlsagent_memory_shutdown sends close_notify and, with await_peer, goes on to the peer's. It
// returns DONE, WANT_READ (give more), or FAILED with *error.
TLSAGENT_API TLSAGENT_MUST_CHECK enum tlsagent_state tlsagent_memory_shutdown(
    struct tlsagent_memory *memory, bool await_peer, uint32_t timeout_ms,
    struct tlsagent_error *error);

// tlsagent_memory_progress returns the progress of the last verb on memory: the decision that is
// wanted, and events. It is NULL before the first one, and good until the next one.
TLSAGENT_API const struct tlsagent_progress *tlsagent_memory_progress(
    const struct tlsagent_memory *memory);

// tlsagent_memory_decide has the next verb carry answer. What answer points to has to live as long.
TLSAGENT_API void tlsagent_memory_decide(struct tlsagent_memory *memory,
                                         const struct tlsagent_decision_answer *answer);

// tlsagent_memory_feed returns the feed for a request that the caller submits. It views the given
// bytes: give nothing more until tlsagent_submit() has returned.
TLSAGENT_API struct tlsagent_feed tlsagent_memory_feed(const struct tlsagent_memory *memory);

// tlsagent_memory_absorb drops the input that progress says was used and queues its output. Every
// reply to a request with that feed goes through it, in order, failed ones too. It returns false
// without memory, when the session can only be given up.
TLSAGENT_API TLSAGENT_MUST_CHECK bool tlsagent_memory_absorb(
    struct tlsagent_memory *memory, const struct tlsagent_progress *progress);

// -----------------------------------------------------------------------------------------------
// The agent itself.

// tlsagent_agent_ping sends len bytes, which may be none, and checks that they come back.
TLSAGENT_API bool tlsagent_agent_ping(struct tlsagent_client *client, const void *payload,
                                      size_t len, uint32_t timeout_ms,
                                      struct tlsagent_error *error);

// struct tlsagent_agent_hello_reply is who the caller is.
struct tlsagent_agent_hello_reply {
  struct tlsagent_bytes token;  // TLSAGENT_TOKEN_LENGTH bytes
  const char *version;          // the daemon's
  uint32_t uid;                 // the user id that the daemon sees
  const char *identity;         // who it is instead, of clients by TCP; "" of a user
};

// tlsagent_agent_hello tells who the caller is. tlsagent_client_open() has asked already.
TLSAGENT_API TLSAGENT_MUST_CHECK bool tlsagent_agent_hello(struct tlsagent_client *client,
                                                           struct tlsagent_agent_hello_reply **out,
                                                           uint32_t timeout_ms,
                                                           struct tlsagent_error *error);

// struct tlsagent_capability is a thing that a build, a library or a kernel may have or not.
struct tlsagent_capability {
  const char *name;  // "ktls", "dial", "tls1.3" (whether it is compiled in)
  bool available;
  const char *detail;  // why not, or what else is worth knowing
};

// struct tlsagent_constant is a named number of the daemon's OpenSSL: "SSL_OP_NO_TICKET".
struct tlsagent_constant {
  const char *name;
  int64_t value;
};

// struct tlsagent_verify_paths is OpenSSL's compiled-in places for trust.
struct tlsagent_verify_paths {
  const char *file_env;
  const char *file;
  const char *directory_env;
  const char *directory;
};

// struct tlsagent_context_defaults is what a context of a kind begins with.
struct tlsagent_context_defaults {
  enum tlsagent_context_kind kind;
  struct tlsagent_context_settings settings;  // as tlsagent_context_describe() tells them
};

// struct tlsagent_agent_info_reply is what the daemon can do.
struct tlsagent_agent_info_reply {
  const char *version;
  const char *openssl_version;
  uint64_t openssl_version_number;
  uint64_t openssl_build_version_number;
  const char *const *groups;
  size_t num_groups;
  const struct tlsagent_capability *capabilities;
  size_t num_capabilities;
  const struct tlsagent_constant *constants;
  size_t num_constants;
  const char *default_ciphers;
  struct tlsagent_verify_paths verify_paths;
  uint32_t workers;
  uint64_t uptime_seconds;
  const struct tlsagent_agent_lookup_object_reply *objects;  // serverAuth and clientAuth
  size_t num_objects;
  const struct tlsagent_context_defaults *context_defaults;  // one of each kind
  size_t num_context_defaults;
};

// tlsagent_agent_info tells what this build, library and kernel can do.
TLSAGENT_API TLSAGENT_MUST_CHECK bool tlsagent_agent_info(struct tlsagent_client *client,
                                                          struct tlsagent_agent_info_reply **out,
                                                          uint32_t timeout_ms,
                                                          struct tlsagent_error *error);

// struct tlsagent_limit is one limit.
struct tlsagent_limit {
  const char *name;  // as --limit takes it
  uint64_t value;
  uint64_t memory_bytes;  // the most that it can cost
  const char *text;       // what it bounds
};

// struct tlsagent_agent_limits_reply is every limit.
struct tlsagent_agent_limits_reply {
  const struct tlsagent_limit *limits;
  size_t num_limits;
  uint64_t memory_bytes;  // their sum: the daemon's memory ceiling
};

// tlsagent_agent_limits lists every limit with its value and what it can cost.
TLSAGENT_API TLSAGENT_MUST_CHECK bool tlsagent_agent_limits(
    struct tlsagent_client *client, struct tlsagent_agent_limits_reply **out, uint32_t timeout_ms,
    struct tlsagent_error *error);

// struct tlsagent_counter is one counter.
struct tlsagent_counter {
  const char *name;
  uint64_t value;
};

// struct tlsagent_agent_counters_reply is every counter, in a fixed order.
struct tlsagent_agent_counters_reply {
  const struct tlsagent_counter *counters;
  size_t num_counters;
};

// tlsagent_agent_counters lists what the daemon counted since its start.
TLSAGENT_API TLSAGENT_MUST_CHECK bool tlsagent_agent_counters(
    struct tlsagent_client *client, struct tlsagent_agent_counters_reply **out, uint32_t timeout_ms,
    struct tlsagent_error *error);

// tlsagent_agent_cancel cancels a call of this connection by the id that tlsagent_submit()
// returned. It ends with CANCELLED unless it was faster; *out_found, which may be NULL, says
// whether it was in flight.
TLSAGENT_API bool tlsagent_agent_cancel(struct tlsagent_client *client, bool *out_found,
                                        uint32_t call_id, uint32_t timeout_ms,
                                        struct tlsagent_error *error);

// struct tlsagent_agent_random_bytes_reply has random bytes.
struct tlsagent_agent_random_bytes_reply {
  struct tlsagent_bytes data;
  const struct tlsagent_tls_error *error;
};

// tlsagent_agent_random_bytes fills buffer with size strong random bytes, at most 65,536.
TLSAGENT_API TLSAGENT_MUST_CHECK bool tlsagent_agent_random_bytes(struct tlsagent_client *client,
                                                                  void *buffer, size_t size,
                                                                  uint32_t timeout_ms,
                                                                  struct tlsagent_error *error);

// tlsagent_agent_add_entropy mixes len bytes, at most 65,536, into the daemon's random generator.
TLSAGENT_API bool tlsagent_agent_add_entropy(struct tlsagent_client *client, const void *data,
                                             size_t len, uint32_t timeout_ms,
                                             struct tlsagent_error *error);

// enum tlsagent_object_by says how an ASN.1 object is named.
enum tlsagent_object_by {
  TLSAGENT_OBJECT_BY_NONE = 0,
  TLSAGENT_OBJECT_BY_NID = 1,   // nid: OpenSSL's number
  TLSAGENT_OBJECT_BY_TEXT = 2,  // text: short name, long name or dotted OID
  TLSAGENT_OBJECT_BY_OID = 3,   // text: dotted OID and nothing else
};

// struct tlsagent_agent_lookup_object_request asks for an ASN.1 object.
struct tlsagent_agent_lookup_object_request {
  enum tlsagent_object_by by;
  int32_t nid;
  const char *text;
};

// struct tlsagent_agent_lookup_object_reply is an ASN.1 object.
struct tlsagent_agent_lookup_object_reply {
  bool found;  // whether it is known; the rest is empty when not
  int32_t nid;
  const char *short_name;
  const char *long_name;
  const char *oid;
};

// tlsagent_agent_lookup_object looks up an ASN.1 object. An unknown one is an answer: found is
// false.
TLSAGENT_API TLSAGENT_MUST_CHECK bool tlsagent_agent_lookup_object(
    struct tlsagent_client *client, struct tlsagent_agent_lookup_object_reply **out,
    const struct tlsagent_agent_lookup_object_request *request, uint32_t timeout_ms,
    struct tlsagent_error *error);

// -----------------------------------------------------------------------------------------------
// Event loops: submit any number of calls, poll when the descriptor is ready, be called back.
//
// The functions above are these with a wait, and may be mixed with them: while a blocking call
// waits, it also runs callbacks of calls that were submitted on the same connection.

// struct tlsagent_handle_request is the request of the methods that take one handle.
struct tlsagent_handle_request {
  uint64_t handle;
};

// struct tlsagent_name_request is the request of the methods that take one name.
struct tlsagent_name_request {
  const char *name;
};

// struct tlsagent_bytes_request is the request of the methods that take bytes.
struct tlsagent_bytes_request {
  struct tlsagent_bytes bytes;
};

// struct tlsagent_number_request is the request of the methods that take a small number.
struct tlsagent_number_request {
  uint32_t number;
};

// struct tlsagent_agent_ping_reply has the bytes that were sent.
struct tlsagent_agent_ping_reply {
  struct tlsagent_bytes payload;
};

// struct tlsagent_agent_cancel_reply says whether there was such a call.
struct tlsagent_agent_cancel_reply {
  bool found;
};

// struct tlsagent_context_open_reply has a handle.
struct tlsagent_context_open_reply {
  uint64_t context;
};

// struct tlsagent_empty is a request or reply that says nothing.
struct tlsagent_empty {
  char nothing;
};

// enum tlsagent_method names every rpc. Unless the comment says otherwise, the method X_Y takes a
// struct tlsagent_x_y_request and gives a struct tlsagent_x_y_reply.
enum tlsagent_method {
  TLSAGENT_AGENT_PING,          // tlsagent_bytes_request
  TLSAGENT_AGENT_HELLO,         // tlsagent_empty
  TLSAGENT_AGENT_INFO,          // tlsagent_empty
  TLSAGENT_AGENT_LIMITS,        // tlsagent_empty
  TLSAGENT_AGENT_COUNTERS,      // tlsagent_empty
  TLSAGENT_AGENT_CANCEL,        // tlsagent_number_request: the call's id
  TLSAGENT_AGENT_RANDOM_BYTES,  // tlsagent_number_request: how many
  TLSAGENT_AGENT_ADD_ENTROPY,   // tlsagent_bytes_request; replies tlsagent_empty
  TLSAGENT_AGENT_LOOKUP_OBJECT,
  TLSAGENT_CERTIFICATE_DECODE,
  TLSAGENT_CERTIFICATE_VERIFY,
  TLSAGENT_CONTEXT_CREATE,
  TLSAGENT_CONTEXT_CONFIGURE,
  TLSAGENT_CONTEXT_DESCRIBE,  // tlsagent_handle_request
  TLSAGENT_CONTEXT_LIST_TRUST,
  TLSAGENT_CONTEXT_OPEN,     // tlsagent_name_request
  TLSAGENT_CONTEXT_RELEASE,  // tlsagent_handle_request; replies tlsagent_empty
  TLSAGENT_CONTEXT_FORGET,   // tlsagent_name_request; replies tlsagent_empty
  TLSAGENT_SESSION_CONNECT,
  TLSAGENT_SESSION_ACCEPT,
  TLSAGENT_SESSION_HANDSHAKE,
  TLSAGENT_SESSION_READ,
  TLSAGENT_SESSION_WRITE,
  TLSAGENT_SESSION_SHUTDOWN,
  TLSAGENT_SESSION_DESCRIBE,  // tlsagent_handle_request
  TLSAGENT_SESSION_PEER_CERTIFICATE,
  TLSAGENT_SESSION_RELAY,
  TLSAGENT_SESSION_WAIT_END,     // tlsagent_handle_request
  TLSAGENT_SESSION_SET_CONTEXT,  // replies tlsagent_empty
  TLSAGENT_SESSION_EXPORT_KEYING_MATERIAL,
  TLSAGENT_SESSION_CHANNEL_BINDING,
  TLSAGENT_SESSION_GET_RESUMPTION,              // tlsagent_handle_request
  TLSAGENT_SESSION_REQUEST_CLIENT_CERTIFICATE,  // tlsagent_handle_request
  TLSAGENT_SESSION_UPDATE_KEYS,
  TLSAGENT_SESSION_SHARED_CIPHERS,  // tlsagent_handle_request
  TLSAGENT_SESSION_CLOSE,           // tlsagent_handle_request; replies tlsagent_empty
  TLSAGENT_RELAY_LISTEN,
  TLSAGENT_RELAY_DESCRIBE,            // tlsagent_handle_request
  TLSAGENT_RELAY_NEXT,                // tlsagent_handle_request
  TLSAGENT_RELAY_CLOSE,               // tlsagent_handle_request; replies tlsagent_empty
  TLSAGENT_SESSION_DESCRIPTOR_TOKEN,  // tlsagent_empty
  TLSAGENT_METHODS,                   // how many there are
};

// tlsagent_done is called once for each submitted call, when it is over. ok and reply are what
// the blocking verb would return: reply is the callee's, who gives it to tlsagent_free(). error is
// never NULL and lives until the return. A callback may submit, make blocking calls and close.
typedef void tlsagent_done(void *user, bool ok, void *reply, const struct tlsagent_error *error);

// tlsagent_submit starts a call and returns its id, which is not 0. The request is copied, and sent
// as far as that goes without waiting. It returns 0 and fills *error when the call can't be made;
// done is then not called. done runs in tlsagent_poll(), in a blocking call on client or in
// tlsagent_client_close(), and never inside tlsagent_submit(). done may be NULL: the reply is
// dropped.
TLSAGENT_API uint32_t tlsagent_submit(struct tlsagent_client *client, enum tlsagent_method method,
                                      const void *request, uint32_t timeout_ms, tlsagent_done *done,
                                      void *user, struct tlsagent_error *error);

// tlsagent_poll sends and receives what it can without waiting and runs the callbacks of calls that
// are over. It returns false when the connection is lost: every call has then been completed with
// that error, and so will be every later one.
TLSAGENT_API bool tlsagent_poll(struct tlsagent_client *client, struct tlsagent_error *error);

// tlsagent_wait is tlsagent_poll() that first waits until there is something to do: for programs
// with several calls in flight and nothing else to watch. With no call in flight it may wait for
// ever.
TLSAGENT_API bool tlsagent_wait(struct tlsagent_client *client, struct tlsagent_error *error);

// tlsagent_client_fd returns the descriptor to watch for reading. It is the client's own: don't
// read, write, close or change it.
TLSAGENT_API int tlsagent_client_fd(const struct tlsagent_client *client);

// tlsagent_client_wants_write returns whether the descriptor is to be watched for writing too. Ask
// after each tlsagent_submit() and tlsagent_poll().
TLSAGENT_API bool tlsagent_client_wants_write(const struct tlsagent_client *client);

// tlsagent_client_timeout_ms returns in how many milliseconds tlsagent_poll() is due even if the
// descriptor isn't ready: 0 for now, and negative, as poll(2) has it, for never.
TLSAGENT_API int tlsagent_client_timeout_ms(const struct tlsagent_client *client);

// tlsagent_client_in_flight returns how many calls aren't over.
TLSAGENT_API size_t tlsagent_client_in_flight(const struct tlsagent_client *client);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_H_
