#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/cli/http.h"
#include "client/cli/program.h"
#include "client/cli/pump.h"
#include "client/cli/serve.h"
#include "client/cli/show.h"
#include "client/cli/text.h"

// --- Echo ---

static int echo(const struct serving *serving) {
  struct channel *channel = serving->channel;
  char data[PUMP_CHUNK];
  struct tlsagent_error error;
  size_t len;
  enum tlsagent_state state;
  // Nobody knows when the other side speaks again: no timeout.
  while ((state = tlsagent_session_read_into(channel->agent, &len, channel->session, data,
                                             sizeof(data), 0, &error)) == TLSAGENT_STATE_DONE) {
    if (!channel_write(channel, data, len, &error)) {
      state = TLSAGENT_STATE_FAILED;
      break;
    }
  }
  if (state == TLSAGENT_STATE_FAILED) {
    channel_drop(channel);
    return complain_error(channel->cli, &error);
  }
  channel_finish(channel);
  return EXIT_OK;
}

// --- Pages ---

// The page that says what was agreed.
static void describe(FILE *out, const struct serving *serving) {
  const struct tlsagent_peer *peer = serving->session->peer;
  fprintf(out, "tlsagent serve\n\n  %-14s%s\n", "You:", serving->peer);
  show_negotiated(out, serving->session->negotiated);
  if (peer == NULL || peer->der.len == 0) {
    fprintf(out, "  %-14snone\n", "Certificate:");
    return;
  }
  fprintf(out, "  %-14sverified: ", "Certificate:");
  print_safe(out, peer->verify_message);
  fputc('\n', out);
}

// Waits a little for the peer to end too: a close with something unread would reset the connection,
// and the page with it.
static void linger(struct channel *channel) {
  enum { LINGER_MS = 2000 };
  const struct tlsagent_session_shutdown_request request = {
      .session = channel->session, .wait_ms = TLSAGENT_GIVEN(LINGER_MS), .await_peer = true};
  tlsagent_session_shutdown(channel->agent, NULL, &request, 2 * LINGER_MS, NULL);
  channel_drop(channel);
}

static int answer(const struct serving *serving, const struct http_page *page) {
  struct tlsagent_error error;
  if (!http_answer(serving->channel, page, &error)) {
    channel_drop(serving->channel);
    return complain_error(serving->channel->cli, &error);
  }
  linger(serving->channel);
  return EXIT_OK;
}

static int answer_page(const struct serving *serving) {
  const struct http_page page = {
      serving->options->file != NULL ? "application/octet-stream" : "text/plain; charset=utf-8",
      serving->page->data, serving->page->len};
  return answer(serving, &page);
}

static int answer_description(const struct serving *serving) {
  char *text = NULL;
  size_t len = 0;
  FILE *out = open_memstream(&text, &len);
  if (out == NULL) {
    channel_drop(serving->channel);
    return complain(serving->channel->cli, EXIT_IO, "out of memory");
  }
  describe(out, serving);
  fclose(out);
  const struct http_page page = {"text/plain; charset=utf-8", text, len};
  const int code = answer(serving, &page);
  free(text);
  return code;
}

// --- Forwarding ---

static int forward(const struct serving *serving) {
  struct channel *channel = serving->channel;
  struct endpoint endpoint;
  int fd;
  parse_endpoint(&endpoint, serving->options->to, NULL);  // serve_mode_check() has seen it
  int code = tcp_connect(channel->cli, &endpoint, &fd);
  if (code != EXIT_OK) {
    channel_drop(channel);
    return code;
  }
  const struct pump_ends ends = {.in_fd = fd, .out_fd = fd, .out_may_end = true};
  code = pump(channel, &ends);
  close(fd);
  return code;
}

// --- A program for each connection ---

static int start_shell(pid_t *out, const char *command, int fd,
                       const struct program_environment *environment) {
  char shell[] = "/bin/sh";
  char flag[] = "-c";
  char *arguments[] = {shell, flag, (char *)command, NULL};
  return program_start(out, arguments, fd, environment);
}

static void wait_for(pid_t child) {
  while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
  }
}

static int run_program(const struct serving *serving,
                       const struct program_environment *environment) {
  struct channel *channel = serving->channel;
  int ends_of_pair[2];
  pid_t child;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_of_pair) != 0) {
    const int why = errno;
    channel_drop(channel);
    return complain(channel->cli, EXIT_IO, "cannot make a socket pair: %s", strerrordesc_np(why));
  }
  const int why = start_shell(&child, serving->options->exec, ends_of_pair[1], environment);
  close(ends_of_pair[1]);
  int code;
  if (why != 0) {
    channel_drop(channel);
    code = complain(channel->cli, EXIT_IO, "cannot run /bin/sh: %s", strerrordesc_np(why));
  } else {
    const struct pump_ends ends = {
        .in_fd = ends_of_pair[0], .out_fd = ends_of_pair[0], .out_may_end = true};
    code = pump(channel, &ends);
  }
  close(ends_of_pair[0]);
  if (why == 0) {
    wait_for(child);
  }
  return code;
}

static int exec(const struct serving *serving) {
  struct program_environment environment = {0};
  int code;
  if (program_environment_init(&environment, serving->session->negotiated, serving->peer)) {
    code = run_program(serving, &environment);
  } else {
    channel_drop(serving->channel);
    code = complain(serving->channel->cli, EXIT_IO, "out of memory");
  }
  program_environment_cleanup(&environment);
  return code;
}

// --- Which one? ---

int serve_mode_check(const struct cli *cli, const struct serve *options) {
  const int modes = options->echo + (options->text != NULL) + (options->file != NULL) +
                    (options->exec != NULL) + (options->to != NULL);
  struct endpoint endpoint;
  if (modes > 1) {
    return complain(cli, EXIT_USAGE, "--echo, --text, --file, --exec and --to exclude each other");
  }
  if (options->to != NULL && !parse_endpoint(&endpoint, options->to, NULL)) {
    return complain(cli, EXIT_USAGE, "--to takes HOST:PORT, not \"%s\"", options->to);
  }
  return EXIT_OK;
}

int serve_mode(const struct serving *serving) {
  const struct serve *options = serving->options;
  if (options->echo) {
    return echo(serving);
  }
  if (options->exec != NULL) {
    return exec(serving);
  }
  if (options->to != NULL) {
    return forward(serving);
  }
  return serving->page->data != NULL ? answer_page(serving) : answer_description(serving);
}
