// What a kernel with TLS does with connections that tlsagentd hands to it: both roles, each cipher,
// against OpenSSL's own s_client and s_server, and against the daemon's relays. Run by
// tests/ktls/run in an emulated machine, as root, with nothing else there.
//
// usage: checks KERNEL_ADDRESS PLAIN_ADDRESS CERTIFICATE KEY DAEMON_PID
//
// The first daemon has --kernel-tls, the second hasn't. A line for each check, PASS or FAIL.
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/c/tlsagent.h"

#ifndef SOL_TLS
#define SOL_TLS 282
#endif

enum { TIMEOUT_MS = 60000, RECORD = TLSAGENT_KERNEL_TLS_RECORD, BULK = 4 << 20, MANY = 50 };

extern char **environ;

static struct tlsagent_client *agent;
static uint64_t client_context, server_context, old_context;
static const char *certificate, *key;
static struct tlsagent_error error;
static char read_buffer[RECORD];
static int num_failed;

__attribute__((format(printf, 2, 3))) static bool check(bool good, const char *format, ...) {
  va_list arguments;
  printf("%s ", good ? "PASS" : "FAIL");
  va_start(arguments, format);
  vprintf(format, arguments);
  va_end(arguments);
  printf("%s%s\n", good ? "" : ": ", good ? "" : error.message);
  num_failed += !good;
  return good;
}

static void fatal(const char *what) {
  printf("FAIL %s: %s; %s\n", what, strerror(errno), error.message);
  exit(1);
}

// ---------------------------------------------------------------------------------------------
// Sockets and programs

static struct sockaddr_in loopback(uint16_t port) {
  return (struct sockaddr_in){
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int listen_at(uint16_t *out_port) {
  struct sockaddr_in address = loopback(0);
  socklen_t len = sizeof(address);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, 8) != 0 ||
      getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
    fatal("listen");
  }
  *out_port = ntohs(address.sin_port);
  return fd;
}

static int connect_to(uint16_t port) {
  struct sockaddr_in address = loopback(port);
  for (int i = 0; i < TIMEOUT_MS / 50; i++) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0) {
      return fd;
    }
    close(fd);
    usleep(50000);  // until the program listens
  }
  fatal("connect");
  return -1;
}

struct program {
  pid_t pid;
  int in, out;
};

static struct program start(const char *const *arguments) {
  struct program program;
  posix_spawn_file_actions_t actions;
  int in[2];
  int out[2];
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) {
    fatal("pipe");
  }
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], 0);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  if (posix_spawnp(&program.pid, arguments[0], &actions, NULL, (char *const *)arguments, environ) !=
      0) {
    fatal(arguments[0]);
  }
  posix_spawn_file_actions_destroy(&actions);
  close(in[0]);
  close(out[1]);
  program.in = in[1];
  program.out = out[0];
  return program;
}

static void stop(struct program *program) {
  kill(program->pid, SIGKILL);
  waitpid(program->pid, NULL, 0);
  close(program->in);
  if (program->out >= 0) {
    close(program->out);
  }
}

// What a program prints, until it has printed text.
static bool prints(const struct program *program, const char *text) {
  char seen[65536] = "";
  size_t len = 0;
  while (strstr(seen, text) == NULL && len + 1 < sizeof(seen)) {
    struct pollfd ready = {program->out, POLLIN, 0};
    ssize_t got = poll(&ready, 1, TIMEOUT_MS) == 1
                      ? read(program->out, seen + len, sizeof(seen) - 1 - len)
                      : 0;
    if (got <= 0) {
      return false;
    }
    len += (size_t)got;
    seen[len] = '\0';
  }
  return strstr(seen, text) != NULL;
}

static uint16_t free_port(void) {
  uint16_t port;
  close(listen_at(&port));
  return port;
}

