// AgentService.
#include <string.h>

#include "server/base/counters.h"
#include "server/service/convert.h"
#include "server/service/relay.h"
#include "server/service/settings.h"
#include "server/tls/library.h"

enum { RANDOM_MAX = 65536 };

void agent_ping(struct call *call, const ProtobufCMessage *request) {
  const Tlsagent__V1__PingRequest *from = (const Tlsagent__V1__PingRequest *)request;
  Tlsagent__V1__PingResponse response = TLSAGENT__V1__PING_RESPONSE__INIT;
  response.payload = from->payload;
  reply(call, &response);
}

void agent_hello(struct call *call, const ProtobufCMessage *request) {
  (void)request;
  struct client *client = call_client(call);
  Tlsagent__V1__HelloResponse response = TLSAGENT__V1__HELLO_RESPONSE__INIT;
  response.token = binary_of(slice_of(client_token(client), CLIENT_TOKEN_BYTES));
  response.version = (char *)TLSAGENT_VERSION;
  const struct peer *peer = client_peer(client);
  if (peer->identity != NULL) {
    response.identity = (char *)peer->identity;
  } else {
    response.uid = peer->uid;
  }
  reply(call, &response);
}

// ---------------------------------------------------------------------------------------------
// Info.

static Tlsagent__V1__Constant *write_constant(struct arena *arena,
                                              const struct tls_constant *constant) {
  Tlsagent__V1__Constant *out = ARENA_MESSAGE(arena, Constant, constant);
  if (out != NULL) {
    out->name = (char *)constant->name;
    out->value = constant->value;
  }
  return out;
}

static void write_constants(struct arena *arena, const struct tls_library_info *library,
                            Tlsagent__V1__InfoResponse *out) {
  out->constants = arena_array(arena, library->num_constants, sizeof(*out->constants));
  out->n_constants = out->constants == NULL ? 0 : library->num_constants;
  for (size_t i = 0; i < out->n_constants; i++) {
    out->constants[i] = write_constant(arena, &library->constants[i]);
    if (out->constants[i] == NULL) {
      out->n_constants = i;
    }
  }
}

static Tlsagent__V1__VerifyPaths *write_paths(struct arena *arena,
                                              const struct tls_library_info *library) {
  Tlsagent__V1__VerifyPaths *out = ARENA_MESSAGE(arena, VerifyPaths, verify_paths);
  if (out != NULL) {
    out->file_env = (char *)library->file_env;
    out->file = (char *)library->file;
    out->directory_env = (char *)library->directory_env;
    out->directory = (char *)library->directory;
  }
  return out;
}

struct capability {
  const char *name;
  bool available;
  const char *detail;
};

enum { CAPABILITIES_MAX = 32 };

static size_t list_capabilities(struct capability *out) {
  bool dial = environment.config.policy->num_dial_patterns > 0;
  const struct tls_library_info *library = tls_library_info();
  bool secure_heap = library->secure_heap_bytes > 0;
  const char *no_kernel_tls = why_no_kernel_tls();
  const struct capability list[] = {
      {"ttrpc", true, "descriptors come and go with calls"},
      {"grpc", true, "HTTP/2 without TLS, on the same socket; descriptors by token"},
      {"descriptor_tokens", true, "descriptors beside the calls, on connections of their own"},
      {"memory", true, "ciphertext by calls"},
      {"fd", true, "ciphertext by a descriptor passed with the call"},
      {"dial", dial, dial ? "to targets of --allow-dial" : "start tlsagentd with --allow-dial"},
      {"relay", true, "plaintext by a descriptor, and listeners of the daemon's own"},
      {"ktls", no_kernel_tls == NULL,
       no_kernel_tls == NULL ? "experimental: for relays that wish it" : no_kernel_tls},
      {"decisions", true, "server name and pre-shared keys"},
      {"events", true, "key log and messages"},
      {"resumption", true, "by id and by ticket, as either role"},
      {"secure_heap", secure_heap,
       library->secure_heap_locked ? "" : "keys may be swapped out: raise RLIMIT_MEMLOCK"},
  };
  memcpy(out, list, sizeof(list));
  return sizeof(list) / sizeof(list[0]);
}

static size_t list_versions(struct capability *out, size_t size) {
  const struct tls_library_info *library = tls_library_info();
  size_t num = library->num_versions < size ? library->num_versions : size;
  for (size_t i = 0; i < num; i++) {
    out[i] = (struct capability){
        library->versions[i].name, library->versions[i].available,
        library->versions[i].available ? "" : "this OpenSSL is built without it"};
  }
  return num;
}

