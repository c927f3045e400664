// tlsagent relay: TLS before, or behind, a program that has none. The daemon does all of it; this
// process makes the listening socket, and tells how connections end.

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "client/cli/commands.h"
#include "client/cli/context.h"
#include "client/cli/net.h"
#include "client/cli/private_daemon.h"
#include "client/cli/text.h"

enum { CONNECTIONS_DEFAULT = 4096, CONNECTIONS_MAX = 500000, IDLE_SECONDS = 600, AHEAD_MAX = 256 };

struct relay {
  struct context_options options;
  struct client_trust trust;
  struct server_wishes wishes;
  const char *listen;
  const char *to;
  const char *server_name;
  bool client;
  bool proxy_protocol;
  bool no_tickets;
  bool verbose;
  uint32_t handshake_timeout;
  uint32_t idle_timeout;
  uint32_t total_timeout;
  uint32_t max_connections;
  uint32_t workers;
};

#define MEMBER(member) offsetof(struct relay, member)

static const struct option_row OPTIONS[] = {
    {"listen", 'l', OPTION_TEXT, MEMBER(listen), "ADDRESS",
     "where to listen: HOST:PORT, :PORT or unix:PATH; port 0 takes a free one"},
    {"to", 0, OPTION_TEXT, MEMBER(to), "ADDRESS", "where to go on to: HOST:PORT or unix:PATH"},
    {"client", 0, OPTION_FLAG, MEMBER(client), NULL,
     "take plaintext, and do TLS with the server at --to"},
    CLIENT_TRUST_OPTIONS(relay, "--client: "),
    {"servername", 0, OPTION_TEXT, MEMBER(server_name), "NAME",
     "--client: the name to ask for and to check (default: HOST)"},
    SERVER_WISHES_OPTIONS(relay, ""),
    {"proxy-protocol", 0, OPTION_FLAG, MEMBER(proxy_protocol), NULL,
     "begin each connection to --to with a PROXY protocol header, version 2"},
    {"no-tickets", 0, OPTION_FLAG, MEMBER(no_tickets), NULL, "no session tickets: nothing resumes"},
    {"handshake-timeout", 0, OPTION_NUMBER, MEMBER(handshake_timeout), "SECONDS",
     "how long a handshake may take (default: 10)"},
    {"idle-timeout", 0, OPTION_NUMBER, MEMBER(idle_timeout), "SECONDS",
     "end a connection after so long without a byte either way (default: 600)"},
    {"total-timeout", 0, OPTION_NUMBER, MEMBER(total_timeout), "SECONDS",
     "end a connection after so long in any case (default: never)"},
    {"max-connections", 0, OPTION_NUMBER, MEMBER(max_connections), "N",
     "how many at a time; more wait to be accepted (default: 4096)"},
    {"workers", 0, OPTION_NUMBER, MEMBER(workers), "N",
     "threads of the daemon that is started (default: one per processor)"},
    {"verbose", 'v', OPTION_FLAG, MEMBER(verbose), NULL, "tell of connections that went well, too"},
    CONTEXT_OPTIONS(relay),
};

struct address {
  const char *unix_path;  // NULL: it is TCP
  struct endpoint endpoint;
};

struct relaying {
  const struct cli *cli;
  const struct relay *options;
  struct address listen_at;
  struct address target;
  struct tlsagent_client *agent;
  uint64_t context;
  uint64_t relay_handle;
  int listener;          // until the daemon has it
  const char *bound_to;  // a Unix socket's path, to be removed
  int code;              // how it ends
  bool lost;
};

// --- Addresses ---

static bool parse_address(struct address *out, const char *text) {
  static const char scheme[] = "unix:";
  const size_t len = sizeof(scheme) - 1;
  out->unix_path = NULL;
  if (strncmp(text, scheme, len) == 0) {
    out->unix_path = text + len;
    return text[len] != '\0';
  }
  return parse_endpoint(&out->endpoint, text, NULL);
}