static struct program start_server(uint16_t port, const char *suite, const char *kind) {
  char where[16];
  snprintf(where, sizeof(where), "%u", port);
  const char *const arguments[] = {"openssl",   "s_server", "-accept", where,    "-cert",
                                   certificate, "-key",     key,       "-quiet", "-ciphersuites",
                                   suite,       kind,       NULL};
  return start(arguments);
}

static struct program start_client(uint16_t port, const char *suite, const char *quiet) {
  char where[32];
  snprintf(where, sizeof(where), "127.0.0.1:%u", port);
  const char *const arguments[] = {"openssl",   "s_client",      "-connect", where, "-CAfile",
                                   certificate, "-ciphersuites", suite,      quiet, "-no_ign_eof",
                                   NULL};
  return start(arguments);
}

// ---------------------------------------------------------------------------------------------
// The daemon

struct opened {
  uint64_t session;
  int fd;  // -1: there is no relay
  bool kernel;
  char why[200];
};

static struct opened opened(uint64_t session, const struct tlsagent_session_relay_reply *relay) {
  struct opened out = {.session = session, .fd = -1};
  if (relay != NULL) {
    out.fd = relay->fd;
    out.kernel = relay->kernel_tls;
    snprintf(out.why, sizeof(out.why), "%s", relay->kernel_tls_why);
  }
  return out;
}

static struct opened open_client(uint64_t context, struct tlsagent_transport transport,
                                 enum tlsagent_kernel_tls wish) {
  struct tlsagent_session_connect_reply *reply = NULL;
  const struct tlsagent_relay_options relay = {.kernel_tls = wish};
  const struct tlsagent_session_connect_request request = {
      .context = context, .transport = transport, .server_name = "host.test", .relay = &relay};
  bool good = tlsagent_session_connect(agent, &reply, &request, TIMEOUT_MS, &error);
  struct opened out = opened(good ? reply->session : 0, good ? reply->relay : NULL);
  tlsagent_free(reply);
  return out;
}

static struct opened open_server(int fd, enum tlsagent_kernel_tls wish) {
  struct tlsagent_session_accept_reply *reply = NULL;
  const struct tlsagent_relay_options relay = {.kernel_tls = wish};
  const struct tlsagent_session_accept_request request = {
      .context = server_context, .transport = tlsagent_over_fd(fd), .relay = &relay};
  bool good = tlsagent_session_accept(agent, &reply, &request, TIMEOUT_MS, &error);
  struct opened out = opened(good ? reply->session : 0, good ? reply->relay : NULL);
  tlsagent_free(reply);
  close(fd);
  return out;
}

static struct opened open_client_at(uint16_t port, enum tlsagent_kernel_tls wish) {
  int tcp = connect_to(port);
  struct opened out = open_client(client_context, tlsagent_over_fd(tcp), wish);
  close(tcp);
  return out;
}

static void close_session(struct opened *opened) {
  tlsagent_session_close(agent, opened->session, TIMEOUT_MS, NULL);
  close(opened->fd);
}

static struct tlsagent_material file(const char *path) {
  return tlsagent_material_fd(open(path, O_RDONLY | O_CLOEXEC));
}

static void make_contexts(void) {
  const struct tlsagent_material root = file(certificate);
  const struct tlsagent_certificate_pair pair = {.chain = file(certificate), .key = file(key)};
  const struct tlsagent_context_create_request server = {
      .kind = TLSAGENT_CONTEXT_SERVER, .pairs = &pair, .num_pairs = 1};
  struct tlsagent_context_create_request client = {
      .kind = TLSAGENT_CONTEXT_CLIENT, .trust = {.certificates = &root, .num_certificates = 1}};
  if (!tlsagent_context_create(agent, &server_context, &server, TIMEOUT_MS, &error) ||
      !tlsagent_context_create(agent, &client_context, &client, TIMEOUT_MS, &error)) {
    fatal("contexts");
  }
  client.settings.max_version = (struct tlsagent_optional)TLSAGENT_GIVEN(TLSAGENT_PROTOCOL_TLS_1_2);
  if (!tlsagent_context_create(agent, &old_context, &client, TIMEOUT_MS, &error)) {
    fatal("contexts");
  }
}