static void write_capabilities(struct arena *arena, Tlsagent__V1__InfoResponse *out) {
  struct capability list[CAPABILITIES_MAX];
  size_t num = list_capabilities(list);
  num += list_versions(list + num, CAPABILITIES_MAX - num);
  out->capabilities = arena_array(arena, num, sizeof(*out->capabilities));
  for (size_t i = 0; out->capabilities != NULL && i < num; i++) {
    Tlsagent__V1__Capability *capability = ARENA_MESSAGE(arena, Capability, capability);
    if (capability == NULL) {
      return;
    }
    capability->name = (char *)list[i].name;
    capability->available = list[i].available;
    capability->detail = (char *)list[i].detail;
    out->capabilities[out->n_capabilities++] = capability;
  }
}

static void fill_object(const struct tls_object *object, Tlsagent__V1__LookupObjectResponse *out) {
  out->found = true;
  out->nid = object->nid;
  out->short_name = (char *)object->short_name;
  out->long_name = (char *)object->long_name;
  out->oid = (char *)object->oid;
}

static void write_objects(struct arena *arena, Tlsagent__V1__InfoResponse *out) {
  static const char *const oids[] = {"1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"};
  enum { NUM = sizeof(oids) / sizeof(oids[0]) };
  out->objects = arena_array(arena, NUM, sizeof(*out->objects));
  for (size_t i = 0; out->objects != NULL && i < NUM; i++) {
    struct tls_object object;
    Tlsagent__V1__LookupObjectResponse *row =
        ARENA_MESSAGE(arena, LookupObjectResponse, lookup_object_response);
    if (row != NULL && status_ok(tls_object_by_text(oids[i], true, arena, &object))) {
      fill_object(&object, row);
      out->objects[out->n_objects++] = row;
    }
  }
}

static void write_defaults(struct arena *arena, Tlsagent__V1__InfoResponse *out) {
  static const enum tls_context_kind kinds[] = {TLS_CONTEXT_BOTH, TLS_CONTEXT_CLIENT,
                                                TLS_CONTEXT_SERVER};
  enum { NUM = sizeof(kinds) / sizeof(kinds[0]) };
  out->context_defaults = arena_array(arena, NUM, sizeof(*out->context_defaults));
  for (size_t i = 0; out->context_defaults != NULL && i < NUM; i++) {
    Tlsagent__V1__ContextDefaults *row = ARENA_MESSAGE(arena, ContextDefaults, context_defaults);
    if (row != NULL) {
      row->kind = (Tlsagent__V1__ContextKind)kinds[i];
      row->settings = write_settings(arena, tls_default_settings(kinds[i]));
      out->context_defaults[out->n_context_defaults++] = row;
    }
  }
}

void agent_info(struct call *call, const ProtobufCMessage *request) {
  (void)request;
  struct arena *arena = call_arena(call);
  const struct tls_library_info *library = tls_library_info();
  Tlsagent__V1__InfoResponse response = TLSAGENT__V1__INFO_RESPONSE__INIT;
  response.version = (char *)TLSAGENT_VERSION;
  response.openssl_version = (char *)library->version;
  response.openssl_version_number = library->version_number;
  response.openssl_build_version_number = library->build_number;
  response.groups = (char **)library->groups;
  response.n_groups = library->num_groups;
  response.default_ciphers = (char *)library->default_ciphers;
  response.verify_paths = write_paths(arena, library);
  response.workers = worker_pool_size(environment.config.workers);
  response.uptime_seconds = (clock_now() - environment.started) / NANOS_PER_SECOND;
  write_constants(arena, library, &response);
  write_capabilities(arena, &response);
  write_objects(arena, &response);
  write_defaults(arena, &response);
  reply(call, &response);
}

// ---------------------------------------------------------------------------------------------
// Limits and Counters.

void agent_limits(struct call *call, const ProtobufCMessage *request) {
  (void)request;
  struct limit_row rows[LIMIT_COUNT];
  uint64_t sum =
      limits_rows(environment.config.limits, worker_pool_size(environment.config.workers), rows);
  Tlsagent__V1__Limit limits[LIMIT_COUNT];
  Tlsagent__V1__Limit *list[LIMIT_COUNT];
  for (size_t i = 0; i < LIMIT_COUNT; i++) {
    tlsagent__v1__limit__init(&limits[i]);
    limits[i].name = (char *)rows[i].name;
    limits[i].value = rows[i].value;
    limits[i].memory_bytes = rows[i].memory_bytes;
    limits[i].text = (char *)rows[i].text;
    list[i] = &limits[i];
  }
  Tlsagent__V1__LimitsResponse response = TLSAGENT__V1__LIMITS_RESPONSE__INIT;
  response.limits = list;
  response.n_limits = LIMIT_COUNT;
  response.memory_bytes = sum;
  reply(call, &response);
}

