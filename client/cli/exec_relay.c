// tlsagent exec --relay: a program on the plaintext of the socket that is standard input.
//
// This process stays: with its connection to the daemon the session would end. It keeps the
// plaintext socket too, until the command has ended and the peer has all that the command wrote:
// were the command's the last descriptor of it, an end with something unread would reset the
// connection and lose what is on its way.

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "client/cli/exec.h"
#include "client/cli/net.h"
#include "client/cli/program.h"

struct relayed {
  const struct cli *cli;
  const struct exec *options;
  struct tlsagent_client *agent;
  uint64_t session;
  int socket;  // what was standard input; -1 once the daemon alone has it
  int plain;   // -1: none
  char peer[64];
  struct program_environment environment;
};

static void close_and_forget(int *fd) {
  if (*fd >= 0) {
    close(*fd);
    *fd = -1;
  }
}

// --- The socket ---

static int get_option(int name) {
  int value = -1;
  socklen_t len = sizeof(value);
  return getsockopt(STDIN_FILENO, SOL_SOCKET, name, &value, &len) == 0 ? value : -1;
}

static bool read_peer(struct relayed *relayed) {
  struct sockaddr_storage address = {0};
  socklen_t len = sizeof(address);
  if (get_option(SO_TYPE) != SOCK_STREAM ||
      getpeername(STDIN_FILENO, (struct sockaddr *)&address, &len) != 0) {
    return false;
  }
  const int family = get_option(SO_DOMAIN);
  if (family == AF_UNIX) {
    snprintf(relayed->peer, sizeof(relayed->peer), "unix");
    return true;
  }
  format_address(relayed->peer, sizeof(relayed->peer), &address);
  return family == AF_INET || family == AF_INET6;
}

// inetd's three standard streams are all the socket: what is printed there would be in the middle
// of the records, and a copy that stays open would keep the connection from ending.
static bool replace_copies(int socket) {
  struct stat own;
  struct stat other;
  const int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
  bool done = nothing >= 0 && fstat(socket, &own) == 0;
  for (int fd = STDIN_FILENO; done && fd <= STDERR_FILENO; fd++) {
    const bool is_copy =
        fstat(fd, &other) != 0 || (other.st_ino == own.st_ino && other.st_dev == own.st_dev);
    done = !is_copy || fd == nothing || dup2(nothing, fd) == fd;
  }
  if (nothing > STDERR_FILENO) {
    close(nothing);
  }
  return done;
}

static int take_socket(struct relayed *relayed) {
  if (!read_peer(relayed)) {
    return complain(relayed->cli, EXIT_USAGE,
                    "--relay takes a connected TCP or Unix socket as standard input: start it from "
                    "inetd (nowait), a systemd socket with Accept=yes, or socat EXEC:...,nofork");
  }
  relayed->socket = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  if (relayed->socket < 0 || !replace_copies(relayed->socket)) {
    return complain(relayed->cli, EXIT_IO, "cannot take the socket: %s", strerrordesc_np(errno));
  }
  return EXIT_OK;
}

// --- The handshake ---

static int open_daemon(struct relayed *relayed) {
  char address[PRIVATE_ADDRESS_SIZE];
  struct cli own = *relayed->cli;
  int code = exec_have_daemon(relayed->cli, relayed->options, address);
  if (code == EXIT_OK) {
    own.socket = address;
    relayed->agent = open_agent(&own, &code);
  }
  return code;
}

static int make_own_context(struct relayed *relayed, uint64_t *out) {
  const struct exec *options = relayed->options;
  return options->client ? make_client_context(relayed->cli, relayed->agent, &options->options,
                                               &options->trust, out)
                         : make_server_context(relayed->cli, relayed->agent, &options->options,
                                               &options->wishes, out);
}

static int keep(struct relayed *relayed, uint64_t session,
                const struct tlsagent_session_relay_reply *relay,
                const struct tlsagent_negotiated *negotiated) {
  relayed->session = session;
  relayed->plain = relay->fd;
  return program_environment_init(&relayed->environment, negotiated, relayed->peer)
             ? EXIT_OK
             : complain(relayed->cli, EXIT_IO, "out of memory");
}

static int accept_session(struct relayed *relayed, uint64_t context,
                          const struct tlsagent_relay_options *relay) {
  const struct tlsagent_session_accept_request request = {
      .context = context, .transport = tlsagent_over_fd(relayed->socket), .relay = relay};
  struct tlsagent_session_accept_reply *reply = NULL;
  struct tlsagent_error error;
  const int code =
      tlsagent_session_accept(relayed->agent, &reply, &request, relayed->cli->timeout_ms, &error)
          ? keep(relayed, reply->session, reply->relay, reply->negotiated)
          : complain_error(relayed->cli, &error);
  tlsagent_free(reply);
  return code;
}

