#include "tests/bench/lib/plain_server.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/lib/base.h"
#include "tests/bench/lib/contender.h"
#include "tests/bench/lib/exchange.h"

bool flight_send(int fd, const uint8_t *data, size_t len) {
  uint8_t message[sizeof(uint32_t) + FLIGHT_ROOM];
  uint32_t header = (uint32_t)len;
  memcpy(message, &header, sizeof(header));
  memcpy(message + sizeof(header), data, len);
  return send_all(fd, message, sizeof(header) + len);
}

// Sender and receiver take turns, so that nothing of a next flight can come with this one.
size_t flight_receive(int fd, uint8_t *out, size_t size) {
  uint8_t message[sizeof(uint32_t) + FLIGHT_ROOM];
  uint32_t len = 0;
  for (size_t have = 0; have < sizeof(len) || have < sizeof(len) + len;) {
    size_t got = receive_some(fd, message + have, sizeof(message) - have);
    if (got == 0) {
      return 0;
    }
    have += got;
    if (have >= sizeof(len)) {
      memcpy(&len, message, sizeof(len));
    }
    if (len > size) {
      return 0;
    }
  }
  memcpy(out, message + sizeof(len), len);
  return len;
}

static bool serve_flight(int fd, struct tls_half *half) {
  uint8_t flight[FLIGHT_ROOM];
  size_t len = flight_receive(fd, flight, sizeof(flight));
  return len != 0 && half_give(half, flight, len) && half_step(half) &&
         flight_send(fd, flight, half_take(half, flight, sizeof(flight)));
}

// A peer that has hung up is no failure: the first receive of a handshake tells.
static void serve_connection(int fd, SSL_CTX *context) {
  uint8_t peek;
  bool good = true;
  while (good && recv(fd, &peek, sizeof(peek), MSG_PEEK) > 0) {
    struct tls_half half;
    good = half_open(&half, context, true) && serve_flight(fd, &half) && serve_flight(fd, &half);
    half_close(&half);
  }
}

static void serve(const struct child *child, const void *argument) {
  SSL_CTX *context = (SSL_CTX *)(uintptr_t)argument;
  int listener = listen_at(child->path);
  while (listener >= 0) {
    int fd = accept(listener, NULL, NULL);
    serve_connection(fd, context);
    close(fd);
  }
}

bool plain_server_start(struct child *child, const char *folder, int cpu, SSL_CTX *context) {
  return child_start(child, folder, "plain.sock", cpu, serve, context) &&
         await_listener(child->path, child->pid);
}

// --- The contender ---

struct plain {
  const struct stage *stage;
  int fd;
};

static void plain_close(void *self) {
  struct plain *plain = self;
  close(plain->fd);
  free(plain);
}

static void *plain_open(const struct stage *stage, size_t option) {
  struct plain *plain = calloc(1, sizeof(*plain));
  (void)option;
  if (plain == NULL) {
    fail("no memory for a client");
    return NULL;
  }
  *plain = (struct plain){stage, connect_to(stage->plain.path, 0)};
  if (plain->fd < 0) {
    free(plain);
    return NULL;
  }
  return plain;
}

static bool client_flight(int fd, struct tls_half *half) {
  uint8_t flight[FLIGHT_ROOM];
  size_t len = half_take(half, flight, sizeof(flight));
  if (!flight_send(fd, flight, len)) {
    return false;
  }
  len = flight_receive(fd, flight, sizeof(flight));
  return len != 0 && half_give(half, flight, len);
}

static bool plain_run(void *self, struct turn *turn) {
  struct plain *plain = self;
  while (turn_goes_on(turn)) {
    struct tls_half half;
    bool good = half_open(&half, plain->stage->client, false) && half_step(&half) &&
                client_flight(plain->fd, &half) && half_step(&half) &&
                client_flight(plain->fd, &half) && half_settle(&half) && half_done(&half);
    half_close(&half);
    if (!good) {
      return fail("the handshake with the plain server failed");
    }
    turn_add(turn);
  }
  return true;
}

const struct kind plain_handshake = {plain_open, plain_run, plain_close};
