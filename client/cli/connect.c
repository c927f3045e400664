// tlsagent connect: a TLS client on the command line.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/commands.h"
#include "client/cli/context.h"
#include "client/cli/files.h"
#include "client/cli/http.h"
#include "client/cli/pump.h"
#include "client/cli/show.h"
#include "client/cli/text.h"

struct connect {
  struct context_options options;
  struct client_trust trust;
  const char *server_name;
  const char *path;
  const char *get;
  bool dial;
  bool check;
  bool include;
  bool show_certs;
  bool ignore_eof;
};

#define MEMBER(member) offsetof(struct connect, member)

static const struct option_row OPTIONS[] = {
    {"get", 0, OPTION_TEXT, MEMBER(get), "PATH", "get a page by HTTP/1.1 and print its body"},
    {"include", 'i', OPTION_FLAG, MEMBER(include), NULL, "print the page's headers too"},
    {"check", 0, OPTION_FLAG, MEMBER(check), NULL, "only connect, tell what was agreed, and end"},
    {"show-certs", 0, OPTION_FLAG, MEMBER(show_certs), NULL,
     "print the certificates that the server sent"},
    {"servername", 0, OPTION_TEXT, MEMBER(server_name), "NAME",
     "the name to ask for and to check (default: HOST)"},
    CLIENT_TRUST_OPTIONS(connect, ""),
    {"path", 0, OPTION_TEXT, MEMBER(path), "PATH",
     "fd: hand the socket to the daemon (default); memory: move the ciphertext here; dial"},
    {"dial", 0, OPTION_FLAG, MEMBER(dial), NULL, "let the daemon make the connection"},
    {"ignore-eof", 0, OPTION_FLAG, MEMBER(ignore_eof), NULL,
     "don't send close_notify when standard input ends"},
    CONTEXT_OPTIONS(connect),
};

// --- What was agreed ---

// Everything that is told of a connection.
struct facts {
  struct tlsagent_session_describe_reply *session;
  struct tlsagent_session_peer_certificate_reply *chain;
};

static void show_peer(FILE *out, const struct facts *facts, bool insecure) {
  const struct tlsagent_peer *peer = facts->chain->peer;
  const bool shown = facts->chain->num_unverified_certificates != 0;
  if (shown) {
    const struct tlsagent_certificate *own = &facts->chain->unverified_certificates[0];
    fprintf(out, "  %-14s", "Certificate:");
    print_safe(out, own->subject_text);
    fprintf(out, "\n  %-14s", "Issued by:");
    print_safe(out, own->issuer_text);
    fprintf(out, "\n  %-14s", "Valid until:");
    print_safe(out, own->not_after);
    fputc('\n', out);
  }
  fprintf(out, "  %-14s", "Verification:");
  print_safe(out, peer != NULL && shown ? peer->verify_message : "there was no certificate");
  fprintf(out, "%s\n", insecure ? " (not required: --insecure)" : "");
}

static void show_text(FILE *out, const struct connect *options, const char *target,
                      const struct facts *facts) {
  fprintf(out, "Connected to ");
  print_safe(out, target);
  fputc('\n', out);
  if (facts->session->negotiated != NULL) {
    show_negotiated(out, facts->session->negotiated);
  }
  show_peer(out, facts, options->trust.insecure);
}

static void show_json(FILE *out, const struct connect *options, const char *target,
                      const struct facts *facts) {
  const struct tlsagent_peer *peer = facts->chain->peer;
  struct json json = {.out = out};
  json_begin_object(&json, NULL);
  json_text(&json, "target", target);
  json_text(&json, "path", facts->session->transport);
  if (facts->session->negotiated != NULL) {
    json_negotiated(&json, "negotiated", facts->session->negotiated);
  }
  json_bool(&json, "verification_required", !options->trust.insecure);
  if (peer != NULL) {
    json_number(&json, "verify_code", peer->verify_code);
    json_text(&json, "verify_message", peer->verify_message);
  }
  json_begin_array(&json, "certificates");
  for (size_t i = 0; i < facts->chain->num_unverified_certificates; i++) {
    json_certificate(&json, NULL, &facts->chain->unverified_certificates[i]);
  }
  json_end_array(&json);
  json_end_object(&json);
  json_end(&json);
}

static void show_certs(FILE *out, const struct facts *facts) {
  for (size_t i = 0; i < facts->chain->num_unverified_certificates; i++) {
    fprintf(out, "\nCertificate %zu of %zu\n", i + 1, facts->chain->num_unverified_certificates);
    show_certificate(out, &facts->chain->unverified_certificates[i], true);
  }
}

// Standard output is the data's, unless there is none.
static void show(const struct cli *cli, const struct connect *options, const char *target,
                 const struct facts *facts) {
  FILE *out = options->check ? stdout : stderr;
  if (cli->json) {
    show_json(out, options, target, facts);
    return;
  }
  if (!cli->quiet) {
    show_text(out, options, target, facts);
  }
  if (options->show_certs) {
    show_certs(out, facts);
  }
}

