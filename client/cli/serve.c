// tlsagent serve: a TLS server on the command line.
//
// The main thread accepts, while there is somebody to serve, and only ever waits where a signal
// ends it. Each connection is served by a thread that has a connection to the daemon of its own,
// joined to the same client, and takes another connection when it is done.

#include "client/cli/serve.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "client/cli/commands.h"
#include "client/cli/text.h"

enum { CONNECTIONS_DEFAULT = 128, CONNECTIONS_MAX = 4096, GRACE_SECONDS = 3 };

#define MEMBER(member) offsetof(struct serve, member)

static const struct option_row OPTIONS[] = {
    {"listen", 'l', OPTION_TEXT, MEMBER(listen), "ADDRESS:PORT",
     "where to listen; port 0 takes a free one (default: :8443)"},
    {"echo", 0, OPTION_FLAG, MEMBER(echo), NULL, "send back what comes"},
    {"text", 0, OPTION_STRING, MEMBER(text), "STRING", "answer HTTP requests with STRING"},
    {"file", 0, OPTION_TEXT, MEMBER(file), "FILE", "answer HTTP requests with FILE"},
    {"exec", 0, OPTION_TEXT, MEMBER(exec), "COMMAND",
     "run COMMAND for each connection, on its standard input and output"},
    {"to", 0, OPTION_TEXT, MEMBER(to), "HOST:PORT", "forward the plaintext by TCP"},
    SERVER_WISHES_OPTIONS(serve, ""),
    {"once", 0, OPTION_FLAG, MEMBER(once), NULL, "serve one connection and end with its exit code"},
    {"max-connections", 0, OPTION_NUMBER, MEMBER(max_connections), "N",
     "how many at a time (default: 128)"},
    CONTEXT_OPTIONS(serve),
};

// A connection that waits for a thread, or a thread for a connection.
struct waiting {
  int fd;
  struct sockaddr_storage address;
};

struct server {
  const struct cli *cli;
  const struct serve *options;
  struct tlsagent_client *agent;  // the main thread's; the others join it
  uint64_t context;
  struct file page;
  int listener;
  int news;  // an eventfd: what the lock guards has changed

  pthread_mutex_t lock;  // guards what follows
  pthread_cond_t changed;
  struct waiting next;  // handed from the main thread to the first that takes it
  bool has_next;
  unsigned threads;
  unsigned idle;
  unsigned busy;
  bool stopping;
  int code;  // of the last connection
};

// --- One connection ---

static void log_connection(const struct serving *serving) {
  const struct tlsagent_negotiated *negotiated = serving->session->negotiated;
  char *text = NULL;
  size_t len = 0;
  FILE *out = open_memstream(&text, &len);
  if (serving->channel->cli->quiet || out == NULL || negotiated == NULL) {
    goto out;
  }
  fprintf(out, "%s %s %s", serving->peer, negotiated->version_name, negotiated->cipher.name);
  if (negotiated->server_name[0] != '\0') {
    fprintf(out, " name=%s", negotiated->server_name);
  }
  if (negotiated->alpn.len != 0) {
    fprintf(out, " alpn=%.*s", (int)negotiated->alpn.len, (const char *)negotiated->alpn.data);
  }
  if (serving->session->peer != NULL && serving->session->peer->der.len != 0) {
    fprintf(out, " client=%s", serving->session->peer->verify_message);
  }
out:
  if (out != NULL) {
    fclose(out);
  }
  if (len != 0) {
    flockfile(stderr);
    print_safe(stderr, text);
    fputc('\n', stderr);
    funlockfile(stderr);
  }
  free(text);
}

static int serve_session(struct server *server, struct channel *channel, const char *peer) {
  struct tlsagent_session_describe_reply *session;
  struct tlsagent_error error;
  if (!tlsagent_session_describe(channel->agent, &session, channel->session,
                                 server->cli->timeout_ms, &error)) {
    channel_drop(channel);
    return complain_error(server->cli, &error);
  }
  const struct serving serving = {server->options, channel, peer, session, &server->page};
  log_connection(&serving);
  const int code = serve_mode(&serving);
  tlsagent_free(session);
  return code;
}

static int serve_connection(struct server *server, struct tlsagent_client *agent,
                            const struct waiting *waiting) {
  struct channel channel = {.cli = server->cli, .agent = agent, .tcp = -1};
  struct tlsagent_error error;
  char peer[64];
  format_address(peer, sizeof(peer), &waiting->address);
  const int code = channel_accept(&channel, server->context, waiting->fd, &error);
  if (code != EXIT_OK) {
    return complain(server->cli, (enum exit_code)code, "%s: %s", peer, error.message);
  }
  return serve_session(server, &channel, peer);
}

// --- The threads ---

// Tells everybody that something has changed, with the lock held.
static void notify(struct server *server) {
  pthread_cond_broadcast(&server->changed);
  eventfd_write(server->news, 1);
}

