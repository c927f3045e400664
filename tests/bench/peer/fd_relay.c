// A program that gets its TLS from tlsagentd by descriptors: it accepts, passes each socket to the
// daemon, and gets a plaintext descriptor back when the handshake is done, as an inetd or a web
// server would. From then on it has nothing more to do with the connection: the plaintext
// descriptor goes to the service, here the bench's back end.
//
//   fd_relay AGENT HOST PORT CERT KEY TICKETS BACK
//
// AGENT is the daemon's address, TICKETS how many a full handshake gives, BACK the Unix datagram
// socket of backend.c that takes descriptors. It ends with SIGTERM.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/c/tlsagent.h"
#include "tests/bench/lib/base.h"

// The daemon has a limit of calls on one connection: who comes when they are all under way waits in
// the listener's backlog.
enum { HANDSHAKES_MAX = 60, BACKLOG = 4096, TIMEOUT_MS = 10000 };

struct front {
  struct tlsagent_client *agent;
  uint64_t context;
  int listener;
  int back;
};

// --- What becomes of a connection ---

static bool hand_over(int back, int fd) {
  union {
    struct cmsghdr header;
    uint8_t room[CMSG_SPACE(sizeof(int))];
  } control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
  uint8_t byte = 0;  // a descriptor goes with at least one
  struct iovec data = {&byte, sizeof(byte)};
  struct msghdr message = {.msg_iov = &data,
                           .msg_iovlen = 1,
                           .msg_control = &control,
                           .msg_controllen = sizeof(control)};
  memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
  return sendmsg(back, &message, MSG_NOSIGNAL) == 1 ||
         fail("can't pass a descriptor on: %s", strerror(errno));
}

static void accepted(void *user, bool ok, void *reply, const struct tlsagent_error *error) {
  const struct front *front = user;
  const struct tlsagent_session_accept_reply *session = reply;
  if (ok && session->relay != NULL) {
    hand_over(front->back, session->relay->fd);
    close(session->relay->fd);
  } else {
    fail("%s", error->message);
  }
  tlsagent_free(reply);
}

static bool take_connection(struct front *front) {
  static const struct tlsagent_relay_options relay = {.forget = true};
  struct tlsagent_error error;
  int fd = accept4(front->listener, NULL, NULL, SOCK_CLOEXEC);
  if (fd < 0) {
    return errno == EAGAIN || errno == ECONNABORTED || fail("accept: %s", strerror(errno));
  }
  struct tlsagent_session_accept_request request = {
      .context = front->context, .transport = tlsagent_over_fd(fd), .relay = &relay};
  uint32_t call = tlsagent_submit(front->agent, TLSAGENT_SESSION_ACCEPT, &request, TIMEOUT_MS,
                                  accepted, front, &error);
  close(fd);
  return call != 0 || fail("%s", error.message);
}

// --- The loop ---

static bool serve(struct front *front) {
  struct tlsagent_error error;
  for (;;) {
    bool room = tlsagent_client_in_flight(front->agent) < HANDSHAKES_MAX;
    short agent_events = tlsagent_client_wants_write(front->agent) ? POLLIN | POLLOUT : POLLIN;
    struct pollfd ready[] = {{tlsagent_client_fd(front->agent), agent_events, 0},
                             {room ? front->listener : -1, POLLIN, 0}};
    if (poll(ready, 2, tlsagent_client_timeout_ms(front->agent)) < 0) {
      return fail("poll: %s", strerror(errno));
    }
    if (ready[1].revents != 0 && !take_connection(front)) {
      return false;
    }
    if (!tlsagent_poll(front->agent, &error)) {
      return fail("%s", error.message);
    }
  }
}

// --- Setting up ---

static bool make_context(struct front *front, const char *cert, const char *key, uint64_t tickets) {
  struct tlsagent_error error;
  struct tlsagent_certificate_pair pair = {
      .chain = tlsagent_material_fd(open(cert, O_RDONLY | O_CLOEXEC)),
      .key = tlsagent_material_fd(open(key, O_RDONLY | O_CLOEXEC))};
  struct tlsagent_context_create_request request = {
      .kind = TLSAGENT_CONTEXT_SERVER,
      .settings = {.num_tickets = TLSAGENT_GIVEN(tickets)},
      .pairs = &pair,
      .num_pairs = 1};
  bool made = tlsagent_context_create(front->agent, &front->context, &request, TIMEOUT_MS, &error);
  close(pair.chain.fd);
  close(pair.key.fd);
  return made || fail("%s", error.message);
}

static bool listen_at_port(struct front *front, const char *host, const char *port) {
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
  front->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  setsockopt(front->listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
  return (inet_pton(AF_INET, host, &address.sin_addr) == 1 &&
          bind(front->listener, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
          listen(front->listener, BACKLOG) == 0) ||
         fail("can't listen at %s:%s: %s", host, port, strerror(errno));
}

static bool reach_back_end(struct front *front, const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
  front->back = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  return connect(front->back, (const struct sockaddr *)&address, sizeof(address)) == 0 ||
         fail("can't reach %s: %s", path, strerror(errno));
}

int main(int argc, char **argv) {
  struct front front = {0};
  struct tlsagent_error error;
  if (argc != 8) {
    fail("takes AGENT HOST PORT CERT KEY TICKETS BACK: see the head of its source");
    return 2;
  }
  struct tlsagent_client_options options = {.address = argv[1]};
  front.agent = tlsagent_client_open(&options, TIMEOUT_MS, &error);
  if (front.agent == NULL) {
    fail("%s", error.message);
    return 1;
  }
  bool good = make_context(&front, argv[4], argv[5], strtoul(argv[6], NULL, 10)) &&
              reach_back_end(&front, argv[7]) && listen_at_port(&front, argv[2], argv[3]) &&
              serve(&front);
  tlsagent_client_close(front.agent);
  return good ? 0 : 1;
}
