#include "client/load/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 4 << 20, NAME_LENGTH_MAX = 255 };

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

// What comes after the first name of a list, and how long that is; NULL after the last.
static const char *after_name(const char *list, size_t *out_len) {
  *out_len = strcspn(list, ",");
  return list[*out_len] == ',' ? list + *out_len + 1 : NULL;
}

static bool is_list(const char *list, size_t most) {
  size_t num = 0;
  while (list != NULL) {
    size_t len;
    list = after_name(list, &len);
    if (len == 0 || len > NAME_LENGTH_MAX || num++ == most) {
      return false;
    }
  }
  return true;
}

bool settings_takes_alpn(const char *list) {
  return is_list(list, ALPN_MAX);
}

bool settings_takes_names(const char *list) {
  return is_list(list, NAMES_MAX);
}

static void split_alpn(const struct options *options, struct settings *out) {
  const char *at = options->alpn;
  while (at != NULL && out->num_alpn < ALPN_MAX) {
    const char *name = at;
    size_t len;
    at = after_name(name, &len);
    out->alpn[out->num_alpn++] = slice_of(name, len);
  }
}

// Verification needs a name, also when that is an address.
static const char *default_names(const struct options *options, const struct target *target) {
  bool wanted = target->host[0] != '\0' && !(target->is_address && options->insecure);
  return wanted ? target->host : NULL;
}

static bool split_names(const char *names, struct settings *settings, char *why, size_t size) {
  if (names == NULL) {
    return true;
  }
  settings->name_list = strdup(names);
  char *place = NULL;
  char *name = settings->name_list == NULL ? NULL : strtok_r(settings->name_list, ",", &place);
  for (; name != NULL && settings->num_names < NAMES_MAX; name = strtok_r(NULL, ",", &place)) {
    settings->names[settings->num_names++] = name;
  }
  return settings->name_list != NULL || fail(why, size, "--sni", "no memory");
}

bool settings_read(const struct options *options, const struct target *target, struct settings *out,
                   char *why, size_t size) {
  *out = (struct settings){.options = options};
  const char *names = options->sni != NULL ? options->sni : default_names(options, target);
  split_alpn(options, out);
  bool good = split_names(names, out, why, size) && read_file(options->ca, &out->ca, why, size) &&
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

// The option that an input came from, by what the engine calls it; "" for none.
static const char *option_of(const char *item, const struct options *options) {
  static const struct {
    const char *item;
    const char *option;
  } rows[] = {{"settings.ciphersuites", "--ciphersuites"},
              {"settings.ciphers", "--ciphers"},
              {"settings.groups", "--groups"},
              {"settings.alpn", "--alpn"},
              {"settings.min_version", "--tls-min"},
              {"settings.max_version", "--tls-max"},
              {"pairs[0].key", "--key"},
              {"pairs", "--cert"},
              {"trust.system", "the system's CAs"},
              {"trust", "--ca"}};
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    if (strncmp(item, rows[i].item, strlen(rows[i].item)) == 0) {
      bool is_in_cert = options->key == NULL && strcmp(rows[i].option, "--key") == 0;
      return is_in_cert ? "--cert" : rows[i].option;
    }
  }
  return "";
}

static void explain(const struct tls_error *error, const struct options *options, char *why,
                    size_t size) {
  const char *option = option_of(error->item, options);
  snprintf(why, size, "%s%s%s%s%s%s", option, option[0] == '\0' ? "" : ": ",
           error->detail[0] == '\0' ? error->text : error->detail,
           error->reason[0] == '\0' ? "" : " (", error->reason,
           error->reason[0] == '\0' ? "" : ")");
}

static bool make(const struct options *options, const struct tls_context_change *change,
                 struct tls_context **out, char *why, size_t size) {
  struct tls_error error;
  tls_error_clear(&error);
  if (!status_ok(tls_context_new(TLS_CONTEXT_CLIENT, change, out, &error))) {
    explain(&error, options, why, size);
    return false;
  }
  return true;
}

bool settings_make_sense(const struct options *options, char *why, size_t size) {
  struct settings lists = {.options = options};
  struct tls_context_change change = {.num_pairs = 0};
  struct tls_context *context = NULL;
  split_alpn(options, &lists);
  set_lists(&lists, &change.settings);
  set_versions(options, &change.settings);
  bool good = make(options, &change, &context, why, size);
  tls_context_unref(context);
  return good;
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
  return make(options, &change, out, why, size);
}