// Waits for a connection. False: the server is stopping.
static bool take_next(struct server *server, struct waiting *out) {
  pthread_mutex_lock(&server->lock);
  server->idle++;
  notify(server);
  while (!server->has_next && !server->stopping) {
    pthread_cond_wait(&server->changed, &server->lock);
  }
  server->idle--;
  const bool taken = server->has_next;
  if (taken) {
    *out = server->next;
    server->has_next = false;
    server->busy++;
  }
  notify(server);
  pthread_mutex_unlock(&server->lock);
  return taken;
}

static void note_served(struct server *server, int code) {
  pthread_mutex_lock(&server->lock);
  server->busy--;
  server->code = code;
  notify(server);
  pthread_mutex_unlock(&server->lock);
}

// Nobody is left to take what the last thread leaves behind.
static void note_thread_end(struct server *server) {
  pthread_mutex_lock(&server->lock);
  server->threads--;
  if (server->threads == 0 && server->has_next) {
    close(server->next.fd);
    server->has_next = false;
  }
  notify(server);
  pthread_mutex_unlock(&server->lock);
}

static void *thread(void *user) {
  struct server *server = user;
  struct tlsagent_error error;
  struct waiting waiting;
  struct tlsagent_client *agent =
      tlsagent_client_join(server->agent, server->cli->timeout_ms, &error);
  while (take_next(server, &waiting)) {
    if (agent == NULL) {
      close(waiting.fd);
      note_served(server, complain_error(server->cli, &error));
      break;
    }
    note_served(server, serve_connection(server, agent, &waiting));
  }
  tlsagent_client_close(agent);
  note_thread_end(server);
  return NULL;
}

static bool start_thread(struct server *server) {
  pthread_attr_t attributes;
  pthread_t id;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  const bool started = pthread_create(&id, &attributes, thread, server) == 0;
  pthread_attr_destroy(&attributes);
  server->threads += started;
  return started;
}

// --- The main thread ---

static unsigned threads_max(const struct server *server) {
  return server->options->max_connections != 0 ? server->options->max_connections
                                               : CONNECTIONS_DEFAULT;
}

// Whether the next connection would find a thread at once.
static bool has_room(struct server *server) {
  pthread_mutex_lock(&server->lock);
  const bool room =
      !server->has_next && (server->idle != 0 || server->threads < threads_max(server));
  pthread_mutex_unlock(&server->lock);
  return room;
}

// Whether nothing is served, nor about to be.
static bool has_served(struct server *server) {
  pthread_mutex_lock(&server->lock);
  const bool served = !server->has_next && server->busy == 0;
  pthread_mutex_unlock(&server->lock);
  return served;
}

// Hands a connection to a thread, which may have to be started. There is room.
static bool hand_over(struct server *server, const struct waiting *waiting) {
  pthread_mutex_lock(&server->lock);
  const bool taken = server->idle != 0 || start_thread(server) || server->threads != 0;
  if (taken) {
    server->next = *waiting;
    server->has_next = true;
    pthread_cond_broadcast(&server->changed);
  }
  pthread_mutex_unlock(&server->lock);
  if (!taken) {
    close(waiting->fd);
    complain(server->cli, EXIT_IO, "cannot start a thread");
  }
  return taken;
}

// Returns whether a connection came and is with a thread.
static bool accept_one(struct server *server) {
  struct waiting waiting = {0};
  socklen_t len = sizeof(waiting.address);
  waiting.fd = accept4(server->listener, (struct sockaddr *)&waiting.address, &len, SOCK_CLOEXEC);
  if (waiting.fd >= 0) {
    return hand_over(server, &waiting);
  }
  if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
    const struct timespec a_little = {0, 50000000L};
    complain(server->cli, EXIT_NETWORK, "cannot accept: %s", strerrordesc_np(errno));
    nanosleep(&a_little, NULL);
  }
  return false;
}

// Waits until nothing is served any more and the threads have ended, or the grace is over.
static void wait_idle(struct server *server) {
  struct timespec end;
  int late = 0;
  clock_gettime(CLOCK_REALTIME, &end);
  end.tv_sec += GRACE_SECONDS;
  pthread_mutex_lock(&server->lock);
  server->stopping = true;
  notify(server);
  while ((server->busy != 0 || server->has_next || server->threads != 0) && late == 0) {
    late = pthread_cond_timedwait(&server->changed, &server->lock, &end);
  }
  pthread_mutex_unlock(&server->lock);
}

// Waits for a connection, if one is wanted, and for news. False: a signal came.
static bool wait_for_events(struct server *server, int signals, bool wanted, bool *out_connection) {
  enum { SIGNALS, NEWS, LISTENER, NUM };
  eventfd_t ignored;
  struct pollfd ready[NUM] = {
      [SIGNALS] = {signals, POLLIN, 0},
      [NEWS] = {server->news, POLLIN, 0},
      [LISTENER] = {wanted ? server->listener : -1, POLLIN, 0},
  };
  if (poll(ready, NUM, -1) < 0) {
    *out_connection = false;
    return true;
  }
  if (ready[NEWS].revents != 0) {
    eventfd_read(server->news, &ignored);
  }
  *out_connection = ready[LISTENER].revents != 0;
  return ready[SIGNALS].revents == 0;
}

