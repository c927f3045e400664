#include "client/load/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 4 << 20 };

static bool fail(char *why, size_t size, const char *about, const char *what) {
  snprintf(why, size, "%s: %s", about, what);
  return false;
}

// ---------------------------------------------------------------------------------------------
// Files and lists

static bool read_stream(FILE *file, struct slice *out) {
  uint8_t *data = malloc(FILE_MAX);
  size_t len = data == NULL ? 0 : fread(data, 1, FILE_MAX, file);
  if (data == NULL || ferror(file) || len == FILE_MAX) {
    free(data);
    return false;
  }
  *out = slice_of(data, len);
  return true;
}

static bool read_file(const char *path, struct slice *out, char *why, size_t size) {
  if (path == NULL) {
    return true;
  }
  FILE *file = fopen(path, "re");
  if (file == NULL) {
    return fail(why, size, path, strerrordesc_np(errno));
  }
  bool good = read_stream(file, out);
  fclose(file);
  return good || fail(why, size, path, "can't be read, or is larger than 4 MiB");
}

static bool split_alpn(struct settings *settings, char *why, size_t size) {
  const char *at = settings->options->alpn;
  while (at != NULL) {
    size_t len = strcspn(at, ",");
    if (len == 0 || len > 255 || settings->num_alpn == ALPN_MAX) {
      return fail(why, size, "--alpn", "it takes 1 to 32 names of 1 to 255 bytes");
    }
    settings->alpn[settings->num_alpn++] = slice_of(at, len);
    at = at[len] == ',' ? at + len + 1 : NULL;
  }
  return true;
}

// Verification needs a name, also when that is an address.
static const char *default_names(const struct options *options, const struct target *target) {
  bool wanted = target->host[0] != '\0' && !(target->is_address && options->insecure);
  return wanted ? target->host : NULL;
}

static bool split_names(struct settings *settings, const char *names, char *why, size_t size) {
  if (names == NULL) {
    return true;
  }
  settings->name_list = strdup(names);
  char *place = NULL;
  char *name = settings->name_list == NULL ? NULL : strtok_r(settings->name_list, ",", &place);
  for (; name != NULL && settings->num_names < NAMES_MAX; name = strtok_r(NULL, ",", &place)) {
    settings->names[settings->num_names++] = name;
  }
  return (name == NULL && settings->num_names > 0) ||
         fail(why, size, "--sni", "it takes 1 to 1024 names");
}

bool settings_read(const struct options *options, const struct target *target, struct settings *out,
                   char *why, size_t size) {
  *out = (struct settings){.options = options};
  const char *names = options->sni != NULL ? options->sni : default_names(options, target);
  bool good = split_alpn(out, why, size) && split_names(out, names, why, size) &&
              read_file(options->ca, &out->ca, why, size) &&
              read_file(options->cert, &out->cert, why, size) &&
              read_file(options->key, &out->key, why, size);
  if (good && out->num_names == 0 && !options->insecure) {
    good = fail(why, size, options->target, "give --sni, the name to verify, or --insecure");
  }
  return good;
}

static void wipe(struct slice *slice) {
  if (slice->data != NULL) {
    explicit_bzero((void *)slice->data, slice->len);
    free((void *)slice->data);
  }
  *slice = slice_of(NULL, 0);
}

void settings_cleanup(struct settings *settings) {
  wipe(&settings->ca);
  wipe(&settings->cert);
  wipe(&settings->key);
  free(settings->name_list);
  settings->name_list = NULL;
}

// ---------------------------------------------------------------------------------------------
// A context of them

static void set_lists(const struct settings *settings, struct tls_settings *out) {
  const struct options *options = settings->options;
  out->present |= options->ciphers == NULL ? 0 : (uint32_t)TLS_SET_CIPHERS;
  out->ciphers = options->ciphers;
  out->present |= options->ciphersuites == NULL ? 0 : (uint32_t)TLS_SET_CIPHERSUITES;
  out->ciphersuites = options->ciphersuites;
  out->present |= options->groups == NULL ? 0 : (uint32_t)TLS_SET_GROUPS;
  out->groups = options->groups;
  out->present |= settings->num_alpn == 0 ? 0 : (uint32_t)TLS_SET_ALPN;
  out->alpn = settings->alpn;
  out->num_alpn = settings->num_alpn;
}

static void set_versions(const struct options *options, struct tls_settings *out) {
  out->present |= options->tls_min == 0 ? 0 : (uint32_t)TLS_SET_MIN_VERSION;
  out->min_version = options->tls_min;
  out->present |= options->tls_max == 0 ? 0 : (uint32_t)TLS_SET_MAX_VERSION;
  out->max_version = options->tls_max;
}

static void set_verification(const struct options *options, struct tls_settings *out) {
  out->present |= TLS_SET_VERIFY_MODE | TLS_SET_CHECK_HOSTNAME;
  out->verify_mode = options->insecure ? TLS_VERIFY_NONE : TLS_VERIFY_REQUIRED;
  out->check_hostname = !options->insecure;
}

static void explain(const struct tls_error *error, char *why, size_t size) {
  snprintf(why, size, "%s%s%s%s%s%s", error->item, error->item[0] == '\0' ? "" : ": ",
           error->detail[0] == '\0' ? error->text : error->detail,
           error->reason[0] == '\0' ? "" : " (", error->reason,
           error->reason[0] == '\0' ? "" : ")");
}

bool settings_context(const struct settings *settings, struct tls_context **out, char *why,
                      size_t size) {
  const struct options *options = settings->options;
  const struct tls_pair pair = {.chain = settings->cert, .key = settings->key};
  struct tls_context_change change = {
      .pairs = &pair,
      .num_pairs = options->cert == NULL ? 0 : 1,
      .trust = {.certificates = &settings->ca,
                .num_certificates = options->ca == NULL ? 0 : 1,
                .system = options->ca == NULL && !options->insecure}};
  set_lists(settings, &change.settings);
  set_versions(options, &change.settings);
  set_verification(options, &change.settings);
  struct tls_error error;
  tls_error_clear(&error);
  if (!status_ok(tls_context_new(TLS_CONTEXT_CLIENT, &change, out, &error))) {
    explain(&error, why, size);
    return false;
  }
  return true;
}
