// Owners that are no users of this machine: each has a number where users have their id.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/object.h"
#include "server/tenant/tenant_priv.h"

static bool is_printable(const char *text) {
  size_t len = 0;
  for (; text[len] != '\0' && len <= IDENTITY_MAX; len++) {
    if (text[len] < ' ' || text[len] > '~') {
      return false;
    }
  }
  return len > 0 && len <= IDENTITY_MAX;
}

static status_t find_or_add(struct tenant *tenant, const char *text, size_t *out) {
  for (size_t i = 0; i < tenant->num_identities; i++) {
    if (strcmp(tenant->identities[i], text) == 0) {
      *out = i;
      return OK_STATUS;
    }
  }
  ENSURE(tenant->num_identities < IDENTITIES_MAX, RESOURCE_EXHAUSTED);
  char *copy = strdup(text);
  ENSURE(copy != NULL, RESOURCE_EXHAUSTED);
  *out = tenant->num_identities++;
  tenant->identities[*out] = copy;
  return OK_STATUS;
}

status_t tenant_identity(struct tenant *tenant, const char *text, struct peer *out) {
  OBJECT_CHECK(tenant, TENANT_MAGIC);
  size_t index = 0;
  ENSURE(is_printable(text), INVALID_ARGUMENT);
  pthread_mutex_lock(&tenant->lock);
  status_t status = find_or_add(tenant, text, &index);
  pthread_mutex_unlock(&tenant->lock);
  TRY(status);
  *out = (struct peer){.uid = PEER_IDENTITIES_FIRST + (uid_t)index,
                       .gid = (gid_t)-1,
                       .identity = tenant->identities[index]};
  return OK_STATUS;
}

void identities_free(struct tenant *tenant) {
  for (size_t i = 0; i < tenant->num_identities; i++) {
    free(tenant->identities[i]);
  }
  tenant->num_identities = 0;
}

void peer_text(const struct peer *peer, char out[PEER_TEXT_MAX]) {
  if (peer->identity != NULL) {
    snprintf(out, PEER_TEXT_MAX, "%s", peer->identity);
  } else {
    snprintf(out, PEER_TEXT_MAX, "uid %u, pid %d", (unsigned)peer->uid, (int)peer->pid);
  }
}