static void open_agent(const char *address) {
  const struct tlsagent_client_options options = {.address = address};
  tlsagent_client_close(agent);
  agent = tlsagent_client_open(&options, TIMEOUT_MS, &error);
  if (agent == NULL) {
    fatal(address);
  }
  make_contexts();
}

// ---------------------------------------------------------------------------------------------
// Plaintext

static bool reads(int fd, const char *text) {
  size_t len;
  size_t seen = 0;
  while (seen < strlen(text)) {
    if (tlsagent_kernel_tls_read(fd, &len, read_buffer, sizeof(read_buffer), &error) !=
            TLSAGENT_STATE_DONE ||
        seen + len > strlen(text) || memcmp(read_buffer, text + seen, len) != 0) {
      return false;
    }
    seen += len;
  }
  return true;
}

static enum tlsagent_state read_end(int fd) {
  size_t len;
  return tlsagent_kernel_tls_read(fd, &len, read_buffer, sizeof(read_buffer), &error);
}

static bool writes(int fd, const char *text) {
  return send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
}

// ---------------------------------------------------------------------------------------------
// Against OpenSSL

static void check_client(const char *suite) {
  uint16_t port = free_port();
  struct program server = start_server(port, suite, "-rev");
  struct opened opened = open_client_at(port, TLSAGENT_KERNEL_TLS_REQUIRED);
  if (check(opened.kernel, "a client's connection goes to the kernel, %s", suite)) {
    check(writes(opened.fd, "hello\n") && reads(opened.fd, "olleh\n"),
          "it talks with s_server, whose tickets are passed over, %s", suite);
    check(writes(opened.fd, "CLOSE\n") && read_end(opened.fd) == TLSAGENT_STATE_CLOSED,
          "s_server's close_notify is the end, %s", suite);
    check(tlsagent_kernel_tls_finish(opened.fd, &error), "close_notify goes out, %s", suite);
    close_session(&opened);
  }
  stop(&server);
}

// -quiet keeps s_client from taking letters for commands.
static void check_server(const char *suite) {
  uint16_t port;
  int listener = listen_at(&port);
  struct program client = start_client(port, suite, "-quiet");
  struct opened opened = open_server(accept(listener, NULL, NULL), TLSAGENT_KERNEL_TLS_REQUIRED);
  if (check(opened.kernel, "a server's connection goes to the kernel, %s", suite)) {
    check(writes(opened.fd, "from the kernel\n") && prints(&client, "from the kernel\n"),
          "s_client reads what the kernel sends, %s", suite);
    check(write(client.in, "to the kernel\n", 14) == 14 && reads(opened.fd, "to the kernel\n"),
          "the kernel reads what s_client sends, %s", suite);
    close(client.in);
    client.in = -1;
    check(read_end(opened.fd) == TLSAGENT_STATE_CLOSED, "s_client's close_notify is the end, %s",
          suite);
    close_session(&opened);
  }
  stop(&client);
  close(listener);
}

static void check_finish(void) {
  uint16_t port;
  int listener = listen_at(&port);
  struct program client = start_client(port, "TLS_AES_128_GCM_SHA256", "-quiet");
  struct opened opened = open_server(accept(listener, NULL, NULL), TLSAGENT_KERNEL_TLS_REQUIRED);
  int status = -1;
  bool finished = tlsagent_kernel_tls_finish(opened.fd, &error);
  bool ended = waitpid(client.pid, &status, 0) == client.pid;
  check(finished && ended && WIFEXITED(status) && WEXITSTATUS(status) == 0,
        "s_client ends well after the kernel's close_notify (status %d)", status);
  close_session(&opened);
  stop(&client);
  close(listener);
}

