// A program on libtlsagent that asks a real daemon for what comes before, after and beside a
// handshake: two sessions of it talk with each other over a socket pair.
//
// usage: library ADDRESS ROOT_DIRECTORY ROOT CHAIN KEY CLIENT_CHAIN CLIENT_KEY
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/c/tlsagent.h"

enum { TIMEOUT_MS = 30000 };

static struct tlsagent_error error;

static void check(bool good, const char *what) {
  printf("%s %s%s%s\n", good ? "PASS" : "FAIL", what, good ? "" : ": ", good ? "" : error.message);
  if (!good) {
    exit(1);
  }
}

// Descriptors stay the caller's: these are open to the end.
static struct tlsagent_material file(const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    perror(path);
    exit(2);
  }
  return (struct tlsagent_material){.source = TLSAGENT_SOURCE_FD, .fd = fd};
}

static bool same(struct tlsagent_bytes a, struct tlsagent_bytes b) {
  return a.len > 0 && a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

// ---------------------------------------------------------------------------------------------

struct world {
  struct tlsagent_client *agent;
  uint64_t client_context, server_context;
  uint64_t client, server;
  struct tlsagent_bytes peer;  // what the server knows of its client
};

static void check_info(struct tlsagent_client *agent) {
  struct tlsagent_agent_info_reply *info;
  bool good = tlsagent_agent_info(agent, &info, TIMEOUT_MS, &error);
  check(good && info->num_objects == 2 && strcmp(info->objects[0].short_name, "serverAuth") == 0,
        "objects");
  check(info->num_context_defaults == 3 &&
            info->context_defaults[1].kind == TLSAGENT_CONTEXT_CLIENT &&
            info->context_defaults[1].settings.check_hostname.value == 1 &&
            info->context_defaults[1].settings.ciphers[0] != '\0',
        "defaults");
  tlsagent_free(info);
}

static void check_refusal(struct tlsagent_client *agent, char **paths) {
  uint64_t context;
  const struct tlsagent_certificate_pair pair = {.chain = file(paths[3]), .key = file(paths[2])};
  bool made = tlsagent_context_create(
      agent, &context, &(struct tlsagent_context_create_request){.pairs = &pair, .num_pairs = 1},
      TIMEOUT_MS, &error);
  check(!made && strcmp(error.tls.library, "SSL") == 0 && strcmp(error.tls.text, "PEM lib") == 0 &&
            strstr(error.message, "no private key in the bytes") != NULL,
        "refusal");
}

static void make_contexts(struct world *world, char **paths) {
  const struct tlsagent_material root = file(paths[2]);
  const struct tlsagent_material directory = file(paths[1]);
  const struct tlsagent_certificate_pair server = {.chain = file(paths[3]), .key = file(paths[4])};
  const struct tlsagent_certificate_pair client = {.chain = file(paths[5]), .key = file(paths[6])};
  const struct tlsagent_context_create_request for_server = {
      .kind = TLSAGENT_CONTEXT_SERVER,
      .settings = {.verify_mode = TLSAGENT_GIVEN(TLSAGENT_VERIFY_REQUIRED),
                   .post_handshake_auth = TLSAGENT_GIVEN(true)},
      .pairs = &server,
      .num_pairs = 1,
      .trust = {.certificates = &root, .num_certificates = 1}};
  const struct tlsagent_context_create_request for_client = {
      .kind = TLSAGENT_CONTEXT_CLIENT,
      .settings = {.post_handshake_auth = TLSAGENT_GIVEN(true)},
      .pairs = &client,
      .num_pairs = 1,
      .trust = {.directories = &directory, .num_directories = 1}};
  check(tlsagent_context_create(world->agent, &world->server_context, &for_server, TIMEOUT_MS,
                                &error),
        "files");
  check(tlsagent_context_create(world->agent, &world->client_context, &for_client, TIMEOUT_MS,
                                &error),
        "directory");
}

static size_t trusted(struct world *world) {
  struct tlsagent_context_list_trust_reply *reply;
  bool listed = tlsagent_context_list_trust(
      world->agent, &reply,
      &(struct tlsagent_context_list_trust_request){.context = world->client_context}, TIMEOUT_MS,
      &error);
  size_t num = listed ? reply->num_der : SIZE_MAX;
  tlsagent_free(reply);
  return num;
}

static void accepted(void *user, bool ok, void *reply, const struct tlsagent_error *why) {
  struct world *world = user;
  const struct tlsagent_session_accept_reply *accept = reply;
  world->server = ok ? accept->session : 0;
  if (!ok) {
    error = *why;
  }
  tlsagent_free(reply);
}

// Returns whether an earlier session was resumed.
static bool shake_hands(struct world *world, struct tlsagent_bytes resumption) {
  int ends[2];
  struct tlsagent_session_connect_reply *reply = NULL;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    perror("socketpair");
    exit(2);
  }
  const struct tlsagent_session_accept_request accept = {.context = world->server_context,
                                                         .transport = tlsagent_over_fd(ends[0])};
  const struct tlsagent_session_connect_request connect = {.context = world->client_context,
                                                           .transport = tlsagent_over_fd(ends[1]),
                                                           .server_name = "localhost",
                                                           .resumption = resumption};
  uint32_t call = tlsagent_submit(world->agent, TLSAGENT_SESSION_ACCEPT, &accept, TIMEOUT_MS,
                                  accepted, world, &error);
  check(call != 0 && tlsagent_session_connect(world->agent, &reply, &connect, TIMEOUT_MS, &error),
        "connect");
  bool resumed = reply->negotiated->resumed;
  world->client = reply->session;
  tlsagent_free(reply);
  while (tlsagent_client_in_flight(world->agent) > 0 &&
         tlsagent_agent_ping(world->agent, "", 0, TIMEOUT_MS, &error)) {
  }
  check(world->server != 0, "accept");
  close(ends[0]);
  close(ends[1]);
  return resumed;
}