static int read_addresses(struct relaying *relaying) {
  const struct cli *cli = relaying->cli;
  const struct relay *options = relaying->options;
  if (options->listen == NULL || options->to == NULL) {
    return complain(cli, EXIT_USAGE, "--listen ADDRESS and --to ADDRESS are needed");
  }
  if (!parse_address(&relaying->listen_at, options->listen)) {
    return complain(cli, EXIT_USAGE, "--listen takes HOST:PORT or unix:PATH, not \"%s\"",
                    options->listen);
  }
  const struct address *to = &relaying->target;
  if (!parse_address(&relaying->target, options->to) ||
      (to->unix_path == NULL && to->endpoint.host[0] == '\0') ||
      (to->unix_path != NULL && to->unix_path[0] != '/')) {
    return complain(cli, EXIT_USAGE,
                    "--to takes HOST:PORT or unix:PATH with an absolute path, not \"%s\"",
                    options->to);
  }
  if (to->unix_path != NULL && relaying->options->client && !relaying->options->trust.insecure &&
      relaying->options->server_name == NULL) {
    return complain(cli, EXIT_USAGE,
                    "--client with --to unix:PATH needs --servername NAME: whom to verify");
  }
  if (to->unix_path == NULL && endpoint_port(&to->endpoint) == 0) {
    return complain(cli, EXIT_USAGE, "--to: no such port: %s", to->endpoint.port);
  }
  return EXIT_OK;
}

static int check(const struct cli *cli, const struct relay *options) {
  if (cli->json) {
    return complain(cli, EXIT_USAGE, "relay has nothing to say in JSON");
  }
  if (options->client &&
      (options->wishes.client_ca != NULL || options->wishes.client_cert != NULL ||
       options->proxy_protocol || options->no_tickets)) {
    return complain(
        cli, EXIT_USAGE,
        "--client-ca, --client-cert, --proxy-protocol and --no-tickets are for servers");
  }
  if (!options->client && (options->trust.cafile != NULL || options->trust.insecure ||
                           options->trust.system || options->server_name != NULL)) {
    return complain(cli, EXIT_USAGE,
                    "--cafile, --system, --insecure and --servername need --client");
  }
  if (options->max_connections > CONNECTIONS_MAX) {
    return complain(cli, EXIT_USAGE, "--max-connections is at most %d", CONNECTIONS_MAX);
  }
  if (cli->socket != NULL && options->workers != 0) {
    return complain(cli, EXIT_USAGE,
                    "--workers is for the daemon that is started: not with --socket");
  }
  return EXIT_OK;
}

// --- The daemon ---

static uint32_t connections_of(const struct relay *options) {
  return options->max_connections != 0 ? options->max_connections : CONNECTIONS_DEFAULT;
}

static int start_own_daemon(const struct relaying *relaying, char out[PRIVATE_ADDRESS_SIZE]) {
  const struct address *to = &relaying->target;
  const char *host = to->endpoint.host;
  const bool six = strchr(host, ':') != NULL;
  const uint32_t connections = connections_of(relaying->options);
  char workers[16];
  char pattern[512];
  char sessions[64];
  char owner[64];
  snprintf(workers, sizeof(workers), "%" PRIu32, relaying->options->workers);
  // Workers accept side by side, and each may be one ahead of its share.
  const uint32_t room = connections + AHEAD_MAX;
  snprintf(sessions, sizeof(sessions), "sessions=%" PRIu32, room);
  snprintf(owner, sizeof(owner), "sessions_per_owner=%" PRIu32, room);
  if (to->unix_path != NULL) {
    snprintf(pattern, sizeof(pattern), "unix:%s", to->unix_path);
  } else {
    snprintf(pattern, sizeof(pattern), "%s%s%s:%" PRIu32, six ? "[" : "", host, six ? "]" : "",
             endpoint_port(&to->endpoint));
  }
  const char *const options[] = {"--allow-dial",
                                 pattern,
                                 "--limit",
                                 sessions,
                                 "--limit",
                                 owner,
                                 relaying->options->workers != 0 ? "--workers" : NULL,
                                 workers,
                                 NULL};
  return private_daemon_start(relaying->cli, options, out);
}