static void check_new_keys(void) {
  uint16_t port;
  int listener = listen_at(&port);
  struct program client = start_client(port, "TLS_AES_128_GCM_SHA256", "-verify_quiet");
  struct opened opened = open_server(accept(listener, NULL, NULL), TLSAGENT_KERNEL_TLS_REQUIRED);
  check(write(client.in, "k\n", 2) == 2 && read_end(opened.fd) == TLSAGENT_STATE_FAILED &&
            strstr(error.message, "changed its keys") != NULL,
        "new keys of the peer are an error that says so");
  check(write(client.in, "unreadable\n", 11) == 11 &&
            read_end(opened.fd) == TLSAGENT_STATE_FAILED && error.tls.os_errno == EBADMSG,
        "and what comes under them can't be read (EBADMSG)");
  close_session(&opened);
  stop(&client);
  close(listener);
}

// s_client has something to say as soon as it may: it comes with its Finished, or just after it.
static void check_early(void) {
  enum { TIMES = 20 };
  int num_kernel = 0;
  bool good = true;
  for (int i = 0; i < TIMES; i++) {
    uint16_t port;
    char text[7] = "";
    int listener = listen_at(&port);
    struct program client = start_client(port, "TLS_AES_128_GCM_SHA256", "-quiet");
    good = good && write(client.in, "early\n", 6) == 6;
    struct opened opened =
        open_server(accept(listener, NULL, NULL), TLSAGENT_KERNEL_TLS_IF_POSSIBLE);
    bool read = opened.kernel
                    ? reads(opened.fd, "early\n")
                    : recv(opened.fd, text, 6, MSG_WAITALL) == 6 && strcmp(text, "early\n") == 0;
    good = good && read && writes(opened.fd, "answer\n") && prints(&client, "answer\n");
    num_kernel += opened.kernel;
    close_session(&opened);
    stop(&client);
    close(listener);
  }
  check(good, "what the peer sends at once isn't lost (%d of %d went to the kernel)", num_kernel,
        TIMES);
}

// The session is still open, and holds nothing of the connection.
static void check_close(void) {
  uint16_t port;
  int listener = listen_at(&port);
  struct program client = start_client(port, "TLS_AES_128_GCM_SHA256", "-quiet");
  struct opened opened = open_server(accept(listener, NULL, NULL), TLSAGENT_KERNEL_TLS_REQUIRED);
  bool talked = writes(opened.fd, "hello\n") && prints(&client, "hello\n");
  close(opened.fd);
  struct pollfd end = {client.out, POLLIN, 0};
  char byte;
  check(talked && poll(&end, 1, TIMEOUT_MS) == 1 && read(client.out, &byte, 1) == 0,
        "closing the socket ends the connection, the session open or not");
  tlsagent_session_close(agent, opened.session, TIMEOUT_MS, NULL);
  stop(&client);
  close(listener);
}

static void check_cut(void) {
  uint16_t port = free_port();
  struct program server = start_server(port, "TLS_AES_128_GCM_SHA256", "-rev");
  struct opened opened = open_client_at(port, TLSAGENT_KERNEL_TLS_REQUIRED);
  bool talked = writes(opened.fd, "x\n") && reads(opened.fd, "x\n");
  stop(&server);
  check(talked && read_end(opened.fd) == TLSAGENT_STATE_FAILED &&
            (error.tls.kind == TLSAGENT_ERROR_TRUNCATED || error.tls.os_errno == ECONNRESET),
        "a connection that is cut off is no end");
  close_session(&opened);
}

// ---------------------------------------------------------------------------------------------
// What such a socket is

static void check_plain_read(void) {
  uint16_t port = free_port();
  struct program server = start_server(port, "TLS_AES_256_GCM_SHA384", "-rev");
  struct opened opened = open_client_at(port, TLSAGENT_KERNEL_TLS_REQUIRED);
  char byte;
  ssize_t got = read(opened.fd, &byte, 1);
  check(got < 0 && errno == EIO, "a plain read at a ticket fails with EIO (%zd, errno %d)", got,
        errno);
  check(writes(opened.fd, "abc\n") && reads(opened.fd, "cba\n"), "and loses nothing");
  close_session(&opened);
  stop(&server);
}