static void pass(struct world *world, uint64_t from, uint64_t to) {
  char buffer[16];
  size_t len = 0;
  check(tlsagent_session_write_all(world->agent, NULL, from, "hello", 5, TIMEOUT_MS, &error) &&
            tlsagent_session_read_into(world->agent, &len, to, buffer, sizeof(buffer), TIMEOUT_MS,
                                       &error) == TLSAGENT_STATE_DONE &&
            len == 5,
        "pass");
}

// ---------------------------------------------------------------------------------------------

static void check_bindings(struct world *world) {
  struct tlsagent_session_export_keying_material_reply *keys[2] = {NULL, NULL};
  struct tlsagent_session_channel_binding_reply *bindings[2] = {NULL, NULL};
  bool good = true;
  for (int i = 0; i < 2; i++) {
    uint64_t session = i == 0 ? world->client : world->server;
    good = tlsagent_session_export_keying_material(
               world->agent, &keys[i],
               &(struct tlsagent_session_export_keying_material_request){
                   .session = session, .label = "EXPERIMENTAL x", .length = 40},
               TIMEOUT_MS, &error) &&
           tlsagent_session_channel_binding(
               world->agent, &bindings[i],
               &(struct tlsagent_session_channel_binding_request){
                   .session = session, .kind = TLSAGENT_CHANNEL_BINDING_TLS_UNIQUE},
               TIMEOUT_MS, &error) &&
           good;
  }
  check(good && same(keys[0]->data, keys[1]->data), "export");
  check(same(bindings[0]->data, bindings[1]->data), "binding");
  for (int i = 0; i < 2; i++) {
    tlsagent_free(keys[i]);
    tlsagent_free(bindings[i]);
  }
}

static void check_ciphers(struct world *world) {
  struct tlsagent_session_shared_ciphers_reply *reply;
  check(tlsagent_session_shared_ciphers(world->agent, &reply, world->server, TIMEOUT_MS, &error) &&
            reply->num_ciphers > 0,
        "ciphers");
  tlsagent_free(reply);
  check(!tlsagent_session_shared_ciphers(world->agent, NULL, world->client, TIMEOUT_MS, &error) &&
            error.rpc_code == TLSAGENT_RPC_FAILED_PRECONDITION,
        "ciphers_of_a_client");
}

static bool knows_peer(struct world *world) {
  struct tlsagent_session_peer_certificate_reply *reply;
  bool told = tlsagent_session_peer_certificate(
      world->agent, &reply,
      &(struct tlsagent_session_peer_certificate_request){.session = world->server}, TIMEOUT_MS,
      &error);
  bool known = told && reply->peer != NULL;
  tlsagent_free(reply);
  return known;
}

static void check_late_certificate(struct world *world) {
  check(!knows_peer(world), "no_certificate_yet");
  check(!tlsagent_session_request_client_certificate(world->agent, NULL, world->client, TIMEOUT_MS,
                                                     &error) &&
            error.fault == TLSAGENT_FAULT_TLS && strcmp(error.tls.reason, "NOT_SERVER") == 0,
        "not_server");
  check(tlsagent_session_request_client_certificate(world->agent, NULL, world->server, TIMEOUT_MS,
                                                    &error),
        "request");
  pass(world, world->server, world->client);
  pass(world, world->client, world->server);
  check(knows_peer(world), "certificate");
}

static void check_keys(struct world *world) {
  check(tlsagent_session_update_keys(world->agent, NULL,
                                     &(struct tlsagent_session_update_keys_request){
                                         .session = world->client, .request_peer = true},
                                     TIMEOUT_MS, &error),
        "update");
  pass(world, world->client, world->server);
  pass(world, world->server, world->client);
}

static void check_resumption(struct world *world) {
  struct tlsagent_session_get_resumption_reply *reply;
  check(tlsagent_session_get_resumption(world->agent, &reply, world->client, TIMEOUT_MS, &error) &&
            reply->has_ticket && reply->id.len > 0 && reply->time > 0,
        "resumption");
  check(shake_hands(world, reply->resumption), "resumed");
  uint8_t byte = 0;
  struct tlsagent_session_connect_reply *refused;
  const struct tlsagent_session_connect_request rubbish = {.context = world->client_context,
                                                           .transport = tlsagent_over_memory(),
                                                           .server_name = "localhost",
                                                           .resumption = {&byte, 1}};
  check(!tlsagent_session_connect(world->agent, &refused, &rubbish, TIMEOUT_MS, &error) &&
            strcmp(error.tls.item, "resumption") == 0,
        "rubbish");
  tlsagent_free(refused);
  tlsagent_free(reply);
}

int main(int argc, char **argv) {
  if (argc != 8) {
    fprintf(stderr, "usage: library ADDRESS ROOTS ROOT CHAIN KEY CLIENT_CHAIN CLIENT_KEY\n");
    return 2;
  }
  struct world world = {
      .agent = tlsagent_client_open(&(struct tlsagent_client_options){.address = argv[1]},
                                    TIMEOUT_MS, &error)};
  check(world.agent != NULL, "open");
  check_info(world.agent);
  check_refusal(world.agent, argv + 1);
  make_contexts(&world, argv + 1);
  check(trusted(&world) == 0, "nothing_found_yet");
  shake_hands(&world, (struct tlsagent_bytes){NULL, 0});
  check(trusted(&world) == 1, "found");
  check_bindings(&world);
  check_ciphers(&world);
  check_late_certificate(&world);
  check_keys(&world);
  check_resumption(&world);
  tlsagent_client_close(world.agent);
  check(true, "end");
  return 0;
}