static int connect_session(struct relayed *relayed, uint64_t context,
                           const struct tlsagent_relay_options *relay) {
  const struct tlsagent_session_connect_request request = {
      .context = context,
      .transport = tlsagent_over_fd(relayed->socket),
      .server_name = relayed->options->server_name,
      .relay = relay};
  struct tlsagent_session_connect_reply *reply = NULL;
  struct tlsagent_error error;
  const int code =
      tlsagent_session_connect(relayed->agent, &reply, &request, relayed->cli->timeout_ms, &error)
          ? keep(relayed, reply->session, reply->relay, reply->negotiated)
          : complain_error(relayed->cli, &error);
  tlsagent_free(reply);
  return code;
}

static int shake_hands(struct relayed *relayed) {
  const struct exec *options = relayed->options;
  const struct tlsagent_relay_options relay = {.idle_seconds = options->idle_timeout,
                                               .total_seconds = options->total_timeout};
  uint64_t context = 0;
  int code = make_own_context(relayed, &context);
  if (code == EXIT_OK) {
    code = options->client ? connect_session(relayed, context, &relay)
                           : accept_session(relayed, context, &relay);
  }
  close_and_forget(&relayed->socket);
  return code;
}

// --- The command ---

// A terminal's signals have gone to the command as well; only what was sent to this process is to
// be passed on.
static void pass_on(pid_t child, const siginfo_t *signal) {
  if (signal->si_signo != SIGCHLD && signal->si_code <= 0) {
    kill(child, signal->si_signo);
  }
}

// Waits for the end of child with signals blocked, and returns the exit code as shells have it.
static int await_command(pid_t child, const sigset_t *signals) {
  siginfo_t signal;
  int status = 0;
  pid_t ended = waitpid(child, &status, WNOHANG);
  while (ended == 0) {
    if (sigwaitinfo(signals, &signal) >= 0) {
      pass_on(child, &signal);
    }
    ended = waitpid(child, &status, WNOHANG);
  }
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int run_command(const struct relayed *relayed, char *const *arguments, bool *out_ran) {
  sigset_t signals;
  sigset_t before;
  pid_t child;
  sigemptyset(&signals);
  sigaddset(&signals, SIGCHLD);
  sigaddset(&signals, SIGHUP);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  signal(SIGCHLD, SIG_DFL);  // where it is ignored, nobody is told how the command ended
  sigprocmask(SIG_BLOCK, &signals, &before);
  const int why = program_start(&child, arguments, relayed->plain, &relayed->environment);
  *out_ran = why == 0;
  const int code =
      why == 0 ? await_command(child, &signals) : complain_command(relayed->cli, arguments[0], why);
  sigprocmask(SIG_SETMASK, &before, NULL);
  return code;
}

// --- The end ---

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// To the library 0 is without an end.
static int left_ms(int64_t until) {
  const int64_t left = until - now_ms();
  if (left < 1) {
    return 1;
  }
  return left < INT_MAX ? (int)left : INT_MAX;
}

// Takes what nobody reads any more, until the relay closes its side.
static void drain(const struct relayed *relayed, int64_t until) {
  char unread[4096];
  ssize_t got = -1;
  while (got != 0 && now_ms() < until) {
    struct pollfd ready = {relayed->plain, POLLIN, 0};
    poll(&ready, 1, left_ms(until));
    got = recv(relayed->plain, unread, sizeof(unread), MSG_DONTWAIT);
    if (got < 0 && errno != EAGAIN && errno != EINTR) {
      return;
    }
  }
}

// The command's part is over: ends the connection, and waits for the peer to do so.
static int await_end(struct relayed *relayed) {
  const int64_t until = now_ms() + relayed->cli->timeout_ms;
  struct tlsagent_session_wait_end_reply *reply = NULL;
  struct tlsagent_error error;
  shutdown(relayed->plain, SHUT_WR);
  drain(relayed, until);
  const bool ended = tlsagent_session_wait_end(relayed->agent, &reply, relayed->session,
                                               (uint32_t)left_ms(until), &error);
  tlsagent_free(reply);
  if (ended) {
    return EXIT_OK;
  }
  if (error.fault == TLSAGENT_FAULT_DEADLINE) {
    return complain(relayed->cli, EXIT_TIMEOUT,
                    "the command has ended, but the peer doesn't end the connection");
  }
  return complain_error(relayed->cli, &error);
}

int exec_relay(const struct cli *cli, const struct exec *options, char *const *arguments) {
  struct relayed relayed = {.cli = cli, .options = options, .socket = -1, .plain = -1};
  bool ran = false;
  int code = take_socket(&relayed);
  code = code != EXIT_OK ? code : open_daemon(&relayed);
  code = code != EXIT_OK ? code : shake_hands(&relayed);
  code = code != EXIT_OK ? code : run_command(&relayed, arguments, &ran);
  if (ran) {
    const int end = await_end(&relayed);
    code = code != EXIT_OK ? code : end;
  } else if (relayed.session != 0) {
    // Before the plaintext socket, whose end would be a good one to the peer.
    tlsagent_session_close(relayed.agent, relayed.session, cli->timeout_ms, NULL);
  }
  close_and_forget(&relayed.plain);
  close_and_forget(&relayed.socket);
  program_environment_cleanup(&relayed.environment);
  tlsagent_client_close(relayed.agent);
  return code;
}