static void check_keys_are_readable(void) {
  uint16_t port = free_port();
  struct program server = start_server(port, "TLS_AES_128_GCM_SHA256", "-rev");
  struct opened opened = open_client_at(port, TLSAGENT_KERNEL_TLS_REQUIRED);
  static const uint8_t zeros[TLS_CIPHER_AES_GCM_128_KEY_SIZE];
  struct tls12_crypto_info_aes_gcm_128 info[2] = {0};
  socklen_t len[2] = {sizeof(info[0]), sizeof(info[1])};
  bool told = getsockopt(opened.fd, SOL_TLS, TLS_TX, &info[0], &len[0]) == 0 &&
              getsockopt(opened.fd, SOL_TLS, TLS_RX, &info[1], &len[1]) == 0;
  bool both = memcmp(info[0].key, zeros, sizeof(zeros)) != 0 &&
              memcmp(info[1].key, zeros, sizeof(zeros)) != 0;
  check(told && both, "getsockopt gives the keys to whoever has the socket, as documented");
  close_session(&opened);
  stop(&server);
}

// ---------------------------------------------------------------------------------------------
// Against the daemon's relays: much, and both ways at once

struct bulk {
  int fd;
  bool kernel;
  uint32_t seed;
  bool good;
};

static uint32_t next(uint32_t *state) {
  return *state = *state * 1664525 + 1013904223;
}

static void *write_bulk(void *argument) {
  struct bulk *bulk = argument;
  uint32_t block[4096];
  uint32_t state = bulk->seed;
  bulk->good = true;
  for (size_t sent = 0; bulk->good && sent < BULK; sent += sizeof(block)) {
    for (size_t i = 0; i < sizeof(block) / sizeof(block[0]); i++) {
      block[i] = next(&state);
    }
    for (size_t part = 0; bulk->good && part < sizeof(block);) {
      ssize_t n = send(bulk->fd, (char *)block + part, sizeof(block) - part, MSG_NOSIGNAL);
      bulk->good = n > 0;
      part += bulk->good ? (size_t)n : 0;
    }
  }
  struct tlsagent_error ignored;
  bool ended = bulk->kernel ? tlsagent_kernel_tls_finish(bulk->fd, &ignored)
                            : shutdown(bulk->fd, SHUT_WR) == 0;
  bulk->good = bulk->good && ended;
  return NULL;
}

// One that reads plaintext, however.
static size_t read_some(const struct bulk *bulk, char *buffer, bool *out_ended) {
  size_t len = 0;
  struct tlsagent_error ignored;
  if (!bulk->kernel) {
    ssize_t got = recv(bulk->fd, buffer, RECORD, 0);
    *out_ended = got == 0;
    return got < 0 ? 0 : (size_t)got;
  }
  enum tlsagent_state state = tlsagent_kernel_tls_read(bulk->fd, &len, buffer, RECORD, &ignored);
  *out_ended = state == TLSAGENT_STATE_CLOSED;
  return len;
}

static void *read_bulk(void *argument) {
  struct bulk *bulk = argument;
  char buffer[RECORD];
  uint32_t state = bulk->seed;
  uint32_t word = 0;
  size_t seen = 0;
  bool ended = false;
  size_t len;
  bulk->good = true;
  while ((len = read_some(bulk, buffer, &ended)) > 0) {
    for (size_t i = 0; i < len; i++, seen++) {
      word = seen % 4 == 0 ? next(&state) : word;
      bulk->good = bulk->good && ((const char *)&word)[seen % 4] == buffer[i];
    }
  }
  bulk->good = bulk->good && ended && seen == BULK;
  return NULL;
}

