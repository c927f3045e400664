#include "client/cli/beside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool find_beside(const char *name, char out[PATH_MAX]) {
  char self[PATH_MAX];
  char path[2 * PATH_MAX];
  const ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
  if (len <= 0) {
    return false;
  }
  self[len] = '\0';
  char *slash = strrchr(self, '/');
  if (slash == NULL) {
    return false;
  }
  slash[1] = '\0';
  snprintf(path, sizeof(path), "%s%s", self, name);
  return realpath(path, out) != NULL;
}
