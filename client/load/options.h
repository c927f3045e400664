// What the command line of tlsagent-load asks for.
#ifndef TLSAGENT_CLIENT_LOAD_OPTIONS_H_
#define TLSAGENT_CLIENT_LOAD_OPTIONS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "client/load/assertion.h"

#ifdef __cplusplus
extern "C" {
#endif

enum workload_kind {
  WORKLOAD_HANDSHAKE,
  WORKLOAD_ECHO,
  WORKLOAD_HTTP,
  WORKLOAD_RAW,
  WORKLOAD_DOWN,
  WORKLOAD_UP,
  WORKLOAD_IDLE,
  WORKLOAD_COUNT
};

extern const char *const WORKLOAD_NAMES[WORKLOAD_COUNT];

enum { ASSERTIONS_MAX = 64, HEADERS_MAX = 32 };

struct options {
  const char *target;
  enum workload_kind workload;

  // How much, and for how long.
  uint64_t connections;
  double rate;     // operations a second to start; 0: closed loop
  uint64_t count;  // operations; 0: as many as the duration has room for
  uint64_t duration_nanos;
  uint64_t warmup_nanos;
  uint64_t ramp_nanos;
  uint64_t timeout_nanos;  // for each step of a connection
  uint64_t workers;

  // What is said over a connection.
  uint64_t size;   // echo
  uint64_t bytes;  // down, up
  const char *path;
  const char *headers[HEADERS_MAX];
  size_t num_headers;
  const char *send;  // raw, with C's escapes
  uint64_t expect_bytes;

  // TLS.
  double resume_percent;
  int tls_min;  // numbers on the wire; 0: OpenSSL's own bound
  int tls_max;
  const char *groups;
  const char *ciphers;
  const char *ciphersuites;
  const char *alpn;
  const char *sni;
  const char *cert;
  const char *key;
  const char *ca;
  bool insecure;

  // How.
  bool has_via;
  const char *via;  // NULL: where the daemon listens by default
  bool no_shutdown;
  bool reset;

  // What comes of it.
  const char *json;
  const char *csv;
  const char *html;
  const char *hdr;
  const char *title;
  bool quiet;
  struct assertion assertions[ASSERTIONS_MAX];
  size_t num_assertions;
};

enum options_result { OPTIONS_RUN, OPTIONS_SHOWN, OPTIONS_WRONG };

// options_read reads the command line. OPTIONS_SHOWN: --help or --version was printed to out.
// OPTIONS_WRONG: a sentence about it went to error. Texts stay argv's.
enum options_result options_read(int argc, char **argv, FILE *out, FILE *error,
                                 struct options *options);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_CLIENT_LOAD_OPTIONS_H_
