#include "client/cli/program.h"

#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Whether one of the connection's own variables has this one's name: that of another connection,
// which this process was run for, would be found first.
static bool is_replaced(const struct program_environment *environment, const char *variable) {
  for (size_t i = 0; i < PROGRAM_VARIABLES; i++) {
    const size_t len = strcspn(environment->text[i], "=") + 1;
    if (strncmp(environment->text[i], variable, len) == 0) {
      return true;
    }
  }
  return false;
}

static bool fill_list(struct program_environment *out) {
  size_t num = 0;
  while (environ[num] != NULL) {
    num++;
  }
  out->list = calloc(num + PROGRAM_VARIABLES + 1, sizeof(char *));
  if (out->list == NULL) {
    return false;
  }
  num = 0;
  for (char **variable = environ; *variable != NULL; variable++) {
    if (!is_replaced(out, *variable)) {
      out->list[num++] = *variable;
    }
  }
  for (size_t i = 0; i < PROGRAM_VARIABLES; i++) {
    out->list[num++] = out->text[i];
  }
  return true;
}

bool program_environment_init(struct program_environment *out,
                              const struct tlsagent_negotiated *negotiated, const char *peer) {
  const size_t size = PROGRAM_VARIABLE_SIZE;
  snprintf(out->text[0], size, "TLS_VERSION=%s", negotiated->version_name);
  snprintf(out->text[1], size, "TLS_CIPHER=%s", negotiated->cipher.name);
  snprintf(out->text[2], size, "TLS_SERVER_NAME=%s", negotiated->server_name);
  snprintf(out->text[3], size, "TLS_ALPN=%.*s", (int)negotiated->alpn.len,
           negotiated->alpn.len != 0 ? (const char *)negotiated->alpn.data : "");
  snprintf(out->text[4], size, "TLS_PEER=%s", peer);
  return fill_list(out);
}

void program_environment_cleanup(struct program_environment *environment) {
  free(environment->list);
  environment->list = NULL;
}

int program_start(pid_t *out, char *const *arguments, int fd,
                  const struct program_environment *environment) {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  sigset_t none;
  sigset_t defaults;
  sigemptyset(&none);
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, fd, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&files, fd, STDOUT_FILENO);
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  const int why =
      posix_spawnp(out, arguments[0], &files, &attributes, arguments, environment->list);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  return why;
}
