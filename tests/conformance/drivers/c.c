// The cells by libtlsagent, on sockets of this process. conformance_test.py says what each cell has
// to do and to print.
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/c/tlsagent.h"

enum { PATIENCE_MS = 20000, A_MOMENT_MS = 500, MOST = 1 << 20 };

static struct tlsagent_client *agent;
static struct tlsagent_error error;

static void check(bool good, const char *otherwise) {
  if (!good) {
    fprintf(stderr, "%s\n", otherwise);
    exit(1);
  }
}

// Descriptors stay the caller's: these are open to the end.
static struct tlsagent_material file(const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  check(fd >= 0, path);
  return tlsagent_material_fd(fd);
}

static uint64_t make(struct tlsagent_context_create_request *request) {
  uint64_t context = 0;
  check(tlsagent_context_create(agent, &context, request, PATIENCE_MS, &error), error.message);
  return context;
}

// args are a CA, and may go on with a chain and its key.
static uint64_t client(char **args, const struct tlsagent_alpn *alpn) {
  const struct tlsagent_material ca = file(args[0]);
  struct tlsagent_certificate_pair pair = {0};
  if (args[1] != NULL) {
    pair = (struct tlsagent_certificate_pair){.chain = file(args[1]), .key = file(args[2])};
  }
  return make(&(struct tlsagent_context_create_request){
      .kind = TLSAGENT_CONTEXT_CLIENT,
      .settings = {.alpn = alpn},
      .pairs = &pair,
      .num_pairs = args[1] != NULL,
      .trust = {.certificates = &ca, .num_certificates = 1}});
}