static int tell(struct channel *channel, const struct connect *options, const char *target) {
  const struct cli *cli = channel->cli;
  const struct tlsagent_session_peer_certificate_request request = {.session = channel->session,
                                                                    .decode = true};
  struct tlsagent_error error;
  struct facts facts = {0};
  int code = EXIT_OK;
  if (cli->quiet && !cli->json && !options->show_certs) {
    return EXIT_OK;
  }
  if (tlsagent_session_describe(channel->agent, &facts.session, channel->session, cli->timeout_ms,
                                &error) &&
      tlsagent_session_peer_certificate(channel->agent, &facts.chain, &request, cli->timeout_ms,
                                        &error)) {
    show(cli, options, target, &facts);
  } else {
    code = complain_error(cli, &error);
  }
  tlsagent_free(facts.session);
  tlsagent_free(facts.chain);
  return code;
}

// --- Connecting ---

static bool parse_path(const struct connect *options, enum tlsagent_path *out) {
  static const struct {
    const char *name;
    enum tlsagent_path path;
  } paths[] = {
      {"fd", TLSAGENT_PATH_FD},
      {"memory", TLSAGENT_PATH_MEMORY},
      {"dial", TLSAGENT_PATH_DIAL},
  };
  const char *name = options->path != NULL ? options->path : options->dial ? "dial" : "fd";
  for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
    if (strcmp(name, paths[i].name) == 0) {
      *out = paths[i].path;
      return !options->dial || *out == TLSAGENT_PATH_DIAL;
    }
  }
  return false;
}

static int use(struct channel *channel, const struct connect *options, const char *target,
               const char *host) {
  const struct pump_ends ends = {.in_fd = STDIN_FILENO,
                                 .out_fd = STDOUT_FILENO,
                                 .ignore_in_end = options->ignore_eof,
                                 .stop_with_peer = true};
  int code = tell(channel, options, target);
  if (code != EXIT_OK || options->check || options->get != NULL) {
    if (code == EXIT_OK && options->get != NULL) {
      code = http_get(channel, host, options->get, options->include);
    }
    channel_finish(channel);
    return code;
  }
  return pump(channel, &ends);
}

// The Host header: with the port unless it is that of https.
static void format_host(char *out, size_t size, const struct endpoint *endpoint) {
  const bool is_ipv6 = strchr(endpoint->host, ':') != NULL;
  const bool usual = endpoint_port(endpoint) == 443;
  snprintf(out, size, "%s%s%s%s%s", is_ipv6 ? "[" : "", endpoint->host, is_ipv6 ? "]" : "",
           usual ? "" : ":", usual ? "" : endpoint->port);
}

static int run_at(const struct cli *cli, const struct connect *options,
                  struct tlsagent_client *agent, const struct endpoint *endpoint,
                  const char *target) {
  struct channel channel = {.cli = cli, .agent = agent, .tcp = -1};
  struct tlsagent_session_connect_request request = {
      .server_name = options->server_name != NULL ? options->server_name : endpoint->host};
  enum tlsagent_path path;
  char host[300];
  if (!parse_path(options, &path)) {
    return complain(cli, EXIT_USAGE, "--path takes fd, memory or dial, and --dial is the last");
  }
  format_host(host, sizeof(host), endpoint);
  int code = make_client_context(cli, agent, &options->options, &options->trust, &request.context);
  code = code != EXIT_OK ? code : channel_connect(&channel, path, endpoint, &request);
  code = code != EXIT_OK ? code : use(&channel, options, target, host);
  channel_drop(&channel);
  return code;
}

static int run(const struct cli *cli, const void *options, char *const *arguments) {
  struct endpoint endpoint;
  int code;
  if (!parse_endpoint(&endpoint, arguments[0], "443") || endpoint.host[0] == '\0') {
    return complain(cli, EXIT_USAGE, "\"%s\" isn't HOST:PORT", arguments[0]);
  }
  if (endpoint_port(&endpoint) == 0) {
    return complain(cli, EXIT_USAGE, "%s: no such port: %s", arguments[0], endpoint.port);
  }
  struct tlsagent_client *agent = open_agent(cli, &code);
  if (agent != NULL) {
    code = run_at(cli, options, agent, &endpoint, arguments[0]);
  }
  tlsagent_client_close(agent);
  return code;
}

const struct command CONNECT_COMMAND = {
    .name = "connect",
    .arguments = "HOST[:PORT]",
    .summary = "connect to a TLS server: standard input and output through TLS",
    .options = OPTIONS,
    .num_options = sizeof(OPTIONS) / sizeof(OPTIONS[0]),
    .size = sizeof(struct connect),
    .num_arguments = 1,
    .run = run,
    .examples =
        "  tlsagent connect example.org:443 --get / > page.html\n"
        "  tlsagent connect mail.example.org:993\n"
        "  tlsagent connect --check --json example.org | jq .negotiated\n"
        "  tlsagent connect --cafile ca.pem --cert me.pem --key me.key localhost:8443 < request\n",
};