static int have_daemon(struct relaying *relaying) {
  char address[PRIVATE_ADDRESS_SIZE];
  struct cli own = *relaying->cli;
  int code = EXIT_OK;
  if (own.socket == NULL) {
    code = start_own_daemon(relaying, address);
    own.socket = address;
  }
  if (code == EXIT_OK) {
    relaying->agent = open_agent(&own, &code);
  }
  return code;
}

// --- Listening ---

static int start_listening(struct relaying *relaying) {
  const struct address *at = &relaying->listen_at;
  int code = at->unix_path != NULL ? unix_listen(relaying->cli, at->unix_path, &relaying->listener)
                                   : tcp_listen(relaying->cli, &at->endpoint, &relaying->listener);
  if (code == EXIT_OK) {
    relaying->bound_to = at->unix_path;
    // Nobody but the daemon accepts, and it needs no such flag.
    fcntl(relaying->listener, F_SETFL, fcntl(relaying->listener, F_GETFL) & ~O_NONBLOCK);
  }
  return code;
}

// The daemon's is the only one then, so that who connects is refused when the daemon lets it go.
static void drop_listener(struct relaying *relaying) {
  if (relaying->listener >= 0) {
    close(relaying->listener);
    relaying->listener = -1;
  }
}

static void stop_listening(struct relaying *relaying) {
  drop_listener(relaying);
  if (relaying->bound_to != NULL) {
    unlink(relaying->bound_to);
  }
}

static int make_relay_context(struct relaying *relaying) {
  const struct relay *options = relaying->options;
  if (options->client) {
    return make_client_context(relaying->cli, relaying->agent, &options->options, &options->trust,
                               &relaying->context);
  }
  // One ticket is what a client uses for its next connection (RFC 8446, section C.4).
  struct server_wishes wishes = options->wishes;
  wishes.num_tickets = (struct tlsagent_optional)TLSAGENT_GIVEN(options->no_tickets ? 0 : 1);
  return make_server_context(relaying->cli, relaying->agent, &options->options, &wishes,
                             &relaying->context);
}

static struct tlsagent_target target_of(const struct address *to) {
  if (to->unix_path != NULL) {
    return (struct tlsagent_target){.kind = TLSAGENT_TARGET_UNIX, .unix_path = to->unix_path};
  }
  return (struct tlsagent_target){
      .kind = TLSAGENT_TARGET_TCP, .host = to->endpoint.host, .port = endpoint_port(&to->endpoint)};
}

static int listen_for_daemon(struct relaying *relaying) {
  const struct relay *options = relaying->options;
  const struct tlsagent_relay_listen_request request = {
      .context = relaying->context,
      .role = options->client ? TLSAGENT_ROLE_CLIENT : TLSAGENT_ROLE_SERVER,
      .fd = relaying->listener,
      .to = target_of(&relaying->target),
      .server_name = options->server_name,
      .proxy_protocol = options->proxy_protocol,
      .handshake_seconds = options->handshake_timeout,
      .idle_seconds = options->idle_timeout != 0 ? options->idle_timeout : IDLE_SECONDS,
      .total_seconds = options->total_timeout,
      .max_connections = connections_of(options),
      .keep_ends = !relaying->cli->quiet};
  struct tlsagent_relay_listen_reply *reply = NULL;
  struct tlsagent_error error;
  if (!tlsagent_relay_listen(relaying->agent, &reply, &request, relaying->cli->timeout_ms,
                             &error)) {
    return complain_error(relaying->cli, &error);
  }
  relaying->relay_handle = reply->listener;
  tlsagent_free(reply);
  return EXIT_OK;
}