static struct sockaddr_in loopback(int port) {
  return (struct sockaddr_in){.sin_family = AF_INET,
                              .sin_port = htons((uint16_t)port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static struct tlsagent_session_connect_reply *dial(uint64_t context, const char *port,
                                                   struct tlsagent_bytes resumption) {
  const struct sockaddr_in address = loopback((int)strtol(port, NULL, 10));
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  check(connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0, "connect");
  const struct tlsagent_session_connect_request request = {.context = context,
                                                           .transport = tlsagent_over_fd(fd),
                                                           .server_name = "localhost",
                                                           .resumption = resumption};
  struct tlsagent_session_connect_reply *reply = NULL;
  check(tlsagent_session_connect(agent, &reply, &request, PATIENCE_MS, &error), error.message);
  close(fd);
  return reply;
}

static const struct tlsagent_bytes nothing = {0};

static uint64_t open_session(uint64_t context, const char *port) {
  struct tlsagent_session_connect_reply *reply = dial(context, port, nothing);
  uint64_t session = reply->session;
  tlsagent_free(reply);
  return session;
}

static void write_all(uint64_t session, const void *data, size_t len) {
  check(tlsagent_session_write_all(agent, NULL, session, data, len, PATIENCE_MS, &error),
        error.message);
}

// Returns how many bytes came; none at the end that the peer has told of.
static size_t read_some(uint64_t session, void *buffer, size_t size) {
  size_t len = 0;
  enum tlsagent_state state =
      tlsagent_session_read_into(agent, &len, session, buffer, size, PATIENCE_MS, &error);
  check(state == TLSAGENT_STATE_DONE || state == TLSAGENT_STATE_CLOSED, error.message);
  return state == TLSAGENT_STATE_DONE ? len : 0;
}

static void close_session(uint64_t session) {
  tlsagent_session_shutdown(agent, NULL,
                            &(struct tlsagent_session_shutdown_request){.session = session},
                            PATIENCE_MS, &error);
  tlsagent_session_close(agent, session, PATIENCE_MS, &error);
}

static void page(uint64_t session) {
  static const char get[] = "GET /page HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  char answer[4096] = "";
  size_t len = 0, more;
  write_all(session, get, sizeof(get) - 1);
  while ((more = read_some(session, answer + len, sizeof(answer) - 1 - len)) > 0) {
    len += more;
  }
  const char *body = strstr(answer, "\r\n\r\n");
  check(body != NULL, "that is no answer");
  printf("status=%.3s\nbody=%s", answer + strcspn(answer, " ") + 1, body + 4);
}

static void ask(uint64_t session) {
  char answer[100];
  write_all(session, "question\n", 9);
  size_t len = read_some(session, answer, sizeof(answer));
  printf("then=%.*s", (int)len, answer);
}

static void cell_get(char **args) {
  uint64_t session = open_session(client(args + 1, NULL), args[0]);
  page(session);
  close_session(session);
}

static void cell_alpn(char **args) {
  const struct tlsagent_bytes names[] = {tlsagent_bytes_of("matrix/2", 8),
                                         tlsagent_bytes_of("http/1.1", 8)};
  const struct tlsagent_alpn alpn = {.protocols = names, .num_protocols = 2};
  struct tlsagent_session_connect_reply *reply = dial(client(args + 1, &alpn), args[0], nothing);
  const struct tlsagent_bytes chosen = reply->negotiated->alpn;
  printf("alpn=%.*s\n", (int)chosen.len, (const char *)chosen.data);
  page(reply->session);
  close_session(reply->session);
  tlsagent_free(reply);
}

static void cell_resume(char **args) {
  uint64_t context = client(args + 1, NULL);
  struct tlsagent_session_get_resumption_reply *ticket = NULL;
  for (int i = 0; i < 2; ++i) {
    struct tlsagent_session_connect_reply *reply =
        dial(context, args[0], ticket != NULL ? ticket->resumption : nothing);
    tlsagent_free(ticket);
    page(reply->session);
    printf("resumed=%s\n", reply->negotiated->resumed ? "true" : "false");
    check(tlsagent_session_get_resumption(agent, &ticket, reply->session, PATIENCE_MS, &error),
          error.message);
    close_session(reply->session);
    tlsagent_free(reply);
  }
  tlsagent_free(ticket);
}

static void cancelled(void *user, bool ok, void *reply, const struct tlsagent_error *why) {
  if (!ok && why->rpc_code == TLSAGENT_RPC_CANCELLED) {
    printf("cancelled=%s\n", tlsagent_rpc_code_name(why->rpc_code));
  }
  *(bool *)user = true;
  tlsagent_free(reply);
}

static void cell_cancel(char **args) {
  uint64_t session = open_session(client(args + 1, NULL), args[0]);
  const struct tlsagent_session_read_request read = {.session = session};
  bool over = false;
  uint32_t call =
      tlsagent_submit(agent, TLSAGENT_SESSION_READ, &read, PATIENCE_MS, cancelled, &over, &error);
  check(call != 0, error.message);
  usleep(A_MOMENT_MS * 1000);
  check(tlsagent_agent_cancel(agent, NULL, call, PATIENCE_MS, &error), error.message);
  while (!over && tlsagent_wait(agent, &error)) {
  }
  ask(session);
  close_session(session);
}

static void cell_deadline(char **args) {
  uint64_t session = open_session(client(args + 1, NULL), args[0]);
  bool read = tlsagent_session_read(agent, NULL,
                                    &(struct tlsagent_session_read_request){.session = session},
                                    A_MOMENT_MS, &error);
  if (!read && error.fault == TLSAGENT_FAULT_DEADLINE) {
    printf("expired=%s\n", tlsagent_fault_name(error.fault));
  }
  ask(session);
  close_session(session);
}

static char buffer[MOST];

static void cell_bulk(char **args) {
  FILE *source = fopen(args[2], "rb"), *target = fopen(args[3], "wb");
  args[2] = NULL;  // what is left names the CA alone
  uint64_t session = open_session(client(args + 1, NULL), args[0]);
  check(source != NULL && target != NULL, "files");
  size_t len;
  while ((len = fread(buffer, 1, sizeof(buffer), source)) > 0) {
    write_all(session, buffer, len);
  }
  while ((len = read_some(session, buffer, sizeof(buffer))) > 0) {
    check(fwrite(buffer, 1, len, target) == len, "write");
  }
  check(fclose(target) == 0, "close");
  fclose(source);
  close_session(session);
}

static void answer(uint64_t session) {
  static const char response[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nconformance\n";
  char request[4096] = "";
  size_t len = 0, more = 1;
  while (more > 0 && strstr(request, "\r\n\r\n") == NULL) {
    more = read_some(session, request + len, sizeof(request) - 1 - len);
    len += more;
  }
  printf("request=%.*s\n", (int)strcspn(request, "\r"), request);
  write_all(session, response, sizeof(response) - 1);
  close_session(session);
}

static int listen_anywhere(void) {
  struct sockaddr_in address = loopback(0);
  socklen_t len = sizeof(address);
  struct sockaddr *any = (struct sockaddr *)&address;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  check(bind(fd, any, len) == 0 && listen(fd, 16) == 0 && getsockname(fd, any, &len) == 0,
        "listen");
  printf("port=%d\n", ntohs(address.sin_port));
  return fd;
}

static void cell_serve(char **args) {
  const struct tlsagent_certificate_pair pair = {.chain = file(args[0]), .key = file(args[1])};
  uint64_t context = make(&(struct tlsagent_context_create_request){
      .kind = TLSAGENT_CONTEXT_SERVER, .pairs = &pair, .num_pairs = 1});
  for (int listener = listen_anywhere();;) {
    int fd = accept(listener, NULL, NULL);
    struct tlsagent_session_accept_reply *reply = NULL;
    if (tlsagent_session_accept(agent, &reply,
                                &(struct tlsagent_session_accept_request){
                                    .context = context, .transport = tlsagent_over_fd(fd)},
                                PATIENCE_MS, &error)) {
      answer(reply->session);
    } else {
      fprintf(stderr, "%s\n", error.message);
    }
    tlsagent_free(reply);
    close(fd);
  }
}

static void show(const struct tlsagent_certificate *one) {
  for (size_t i = 0; i < one->num_subject; ++i) {
    const struct tlsagent_name_attribute *part = one->subject[i].attributes;
    if (strcmp(part->short_type, "CN") == 0) {
      printf("cn=%.*s\n", (int)part->value.len, (const char *)part->value.data);
    }
  }
  printf("names=");
  for (size_t i = 0; i < one->num_subject_alt_names; ++i) {
    printf("%s%s", i > 0 ? "," : "", one->subject_alt_names[i].text);
  }
  printf("\nuntil=%lld\n", (long long)one->not_after_unix);
}

static void cell_decode(char **args) {
  const struct tlsagent_certificate_decode_request request = {.certificates = file(args[0])};
  struct tlsagent_certificate_decode_reply *reply = NULL;
  check(tlsagent_certificate_decode(agent, &reply, &request, PATIENCE_MS, &error), error.message);
  for (size_t i = 0; i < reply->num_certificates; ++i) {
    show(&reply->certificates[i]);
  }
  tlsagent_free(reply);
}

static const struct {
  const char *name;
  void (*run)(char **args);
} cells[] = {{"get", cell_get},       {"alpn", cell_alpn},         {"resume", cell_resume},
             {"cancel", cell_cancel}, {"deadline", cell_deadline}, {"bulk", cell_bulk},
             {"serve", cell_serve},   {"decode", cell_decode}};

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  agent = tlsagent_client_open(NULL, PATIENCE_MS, &error);
  check(agent != NULL, error.message);
  for (size_t i = 0; argc > 1 && i < sizeof(cells) / sizeof(cells[0]); ++i) {
    if (strcmp(argv[1], cells[i].name) == 0) {
      cells[i].run(argv + 2);
      tlsagent_client_close(agent);
      return 0;
    }
  }
  check(false, "no such cell");
}