struct accepting {
  int listener;
  enum tlsagent_kernel_tls wish;
  const char *address;
  struct opened opened;
};

// A thread has a connection of its own to the daemon.
static void *accept_one(void *argument) {
  struct accepting *accepting = argument;
  const struct tlsagent_relay_options relay = {.kernel_tls = accepting->wish};
  const struct tlsagent_client_options options = {.address = accepting->address};
  const struct tlsagent_material chain = file(certificate);
  const struct tlsagent_certificate_pair pair = {.chain = chain, .key = file(key)};
  const struct tlsagent_context_create_request server = {
      .kind = TLSAGENT_CONTEXT_SERVER, .pairs = &pair, .num_pairs = 1};
  struct tlsagent_session_accept_reply *reply = NULL;
  struct tlsagent_error why;
  struct tlsagent_session_accept_request request = {.relay = &relay};
  struct tlsagent_client *own = tlsagent_client_open(&options, TIMEOUT_MS, &why);
  int fd = accept(accepting->listener, NULL, NULL);
  request.transport = tlsagent_over_fd(fd);
  accepting->opened.fd = -1;
  if (own != NULL && tlsagent_context_create(own, &request.context, &server, TIMEOUT_MS, &why) &&
      tlsagent_session_accept(own, &reply, &request, TIMEOUT_MS, &why) && reply->relay != NULL) {
    accepting->opened = opened(reply->session, reply->relay);
  }
  tlsagent_free(reply);
  close(fd);
  return own;
}

static void check_bulk(const char *address, enum tlsagent_kernel_tls client_wish,
                       enum tlsagent_kernel_tls server_wish, const char *what) {
  uint16_t port;
  pthread_t threads[4];
  void *own = NULL;
  struct accepting accepting = {
      .listener = listen_at(&port), .wish = server_wish, .address = address};
  pthread_create(&threads[0], NULL, accept_one, &accepting);
  struct opened client = open_client_at(port, client_wish);
  pthread_join(threads[0], &own);
  struct opened *server = &accepting.opened;
  struct bulk bulk[4] = {{client.fd, client.kernel, 1, false},
                         {server->fd, server->kernel, 1, false},
                         {server->fd, server->kernel, 2, false},
                         {client.fd, client.kernel, 2, false}};
  for (int i = 0; i < 4; i++) {
    pthread_create(&threads[i], NULL, i % 2 == 0 ? write_bulk : read_bulk, &bulk[i]);
  }
  bool good = client.fd >= 0 && server->fd >= 0;
  for (int i = 0; i < 4; i++) {
    pthread_join(threads[i], NULL);
    good = good && bulk[i].good;
  }
  check(good && client.kernel == (client_wish != TLSAGENT_KERNEL_TLS_NEVER) &&
            server->kernel == (server_wish != TLSAGENT_KERNEL_TLS_NEVER),
        "%d MiB both ways at once, %s", BULK >> 20, what);
  close_session(&client);
  close(server->fd);
  tlsagent_client_close(own);
  close(accepting.listener);
}

// ---------------------------------------------------------------------------------------------
// What the daemon says

static void check_old(void) {
  uint16_t port = free_port();
  struct program server = start_server(port, "TLS_AES_128_GCM_SHA256", "-rev");
  int tcp = connect_to(port);
  struct opened opened =
      open_client(old_context, tlsagent_over_fd(tcp), TLSAGENT_KERNEL_TLS_IF_POSSIBLE);
  char text[6] = "";
  check(opened.fd >= 0 && !opened.kernel && strstr(opened.why, "TLS 1.3") != NULL,
        "TLS 1.2 is relayed, and it is said why (%s)", opened.why);
  check(writes(opened.fd, "hello\n") && recv(opened.fd, text, 6, MSG_WAITALL) == 6 &&
            memcmp(text, "olleh\n", 6) == 0,
        "and the relay serves");
  close_session(&opened);
  close(tcp);
  tcp = connect_to(port);
  opened = open_client(old_context, tlsagent_over_fd(tcp), TLSAGENT_KERNEL_TLS_REQUIRED);
  check(opened.fd < 0 && error.rpc_code == TLSAGENT_RPC_FAILED_PRECONDITION,
        "TLS 1.2 is refused where the kernel is required (%s)", error.message);
  close(tcp);
  stop(&server);
}

