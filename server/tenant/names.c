#include <stdlib.h>
#include <string.h>

#include "server/base/object.h"
#include "server/tenant/tenant_priv.h"

// An object that outlives the client that named it. Every kind has names of its own.
struct name {
  struct list link;  // in owner->names
  struct owner *owner;
  const struct handle_kind *kind;
  void *object;
  char text[TENANT_NAME_MAX + 1];
};

static struct name *name_find(struct owner *owner, const struct handle_kind *kind,
                              const char *text) {
  LIST_FOR(link, &owner->names) {
    struct name *name = LIST_ENTRY(link, struct name, link);
    if (name->kind == kind && strcmp(name->text, text) == 0) {
      return name;
    }
  }
  return NULL;
}

static struct name *name_new(const struct handle_kind *kind, const char *text, void *object) {
  struct name *name = calloc(1, sizeof(*name));
  if (name != NULL) {
    name->kind = kind;
    name->object = object;
    memcpy(name->text, text, strlen(text) + 1);
  }
  return name;
}

static status_t enter_locked(struct client *client, struct name *name) {
  struct owner *owner = client->owner;
  ENSURE(name_find(owner, name->kind, name->text) == NULL, ALREADY_EXISTS);
  TRY(quota_take(client->tenant, owner, name->kind->quota));
  name->owner = owner;
  owner->refs++;
  list_push_back(&owner->names, &name->link);
  name->kind->ref(name->object);
  return OK_STATUS;
}

status_t name_publish(struct client *client, const struct handle_kind *kind, const char *text,
                      void *object) {
  OBJECT_CHECK(client, CLIENT_MAGIC);
  size_t len = strlen(text);
  ENSURE(len > 0 && len <= TENANT_NAME_MAX, INVALID_ARGUMENT);
  struct name *name = name_new(kind, text, object);
  ENSURE(name != NULL, RESOURCE_EXHAUSTED);
  pthread_mutex_lock(&client->tenant->lock);
  status_t status = enter_locked(client, name);
  pthread_mutex_unlock(&client->tenant->lock);
  if (!status_ok(status)) {
    free(name);
  }
  return status;
}

void *name_get(struct client *client, const struct handle_kind *kind, const char *text) {
  OBJECT_CHECK(client, CLIENT_MAGIC);
  pthread_mutex_lock(&client->tenant->lock);
  struct name *name = name_find(client->owner, kind, text);
  void *object = name == NULL ? NULL : name->object;
  if (object != NULL) {
    kind->ref(object);
  }
  pthread_mutex_unlock(&client->tenant->lock);
  return object;
}

char *name_of(struct client *client, const struct handle_kind *kind, const void *object,
              struct arena *arena) {
  OBJECT_CHECK(client, CLIENT_MAGIC);
  char *text = NULL;
  pthread_mutex_lock(&client->tenant->lock);
  LIST_FOR(link, &client->owner->names) {
    struct name *name = LIST_ENTRY(link, struct name, link);
    if (name->kind == kind && name->object == object) {
      text = arena_string(arena, name->text);
    }
  }
  pthread_mutex_unlock(&client->tenant->lock);
  return text;
}

// Takes a name off its owner; the owner may be gone after this.
static void leave_locked(struct tenant *tenant, struct name *name) {
  list_remove(&name->link);
  quota_give_locked(tenant, name->owner, name->kind->quota);
  owner_unref(name->owner);
}

static void name_free(struct name *name) {
  name->kind->unref(name->object);
  free(name);
}

status_t name_forget(struct client *client, const struct handle_kind *kind, const char *text) {
  OBJECT_CHECK(client, CLIENT_MAGIC);
  pthread_mutex_lock(&client->tenant->lock);
  struct name *name = name_find(client->owner, kind, text);
  if (name != NULL) {
    leave_locked(client->tenant, name);
  }
  pthread_mutex_unlock(&client->tenant->lock);
  ENSURE(name != NULL, NOT_FOUND);
  name_free(name);
  return OK_STATUS;
}

static void collect_names(struct tenant *tenant, struct list *out) {
  LIST_FOR(owner_link, &tenant->owners) {
    struct owner *owner = LIST_ENTRY(owner_link, struct owner, link);
    owner->refs++;  // or it could go with its last name, in the middle of its list
    LIST_FOR(link, &owner->names) {
      struct name *name = LIST_ENTRY(link, struct name, link);
      leave_locked(tenant, name);
      list_push_back(out, &name->link);
    }
    owner_unref(owner);
  }
}

void names_free_all(struct tenant *tenant) {
  struct list names;
  list_init(&names);
  pthread_mutex_lock(&tenant->lock);
  collect_names(tenant, &names);
  pthread_mutex_unlock(&tenant->lock);
  for (struct list *link = list_pop_front(&names); link != NULL; link = list_pop_front(&names)) {
    name_free(LIST_ENTRY(link, struct name, link));
  }
}