static int announce(const struct relaying *relaying) {
  struct sockaddr_storage address;
  socklen_t len = sizeof(address);
  char text[64];
  if (relaying->listen_at.unix_path != NULL) {
    printf("relaying unix:%s to %s\n", relaying->listen_at.unix_path, relaying->options->to);
  } else if (getsockname(relaying->listener, (struct sockaddr *)&address, &len) == 0) {
    format_address(text, sizeof(text), &address);
    printf("relaying %s to %s\n", text, relaying->options->to);
  } else {
    return complain(relaying->cli, EXIT_NETWORK, "cannot tell where it listens: %s",
                    strerrordesc_np(errno));
  }
  fflush(stdout);
  return EXIT_OK;
}

// --- What became of connections ---

static const char *stage_text(enum tlsagent_relay_stage stage) {
  switch (stage) {
    case TLSAGENT_RELAY_STAGE_REFUSED:
      return "refused";
    case TLSAGENT_RELAY_STAGE_HANDSHAKE:
      return "the handshake failed";
    case TLSAGENT_RELAY_STAGE_DIAL:
      return "the target can't be reached";
    default:
      return "ended";
  }
}

static void show_reason(FILE *out, const struct tlsagent_tls_error *error) {
  fputs(": ", out);
  print_safe(out, error->text[0] != '\0' ? error->text : error->reason);
  if (error->reason[0] != '\0') {
    fputs(" (", out);
    print_safe(out, error->reason);
    fputc(')', out);
  }
}

static void show_connection(FILE *out, const struct tlsagent_relayed_connection *connection) {
  const struct tlsagent_session_wait_end_reply *how = connection->end;
  print_safe(out, connection->peer);
  if (connection->negotiated != NULL) {
    fprintf(out, " %s %s", connection->negotiated->version_name,
            connection->negotiated->cipher.name);
  }
  if (connection->stage == TLSAGENT_RELAY_STAGE_RELAYED && how != NULL) {
    fprintf(out, " %" PRIu64 " bytes in, %" PRIu64 " out, %.3f s", how->bytes_read,
            how->bytes_written, (double)how->milliseconds / 1e3);
  }
  if (how != NULL && how->error != NULL) {
    fprintf(out, " %s", stage_text(connection->stage));
    show_reason(out, how->error);
  }
  fputc('\n', out);
}

static void show_ends(const struct relaying *relaying,
                      const struct tlsagent_relay_next_reply *reply) {
  for (size_t i = 0; i < reply->num_ends; i++) {
    const bool went_well = reply->ends[i].end != NULL && reply->ends[i].end->error == NULL;
    if (!went_well || relaying->options->verbose) {
      show_connection(stderr, &reply->ends[i]);
    }
  }
  if (reply->lost != 0) {
    complain(relaying->cli, EXIT_OK, "%" PRIu64 " more connections ended than could be told of",
             reply->lost);
  }
}

static void on_ends(void *user, bool ok, void *reply, const struct tlsagent_error *error);

static void ask_for_ends(struct relaying *relaying) {
  const struct tlsagent_handle_request request = {relaying->relay_handle};
  struct tlsagent_error error;
  if (tlsagent_submit(relaying->agent, TLSAGENT_RELAY_NEXT, &request, 0, on_ends, relaying,
                      &error) == 0) {
    relaying->code = complain_error(relaying->cli, &error);
    relaying->lost = true;
  }
}

static void on_ends(void *user, bool ok, void *reply, const struct tlsagent_error *error) {
  struct relaying *relaying = user;
  if (ok) {
    show_ends(relaying, reply);
    ask_for_ends(relaying);
  } else if (error->rpc_code == TLSAGENT_RPC_UNAVAILABLE && !relaying->lost) {
    // The daemon closes the connection when those that are left have ended.
    complain(relaying->cli, EXIT_OK,
             "tlsagentd is stopping: it accepts no more, and its connections go on until they end "
             "or --drain-timeout has passed");
  } else if (!relaying->lost) {
    relaying->code = complain_error(relaying->cli, error);
    relaying->lost = true;
  }
  tlsagent_free(reply);
}