static int serve_until(struct server *server, int signals) {
  bool last = false;  // of --once: it has come
  bool connection;
  while (wait_for_events(server, signals, !last && has_room(server), &connection)) {
    const bool came = connection && accept_one(server);
    last = last || (came && server->options->once);
    if (last && has_served(server)) {
      wait_idle(server);
      return server->code;
    }
  }
  wait_idle(server);
  return EXIT_OK;
}

// --- Starting ---

static int announce(const struct server *server) {
  struct sockaddr_storage address;
  socklen_t len = sizeof(address);
  char text[64];
  if (getsockname(server->listener, (struct sockaddr *)&address, &len) != 0) {
    return complain(server->cli, EXIT_NETWORK, "cannot tell where it listens: %s",
                    strerrordesc_np(errno));
  }
  format_address(text, sizeof(text), &address);
  printf("listening on %s\n", text);
  fflush(stdout);
  return EXIT_OK;
}

static int read_page(struct server *server) {
  const struct serve *options = server->options;
  if (options->file != NULL) {
    return read_file(server->cli, options->file, &server->page);
  }
  if (options->text != NULL) {
    server->page = (struct file){strdup(options->text), strlen(options->text)};
  }
  return EXIT_OK;
}

static int start_listening(struct server *server) {
  struct endpoint endpoint;
  const char *text = server->options->listen != NULL ? server->options->listen : ":8443";
  if (!parse_endpoint(&endpoint, text, "8443")) {
    return complain(server->cli, EXIT_USAGE, "--listen takes ADDRESS:PORT, not \"%s\"", text);
  }
  return tcp_listen(server->cli, &endpoint, &server->listener);
}

static int check(const struct cli *cli, const struct serve *options) {
  if (cli->json) {
    return complain(cli, EXIT_USAGE, "serve has nothing to say in JSON");
  }
  if (options->max_connections > CONNECTIONS_MAX) {
    return complain(cli, EXIT_USAGE, "--max-connections is at most %d", CONNECTIONS_MAX);
  }
  return serve_mode_check(cli, options);
}

static int serve(struct server *server) {
  const struct cli *cli = server->cli;
  sigset_t ends;
  const struct serve *options = server->options;
  int code = make_server_context(cli, server->agent, &options->options, &options->wishes,
                                 &server->context);
  code = code != EXIT_OK ? code : read_page(server);
  code = code != EXIT_OK ? code : start_listening(server);
  code = code != EXIT_OK ? code : announce(server);
  if (code != EXIT_OK) {
    return code;
  }
  // Threads inherit the mask, so that only the main thread hears of these, by its descriptor.
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ends, NULL);
  const int signals = signalfd(-1, &ends, SFD_CLOEXEC);
  server->news = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (signals < 0 || server->news < 0) {
    return complain(cli, EXIT_IO, "cannot wait for signals: %s", strerrordesc_np(errno));
  }
  code = serve_until(server, signals);
  close(signals);
  return code;
}

static int run(const struct cli *cli, const void *options, char *const *arguments) {
  (void)arguments;
  static struct server server;  // static: a thread that outlives the grace still uses it
  int code = check(cli, options);
  if (code != EXIT_OK) {
    return code;
  }
  server = (struct server){.cli = cli,
                           .options = options,
                           .listener = -1,
                           .news = -1,
                           .lock = PTHREAD_MUTEX_INITIALIZER,
                           .changed = PTHREAD_COND_INITIALIZER};
  server.agent = open_agent(cli, &code);
  if (server.agent != NULL) {
    code = serve(&server);
  }
  if (server.listener >= 0) {
    close(server.listener);
  }
  if (server.threads != 0) {
    fflush(NULL);
    _exit(code);  // what is still being served ends with the process
  }
  if (server.news >= 0) {
    close(server.news);
  }
  tlsagent_client_close(server.agent);
  wipe_file(&server.page);
  return code;
}

const struct command SERVE_COMMAND = {
    .name = "serve",
    .arguments = "",
    .summary = "serve TLS: a page, a file, an echo, a program, or another server",
    .options = OPTIONS,
    .num_options = sizeof(OPTIONS) / sizeof(OPTIONS[0]),
    .size = sizeof(struct serve),
    .num_arguments = 0,
    .run = run,
    .examples =
        "  tlsagent serve --listen 127.0.0.1:8443 --cert server.pem --key server.key\n"
        "  tlsagent serve --cert both.pem --echo\n"
        "  tlsagent serve --cert both.pem --client-ca users.pem --to 127.0.0.1:8080\n"
        "  tlsagent serve --cert both.pem --exec 'date; cat'\n",
};
