// The TLS that the options ask for, as contexts: one for each worker.
#ifndef TLSAGENT_CLIENT_LOAD_SETTINGS_H_
#define TLSAGENT_CLIENT_LOAD_SETTINGS_H_

#include <stdbool.h>
#include <stddef.h>

#include "client/load/options.h"
#include "client/load/target.h"
#include "server/base/slice.h"
#include "server/tls/context.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { ALPN_MAX = 32, NAMES_MAX = 1024 };

// What the options say, with its files read and its lists taken apart.
struct settings {
  const struct options *options;
  struct slice alpn[ALPN_MAX];
  size_t num_alpn;
  char *names[NAMES_MAX];  // to ask for in turn; none: no SNI
  size_t num_names;
  char *name_list;  // what names point into
  struct slice ca;
  struct slice cert;
  struct slice key;
};

// settings_takes_alpn and settings_takes_names tell whether a list is one for --alpn and --sni.
bool settings_takes_alpn(const char *list);
bool settings_takes_names(const char *list);

// settings_make_sense tells whether OpenSSL makes anything of the lists and versions that are asked
// for. False with a sentence of at most size bytes in why.
bool settings_make_sense(const struct options *options, char *why, size_t size);

// settings_read reads the files and lists. False with a sentence, as above.
bool settings_read(const struct options *options, const struct target *target, struct settings *out,
                   char *why, size_t size);
void settings_cleanup(struct settings *settings);

// settings_context makes a context of them. False with a sentence, as above.
bool settings_context(const struct settings *settings, struct tls_context **out, char *why,
                      size_t size);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_CLIENT_LOAD_SETTINGS_H_