static void check_dialled(void) {
  uint16_t port = free_port();
  struct program server = start_server(port, "TLS_CHACHA20_POLY1305_SHA256", "-rev");
  close(connect_to(port));
  struct opened opened = open_client(client_context, tlsagent_over_dial("127.0.0.1", port),
                                     TLSAGENT_KERNEL_TLS_REQUIRED);
  check(opened.kernel && writes(opened.fd, "hello\n") && reads(opened.fd, "olleh\n"),
        "a connection that the daemon made goes to the kernel too");
  close_session(&opened);
  stop(&server);
}

static void check_later(void) {
  uint16_t port = free_port();
  struct program server = start_server(port, "TLS_AES_128_GCM_SHA256", "-rev");
  int tcp = connect_to(port);
  struct tlsagent_session_connect_reply *reply = NULL;
  struct tlsagent_session_relay_reply *relay = NULL;
  const struct tlsagent_session_connect_request request = {
      .context = client_context, .transport = tlsagent_over_fd(tcp), .server_name = "host.test"};
  bool connected = tlsagent_session_connect(agent, &reply, &request, TIMEOUT_MS, &error);
  struct tlsagent_session_relay_request then = {.session = reply->session,
                                                .kernel_tls = TLSAGENT_KERNEL_TLS_REQUIRED};
  bool refused = !tlsagent_session_relay(agent, NULL, &then, TIMEOUT_MS, &error) &&
                 error.rpc_code == TLSAGENT_RPC_FAILED_PRECONDITION;
  then.kernel_tls = TLSAGENT_KERNEL_TLS_IF_POSSIBLE;
  bool relayed = tlsagent_session_relay(agent, &relay, &then, TIMEOUT_MS, &error);
  check(connected && refused && relayed && !relay->kernel_tls &&
            strstr(relay->kernel_tls_why, "Connect or Accept") != NULL,
        "a wish that comes late is told so, and relayed");
  if (relay != NULL) {
    close(relay->fd);
  }
  tlsagent_free(relay);
  tlsagent_free(reply);
  close(tcp);
  stop(&server);
}

static void check_end(void) {
  uint16_t port = free_port();
  struct program server = start_server(port, "TLS_AES_128_GCM_SHA256", "-rev");
  struct opened opened = open_client_at(port, TLSAGENT_KERNEL_TLS_REQUIRED);
  struct tlsagent_session_wait_end_reply *end = NULL;
  check(tlsagent_session_wait_end(agent, &end, opened.session, TIMEOUT_MS, &error) &&
            end->state == TLSAGENT_STATE_DONE,
        "the daemon's part has ended, and is told as DONE");
  tlsagent_free(end);
  tlsagent_session_close(agent, opened.session, TIMEOUT_MS, NULL);
  check(writes(opened.fd, "hello\n") && reads(opened.fd, "olleh\n"),
        "closing the session leaves the connection alone");
  close(opened.fd);
  stop(&server);
}

static size_t open_files(const char *pid) {
  char path[64];
  size_t num = 0;
  snprintf(path, sizeof(path), "/proc/%s/fd", pid);
  DIR *folder = opendir(path);
  while (folder != NULL && readdir(folder) != NULL) {
    num++;
  }
  if (folder != NULL) {
    closedir(folder);
  }
  return num;
}