void agent_counters(struct call *call, const ProtobufCMessage *request) {
  (void)request;
  Tlsagent__V1__Counter counters[COUNTER_COUNT];
  Tlsagent__V1__Counter *list[COUNTER_COUNT];
  for (size_t i = 0; i < COUNTER_COUNT; i++) {
    tlsagent__v1__counter__init(&counters[i]);
    counters[i].name = (char *)counter_name((enum counter)i);
    counters[i].value = counter_read((enum counter)i);
    list[i] = &counters[i];
  }
  Tlsagent__V1__CountersResponse response = TLSAGENT__V1__COUNTERS_RESPONSE__INIT;
  response.counters = list;
  response.n_counters = COUNTER_COUNT;
  reply(call, &response);
}

// ---------------------------------------------------------------------------------------------
// Cancel, random bytes, objects.

void agent_cancel(struct call *call, const ProtobufCMessage *request) {
  const Tlsagent__V1__CancelRequest *from = (const Tlsagent__V1__CancelRequest *)request;
  Tlsagent__V1__CancelResponse response = TLSAGENT__V1__CANCEL_RESPONSE__INIT;
  response.found = call_cancel_stream(call, from->stream_id);
  reply(call, &response);
}

void agent_random_bytes(struct call *call, const ProtobufCMessage *request) {
  const Tlsagent__V1__RandomBytesRequest *from = (const Tlsagent__V1__RandomBytesRequest *)request;
  if (from->length > RANDOM_MAX) {
    call_fail(call, STATUS_INVALID_ARGUMENT, "length is at most 65536");
    return;
  }
  uint8_t *data = arena_alloc(call_arena(call), from->length);
  struct tls_error error;
  Tlsagent__V1__RandomBytesResponse response = TLSAGENT__V1__RANDOM_BYTES_RESPONSE__INIT;
  if (data != NULL && status_ok(tls_random(data, from->length, &error))) {
    response.data = binary_of(slice_of(data, from->length));
  } else if (data != NULL) {
    response.error = convert_error(call_arena(call), &error);
  }
  reply(call, &response);
}

void agent_add_entropy(struct call *call, const ProtobufCMessage *request) {
  const Tlsagent__V1__AddEntropyRequest *from = (const Tlsagent__V1__AddEntropyRequest *)request;
  if (from->data.len > RANDOM_MAX) {
    call_fail(call, STATUS_INVALID_ARGUMENT, "data has at most 65536 bytes");
    return;
  }
  tls_add_entropy(slice_of_binary(from->data));
  Tlsagent__V1__AddEntropyResponse response = TLSAGENT__V1__ADD_ENTROPY_RESPONSE__INIT;
  reply(call, &response);
}

void agent_lookup_object(struct call *call, const ProtobufCMessage *request) {
  const Tlsagent__V1__LookupObjectRequest *from =
      (const Tlsagent__V1__LookupObjectRequest *)request;
  struct arena *arena = call_arena(call);
  struct tls_object object = {0};
  status_t found;
  switch (from->key_case) {
    case TLSAGENT__V1__LOOKUP_OBJECT_REQUEST__KEY_NID:
      found = tls_object_by_nid(from->nid, arena, &object);
      break;
    case TLSAGENT__V1__LOOKUP_OBJECT_REQUEST__KEY_TEXT:
      found = tls_object_by_text(from->text, false, arena, &object);
      break;
    case TLSAGENT__V1__LOOKUP_OBJECT_REQUEST__KEY_OID:
      found = tls_object_by_text(from->oid, true, arena, &object);
      break;
    default:
      call_fail(call, STATUS_INVALID_ARGUMENT, "one of nid, text and oid is needed");
      return;
  }
  Tlsagent__V1__LookupObjectResponse response = TLSAGENT__V1__LOOKUP_OBJECT_RESPONSE__INIT;
  if (status_ok(found)) {
    fill_object(&object, &response);
  }
  reply(call, &response);
}