static void show_sum(const struct relaying *relaying) {
  struct tlsagent_relay_describe_reply *sum = NULL;
  struct tlsagent_error error;
  if (!relaying->cli->quiet &&
      tlsagent_relay_describe(relaying->agent, &sum, relaying->relay_handle,
                              relaying->cli->timeout_ms, &error)) {
    fprintf(stderr,
            "%" PRIu64 " connections: %" PRIu64 " relayed, %" PRIu64 " handshakes failed, %" PRIu64
            " targets not reached, %" PRIu64 " refused\n",
            sum->accepted, sum->established, sum->handshakes_failed, sum->dials_failed,
            sum->refused);
  }
  tlsagent_free(sum);
}

// --- The life of it ---

static void relay_until(struct relaying *relaying, int signals) {
  struct tlsagent_error error;
  struct pollfd ready[] = {{signals, POLLIN, 0}, {-1, POLLIN, 0}};
  while (!relaying->lost && ready[0].revents == 0) {
    ready[1].fd = tlsagent_client_fd(relaying->agent);
    ready[1].events =
        (short)(POLLIN | (tlsagent_client_wants_write(relaying->agent) ? POLLOUT : 0));
    if (poll(ready, 2, tlsagent_client_timeout_ms(relaying->agent)) < 0 && errno != EINTR) {
      break;
    }
    if (!tlsagent_poll(relaying->agent, &error) && !relaying->lost) {
      relaying->code = complain_error(relaying->cli, &error);
      relaying->lost = true;
    }
  }
}

static int relay(struct relaying *relaying) {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  sigprocmask(SIG_BLOCK, &ends, NULL);
  const int signals = signalfd(-1, &ends, SFD_CLOEXEC);
  int code = signals < 0 ? complain(relaying->cli, EXIT_IO, "cannot wait for signals: %s",
                                    strerrordesc_np(errno))
                         : have_daemon(relaying);
  code = code != EXIT_OK ? code : make_relay_context(relaying);
  code = code != EXIT_OK ? code : start_listening(relaying);
  code = code != EXIT_OK ? code : listen_for_daemon(relaying);
  code = code != EXIT_OK ? code : announce(relaying);
  if (code == EXIT_OK) {
    drop_listener(relaying);
    if (!relaying->cli->quiet) {
      ask_for_ends(relaying);
    }
    relay_until(relaying, signals);
    if (!relaying->lost) {
      show_sum(relaying);
      relaying->lost = true;  // what is in flight ends now, and that is no news
    }
    code = relaying->code;
  }
  stop_listening(relaying);
  tlsagent_client_close(relaying->agent);
  return code;
}

static int run(const struct cli *cli, const void *options, char *const *arguments) {
  (void)arguments;
  struct relaying relaying = {.cli = cli, .options = options, .listener = -1};
  int code = check(cli, options);
  code = code != EXIT_OK ? code : read_addresses(&relaying);
  return code != EXIT_OK ? code : relay(&relaying);
}

const struct command RELAY_COMMAND = {
    .name = "relay",
    .arguments = "",
    .summary = "put TLS before a plaintext service, or behind a plaintext client",
    .options = OPTIONS,
    .num_options = sizeof(OPTIONS) / sizeof(OPTIONS[0]),
    .size = sizeof(struct relay),
    .num_arguments = 0,
    .run = run,
    .examples =
        "  tlsagent relay --listen :8443 --to 127.0.0.1:8080 --cert server.pem --key server.key\n"
        "  tlsagent relay --listen :443 --to unix:/run/app.sock --cert both.pem --proxy-protocol\n"
        "  tlsagent relay --client --listen 127.0.0.1:5432 --to db.example.org:5433\n",
};
