// Policy: what clients may make the daemon do on the network. Nothing, unless it was started so.
#ifndef TLSAGENT_SERVER_TENANT_POLICY_H_
#define TLSAGENT_SERVER_TENANT_POLICY_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Which targets may be dialled: patterns "HOST:PORT" where either part may hold * (anything) and ?
// (one character), and an IPv6 address stands in brackets. The strings are the caller's.
struct policy {
  const char *const *dial_patterns;
  size_t num_dial_patterns;
};

// policy_pattern_valid tells whether a pattern has both parts.
bool policy_pattern_valid(const char *pattern);

// policy_allows_unix tells whether the Unix socket of that path may be dialled: by a pattern
// "unix:PATH", where * and ? mean the same, and letter case counts.
bool policy_allows_unix(const struct policy *policy, const char *path);

// policy_allows_dial compares host and port with every pattern; letter case does not count. The
// name is compared as it was asked for: what it resolves to is not looked at.
bool policy_allows_dial(const struct policy *policy, const char *host, uint16_t port);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_TENANT_POLICY_H_