static void check_nothing_is_left(const char *daemon_pid) {
  uint16_t port = free_port();
  struct program server = start_server(port, "TLS_AES_128_GCM_SHA256", "-rev");
  size_t before = 0;
  bool good = true;
  for (int i = 0; i < MANY; i++) {
    struct opened opened = open_client_at(port, TLSAGENT_KERNEL_TLS_REQUIRED);
    good = good && opened.kernel && writes(opened.fd, "CLOSE\n") &&
           read_end(opened.fd) == TLSAGENT_STATE_CLOSED;
    close_session(&opened);
    before = i == 0 ? open_files(daemon_pid) : before;
  }
  size_t after = open_files(daemon_pid);
  check(good && before > 0 && after <= before + 1,
        "%d connections leave nothing open in the daemon (%zu descriptors, then %zu)", MANY, before,
        after);
  stop(&server);
}

static bool has_capability(bool *out_available, char *detail, size_t size) {
  struct tlsagent_agent_info_reply *info = NULL;
  bool found = false;
  if (!tlsagent_agent_info(agent, &info, TIMEOUT_MS, &error)) {
    return false;
  }
  for (size_t i = 0; i < info->num_capabilities; i++) {
    if (strcmp(info->capabilities[i].name, "ktls") == 0) {
      found = true;
      *out_available = info->capabilities[i].available;
      snprintf(detail, size, "%s", info->capabilities[i].detail);
    }
  }
  tlsagent_free(info);
  return found;
}

static void check_info(bool expected) {
  bool available = !expected;
  char detail[200] = "";
  check(has_capability(&available, detail, sizeof(detail)) && available == expected,
        "Info says whether the kernel can be asked for (%s)", detail);
}

static void check_without_the_option(const char *address) {
  uint16_t port = free_port();
  struct program server = start_server(port, "TLS_AES_128_GCM_SHA256", "-rev");
  open_agent(address);
  check_info(false);
  struct opened opened = open_client_at(port, TLSAGENT_KERNEL_TLS_IF_POSSIBLE);
  check(opened.fd >= 0 && !opened.kernel && strstr(opened.why, "--kernel-tls") != NULL,
        "without --kernel-tls the relay serves, and says so (%s)", opened.why);
  close_session(&opened);
  opened = open_client_at(port, TLSAGENT_KERNEL_TLS_REQUIRED);
  check(opened.fd < 0 && error.rpc_code == TLSAGENT_RPC_FAILED_PRECONDITION,
        "or refuses, where the kernel is required");
  stop(&server);
}

int main(int argc, char **argv) {
  static const char *const suites[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                       "TLS_CHACHA20_POLY1305_SHA256"};
  if (argc != 6) {
    fprintf(stderr, "usage: checks KERNEL_ADDRESS PLAIN_ADDRESS CERTIFICATE KEY DAEMON_PID\n");
    return 2;
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  signal(SIGPIPE, SIG_IGN);
  certificate = argv[3];
  key = argv[4];
  open_agent(argv[1]);
  check_info(true);
  for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) {
    check_client(suites[i]);
    check_server(suites[i]);
  }
  check_finish();
  check_new_keys();
  check_early();
  check_close();
  check_cut();
  check_plain_read();
  check_keys_are_readable();
  check_bulk(argv[1], TLSAGENT_KERNEL_TLS_REQUIRED, TLSAGENT_KERNEL_TLS_NEVER,
             "the kernel as client, a relay as server");
  check_bulk(argv[1], TLSAGENT_KERNEL_TLS_NEVER, TLSAGENT_KERNEL_TLS_REQUIRED,
             "a relay as client, the kernel as server");
  check_bulk(argv[1], TLSAGENT_KERNEL_TLS_REQUIRED, TLSAGENT_KERNEL_TLS_REQUIRED,
             "the kernel on both sides");
  check_old();
  check_dialled();
  check_later();
  check_end();
  check_nothing_is_left(argv[5]);
  check_without_the_option(argv[2]);
  printf("%s: %d failed\n", num_failed == 0 ? "GOOD" : "BAD", num_failed);
  return num_failed == 0 ? 0 : 1;
}
