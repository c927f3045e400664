#include "client/c/client.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/c/error.h"

// --- Is it still good? ---

static bool is_forked(const struct tlsagent_client *client) {
  return client->pid != getpid();
}

bool tla_client_owned(const struct tlsagent_client *client, struct tlsagent_error *error) {
  if (!is_forked(client)) {
    return true;
  }
  return tla_fail(error, TLSAGENT_FAULT_USAGE,
                  "this connection belongs to process %d, which opened it: a forked child opens "
                  "one of its own",
                  (int)client->pid);
}

bool tla_client_usable(const struct tlsagent_client *client, struct tlsagent_error *error) {
  if (!tla_client_owned(client, error)) {
    return false;
  }
  if (client->lost && error != NULL) {
    *error = client->loss;
  }
  return !client->lost;
}

void tla_client_lose(struct tlsagent_client *client, const struct tlsagent_error *why) {
  if (client->lost) {
    return;
  }
  client->lost = true;
  tla_fail(&client->loss, TLSAGENT_FAULT_LOST,
           "the connection to tlsagentd at %s is lost: %.400s; contexts and sessions went with it, "
           "open a new one",
           client->address.text, why->message);
  client->loss.os_errno = why->os_errno;
  shutdown(client->connection.fd, SHUT_RDWR);  // and keep the number, which others may watch
  tla_calls_end(client, &client->loss);
}

// --- Opening ---

static struct tlsagent_client *client_new(struct tlsagent_error *error) {
  struct tlsagent_client *client = calloc(1, sizeof(*client));
  if (client == NULL) {
    tla_fail_memory(error);
    return NULL;
  }
  client->pid = getpid();
  client->connection.fd = -1;
  tla_calls_init(client);
  return client;
}

static bool hello(struct tlsagent_client *client, uint32_t timeout_ms,
                  struct tlsagent_error *error) {
  struct tlsagent_agent_hello_reply *reply;
  const bool joining = client->say_token;
  if (!tlsagent_agent_hello(client, &reply, timeout_ms, error)) {
    return false;
  }
  const bool good =
      reply->token.len == TLSAGENT_TOKEN_LENGTH &&
      (!joining || memcmp(client->token, reply->token.data, TLSAGENT_TOKEN_LENGTH) == 0);
  if (good) {
    memcpy(client->token, reply->token.data, TLSAGENT_TOKEN_LENGTH);
    snprintf(client->daemon_version, sizeof(client->daemon_version), "%s", reply->version);
  }
  tlsagent_free(reply);
  return good || tla_fail(error, TLSAGENT_FAULT_LOST, "what answers at %s isn't tlsagentd",
                          client->address.text);
}

static void use_token(struct tlsagent_client *client, const uint8_t *token) {
  if (token != NULL) {
    memcpy(client->token, token, sizeof(client->token));
    client->say_token = true;
  }
}

// Says hello on a connection that is there, or gives everything up.
static struct tlsagent_client *greet(struct tlsagent_client *client, uint32_t timeout_ms,
                                     struct tlsagent_error *error) {
  if (hello(client, timeout_ms, error)) {
    return client;
  }
  tla_client_destroy(client);
  return NULL;
}

static struct tlsagent_client *open_at(const struct tla_address *address, const uint8_t *token,
                                       uint32_t timeout_ms, struct tlsagent_error *error) {
  struct tlsagent_client *client = client_new(error);
  if (client == NULL) {
    return NULL;
  }
  client->address = *address;
  use_token(client, token);
  if (!tla_connection_open(&client->connection, address, timeout_ms, error)) {
    tla_client_destroy(client);
    return NULL;
  }
  return greet(client, timeout_ms, error);
}

struct tlsagent_client *tlsagent_client_open(const struct tlsagent_client_options *options,
                                             uint32_t timeout_ms, struct tlsagent_error *error) {
  static const struct tlsagent_client_options defaults;
  const struct tlsagent_client_options *wanted = options != NULL ? options : &defaults;
  struct tla_address address;
  if (!tla_address_parse(&address, wanted->address, error)) {
    return NULL;
  }
  return open_at(&address, wanted->token, timeout_ms, error);
}

struct tlsagent_client *tlsagent_client_join(const struct tlsagent_client *client,
                                             uint32_t timeout_ms, struct tlsagent_error *error) {
  if (client->adopted) {
    tla_fail(
        error, TLSAGENT_FAULT_USAGE,
        "this connection was adopted, and nothing says where its daemon listens: open a client "
        "with the address and the token");
    return NULL;
  }
  return open_at(&client->address, client->token, timeout_ms, error);
}

struct tlsagent_client *tlsagent_client_adopt(int fd, uint32_t timeout_ms,
                                              struct tlsagent_error *error) {
  struct tlsagent_client *client = client_new(error);
  if (client == NULL) {
    close(fd);
    return NULL;
  }
  client->adopted = true;
  snprintf(client->address.text, sizeof(client->address.text), "descriptor %d", fd);
  if (!tla_connection_init(&client->connection, fd, error)) {
    tla_client_destroy(client);
    return NULL;
  }
  return greet(client, timeout_ms, error);
}

// The old connection stays until the new one has joined, so that the handles have an owner all
// along.
bool tla_client_renew(struct tlsagent_client *client, uint32_t timeout_ms,
                      struct tlsagent_error *error) {
  struct tla_connection old = client->connection;
  assert(client->num_calls == 0 && old.first == NULL);
  if (client->adopted || !tla_client_usable(client, error)) {
    return client->adopted;  // an adopted one fails when it submits
  }
  if (!tla_connection_open(&client->connection, &client->address, timeout_ms, error)) {
    client->connection = old;
    client->connection.last = &client->connection.first;
    return false;
  }
  client->next_stream = 1;
  client->say_token = true;
  struct tlsagent_error why;
  const bool joined = hello(client, timeout_ms, &why);
  tla_connection_close(&old);
  if (!joined) {
    tla_client_lose(client, &why);
    return tla_client_usable(client, error);
  }
  return true;
}

// --- Closing ---

void tla_client_destroy(struct tlsagent_client *client) {
  tla_calls_free(client);
  tla_connection_close(&client->connection);
  explicit_bzero(client->token, sizeof(client->token));
  free(client);
}

void tlsagent_client_close(struct tlsagent_client *client) {
  struct tlsagent_error why;
  if (client == NULL || client->closing) {
    return;
  }
  if (is_forked(client)) {
    tla_client_destroy(client);
    return;
  }
  tla_fail(&why, TLSAGENT_FAULT_REFUSED, "the connection was closed from this side");
  why.rpc_code = TLSAGENT_RPC_CANCELLED;
  tla_calls_end(client, &why);
  client->lost = true;
  client->loss = why;
  client->closing = true;
  client->depth++;
  tla_calls_run(client);
  client->depth--;
  if (client->depth == 0) {
    tla_client_destroy(client);
  }
}

// --- Asking ---

const uint8_t *tlsagent_client_token(const struct tlsagent_client *client) {
  return client->token;
}

const char *tlsagent_client_address(const struct tlsagent_client *client) {
  return client->address.text;
}

const char *tlsagent_client_daemon_version(const struct tlsagent_client *client) {
  return client->daemon_version;
}

int tlsagent_client_fd(const struct tlsagent_client *client) {
  return client->connection.fd;
}

bool tlsagent_client_wants_write(const struct tlsagent_client *client) {
  return !client->lost && client->connection.first != NULL;
}

size_t tlsagent_client_in_flight(const struct tlsagent_client *client) {
  return client->in_flight;
}
